"""How a figure stands in a page: its ink is the page's, and it is drawn once for a wide page and once for a phone."""

import re

import numpy as np
import pandas as pd
import pytest
from drawings import drawn, said

from transferlib.figures import (
    STYLE,
    accuracies,
    beside_paper,
    figure_2,
    figure_3,
    learning_figure,
    losses,
    one_panel,
    rendered,
    show,
    side_by_side,
)
from transferlib.figures.mosaic import Mosaic
from transferlib.figures.page import NARROW, as_html, stacked
from transferlib.figures.style import SMALL, WIDE


@pytest.fixture
def figure(table):
    return beside_paper(accuracies("BnB", "AnB"), table)


def test_a_figure_is_shown_as_part_of_the_page(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    table = pd.DataFrame({"epoch": [1, 2], "top1": [0.1, 0.3]})
    for _ in range(2):  # made anew: some versions of matplotlib shift a layout that is drawn again
        show(learning_figure({"base": table}, ""))
    show(Mosaic([[np.zeros((1, 1, 3), np.uint8)]], ["one"]))
    assert all(one.data.startswith('<div class="drawing">') for one in shown)
    assert shown[0].data == shown[1].data
    assert "<svg" in shown[0].data and "<img" in shown[2].data


def test_ink_is_the_pages_and_the_treatments_keep_their_colours(figure):
    page = as_html(figure)
    assert not re.search("#000|#222|#fff", page, re.IGNORECASE)
    assert page.count("currentColor") > 20 and "var(--pst-color-background, none)" in page
    assert {STYLE[name][0].lower() for name in ("BnB", "AnB")} <= set(re.findall("#[0-9a-f]{6}", page))


def test_a_file_is_black_on_white(figure):
    svg = rendered(figure, "svg").decode()
    assert "currentColor" not in svg and "fill: #ffffff" in svg and STYLE["base"][0] in svg


def test_ids_are_a_figures_own_and_lead_to_something(figure, table):
    page = as_html(figure) + as_html(one_panel(losses("AnB"), table))
    ids = re.findall(r' id="([^"]+)"', page)
    assert ids and len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)) <= {(one, "") for one in ids} | {
        ("", one) for one in ids
    }


def test_on_a_phone_panels_stand_one_above_the_other(figure):
    copy = stacked(figure)
    upper, lower = (ax.get_subplotspec() for ax in copy.axes)
    assert (upper.rowspan.start, lower.rowspan.start) == (0, 1) and upper.colspan == lower.colspan
    assert copy.get_figwidth() == NARROW and copy.get_figheight() > figure.get_figheight()
    assert figure.get_figwidth() == WIDE  # which is as it was


def test_on_a_phone_a_scale_that_was_shared_is_named_at_each_panel(table):
    copy = stacked(side_by_side(losses("AnB"), {"short": table, "long": table}))
    assert [ax.get_ylabel() for ax in copy.axes] == ["top-1 minus base (points)"] * 2


def test_an_empty_place_is_not_kept_on_a_phone(figure):
    figure.axes[1].axis("off")
    assert len(stacked(figure).axes) == 1


@pytest.mark.parametrize("draw", [figure_2, figure_3])
def test_no_line_of_letters_is_longer_than_a_phone_is_wide_and_none_is_small(table, draw):
    page = as_html(draw(table))
    wide, narrow = page.split('<svg class="narrow"')
    for half, room in ((wide, WIDE), (narrow, NARROW)):
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:\w+ )?([\d.]+)px", half)]
        assert min(sizes) >= 0.7 * SMALL and sizes.count(min(sizes)) < len(sizes)
        assert max(map(len, re.findall(r"<text[^>]*>([^<]*)</text>", half))) < 14 * room


def test_a_panel_without_runs_says_so_on_a_phone_too(table):
    copy = stacked(one_panel(losses("AnB"), table.iloc[:0]))
    assert said(drawn(copy)) == ["no such run yet"]
