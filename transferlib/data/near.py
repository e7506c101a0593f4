"""Test pictures that are nearly the same as training pictures: the next shot of a burst, a copy saved again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transferlib.data.dataset import Finding, Listing

SIDE = 16  # of the thumbnails that are compared, in pixels
ALIKE = 0.995  # correlation of two thumbnails from which on a test picture is told of
AT_MOST = 10**9  # comparisons; beyond, a user's data set is as large as a published one
BLOCK = 512
NEAR = "test pictures are nearly the same as a training picture, and stay: do they show another thing?"


def near_copies(folder: Path, parts: dict[str, Listing], without: dict[str, set[int]]) -> list[Finding]:
    """Those of the arrays in a folder, each with the training picture that it is most like.

    Args:
        folder: of the arrays, whose rows are the listings' files.
        parts: the listings.
        without: the numbers of the files of each that are left out anyway.
    """
    rows = {split: [n for n in range(len(parts[split].files)) if n not in without[split]] for split in parts}
    if not all(rows.values()) or len(rows["train"]) * len(rows["val"]) > AT_MOST:
        return []
    pixels = {split: np.load(folder / f"{split}_pixels.npy", mmap_mode="r") for split in parts}
    train, val = (_thumbnails(pixels[split], rows[split]) for split in ("train", "val"))
    pairs = ((rows["val"][one], rows["train"][other]) for one, other in _pairs(val, train))
    found = [
        f"{parts['val'].files[one]} (like {parts['train'].files[other]})"
        for one, other in pairs
        if not np.array_equal(pixels["val"][one], pixels["train"][other])  # which is told of elsewhere
    ]
    return [Finding(NEAR, tuple(found))] if found else []


def _thumbnails(pixels: np.ndarray, rows: list[int]) -> np.ndarray:
    """Small grey pictures (rows, places), of mean 0 and length 1; of one that is of one colour, zeros."""
    side = min(SIDE, pixels.shape[1])
    step = pixels.shape[1] // side
    small = np.empty((len(rows), side * side), np.float32)
    for place, row in enumerate(rows):
        grey = pixels[row, : side * step, : side * step].mean(-1, dtype=np.float32)  # (side × step, side × step)
        small[place] = grey.reshape(side, step, side, step).mean((1, 3)).ravel()
    small -= small.mean(1, keepdims=True)
    return small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-3 * side)


def _pairs(val: np.ndarray, train: np.ndarray) -> Iterator[tuple[int, int]]:
    for start in range(0, len(val), BLOCK):
        alike = val[start : start + BLOCK] @ train.T  # (block, training pictures)
        best = alike.argmax(1)
        for place in np.flatnonzero(alike[np.arange(len(best)), best] >= ALIKE):
            yield start + int(place), int(best[place])
