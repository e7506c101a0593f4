"""What a loader gives: images and labels of two splits, and what is known of the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Images:
    """One split: every picture as a square of bytes, and its label."""

    pixels: np.ndarray  # uint8 (N, H, W, 3), memory-mapped read-only
    labels: np.ndarray  # int64 (N,)


@dataclass(frozen=True)
class Dataset:
    """A decoded data set; label k belongs to ``classes[k]``, ``names[k]`` and ``groups[k]``."""

    name: str
    resolution: int
    classes: tuple[str, ...]  # WordNet id, or the name of the folder
    names: tuple[str, ...]  # for people
    groups: tuple[str | None, ...]  # "natural", "man-made" or unknown
    train: Images
    val: Images
    findings: tuple[Finding, ...] = ()  # of a folder of pictures: what is odd or left out


@dataclass(frozen=True)
class Finding:
    """What is odd about some files, in words that go behind "pictures" or "files"."""

    what: str
    files: tuple[str, ...]
    word: str = ""  # of the decoder, on the first

    def __str__(self) -> str:
        said = f" ({self.word})" if self.word else ""
        return f"{self.what}: {len(self.files)}, the first is {self.files[0]}{said}"


@dataclass(frozen=True)
class Listing:
    """The picture files of one split and their labels, side by side."""

    files: list[str]  # not Path: ImageNet has 1.3 million of them
    labels: list[int]


@dataclass(frozen=True)
class Source:
    """A data set as it lies on the disk, before any picture is opened."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    train: Listing
    val: Listing
    findings: tuple[Finding, ...] = ()  # files that are no part of it
