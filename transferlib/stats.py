"""From a table of runs to effects: every comparison is paired with the base of the same target."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from transferlib.errors import TransferlibError

PAIR = ["dataset", "resolution", "network", "split", "target", "seed", "recipe", "images_per_class"]
GROUP = ["dataset", "resolution", "network", "recipe", "images_per_class"]


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
    """The largest set of runs that one figure can show: one data set, network, recipe and number of images.

    Raises:
        TransferlibError: for a table without runs.
    """
    if table.empty:
        raise TransferlibError("the store has no finished run: start with `transferlib run`")
    sizes = table.groupby(GROUP, dropna=False, sort=False)["key"].transform("size")
    first = table.loc[sizes.idxmax(), GROUP]
    same = (table[GROUP] == first) | (table[GROUP].isna() & first.isna())
    return table[same.all(axis=1)]


def difference_over_images(run: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """How much more of the same test images one run gets right than another, and how sure that is.

    The interval is over the test images only (it says nothing of other splits or seeds): with b images that only the
    run gets right and c that only the base does, the difference b - c has the variance b + c - (b - c)**2 / M.

    Args:
        run, base: bool (M,), which test images each gets right, in the same order.

    Returns:
        The difference and half the width of its 95 % interval, in points.

    >>> difference_over_images(np.array([True, True, False, False]), np.array([True, False, False, False]))[0]
    25.0
    """
    if run.shape != base.shape:
        raise TransferlibError(f"expected the same test images, got {len(run)} and {len(base)}")
    only_run, only_base = int((run & ~base).sum()), int((base & ~run).sum())
    variance = only_run + only_base - (only_run - only_base) ** 2 / len(run)
    return 100 * (only_run - only_base) / len(run), 196 * math.sqrt(variance) / len(run)
