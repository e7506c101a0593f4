"""The drawn explorers in a browser: by pointer, touch and keyboard, wide and narrow, in light, in dark and on paper."""

from __future__ import annotations

import itertools
import json
import re

import pandas as pd
import pytest
from matplotlib.figure import Figure
from small_studies import invented, store_of

from transferlib.figures import STYLE
from transferlib.widgets import (
    Drawing,
    cut_the_network,
    draw_your_guess,
    learning_curves,
    similarity_dial,
    turn_the_rate,
)
from transferlib.widgets.drawing import SCRIPTS

NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1100, "height": 900}
THEMES = {"light": "background:#fff;color:#222832", "dark": "background:#14181e;color:#ced6dd"}
FAMILIES = {"AnB": 0.01, "BnB": 0.002, "AnB+": -0.004}  # what each layer more costs


def table_of(folder, split="random:0", families=FAMILIES, top=0.5, others=()):
    records = [invented("base", top, split, train_loss=2.0), *others]
    for family, cost in families.items():
        for n in range(1, 8):
            name = family.replace("n", str(n))
            records.append(invented(name, round(top - cost * n, 4), split, train_loss=2.0 + cost * n))
    return store_of(folder, *records).table()


def curve(key):
    return pd.DataFrame({"epoch": range(1, 7), "top1": [0.1, 0.2, 0.3, 0.4, 0.45, 0.5]})


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """One of each, of made tables."""
    folder = tmp_path_factory.mktemp("drawings")
    random = [invented(f"R{n}B", 0.5 - 0.035 * n) for n in range(1, 8)]
    ours = table_of(folder / "ours", others=random)
    theirs = table_of(folder / "theirs", top=0.6, others=random)
    dial = pd.concat([table_of(folder / s, f"similarity:{s}", {"AnB": c}) for s, c in (("1.0", 0.01), ("0.0", 0.03))])
    doses = {rate: table_of(folder / f"{rate}", families={"BnB": rate / 50}) for rate in (0.05, 0.1, 0.2)}
    return {
        "cut": cut_the_network({"ours": ours, "theirs": theirs}),
        "rate": turn_the_rate(doses),
        "dial": similarity_dial(dial),
        "learning": learning_curves(ours, curve),
        "guess": draw_your_guess(ours, "AnB", "It falls in a line."),
    }


ALL = ("cut", "rate", "dial", "learning", "guess")


@pytest.fixture
def opened(browser, drawings):
    """Opens a page on which a drawing stands twice, so that nothing may be shared by accident; errors fail the test."""
    pages, errors, asked = [], [], []

    def open_page(name, theme="light", viewport=WIDE, **options):
        page = browser.new_page(viewport=viewport, **options)
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and errors.append(message.text))
        page.on("request", lambda request: request.url.startswith("data:") or asked.append(request.url))
        twice = drawings[name].html() * 2 if isinstance(name, str) else name.html()
        head = (
            f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>x</title></head>'
        )
        page.set_content(f'{head}<body style="{THEMES[theme]}"><main><h1>x</h1>{twice}</main></body></html>')
        page.wait_for_function("document.querySelectorAll('.explorer:not(.live)').length === 0")
        return page

    yield open_page
    assert errors == []
    assert asked == []  # nothing outside of the page
    for page in pages:
        page.close()


def said(page, number=0):
    return page.locator("[aria-live]").nth(number).inner_text()


def middle(page, locator, x=0.5, y=0.5):
    box = locator.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


@pytest.mark.parametrize("name", ALL)
def test_the_pointer_turns_every_control_of_one_drawing_only(opened, name):
    page = opened(name)
    other = said(page, 1)
    figure = page.locator(".explorer").first
    if name == "guess":
        figure.get_by_role("button").click()
    for slider in figure.locator("input[type=range]").all():
        before, drawn = said(page), figure.locator("svg").inner_html()
        page.mouse.click(*middle(page, slider, x=0.97))
        assert figure.locator("svg").inner_html() != drawn
        assert said(page) != before
    for group in figure.locator("fieldset").all():
        before = said(page)
        group.locator("label:has(input:not(:checked))").first.click()
        assert said(page) != before
    assert said(page, 1) == other


