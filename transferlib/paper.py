"""The 2014 paper's own numbers: J. Yosinski, J. Clune, Y. Bengio, H. Lipson, NIPS 2014, arXiv 1411.1792.

Read out of the training logs that the authors published with the paper: 148 networks, CaffeNet on ImageNet, their
accuracies, and their losses, of which we know no other publication. Here they are rows of the same form as
``Store.table``, so that whatever reads or draws our runs does so with theirs.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import pandas as pd

from transferlib.records import COLUMNS
from transferlib.splits import DISSIMILAR, RANDOM, WHOLE
from transferlib.treatments import Treatment

CITATION = "Yosinski et al. 2014"
DATASET, NETWORK = "ImageNet", "CaffeNet"
ITERATIONS, LAST = 450_000, 440_000  # of 256 images, and where the last two points of the logs begin
EPOCHS = 178  # of a half of about 645,000 images
# Its table 1: points that AnB+ gains over a control, the mean from a depth to n = 7, over all of its networks; in the
# logs that survive, no target has both an AnB+ and a BnB+.
TABLE_1 = {
    ("base", 1): 1.6,
    ("base", 3): 1.8,
    ("base", 5): 2.1,
    ("BnB+", 1): 1.4,
    ("BnB+", 3): 1.4,
    ("BnB+", 5): 1.7,
}
_SPLITS = {"natural-vs-man-made": DISSIMILAR, "random-filters": WHOLE, "reduced-data": WHOLE}
_HALVES = {"natural": "A", "man-made": "B", "all-1000": "B"}


def _read(name: str) -> pd.DataFrame:
    with files("transferlib").joinpath(name).open(encoding="utf-8") as file:
        return pd.read_csv(file)


@cache
def table() -> pd.DataFrame:
    """The paper's networks as rows of ``Store.table``; ``top1`` is what the paper plots, ``final_top1`` the last point.

    The paper plots the mean of the ten best validation points, an optimistic choice by up to 0.3 points. Losses are in
    nats: ``loss`` of the validation images at the end, ``train_loss`` the mean of the last two points, dropout on as in
    ours. Random filters and small data were run on all 1000 classes (split ``whole``, target ``B`` for want of a half);
    the logs have no wall-clock seconds.
    """
    runs = _read("paper_runs.csv")
    ends = (
        logs()[logs()["iteration"] >= LAST].groupby("run").agg(train_loss=("train_loss", "mean"), loss=("loss", "last"))
    )
    rows = pd.DataFrame(
        {
            "key": runs["run"],
            "dataset": DATASET,
            "resolution": 227,
            "network": NETWORK,
            "split": [_split(*row) for row in zip(runs["study"], runs["split"], strict=True)],
            "source": runs["source"].replace(_HALVES),
            "target": runs["target"].replace(_HALVES),
            "treatment": [_treatment(*row) for row in zip(runs["treatment"], runs["n"], strict=True)],
            "kind": runs["treatment"].str.rstrip("+"),
            "n": runs["n"],
            "fine_tuned": runs["treatment"].str.endswith("+"),
            "seed": 0,
            "epochs": EPOCHS,
            "images_per_class": runs["images_per_class"],
            "recipe": "2014",
            "top1": runs["top1_mean_of_best_10"],
            "best_top1": runs["top1_mean_of_best_10"],
            "train_loss": runs["run"].map(ends["train_loss"]),
            "loss": runs["run"].map(ends["loss"]),
            "status": "ok",
            "seconds": float("nan"),
            "device": "K20",
            "final_top1": runs["top1_final"],
        }
    )
    return rows[[*COLUMNS, "final_top1"]]


def _split(study: str, number: float) -> str:
    return _SPLITS.get(study) or f"{RANDOM}:{number:.0f}"


def _treatment(family: str, n: int) -> str:
    return str(Treatment(family.rstrip("+"), n, family.endswith("+")))


@cache
def logs() -> pd.DataFrame:
    """The logs: one row per network and point.

    Returns:
        ``run`` (a ``key`` of ``table``), ``iteration`` (256 images each), ``learning_rate`` (in force there),
        ``train_loss`` (nats, the mean of the batches logged over the last 5,000 iterations at most, dropout on),
        ``loss`` (nats) and ``top1`` (fraction) of the validation images.
    """
    return _read("paper_curves.csv")


def curve(key: str) -> pd.DataFrame:
    """One network's curve, as ``Results.curve`` gives ours, with the ``learning_rate``; epochs are of a half's images.

    Raises:
        KeyError: for a network that has no log.
    """
    rows = logs()[logs()["run"] == key]
    if rows.empty:
        raise KeyError(key)
    rows = rows.assign(epoch=rows["iteration"] * EPOCHS / ITERATIONS)
    return rows[["epoch", "learning_rate", "train_loss", "loss", "top1"]].reset_index(drop=True)
