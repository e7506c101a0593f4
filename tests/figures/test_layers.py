"""Pictures of what a layer sees: as many as there are, of numbers that are made up."""

import numpy as np
import pandas as pd
import pytest
import torch

from transferlib.attribution import CONCEPTS, concept_sets, crops, match_by_chance, match_filters
from transferlib.figures.layers import (
    as_picture,
    figure_cka,
    figure_concepts,
    figure_filters,
    figure_likeness,
    figure_match,
    figure_patches,
    figure_probes,
    figure_separability,
    figure_tcav,
    figure_views,
    figure_visualised,
)
from transferlib.figures.style import WIDE
from transferlib.nets import network
from transferlib.results import recorded
from transferlib.train import fresh_network


def tiny(seed=0):
    return fresh_network(network("alexnet32-tiny"), 10, (seed, "test"), torch.device("cpu")).eval()


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_mid_grey_is_nothing_and_lightness_rises():
    picture = as_picture(np.array([[-1.0, 0.0, 1.0]], np.float32)).mean(-1)[0]
    assert picture[0] < picture[1] < picture[2]
    assert np.ptp(as_picture(np.zeros((1, 1), np.float32))) < 10


def test_figures_of_filters_show_every_pair():
    net_a, net_b = tiny(0), tiny(1)
    found = match_filters(net_a, net_b)
    figure = figure_filters(net_a, net_b, found)
    assert [len(row) for row in figure.rows] == [12, 12]  # the best pairs
    curves = figure_match(found, {"untrained": match_by_chance(net_a, net_b, "untrained", draws=3)})
    assert [len(line.get_xdata()) for line in curves.axes[0].lines] == [16, 16]


def test_figures_have_a_picture_in_every_cell(noise):
    net = tiny()
    views = figure_views(net, {"noise": noise, "half": noise[:10]}, "conductance", layers=(1, 5, 7))
    assert [len(row) for row in views.rows] == [4, 4]
    pixels = crops(noise, 32, 10)
    assert [len(row) for row in figure_patches(net, pixels, layers=(1, 5)).rows] == [8] * 4


def test_what_units_like_stands_network_beside_network(monkeypatch):
    monkeypatch.setattr(
        "transferlib.figures.layers.visualise", lambda net, n, units: np.full((2, 4, 4, 3), 10 * n, np.uint8)
    )
    figure = figure_visualised({"one": tiny(0), "other": tiny(1)}, layers=(2, 7), units=2)
    assert [[None if tile is None else tile[0, 0, 0] for tile in row] for row in figure.rows] == [
        [20, 20, None, 20, 20],
        [70, 70, None, 70, 70],
    ]
    assert (figure.names, figure.titles) == (["layer 2", "layer 7"], ["one", "", "", "other", ""])


def rows(value: str, **columns) -> list[dict[str, object]]:
    """A row with an interval for each layer 0 to 7 and each combination of the columns' values."""
    made = [{"layer": layer, value: 0.6, "low": 0.5, "high": 0.8} for layer in range(8)]
    for name, values in columns.items():
        made = [row | {name: one} for row in made for one in values]
    return made


def test_measures_are_drawn_by_layer():
    measures = {
        "concepts": rows("accuracy", concept=["stripes", "dots"], network=["A", "untrained"]),
        "probes": rows("accuracy", classes=["A", "B"], network=["A", "B", "untrained"]),
        "cka": {pair: np.eye(8).tolist() for pair in ("A, B", "A, untrained")},
        "made_of": {"probe": {"classes": {"A": 3, "B": 2}}},
    }
    for figure, lines in ((figure_probes(measures), 3), (figure_separability(measures), 2)):
        assert figure.get_figwidth() == WIDE
        assert [len(ax.containers) for ax in figure.axes] == [lines, lines]
        for bars in figure.axes[0].containers:
            assert bars.lines[0].get_ydata().tolist() == pytest.approx([60] * 8)
            assert bars.lines[2][0].get_segments()[0][:, 1].tolist() == pytest.approx([50, 80])
    assert [text.get_text() for text in figure_cka(measures).axes[1].texts].count("1.00") == 8


def test_the_measures_that_ship_are_drawn():
    measures = recorded("layers")
    for draw in (figure_probes, figure_separability, figure_cka):
        assert len(draw(measures).axes) == 2


def test_scores_of_concepts_lie_over_those_of_random_sets():
    figure = figure_tcav(pd.DataFrame(rows("score", concept=["stripes", "dots", "random"])))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["stripes", "dots"]
    for ax in figure.axes:
        assert ax.containers[0].lines[0].get_ydata().tolist() == [0.6] * 8


def test_eight_images_of_each_concept_are_shown():
    assert [len(row) for row in figure_concepts(concept_sets(16, 8)).rows] == [8] * (len(CONCEPTS) + 1)


def test_likeness_is_a_line_for_each_network():
    found = {
        "one": {"network": "a", "cka": [0.9] * 8, "images": 4},
        "two": {"network": "b", "cka": [0.1] * 8, "images": 4},
    }
    ax = figure_likeness(found).axes[0]
    assert [line.get_label() for line in ax.lines] == ["one", "two"]
    assert [line.get_ydata()[0] for line in ax.lines] == [0.9, 0.1]
    assert len({(line.get_marker(), line.get_linestyle()) for line in ax.lines}) == 2
