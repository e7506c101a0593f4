"""The guide: what it advises, held against the published runs on few images, and against runs that gain nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from transferlib.guide import guide
from transferlib.results import open_results


@pytest.fixture(scope="module")
def near() -> pd.DataFrame:
    return open_results("published", "few-images").table.query("target == 'B'")


def right(rows: pd.DataFrame, treatment: str) -> np.ndarray:
    (row,) = rows.query("treatment == @treatment")["correct"]
    return row.astype(float)


def interval(apart: np.ndarray) -> tuple[float, float]:
    half = 1.96 * apart.std() / len(apart) ** 0.5
    return 100 * (apart.mean() - half), 100 * (apart.mean() + half)


@pytest.mark.parametrize("count", [25, 50, 100, 250])
def test_the_better_of_frozen_and_fine_tuned_is_advised_where_it_can_be_told(near, count):
    rows, said = near.query("images_per_class == @count"), guide(near).loc[f"{count}"]
    best = [max((f"A{n}B{plus}" for n in (3, 5, 7)), key=lambda one: right(rows, one).mean()) for plus in ("", "+")]
    assert [said[kind].split(":")[0] for kind in ("frozen", "fine-tuned")] == best
    every = [f"A{n}B{plus}" for n in (3, 5, 7) for plus in ("", "+")]
    assert said["worst choice"].split(":")[0] == min(every, key=lambda one: right(rows, one).mean())
    low, high = interval(right(rows, best[0]) - right(rows, best[1]))
    depths = [one[1] for one in best]
    if low > 0:
        assert said["do"] == f"copy {depths[0]} and freeze"
    elif high < 0:
        assert said["do"] == f"copy {depths[1]} and fine-tune"
    else:
        assert said["do"] == f"copy {depths[0]} and freeze, or {depths[1]} and fine-tune: level"


def test_all_images_come_last_and_nothing_is_advised_that_gains_nothing(near):
    rows = near[near["images_per_class"].isna() | (near["images_per_class"] == 25)].copy()
    base = rows["treatment"] == "base"
    for at in rows.index[~base & rows["images_per_class"].isna()]:
        rows.at[at, "correct"] = np.zeros_like(rows.at[at, "correct"])
        rows.at[at, "top1"] = 0.0
    alone = near[(near["images_per_class"] == 50) & (near["treatment"] == "base")]
    found = guide(pd.concat([rows, alone]))
    assert [*found.index] == ["25", "all"]  # a number of images with a base alone has no row
    assert found.loc["all", "do"] == "train from scratch: no gain was shown"
