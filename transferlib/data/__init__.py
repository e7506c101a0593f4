"""Data sets as uint8 arrays: fetched, checked, decoded once at the wanted resolution, memory-mapped."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ..errors import TransferlibError
from . import cifar, folders, imagenet, tiny_imagenet
from .cache import cached, from_arrays
from .catalogue import Catalogue, catalogue, kin
from .dataset import Dataset, Images
from .decoding import decode

__all__ = [
    "DATASETS",
    "Catalogue",
    "Check",
    "Dataset",
    "Entry",
    "Images",
    "catalogue",
    "check",
    "data_root",
    "fetch",
    "kin",
    "load",
]

RESOLUTIONS = range(8, 513)
FOLDER = "folder:"


@dataclass(frozen=True)
class Entry:
    """A data set that can be asked for by name."""

    description: str
    how: str  # one gets it


DATASETS = {
    "shapes": Entry("20 classes of drawn shapes, 10 natural and 10 man-made", "drawn by the package"),
    "tiny-imagenet": Entry("200 classes of ImageNet, 110,000 images of 64 px", "downloaded, 237 MiB"),
    "cifar100": Entry("100 classes, 60,000 images of 32 px", "downloaded by torchvision, 161 MiB"),
    "imagenet": Entry(
        "ILSVRC 2012, 1000 classes, 1.3 million photographs",
        "from image-net.org with an account; expected as imagenet/{train,val}/<wnid>/ in the data folder",
    ),
    "folder:PATH": Entry("your own pictures", "a folder of class folders, or train/ and val/ with such"),
}


def data_root() -> Path:
    """Tell where data sets lie: TRANSFERLIB_DATA, else the user's cache folder."""
    chosen = os.environ.get("TRANSFERLIB_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("transferlib")


def load(
    name: str,
    resolution: int,
    *,
    similarity: float | None = None,
    root: Path | None = None,
    progress: bool = True,
) -> Dataset:
    """Open a data set at a resolution: fetched and decoded the first time, memory-mapped ever after.

    Args:
        name: a key of `DATASETS`, the last one with your folder's path in it.
        resolution: side of the square images, 8 to 512 pixels.
        similarity: of the two halves of `shapes`, 0 to 1 (the default); for `shapes` only.
        root: the data folder, `data_root()` by default.
        progress: whether to show progress bars on the standard error.

    Raises:
        TransferlibError: one line that names what is missing, damaged or out of range, and the mend.
    """
    _known(name)
    if resolution not in RESOLUTIONS:
        raise TransferlibError(f"expected resolution in 8..512, got {resolution}")
    _check_similarity(name, similarity)
    root = root or data_root()
    with _one_line(root):
        if name == "shapes":
            return _shapes(root, resolution, 1.0 if similarity is None else float(similarity))
        if name.startswith(FOLDER):
            return folders.load(Path(name.removeprefix(FOLDER)), root, resolution, progress)
        module = {"tiny-imagenet": tiny_imagenet, "cifar100": cifar, "imagenet": imagenet}[name]
        return module.load(root, resolution, progress)


def fetch(name: str, *, root: Path | None = None, progress: bool = True) -> Path:
    """Make sure that a data set is there, downloaded where that is possible, and tell where it lies.

    Raises:
        TransferlibError: when it is not there and cannot be downloaded.
    """
    _known(name)
    root = root or data_root()
    with _one_line(root):
        if name == "shapes":
            return root
        if name.startswith(FOLDER):
            folder = folders.path_of(name.removeprefix(FOLDER))
            folders.source(folder)
            return folder
        module = {"tiny-imagenet": tiny_imagenet, "cifar100": cifar, "imagenet": imagenet}[name]
        return module.fetch(root, progress)


@dataclass(frozen=True)
class Check:
    """What `check` found; printable."""

    name: str
    place: str
    classes: int
    train: int  # images
    val: int
    damaged: dict[str, str]  # file → reason

    def __str__(self) -> str:
        counts = f"{self.classes} classes, {self.train} training and {self.val} validation images"
        first = f"{self.name}: {counts}, {len(self.damaged)} damaged, in {self.place}"
        return "\n".join([first, *(f"  damaged: {file} ({why})" for file, why in self.damaged.items())])


def check(name: str, *, root: Path | None = None, progress: bool = True) -> Check:
    """Count a data set's classes and images, and decode every picture to find the damaged ones.

    Raises:
        TransferlibError: when the data set is not there or its layout is not the expected one.
    """
    _known(name)
    root = root or data_root()
    with _one_line(root):
        if name == "shapes":
            drawn = _shapes(root, 32, 1.0)
            counts = len(drawn.classes), len(drawn.train.labels), len(drawn.val.labels)
            return Check(name, "the package", *counts, {})
        if name == "cifar100":
            return Check(name, str(root / name), *cifar.count(root), {})
        return _check_pictures(name, root, progress)


def _check_pictures(name: str, root: Path, progress: bool) -> Check:
    if name == "tiny-imagenet":
        place, read = root / tiny_imagenet.FOLDER, tiny_imagenet.source
    elif name == "imagenet":
        place, read = imagenet.fetch(root), imagenet.source
    else:
        place, read = folders.path_of(name.removeprefix(FOLDER)), folders.source
    listed = read(place)
    files = listed.train.files + listed.val.files
    title = f"check {name}" if progress else None
    failed = decode(files, Path(os.devnull), RESOLUTIONS[0], title=title)
    damaged = {files[number]: reason for number, reason in failed.items()}
    return Check(name, str(place), len(listed.classes), len(listed.train.files), len(listed.val.files), damaged)


def _shapes(root: Path, resolution: int, similarity: float) -> Dataset:
    from . import shapes

    def make(folder: Path) -> dict:
        classes, names, groups, *arrays = shapes.draw(resolution=resolution, similarity=similarity)
        return from_arrays(classes, names, groups, Images(*arrays[:2]), Images(*arrays[2:]))(folder)

    folder = root / "arrays" / "shapes" / f"{resolution}-s{similarity}-v{shapes.VERSION}"
    return cached("shapes", resolution, folder, make)


def _known(name: str) -> None:
    if name == FOLDER or not (name in DATASETS or name.startswith(FOLDER)):
        raise TransferlibError(f"unknown data set {name!r}: expected one of {', '.join(DATASETS)}")


def _check_similarity(name: str, similarity: float | None) -> None:
    if similarity is None:
        return
    if name != "shapes":
        raise TransferlibError(f"similarity is for shapes only: leave it out for {name}")
    if not 0 <= similarity <= 1:
        raise TransferlibError(f"expected similarity in 0..1, got {similarity}")


@contextmanager
def _one_line(root: Path) -> Iterator[None]:
    """Say in one line what a user can mend about folders and disks."""
    try:
        yield
    except PermissionError as error:
        place = error.filename or root
        raise TransferlibError(
            f"no permission for {place}: change its rights, or set TRANSFERLIB_DATA to a folder of your own"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TransferlibError(
            f"no space left in {root}: make room, or set TRANSFERLIB_DATA to a folder on a larger disk"
        ) from error
