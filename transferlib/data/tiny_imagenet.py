"""Tiny ImageNet: 200 classes, 100,000 training and 10,000 labelled validation images of 64×64."""

from __future__ import annotations

from pathlib import Path

from ..errors import TransferlibError
from .cache import cached, from_pictures
from .dataset import Dataset, Listing, Source
from .download import download, locked, unpack
from .folders import pictures, read_words

NAME = "tiny-imagenet"
FOLDER = "tiny-imagenet-200"
URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"


def load(root: Path, resolution: int, progress: bool) -> Dataset:
    """Open Tiny ImageNet, downloaded and decoded first where needed; label order is that of sorted wnids."""
    make = from_pictures(NAME, resolution, lambda: source(fetch(root, progress)), progress)
    return cached(NAME, resolution, root / "arrays" / NAME / str(resolution), make)


def fetch(root: Path, progress: bool, *, url: str = URL, md5: str = MD5) -> Path:
    """Make sure that the official folder lies in `root`.

    Raises:
        TransferlibError: when the download fails, or what came is not the official archive.
    """
    folder = root / FOLDER
    with locked(folder):
        if not folder.is_dir():
            archive = download(url, root / f"{FOLDER}.zip", md5, progress)
            unpack(archive, folder)
            archive.unlink()
    return folder


def source(folder: Path) -> Source:
    """List the official folder: the training images, and the labelled validation images as the test set.

    Raises:
        TransferlibError: when a part of the official layout is missing.
    """
    classes = tuple(sorted(_read(folder, "wnids.txt").split()))
    words = read_words(folder / "words.txt")
    label = {wnid: number for number, wnid in enumerate(classes)}
    train, val = Listing([], []), Listing([], [])
    for wnid in classes:
        files = pictures(folder / "train" / wnid) if (folder / "train" / wnid).is_dir() else []
        if not files:
            raise _incomplete(folder, f"no pictures of class {wnid} in train/{wnid}/images")
        train.files.extend(files)
        train.labels.extend([label[wnid]] * len(files))
    for line in _read(folder, "val/val_annotations.txt").splitlines():
        file, wnid = line.split("\t")[:2]
        if wnid not in label:
            raise _incomplete(folder, f"class {wnid} in val but not in wnids.txt")
        val.files.append(f"{folder}/val/images/{file}")
        val.labels.append(label[wnid])
    for missing in sorted(set(label.values()) - set(val.labels)):
        raise _incomplete(folder, f"class {classes[missing]} in train but not in val")
    return Source(classes, tuple(words.get(wnid, wnid) for wnid in classes), train, val)


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _incomplete(folder, f"no {name}") from None


def _incomplete(folder: Path, what: str) -> TransferlibError:
    return TransferlibError(f"Tiny ImageNet is incomplete, {what} in {folder}: delete that folder and fetch again")
