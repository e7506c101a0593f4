"""From a table of runs to effects: every comparison is paired with the base of the same target."""

from __future__ import annotations

import pandas as pd

from transferlib.errors import TransferlibError

PAIR = ["dataset", "resolution", "network", "split", "target", "seed", "epochs", "images_per_class"]
GROUP = ["dataset", "resolution", "network", "epochs", "images_per_class"]


def with_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Add each run's ``difference``: its top-1 minus that of the base of its target, in points (100 = all images).

    Args:
        table: rows of ``Store.table``; diverged runs have no accuracy and are left out.

    Returns:
        The rows whose base is in the table, with ``base_top1`` and ``difference``.
    """
    sound = table[table["status"] != "diverged"]
    bases = sound[sound["kind"] == "base"].set_index(PAIR)["top1"].rename("base_top1")
    joined = sound.join(bases, on=PAIR, how="inner")
    return joined.assign(difference=100 * (joined["top1"] - joined["base_top1"]))


def comparable(table: pd.DataFrame) -> pd.DataFrame:
    """The largest set of runs that one figure can show: one data set, network, length and number of images.

    Raises:
        TransferlibError: for a table without runs.
    """
    if table.empty:
        raise TransferlibError("the store has no finished run: start with `transferlib run`")
    sizes = table.groupby(GROUP, dropna=False, sort=False)["key"].transform("size")
    first = table.loc[sizes.idxmax(), GROUP]
    same = (table[GROUP] == first) | (table[GROUP].isna() & first.isna())
    return table[same.all(axis=1)]
