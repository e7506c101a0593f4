"""The one look of every figure, and how a figure leaves."""

import pandas as pd

from transferlib.figures import STYLE, learning_figure, show


def test_each_treatment_has_a_colour_and_a_marker_of_its_own(table):
    assert len({colour for colour, _ in STYLE.values()}) == len({marker for _, marker in STYLE.values()}) == len(STYLE)


def test_a_figure_is_shown_as_svg_or_as_a_picture_of_its_width(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    figure = learning_figure({"base": pd.DataFrame({"epoch": [1, 2], "top1": [0.1, 0.3]})}, "")
    show(figure)
    show(figure)
    show(figure, "png")
    assert shown[0]._repr_svg_().startswith("<svg")
    assert shown[0]._repr_svg_() == shown[1]._repr_svg_()
    assert shown[2].data.startswith(b"\x89PNG")
    assert shown[2].width == 8 * 96
