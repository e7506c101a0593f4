"""Intervals over other test images and other seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made import invented

from transferlib.measuring.advice import BASE, COPIES, LEVEL
from transferlib.measuring.scores import Scores, at_chance, guessed
from transferlib.stats import difference_over_images
from transferlib.treatments import Treatment


def test_with_one_seed_and_many_images_the_interval_is_the_paired_one_over_images():
    runs = invented({"base": 50, "A3B": 60}, default=50, seeds=1, images=4000)
    effect = Scores.of(runs).difference(Treatment.parse("A3B"), BASE)
    assert effect.over == "test images"
    by_name = runs.set_index("treatment")["correct"]
    mean, half = difference_over_images(by_name["A3B"], by_name["base"])
    assert effect.mean == pytest.approx(mean)
    assert effect.interval()[1] - effect.mean == pytest.approx(half, rel=0.01)


def measurement(rng, spreads, images=200, seeds=3):
    """Scores of treatments that are equally good, with training noise (points) of a size of its own for each."""
    hard = rng.normal(0, 1, images)
    rights = {}
    for treatment, spread in zip((BASE, *COPIES), spreads, strict=True):
        own = 0.5 * rng.normal(0, 1, images)
        noise = rng.normal(0, spread / 40, (seeds, 1)) + rng.normal(0, 0.7, (seeds, images))
        rights[treatment] = 100.0 * (hard + own + noise > 0)
    return Scores(rights)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("base_spread", [2.0, 6.0])
def test_intervals_hold_the_truth_over_new_images_and_new_seeds(base_spread, seeds):
    rng, held, all_held = np.random.default_rng(1), [], []
    for _ in range(150):
        scores = measurement(rng, [base_spread] + [2.0] * len(COPIES), seeds=seeds)
        effects = [scores.difference(t, BASE) for t in COPIES]
        held += [low < 0 < high for low, high in (e.interval() for e in effects)]
        all_held.append(all(low < 0 < high for low, high in (e.interval(LEVEL) for e in effects)))
    assert np.mean(held) > (0.92 if base_spread == 2.0 else 0.89)
    assert np.mean(all_held) > 0.9


def test_training_noise_widens_the_interval_by_what_it_is():
    rng = np.random.default_rng(2)
    calm, wild = (measurement(rng, [spread] * 15, images=4000, seeds=4) for spread in (0.0, 8.0))
    assert calm.difference(COPIES[0], BASE).interval()[1] < 4
    assert wild.difference(COPIES[0], BASE).error == pytest.approx(8 * np.sqrt(2 / 4), rel=0.5)
    assert np.sqrt(np.mean(list(wild.spread.values()))) == pytest.approx(8, rel=0.35)


def test_images_that_all_agree_are_no_certainty():
    runs = invented({}, default=100, images=20)
    effect = Scores.of(runs).difference(Treatment.parse("A3B"), BASE)
    assert effect.mean == 0 and effect.interval()[1] > 5
    assert Scores.of(runs).accuracy(BASE).interval()[0] < 98


# --- guessing ---


def test_where_classes_are_unequal_a_perfect_network_does_not_guess_and_a_constant_one_does():
    labels = np.repeat([0, 1], (45, 5))
    perfect, constant, half = np.ones(50, bool), labels == 0, (labels == 0) | (np.arange(50) >= 48)
    runs = pd.DataFrame(
        {"correct": [perfect, constant, half], "status": ["chance"] * 3}
    )  # by top-1: the line is 50 of 50
    assert [*at_chance(runs, labels)] == [False, True, True]
    assert [*at_chance(runs)] == [True] * 3
    for status in ("diverged", "ok"):  # what beats the largest class in top-1 does not guess
        assert not at_chance(runs.assign(status=status), labels).any()


@pytest.mark.parametrize(
    ("counts", "guessed_often"), [((45, 2), False), ((1, 1), True), ((3, 3), True), ((6, 6), False)]
)
def test_all_right_is_a_guess_only_where_guessing_gets_there(counts, guessed_often):
    labels = np.repeat(np.arange(len(counts)), counts)
    runs = pd.DataFrame({"correct": [np.ones(len(labels), bool)], "status": ["chance"]})
    assert at_chance(runs, labels).item() is guessed_often


@pytest.mark.parametrize("counts", [(45, 5), (40, 10, 30), (100, 100)])
def test_guessing_passes_the_line_about_once_in_a_thousand_at_most(counts):
    labels, draw = np.repeat(np.arange(len(counts)), counts), np.random.default_rng(0)
    for share in (1 / len(counts), 0.5):
        said = np.where(draw.random((20_000, len(labels))) < share, 0, draw.integers(1, len(counts), len(labels)))
        right = said == labels
        means = np.mean([right[:, labels == label].mean(1) for label in np.unique(labels)], axis=0)
        assert (means > guessed(labels)).mean() <= 0.003
