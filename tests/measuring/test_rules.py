"""Rules of thumb on runs with known answers: right, wrong, or not to be told."""

from __future__ import annotations

import numpy as np
import pytest
from made import IMAGES, invented

from transferlib.measuring.report import Measurement
from transferlib.measuring.rules import RULES, rules_of_thumb


def held(percent, default=60.0, images=IMAGES, labels=None):
    runs = invented(percent, default, seeds=1, images=images)
    return rules_of_thumb(Measurement(runs, runs.iloc[:0], "made", labels=labels))


def test_every_rule_is_held_against_the_runs_that_it_names():
    table = held({})
    assert [*table.index] == [rule.words for rule in RULES]
    assert [*table["says"]] == [
        *("base − A7B+ > 0", "A7B − A7B+ > −1", "A2B − A2B+ > −1", "A4B+ − A7B+ > 0", "A4B − A7B > 0"),
    ]


@pytest.mark.parametrize(
    ("percent", "rule", "verdict"),
    [
        ({"base": 80}, 0, "right"),
        ({"base": 40}, 0, "wrong"),
        ({"base": 60.5}, 0, "cannot tell"),
        ({"A7B": 40}, 1, "wrong"),
        ({"A7B": 59.9}, 1, "cannot tell"),
        ({"A4B": 75}, 4, "right"),
    ],
)
def test_a_rule_is_right_wrong_or_cannot_be_told(percent, rule, verdict):
    assert held(percent)["verdict"].iloc[rule] == verdict


def test_no_worse_is_shown_by_an_interval_above_minus_one():
    assert held({"A7B": 60.5}, images=40_000)["verdict"].iloc[1] == "right"
    assert held({"base": 60.1}, images=40_000)["verdict"].iloc[0] == "cannot tell"


def test_a_rule_whose_runs_were_not_made_is_left_out():
    runs = invented({}, 60.0, seeds=1)
    runs = runs[runs["treatment"] != "A4B"]
    table = rules_of_thumb(Measurement(runs, runs.iloc[:0], "made"))
    assert [*table.index] == [rule.words for rule in RULES[:-1]]


def test_where_classes_are_unequal_the_mean_over_classes_is_held():
    runs = invented({}, 60.0, seeds=1)
    labels = (np.arange(IMAGES) >= 800).astype(np.int64)
    right = dict(zip(runs["treatment"], runs["correct"], strict=True))
    by_class = [100 * (right["A4B"][labels == k].mean() - right["A7B"][labels == k].mean()) for k in (0, 1)]
    table = rules_of_thumb(Measurement(runs, runs.iloc[:0], "made", labels=labels))
    assert float(table["points"].iloc[4].split()[0]) == pytest.approx(np.mean(by_class), abs=0.051)
