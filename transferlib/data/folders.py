"""A folder of class folders, with `train/` and `val/` above them or not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import TransferlibError
from .cache import cached, from_pictures
from .dataset import Dataset, Listing, Source

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
# pictures too; to pass them over would change the data in silence
UNREAD = (".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".tga", ".psd", ".dng", ".cr2", ".nef", ".arw")
VAL_SHARE = 0.2
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}  # no names of classes


def path_of(name: str) -> Path:
    """The folder that a user names, in full.

    Raises:
        TransferlibError: for the home of a user who does not exist.
    """
    try:
        return Path(name).expanduser().resolve()
    except RuntimeError as error:
        raise TransferlibError(f"no folder {name}: {error}") from error


def load(folder: Path, root: Path, resolution: int, progress: bool) -> Dataset:
    """Open a user's own pictures, decoded first if `folder` has changed since."""
    listed = source(folder)
    name = f"folder:{folder}"
    key = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    make = from_pictures(name, resolution, lambda: listed, progress)
    return cached(name, resolution, root / "arrays" / f"folder-{key}" / str(resolution), make, _fingerprint(listed))


def source(folder: Path) -> Source:
    """List the pictures: those of `train/` and `val/` where they exist, else split 80 to 20.

    Raises:
        TransferlibError: when there are not two classes, a class is empty or in one split only, or only
            one of `train/` and `val/` exists.
    """
    if not folder.is_dir():
        raise TransferlibError(f"no folder {folder}: expected a folder of class folders")
    halves = [split for split in ("train", "val") if (folder / split).is_dir()]
    if len(halves) == 1:
        raise TransferlibError(f"{folder} has {halves[0]}/ only: expected train/ and val/, or class folders")
    if halves:
        return split_source(folder)
    classes = class_folders(folder)
    if {name.lower() for name in classes} <= PARTS:
        raise TransferlibError(
            f"{folder} holds {' and '.join(classes)}: expected class folders, or two folders named train and val"
        )
    train, val = Listing([], []), Listing([], [])
    for label, name in enumerate(classes):
        for files, listing in zip(_divide(folder, _some_pictures(folder / name)), (train, val), strict=True):
            listing.files.extend(files)
            listing.labels.extend([label] * len(files))
    return Source(classes, classes, train, val)


def split_source(folder: Path, named: Callable[[str], str] = str) -> Source:
    """List `folder`/train and `folder`/val, whose class folders must be the same.

    Args:
        named: gives a class's name for people.
    """
    classes = class_folders(folder / "train")
    for name in sorted(set(classes) ^ set(class_folders(folder / "val"))):
        there, missing = ("train", "val") if name in classes else ("val", "train")
        raise TransferlibError(f"class {name} is in {folder}/{there} but not in {missing}/: add or remove it")
    train, val = (_list(folder / split, classes) for split in ("train", "val"))
    return Source(classes, tuple(named(name) for name in classes), train, val)


def class_folders(folder: Path) -> tuple[str, ...]:
    """Name the class folders in `folder`, sorted.

    Raises:
        TransferlibError: when there are fewer than two.
    """
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
    if len(names) < 2:
        raise TransferlibError(f"expected at least two class folders in {folder}, got {len(names)}")
    return tuple(names)


def pictures(folder: Path) -> list[str]:
    """List the picture files anywhere in `folder`, sorted.

    Raises:
        TransferlibError: for a picture of a kind that is not read.
    """

    def stop(error: OSError) -> None:
        raise error

    walk = os.walk(folder, onerror=stop)
    seen = sorted(f"{at}/{file}" for at, _, names in walk for file in names if file[0] != ".")
    unread = next((file for file in seen if file.lower().endswith(UNREAD)), None)
    if unread:
        raise TransferlibError(f"{unread} is of a kind that is not read: convert it to .jpg or .png, or move it away")
    return [file for file in seen if file.lower().endswith(SUFFIXES)]


def read_words(path: Path) -> dict[str, str]:
    """Read WordNet's table of names, `wnid<TAB>name, another name` a line; empty where there is none."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {wnid: words.split(",")[0] for wnid, _, words in (line.partition("\t") for line in lines)}


def _some_pictures(folder: Path) -> list[str]:
    files = pictures(folder)
    if not files:
        raise TransferlibError(f"no pictures in class folder {folder}: add some ({' '.join(SUFFIXES)}) or remove it")
    return files


def _list(folder: Path, classes: tuple[str, ...]) -> Listing:
    listing = Listing([], [])
    for label, name in enumerate(classes):
        files = _some_pictures(folder / name)
        listing.files.extend(files)
        listing.labels.extend([label] * len(files))
    return listing


def _divide(folder: Path, files: list[str]) -> tuple[list[str], list[str]]:
    """Split one class by a hash of each name, so that a new picture moves no other one.

    Only in a class so small that no hash falls into the validation share, the lowest one is taken.
    """
    if len(files) < 2:
        raise TransferlibError(f"{files[0]} is the only picture of its class: add one, or remove the class folder")
    drawn = {file: _draw(Path(file).relative_to(folder).as_posix()) for file in files}
    first, *_, last = sorted(files, key=drawn.__getitem__)
    val = {file for file in files if drawn[file] < VAL_SHARE} - {last} | {first}  # a class is in both
    return [file for file in files if file not in val], sorted(val)


def _draw(name: str) -> float:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _fingerprint(listed: Source) -> str:
    digest = hashlib.sha256()
    for file in (*listed.train.files, *listed.val.files):
        digest.update(f"{file}\0{_state(file)}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _state(file: str) -> tuple[int, int] | None:
    try:
        found = Path(file).stat()
    except FileNotFoundError:  # a link to nowhere: decoding will name it
        return None
    return found.st_size, found.st_mtime_ns