@pytest.mark.parametrize("name", ALL)
def test_a_finger_does(opened, name):
    page = opened(name, viewport=NARROW, has_touch=True, is_mobile=True)
    slider = page.locator(".explorer").first.locator("input[type=range]").first
    slider.scroll_into_view_if_needed()
    before = page.locator("svg").first.inner_html()
    page.touchscreen.tap(*middle(page, slider, x=0.95))
    assert page.locator("svg").first.inner_html() != before


@pytest.mark.parametrize("name", ALL)
def test_the_keyboard_does_and_keeps_its_place(opened, name):
    page = opened(name)
    slider = page.locator(".explorer").first.locator("input[type=range]").first
    slider.focus()
    told, before = slider.get_attribute("aria-valuetext"), page.locator("svg").first.inner_html()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") != told
    assert page.locator("svg").first.inner_html() != before
    assert slider.evaluate("e => document.activeElement === e")
    page.keyboard.press("Enter")  # must not send the form
    assert page.locator("svg").first.inner_html() != before


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("viewport", [NARROW, WIDE], ids=["narrow", "wide"])
def test_it_fits_its_letters_can_be_read_and_axe_finds_nothing(opened, name, theme, viewport):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = opened(name, theme, viewport)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    sizes = page.locator(".explorer text").evaluate_all(
        "all => all.map(e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().d)"
        ".filter(size => Math.abs(size) > 0.1)"
    )
    assert min(map(abs, sizes)) >= 11  # pixels at the size shown
    inside = page.locator(".explorer").first.evaluate(
        "e => { const box = e.getBoundingClientRect(); return [...e.querySelectorAll('svg text')].every("
        "t => { const own = t.getBoundingClientRect(); "
        "return own.left >= box.left - 1 && own.right <= box.right + 1 }) }"
    )
    assert inside
    letters = page.locator("svg text").first.evaluate("e => getComputedStyle(e).fill")
    assert (sum(map(int, re.findall(r"\d+", letters)[:3])) > 384) is (theme == "dark")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", ALL)
def test_on_paper_it_is_light_and_without_controls(opened, name):
    page = opened(name, "dark")
    page.emulate_media(media="print")
    figure = page.locator(".explorer").first
    assert figure.locator("svg").is_visible() and not figure.locator("form").is_visible()
    letters = figure.locator("svg text").first.evaluate("e => getComputedStyle(e).fill")
    assert sum(map(int, re.findall(r"\d+", letters)[:3])) < 384


@pytest.mark.parametrize("name", ALL)
def test_without_script_there_is_a_picture_with_its_words(browser, drawings, name):
    page = browser.new_page(java_script_enabled=False)
    page.set_content(drawings[name].html())
    picture = page.locator(".explorer img")
    assert picture.is_visible() and picture.bounding_box()["width"] > 300
    assert len(picture.get_attribute("alt")) > 40
    page.close()


@pytest.mark.parametrize("name", ALL)
def test_it_is_small_and_the_same_every_time(drawings, name):
    page = drawings[name].html()
    assert len(page.encode()) < 100_000 and page == drawings[name].html()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_its_colours_are_those_of_the_figures():
    light = (SCRIPTS / "explorer.css").read_text(encoding="utf-8").split("}")[0].lower()
    for family, (colour, _) in STYLE.items():
        name = "--" + family.lower().replace("+", "plus")
        found = re.search(rf"{name}: (#[0-9a-f]+);", light)[1]
        found = "#" + "".join(2 * digit for digit in found[1:]) if len(found) == 4 else found
        assert found == colour.lower(), family


# --- what each has of its own ---


def test_all_networks_are_cut_on_one_scale_and_random_filters_widen_it(opened):
    page = opened("cut")
    figure = page.locator(".explorer").first

    def scale():
        words = figure.locator("svg text").evaluate_all("all => all.map(e => e.textContent)")
        return [float(word.replace("−", "-")) for word in words if re.fullmatch(r"[−]\d+", word)]

    ours = scale()
    figure.get_by_label("theirs").check()
    assert scale() == ours and min(ours) > -10
    figure.get_by_label("random").check()
    assert min(scale()) <= -20


def test_names_of_lines_that_end_together_do_not_lie_on_one_another(opened, tmp_path):
    tables = [table_of(tmp_path / f"{x}", f"similarity:{x}", {"AnB": 0.01 + x / 1e5}) for x in (1.0, 0.5, 0.25, 0.0)]
    page = opened(similarity_dial(pd.concat(tables)))
    boxes = page.locator("svg text").evaluate_all(
        "all => all.filter(e => ['0.5', '0.25', '0'].includes(e.textContent) && e.getAttribute('x') > 600)"
        ".map(e => e.getBoundingClientRect()).map(b => [b.top, b.bottom])"
    )
    boxes.sort()
    assert len(boxes) == 3
    assert all(below[0] >= above[1] - 4 for above, below in itertools.pairwise(boxes))  # a line's own room left out


