"""Which runs of a table a figure shows, what it says of the others, and the heights at which they are drawn."""

from __future__ import annotations

import pandas as pd

from transferlib.splits import RANDOM, of_kind
from transferlib.stats import comparable, family_names, with_differences


def sound(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The runs to draw, and a sentence on those that are not, so that none is left out silently."""
    table = comparable(table)
    first = table.iloc[0]
    notes = [f"{first.dataset}, {first.resolution} px, {first.network}, {first.epochs} epochs"]
    for status, words in (("diverged", "diverged, not drawn"), ("chance", "stuck at chance")):
        count = table["status"].eq(status).sum()
        if count:
            notes.append(f"{count} {words}")
    return table[table["status"] != "diverged"], "; ".join(notes)


def about(table: pd.DataFrame) -> str:
    """What a table's runs were made of, in a line, with those that failed."""
    return sound(table)[1] if len(table) else "not in the store yet"


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """The largest set of runs that one figure can show, see ``stats.comparable``; of no runs, none."""
    return comparable(table) if len(table) else table


def random_splits(table: pd.DataFrame) -> pd.DataFrame:
    """The runs on random halves, without random filters, of the largest comparable set."""
    return largest(of_kind(table[table["kind"] != "RnB"], RANDOM))


def with_targets(table: pd.DataFrame) -> pd.DataFrame:
    """Without the bases of targets that have no transfer run: they would be compared with nothing."""
    targets = table.loc[table["kind"] != "base", ["split", "target"]].drop_duplicates()
    return table.merge(targets, on=["split", "target"])


def in_percent(table: pd.DataFrame) -> pd.DataFrame:
    """Add each run's ``family`` and its top-1 in ``percent``."""
    return table.assign(family=family_names(table), percent=100 * table["top1"])


def levels(table: pd.DataFrame) -> pd.DataFrame:
    """Add each run's ``level`` (%): the mean base plus its difference to its own base.

    So the means of families that were run for different pairs can be compared.
    """
    paired = with_differences(table)
    return paired.assign(level=100 * paired.loc[paired["kind"] == "base", "top1"].mean() + paired["difference"])
