"""Tiny ImageNet: 200 classes, 100,000 training and 10,000 labelled validation images of 64×64."""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

from transferlib.data.cache import cached, from_pictures
from transferlib.data.checking import Check, check_pictures
from transferlib.data.classes import Catalogue
from transferlib.data.dataset import Dataset, Listing, Source
from transferlib.data.download import download, locked, unpack
from transferlib.data.folders import pictures, read_words
from transferlib.data.provider import Provider, Size
from transferlib.errors import TransferlibError

FOLDER = "tiny-imagenet-200"


class TinyImageNet(Provider):
    """Tiny ImageNet; its labels are in the order of sorted wnids.

    Attributes:
        url, md5: of the official archive.
    """

    name = "tiny-imagenet"
    description = "200 classes of ImageNet, 110,000 images of 64 px"
    obtained = "downloaded, 237 MiB"
    url = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    md5 = "90528d7ca1a48142e341f4ef8d21d0de"

    def size(self) -> Size:
        """Of the original, whose labelled validation images are the test set."""
        return Size(images=100_000, classes=200)

    def load(self, root: Path, resolution: int, progress: bool, similarity: float | None = None) -> Dataset:
        """Open it, downloaded and decoded first where needed."""
        make = from_pictures(self.name, resolution, lambda: source(self.fetch(root, progress)), progress)
        return cached(self.name, resolution, root / "arrays" / self.name / str(resolution), make, self.groups)

    def fetch(self, root: Path, progress: bool) -> Path:
        """Make sure that the official folder lies in ``root``.

        Raises:
            TransferlibError: when the download fails, or what came is not the official archive.
        """
        folder = root / FOLDER
        with locked(folder):
            if not folder.is_dir():
                archive = download(self.url, root / f"{FOLDER}.zip", self.md5, progress)
                unpack(archive, folder)
                archive.unlink()
        return folder

    def check(self, root: Path, progress: bool) -> Check:
        """Decode every picture, and keep none."""
        return check_pictures(self.name, root / FOLDER, source(root / FOLDER), progress)

    def catalogue(self, root: Path) -> Catalogue:
        """From a table that comes with the package."""
        text = files("transferlib.data").joinpath("tiny_imagenet_classes.csv").read_text(encoding="utf-8")
        rows = list(csv.DictReader(text.splitlines()))
        classes = tuple(row["wnid"] for row in rows)
        above = tuple(tuple(row["above"].split(";")) for row in rows)
        return Catalogue(self.name, classes, tuple(row["name"] for row in rows), self.groups(classes), above)


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
