"""Data sets as uint8 arrays: fetched, checked, decoded once at the wanted resolution, memory-mapped."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ..errors import TransferlibError
from ..names import printable
from ..paths import keep_out, resolved
from . import cifar, folders, imagenet, tiny_imagenet
from .cache import cached, decode_into, from_arrays
from .catalogue import Catalogue, catalogue, kin
from .dataset import Dataset, Finding, Images
from .decoding import decode

__all__ = [
    "DATASETS",
    "Catalogue",
    "Check",
    "Dataset",
    "Entry",
    "Finding",
    "Images",
    "catalogue",
    "check",
    "data_root",
    "fetch",
    "input_folders",
    "kin",
    "load",
    "named",
]

RESOLUTIONS = range(8, 513)
CHECKED_AT = 32  # pixels: what `check` decodes a folder of pictures at
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
    return resolved(chosen) if chosen else platformdirs.user_cache_path("transferlib")


def named(name: str) -> str:
    """A data set's one name: a folder of pictures goes by where it lies, however its path was written.

    Raises:
        TransferlibError: for a name that is none.
    """
    _known(name)
    return f"{FOLDER}{resolved(name.removeprefix(FOLDER))}" if name.startswith(FOLDER) else name


def input_folders(*names: str) -> list[Path]:
    """The folders of a user's own that data sets are read from, into which nothing may be written."""
    return [Path(named(name).removeprefix(FOLDER)) for name in names if name.startswith(FOLDER)]


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
            return folders.load(resolved(name.removeprefix(FOLDER)), root, resolution, progress)
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
            folder = resolved(name.removeprefix(FOLDER))
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
    findings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        counts = f"{self.classes} classes, {self.train} training and {self.val} validation images"
        lines = [f"{self.name}: {counts}, {len(self.damaged)} damaged, in {self.place}"]
        lines += [f"  damaged: {file} ({why})" for file, why in self.damaged.items()]
        for finding in self.findings:
            lines += [f"  {finding}", *(f"    {file}" for file in finding.files[1:])]
        return "\n".join(map(printable, lines))


def check(name: str, *, root: Path | None = None, progress: bool = True) -> Check:
    """Count a data set's classes and images, and decode every picture to find the damaged ones; writes nothing.

    Raises:
        TransferlibError: when the data set is not there or its layout is not the expected one.
    """
    _known(name)
    root = root or data_root()
    with _one_line(root):
        if name == "shapes":
            from . import shapes

            classes, _, _, _, train, _, val = shapes.draw()
            return Check(name, "the package", len(classes), len(train), len(val), {})
        if name == "cifar100":
            return Check(name, str(root / name), *cifar.count(root), {})
        return _check_own(name, progress) if name.startswith(FOLDER) else _check_pictures(name, root, progress)


def _check_pictures(name: str, root: Path, progress: bool) -> Check:
    """A published data set's pictures, each decoded and none kept: there may be a million."""
    if name == "tiny-imagenet":
        place, read = root / tiny_imagenet.FOLDER, tiny_imagenet.source
    else:
        place, read = imagenet.fetch(root), imagenet.source
    listed = read(place)
    files = listed.train.files + listed.val.files
    found = decode(files, Path(os.devnull), RESOLUTIONS[0], title=f"check {name}" if progress else None)
    damaged = {files[number]: reason for number, reason in found.failed.items()}
    return Check(name, str(place), len(listed.classes), len(listed.train.files), len(listed.val.files), damaged)


def _check_own(name: str, progress: bool) -> Check:
    """A user's pictures, decoded as a training would, into a folder that is thrown away."""
    place = resolved(name.removeprefix(FOLDER))
    keep_out(resolved(tempfile.gettempdir()), [place])
    listed = folders.source(place)
    with tempfile.TemporaryDirectory(prefix="transferlib-") as folder:
        found = decode_into(Path(folder), f"check {printable(place.name)}", listed, CHECKED_AT, progress, own=True)
    counts = len(listed.classes), len(listed.train.files), len(listed.val.files)
    return Check(named(name), str(place), *counts, *found)


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
    except OSError as error:
        place, why = error.filename or root, error.strerror or error
        if error.errno in (errno.EACCES, errno.EPERM):
            words = f"no permission for {place}: change its rights, or set TRANSFERLIB_DATA to a folder of your own"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            words = f"no space left in {root}: make room, or set TRANSFERLIB_DATA to a folder on a larger disk"
        else:
            words = f"{place}: {why}: mend that, or set TRANSFERLIB_DATA to another folder"
        raise TransferlibError(words) from error
