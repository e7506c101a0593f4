"""*The similarity dial*: how alike the two halves of ``shapes`` are, and what a cut costs at that distance."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from PIL import Image

from transferlib.data import shapes
from transferlib.errors import TransferlibError
from transferlib.figures.panels import dial, one_panel
from transferlib.splits import DIAL, of_kind, similarity_of
from transferlib.stats import comparable, curves
from transferlib.widgets.drawing import Drawing, points
from transferlib.widgets.outcomes import in_words
from transferlib.widgets.pictures import address


def similarity_dial(table: pd.DataFrame) -> Drawing:
    """The similarity of the halves of ``shapes`` → a few images of both, and AnB minus base against n at it.

    Args:
        table: rows of ``Store.table``; those on splits ``similarity:X`` of the largest study are drawn.

    Raises:
        TransferlibError: where there is no base, or no AnB, on such a split.
    """
    table = comparable(of_kind(table, DIAL))
    found = {str(spec): curves(rows, "AnB") for spec, rows in table.groupby("split")}
    losses = {spec: loss for spec, loss in found.items() if len(loss)}
    if not losses:
        raise TransferlibError("no dial to turn: needs base and AnB on splits similarity:X, run them first")
    specs = sorted(losses, key=_position, reverse=True)
    turns = [_turn(spec, losses[spec]) for spec in specs]
    half_a = _address(_images(_position(specs[0]))[0])  # the dial turns B alone
    frozen = sorted(table.loc[table["kind"] == "AnB", "treatment"].unique())
    words = " ".join(str(turn["words"]) for turn in turns)
    return Drawing("The similarity dial", "dial", {"A": half_a, "turns": turns}, one_panel(dial(*frozen), table), words)


def _turn(spec: str, loss: pd.DataFrame) -> dict[str, object]:
    name = f"{_position(spec):g}"
    _, half_b = _images(_position(spec))
    return {"similarity": name, "B": _address(half_b), "rows": points(loss), "words": _words(loss, name)}


def _address(half: list[np.ndarray]) -> str:
    return address(Image.fromarray(_tiled(half)))


def _position(spec: str) -> float:
    position = similarity_of(spec)
    assert position is not None  # all splits here are of the dial
    return position


def _words(loss: pd.DataFrame, name: str) -> str:
    rows = zip(loss["n"], loss["mean"], loss["low"], loss["high"], strict=True)
    cuts = "; ".join(f"A{n}B {in_words(mean)}{_interval(*ends)}" for n, mean, *ends in rows)
    pairs, over = int(loss["pairs"].max()), loss["over"].iloc[0]
    runs = f"{pairs} runs each" if pairs > 1 else "one run each"
    spread = "" if over == "nothing" else f", with 95 % intervals over {over.replace('pairs', 'runs')}"
    return f"Similarity {name}: AnB's top-1 minus that of the base, in points ({runs}{spread}): {cuts}."


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) else f" ({in_words(low)} to {in_words(high)})"


def _tiled(half: list[np.ndarray]) -> np.ndarray:
    """The images of a half in two rows."""
    return np.concatenate([np.concatenate(half[start::2], axis=1) for start in (0, 1)])


@cache
def _images(similarity: float) -> list[list[np.ndarray]]:
    """One image of each class of either half, uint8 (H, W, 3) each."""
    classes, _, _, pixels, labels, *_ = shapes.draw(similarity=similarity, train_per_class=1, val_per_class=1)
    by_class = {classes[label]: image for label, image in zip(labels, pixels, strict=True)}
    return [[by_class[name] for name in half] for half in shapes.similarity_halves()]
