"""The figure of the sharpness: a panel for each rate, each run against the limit of the rate of its moment."""

import pytest
from drawings import line

from transferlib.figures import figure_sharpness


def moments(*sharpness):
    return [{"epoch": 4 * i, "rate": 0.1, "limit": 20.0 - i, "sharpness": s} for i, s in enumerate(sharpness)]


WRITTEN = {
    "base at .05": {"base": moments(1.0, 2.0, 4.0)},
    "base at .2": {"base": moments(2.0, 2.0, 2.0)},
    "cut, at .05": {"B3B": moments(1.0, 1.0, 2.0), "B7B": moments(0.5, 0.5, 0.5)},
    "cut, at .2": {"B3B": moments(20.0, 19.0, 18.0), "B7B": moments(3.0, 2.0, 1.0)},
}


def test_the_runs_of_one_rate_are_together_the_base_first():
    for ax in figure_sharpness(WRITTEN).axes:
        assert ax.get_legend_handles_labels()[1] == ["base", "B3B", "B7B"]


def test_each_mark_is_the_share_of_its_own_limit():
    figure = figure_sharpness(WRITTEN)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["at .05", "at .2"]
    slow, hot = figure.axes
    assert line(slow, "base") == pytest.approx({0: 1 / 20, 4: 2 / 19, 8: 4 / 18})
    assert line(hot, "B3B") == pytest.approx({0: 1.0, 4: 1.0, 8: 1.0})
    assert line(hot, "B7B") == pytest.approx({0: 3 / 20, 4: 2 / 19, 8: 1 / 18})
    assert slow.get_yscale() == "log" and slow.get_ylim() == hot.get_ylim()  # the panels can be compared
