"""What was tried against a high restart rate, and what that rate still costs the middle of the network.

The paper's cut networks failed at the rate of their own bases, and it asks nowhere what would have helped. Here the
rate's cost is what the same frozen features give at the smallest restart rate minus what they give at the largest.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import pandas as pd

from transferlib.records import Record, Result, as_table, with_correct
from transferlib.results import Results, recorded
from transferlib.stats import Estimate, contrast, estimate, minus
from transferlib.study import Study

MIDDLE = (2, 3, 4, 5)  # the depths whose mean is looked at
NOTHING = "nothing changed"
Trial = tuple[str, pd.DataFrame, pd.DataFrame]  # its name, the selffers at the smallest rate, and at the largest


def costs(published: Results) -> pd.DataFrame:
    """What the largest restart rate costs the selffer with nothing, and with one thing changed, the mean of ``MIDDLE``.

    Args:
        published: what was run of the parts ``restart``, ``unfinished`` and ``warm-up``, and ``cures.json`` beside it.

    Returns:
        One row for each thing that was tried: tried, mean, low, high (points of top-1, 95 %), share (of the cost with
        nothing changed, percent), over.
    """
    found = {name: _cost(mild, hot) for name, mild, hot in _trials(published)}
    found = {name: cost for name, cost in found.items() if cost}
    whole = found[NOTHING].mean if NOTHING in found else float("nan")
    rows = [(name, c.mean, *c.interval(), 100 * c.mean / whole, c.behind) for name, c in found.items()]
    return pd.DataFrame(rows, columns=["tried", "mean", "low", "high", "share", "over"])


def _trials(published: Results) -> Iterator[Trial]:
    """Everything that was tried, on one direction and with one seed."""
    restarts = _of_one(published, "restart")
    (_, mild), (_, hot) = restarts[0], restarts[-1]
    yield NOTHING, mild, hot
    unfinished = _of_one(published, "unfinished")
    for (study, early), (milder, at_small) in itertools.product(unfinished, repeat=2):
        if _is_milder(milder, study):
            yield f"features of epoch {study.of_bases.recipe.until}", at_small, early
    for study, warm in _of_one(published, "warm-up"):
        yield f"{study.recipe.warmup_epochs:g} epochs of warm-up", mild, warm
    for name, results in recorded("cures")["cures"].items():
        yield name, mild, _changed(published, hot, results)


def _of_one(published: Results, part: str) -> list[tuple[Study, pd.DataFrame]]:
    """The studies of a part with their selffers of target B and of the first seed."""
    studies = [study for study in published.variant(part).studies if 0 in study.seeds]
    tables = [dataclasses.replace(published, studies=(study,)).table for study in studies]
    kept = [rows[(rows["target"] == "B") & (rows["seed"] == 0) & (rows["kind"] == "BnB")] for rows in tables]
    return [*zip(studies, kept, strict=True)]


def _is_milder(one: Study, other: Study) -> bool:
    """Whether a study is the other at a smaller rate: on the same bases."""
    return one.of_bases == other.of_bases and one.recipe.learning_rate < other.recipe.learning_rate


def _changed(published: Results, hot: pd.DataFrame, results: Mapping[str, Result]) -> pd.DataFrame:
    """The runs at the large rate, with what came of them when one thing was changed."""
    keys = dict(zip(hot["treatment"], hot["key"], strict=True))
    records = {
        keys[t]: Record(**{**published.records[keys[t]], **result}) for t, result in results.items() if t in keys
    }
    return with_correct(as_table(records.values()), records)


def _cost(mild: pd.DataFrame, hot: pd.DataFrame) -> Estimate | None:
    both = pd.concat([mild.assign(kind="mild"), hot.assign(kind="hot")]).assign(recipe="")
    pairs = contrast(both, minus("mild", "hot", MIDDLE))
    return estimate(pairs) if len(pairs) else None
