"""The figure of a measurement of one's own: its legend and its title stand beside what they must not cover."""

import pytest

from transferlib.figures.page import stacked
from transferlib.measuring.kept import kept
from transferlib.results import published_store


def covered(figure):
    """The words of the axes that a legend or the title lies over."""
    figure.draw_without_rendering()
    boxes = [legend.get_window_extent() for legend in figure.legends]
    boxes += [legend.get_window_extent() for ax in figure.axes if (legend := ax.get_legend())]
    assert boxes and figure.get_suptitle()
    boxes.append(figure._suptitle.get_window_extent())
    words = [text for ax in figure.axes for text in (*ax.get_xticklabels(), ax.xaxis.label, ax.yaxis.label)]
    return [text.get_text() for text in words for box in boxes if text.get_window_extent().overlaps(box)]


@pytest.mark.parametrize("drawn", [lambda figure: figure, stacked])
def test_nothing_of_a_measurement_covers_a_name(drawn):
    assert covered(drawn(kept(published_store() / "solar-cells").figure())) == []
