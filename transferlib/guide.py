"""What to copy, and whether to freeze it, for so many images at such a distance: the guide, read off the runs."""

from __future__ import annotations

import pandas as pd

from transferlib.stats import Estimate, Weights, contrast, estimate
from transferlib.treatments import Treatment

BASE = Treatment("base")


def guide(table: pd.DataFrame) -> pd.DataFrame:
    """For each number of training images of a class: what to do, and the points that it brought over a base.

    The depth is the best of those that were run, frozen and fine-tuned; the two are told apart where their paired
    difference excludes zero. The best of several is flattered by chance, by less than the intervals are wide.

    Args:
        table: rows of ``Results.table``: bases and transfers at one distance, by ``images_per_class``.

    Returns:
        A row a number that has both, ``all`` last: ``do``, the best ``frozen`` and ``fine-tuned`` run with its points
        (95 %), and the ``worst choice``: what a wrong depth costs is how far it lies below.
    """
    counts = table.groupby("images_per_class", dropna=False)
    found = {count: _row(rows) for count, rows in counts if all(_run(rows, plus) for plus in (False, True))}
    named = {"all" if pd.isna(count) else f"{count:.0f}": row for count, row in found.items()}
    return pd.DataFrame.from_dict(named, orient="index").rename_axis("images of a class")


def _row(rows: pd.DataFrame) -> dict[str, str]:
    frozen, tuned = (_best(rows, plus) for plus in (False, True))
    worst = min([*_run(rows, False), *_run(rows, True)], key=lambda one: _gain(rows, one).mean)
    return {
        "do": _advice(rows, frozen, tuned),
        "frozen": f"{frozen}: {_gain(rows, frozen)}",
        "fine-tuned": f"{tuned}: {_gain(rows, tuned)}",
        "worst choice": f"{worst}: {_gain(rows, worst)}",
    }


def _run(rows: pd.DataFrame, tuned: bool) -> list[Treatment]:
    """The transfers that were run, frozen or fine-tuned."""
    found = map(Treatment.parse, rows["treatment"].unique())
    return [one for one in found if one.kind == "AnB" and one.fine_tuned == tuned]


def _best(rows: pd.DataFrame, tuned: bool) -> Treatment:
    return max(_run(rows, tuned), key=lambda one: _gain(rows, one).mean)


def _gain(rows: pd.DataFrame, one: Treatment, other: Treatment = BASE) -> Estimate:
    weights: Weights = {(str(one.family), one.n): 1.0, (str(other.family), other.n): -1.0}
    return estimate(contrast(rows, weights))


def _advice(rows: pd.DataFrame, frozen: Treatment, tuned: Treatment) -> str:
    apart = _gain(rows, frozen, tuned)
    best = frozen if apart.mean > 0 else tuned
    if _gain(rows, best).interval()[0] <= 0:
        return "train from scratch: no gain was shown"
    if not apart.excludes_zero:
        return f"copy {frozen.n} and freeze, or {tuned.n} and fine-tune: level"
    return f"copy {best.n} and {'freeze' if best is frozen else 'fine-tune'}"
