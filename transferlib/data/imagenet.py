"""ImageNet (ILSVRC 2012), as the user has it: `imagenet/{train,val}/<wnid>/*.JPEG` in the data folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import TransferlibError
from .cache import cached, from_pictures
from .dataset import Dataset, Source
from .folders import class_folders, read_words, split_source

NAME = "imagenet"
CLASSES = 1000


def load(root: Path, resolution: int, progress: bool) -> Dataset:
    """Open ImageNet, decoded first where needed; label order is that of sorted wnids."""
    folder = root / NAME
    make = from_pictures(NAME, resolution, lambda: source(fetch(root)), progress)
    fingerprint = _fingerprint(folder) if folder.is_dir() else None  # the arrays alone are enough
    return cached(NAME, resolution, root / "arrays" / NAME / str(resolution), make, fingerprint)


def fetch(root: Path, progress: bool = True) -> Path:
    """Make sure that ImageNet is there; it cannot be downloaded without an account.

    Raises:
        TransferlibError: when it is not there, with the layout that is expected.
    """
    folder = root / NAME
    for split in ("train", "val"):
        if not (folder / split).is_dir():
            raise TransferlibError(
                f"no {folder / split}: get the archives from image-net.org (free account), unpack them with "
                f"torchvision.datasets.ImageNet({str(folder)!r}, {split!r})"
            )
    return folder


def source(folder: Path) -> Source:
    """List `train/` and `val/`; the names are torchvision's for all 1000 classes, else words.txt's."""
    classes = class_folders(folder / "train")
    words = read_words(folder / "words.txt")
    if len(classes) == CLASSES:
        from torchvision.models import AlexNet_Weights

        words = dict(zip(classes, AlexNet_Weights.DEFAULT.meta["categories"], strict=True))
    return split_source(folder, lambda wnid: words.get(wnid, wnid))


def _fingerprint(folder: Path) -> str:
    # The class folders only: listing 1.3 million files would take longer than all else at a start.
    folders = [class_folders(folder / split) for split in ("train", "val") if (folder / split).is_dir()]
    return hashlib.sha256(repr(folders).encode()).hexdigest()
