"""CIFAR-100: 50,000 training and 10,000 test images of 32×32, 100 classes, through torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..errors import TransferlibError
from .cache import cached, from_arrays
from .dataset import Dataset, Images
from .download import download, locked

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR100

NAME = "cifar100"

# The classes of the six superclasses of made things: food containers, electrical devices, furniture,
# large man-made outdoor things, vehicles 1 and 2. Animals, plants, people and landscapes are natural.
MAN_MADE = {
    *("bottle", "bowl", "can", "cup", "plate"),
    *("clock", "keyboard", "lamp", "telephone", "television"),
    *("bed", "chair", "couch", "table", "wardrobe"),
    *("bridge", "castle", "house", "road", "skyscraper"),
    *("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    *("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}


def load(root: Path, resolution: int, progress: bool) -> Dataset:
    """Open CIFAR-100, downloaded first where needed; labels in the order of the original."""

    def make(folder: Path) -> dict:
        fetch(root, progress)
        train, val = (_part(root, train=part == "train") for part in ("train", "val"))
        classes = tuple(train.classes)
        groups = tuple("man-made" if name in MAN_MADE else "natural" for name in classes)
        names = tuple(name.replace("_", " ") for name in classes)
        arrays = from_arrays(classes, names, groups, _images(train, resolution), _images(val, resolution))
        return arrays(folder)

    return cached(NAME, resolution, root / "arrays" / NAME / str(resolution), make)


def fetch(root: Path, progress: bool) -> Path:
    """Make sure that the official files, checked by torchvision, lie in `root`/cifar100.

    Raises:
        TransferlibError: when the download fails.
    """
    from torchvision.datasets import CIFAR100

    folder = root / NAME
    archive = folder / CIFAR100.filename
    try:
        with locked(archive):
            if not _is_whole(root):
                download(CIFAR100.url, archive, CIFAR100.tgz_md5, progress)
                CIFAR100(folder, download=True)  # the archive is there, so it is only unpacked
    except TransferlibError as error:
        raise TransferlibError(
            f"cannot download CIFAR-100 from {CIFAR100.url}: check the network, or unpack {CIFAR100.filename} in "
            f"{folder} ({error})"
        ) from error
    return folder


def _is_whole(root: Path) -> bool:
    try:
        _part(root, train=True)
    except TransferlibError:
        return False
    return True


def count(root: Path) -> tuple[int, int, int]:
    """Count classes, training and test images, after torchvision has verified the files' checksums.

    Raises:
        TransferlibError: when a file is missing or changed.
    """
    train, val = (_part(root, train=part) for part in (True, False))
    return len(train.classes), len(train), len(val)


def _part(root: Path, train: bool) -> CIFAR100:
    from torchvision.datasets import CIFAR100

    try:
        return CIFAR100(root / NAME, train=train)
    except RuntimeError as error:
        raise TransferlibError(f"CIFAR-100 in {root / NAME} is missing or damaged: fetch it again") from error


def _images(part: CIFAR100, resolution: int) -> Images:
    return Images(_resized(part.data, resolution), np.array(part.targets, np.int64))


def _resized(pixels: np.ndarray, resolution: int) -> np.ndarray:
    if pixels.shape[1] == resolution:
        return np.ascontiguousarray(pixels)
    size, filtered = (resolution, resolution), Image.Resampling.LANCZOS
    return np.stack([np.asarray(Image.fromarray(picture).resize(size, filtered)) for picture in pixels])