def test_dragging_moves_the_cut(opened, drawings):
    page = opened("cut")
    page.locator("svg .drag").first.scroll_into_view_if_needed()
    words = {text.split(":")[0]: text for text in json_of(drawings["cut"])["words"].values() if "50.0 %" in text}
    x, y = middle(page, page.locator("svg .cut").first)
    one, two = (page.locator("svg rect[height='46']").nth(k).bounding_box()["x"] for k in (0, 1))
    step = two - one
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 2 * step, y, steps=5)
    assert said(page) == words["A6B"]
    page.mouse.move(x - 9 * step, y)
    page.mouse.up()
    assert said(page) == words["A1B"]
    page.mouse.move(x, y)  # no longer held
    assert said(page) == words["A1B"]
    assert page.locator(".explorer").first.locator("input[type=range]").input_value() == "1"


def test_the_words_of_the_cut_are_those_of_what_is_chosen(opened, drawings):
    page, words = opened("cut"), json_of(drawings["cut"])["words"]
    figure = page.locator(".explorer").first
    assert said(page) == words["ours: A4B"]
    figure.get_by_label("fine-tuned").check()
    assert said(page) == words["ours: A4B+"]
    figure.get_by_label("theirs").check()
    assert said(page) == words["theirs: A4B+"]
    figure.get_by_label("random").check()
    assert said(page) == words["theirs: R4B+"]
    listed = figure.locator("dt").evaluate_all("all => all.map(e => [e.textContent, e.nextElementSibling.textContent])")
    assert dict(listed) == words


def test_marks_lie_where_the_numbers_say(opened, drawings):
    page = opened("cut")
    at = (
        page.locator("svg g.chosen")
        .first.locator("path")
        .evaluate_all(
            "all => all.slice(1).map(e => e.getAttribute('transform')).filter(Boolean)"
            ".map(t => t.match(/[\\d.]+/g).slice(0, 2).map(Number))"
        )
    )
    heights = [y for _, y in at]
    steps = {round(b - a, 3) for a, b in itertools.pairwise(heights)}
    assert len(heights) == 7 and max(steps) - min(steps) < 0.01 and min(steps) > 0  # it falls in a line
    assert [x for x, _ in at] == sorted(x for x, _ in at)


def test_a_guess_is_drawn_then_told_apart_from_what_was_measured(opened):
    page = opened("guess")
    assert "Nobody is told" in said(page) and page.locator("svg g.chosen").count() == 0
    ground = page.locator("svg .draw").first
    page.mouse.move(*middle(page, ground, 0.05, 0.5))
    page.mouse.down()
    for share in (0.2, 0.35, 0.5, 0.65, 0.8, 0.95):
        page.mouse.move(*middle(page, ground, share, 0.5), steps=3)
    page.mouse.up()
    values = page.locator(".explorer").first.locator("input").evaluate_all("all => all.map(e => Number(e.value))")
    assert len(set(values)) == 1  # a level line at half of the height
    page.locator(".explorer").first.get_by_role("button").click()
    assert page.locator("svg g.chosen").count() == 1
    assert said(page) == (
        "In the mean over n you drew it 1.0 points too high; furthest off at n = 7, where you have −3.0 and "
        "measured was −7.0 points. It falls in a line."
    )
    page.locator(".explorer").first.get_by_role("button").click()
    assert page.locator("svg g.chosen").count() == 0


def test_what_it_is_told_may_hold_anything_that_a_page_means_otherwise(opened):
    truth, family = [[1, -1, None, None]], "A</script>"
    data = {"family": family, "truth": truth, "reach": [-5, 4], "sentence": "<!--"}
    odd = Drawing("</script><b>&", "guess", data, Figure(), '"<')
    page = opened(odd)
    assert page.locator("figcaption").inner_text() == "</script><b>&"
    assert "A</script>" in said(page)


def json_of(drawing):
    return json.loads(re.search(r'type="application/json">(.*?)</script>', drawing.html(), re.DOTALL)[1])
