"""The data sets by name: one object each, registered in one place, and all that is asked of one by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from transferlib.data.checking import Check
from transferlib.data.cifar import Cifar100
from transferlib.data.classes import Catalogue
from transferlib.data.dataset import Dataset
from transferlib.data.imagenet import ImageNet
from transferlib.data.own import FOLDER, Folder
from transferlib.data.place import data_folder
from transferlib.data.provider import Provider, Snapshot
from transferlib.data.shapes import Shapes
from transferlib.data.tiny_imagenet import TinyImageNet
from transferlib.data.worker import LANCZOS
from transferlib.errors import TransferlibError
from transferlib.paths import resolved

RESOLUTIONS = range(8, 513)
DATASETS: dict[str, Provider] = {}  # in the order in which they are listed


def register(provider: Provider) -> None:
    """Make a data set known by its name, everywhere where a data set is asked for.

    Registered again, as by a cell that is run twice, it takes the place of its former self.

    Raises:
        TransferlibError: where it does not declare its name, words or size, or bears another data set's name.
    """
    if lacking := [what for what in ("name", "description", "obtained") if not getattr(provider, what, "")]:
        raise TransferlibError(f"data set {type(provider).__name__} declares no {' and no '.join(lacking)}")
    size, known = provider.size(), DATASETS.get(provider.name, provider)
    if size.images < 1 or size.classes < 2:
        raise TransferlibError(f"data set {provider.name}: expected images and at least 2 classes, got {size}")
    # a class that is defined again is another one, of the same name
    if provider.name.startswith(FOLDER) or type(known).__qualname__ != type(provider).__qualname__:
        raise TransferlibError(f"another data set has the name {provider.name}: choose another")
    DATASETS[provider.name] = provider


register(Shapes())
register(TinyImageNet())
register(Cifar100())
register(ImageNet())
DATASETS[f"{FOLDER}PATH"] = Folder(Path("PATH"))  # stands in the lists for a data set for each path


def lookup(name: str) -> Provider:
    """The data set of a name; a folder of pictures goes by where it lies, however its path was written.

    Args:
        name: a key of ``DATASETS``, the one of folders with your folder's path in it.

    Raises:
        TransferlibError: for a name that is none, with those that are.
    """
    if name.startswith(FOLDER) and name != FOLDER:
        return Folder(resolved(name.removeprefix(FOLDER)))
    if name not in DATASETS:
        raise TransferlibError(f"unknown data set {name!r}: expected one of {', '.join(DATASETS)}")
    return DATASETS[name]


def input_folders(*names: str) -> list[Path]:
    """The folders of a user's own that data sets are read from, into which nothing may be written."""
    return [folder for name in names for folder in lookup(name).inputs()]


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
        name: as for ``lookup``.
        resolution: side of the square images, 8 to 512 pixels.
        similarity: of the two halves of ``shapes``, 0 to 1 (the default); for data sets with a dial only.
        root: the data folder, ``data_root()`` by default.
        progress: whether to show progress bars on the standard error.

    Raises:
        TransferlibError: one line that names what is missing, damaged or out of range, and the mend.
    """
    provider = lookup(name)
    _check_resolution(resolution)
    _check_similarity(provider, similarity)
    with data_folder(root) as folder:
        opened = provider.load(folder, resolution, progress, similarity)
    _check_opened(provider.name, resolution, opened)
    return opened


def snapshot(name: str, resolution: int, interpolation: str = LANCZOS) -> Snapshot:
    """Settle what names a data set's runs now; a folder of pictures is opened for it.

    Args:
        name, resolution: as for ``load``.
        interpolation: by which the pictures of a folder are resized, as a network wants them.

    Raises:
        TransferlibError: as for ``load``.
    """
    provider = lookup(name).resized(interpolation)
    _check_resolution(resolution)
    with data_folder(None) as folder:
        return provider.snapshot(folder, resolution)


def fetch(name: str, *, root: Path | None = None, progress: bool = True) -> Path:
    """Make sure that a data set is there, downloaded where that is possible, and tell where it lies.

    Raises:
        TransferlibError: when it is not there and cannot be downloaded.
    """
    provider = lookup(name)
    with data_folder(root) as folder:
        return provider.fetch(folder, progress)


def check(name: str, *, root: Path | None = None, progress: bool = True) -> Check:
    """Count a data set's classes and images, and decode every picture to find the damaged ones.

    Raises:
        TransferlibError: when the data set is not there or its layout is not the expected one.
    """
    provider = lookup(name)
    with data_folder(root) as folder:
        return provider.check(folder, progress)


def catalogue(name: str, *, root: Path | None = None) -> Catalogue:
    """List a data set's classes: Tiny ImageNet's from the package, another's by opening it.

    Raises:
        TransferlibError: where another data set is missing.
    """
    provider = lookup(name)
    with data_folder(root) as folder:
        return provider.catalogue(folder)


def with_dial() -> str:
    """The names of the data sets that have a similarity dial."""
    return " and ".join(name for name, provider in DATASETS.items() if provider.halves())


def _check_resolution(resolution: int) -> None:
    if resolution not in RESOLUTIONS:
        raise TransferlibError(f"expected resolution in 8..512, got {resolution}")


def _check_opened(name: str, resolution: int, opened: Dataset) -> None:
    """Refuse what a data set of one's own must not give, before anything is trained on it."""
    classes = len(opened.classes)
    if not (classes == len(set(opened.classes)) == len(opened.names) == len(opened.groups)):
        raise TransferlibError(f"data set {name}: expected classes that differ, and a name and a group for each")
    for part, images in (("training", opened.train), ("validation", opened.val)):
        pixels, labels = images.pixels, images.labels
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), resolution, resolution, 3):
            raise TransferlibError(
                f"data set {name}: expected {part} pixels uint8 ({len(labels)}, {resolution}, {resolution}, 3), got "
                f"{pixels.dtype} {pixels.shape}"
            )
        if labels.dtype != np.int64 or not np.array_equal(np.unique(labels), np.arange(classes)):
            raise TransferlibError(f"data set {name}: expected {part} labels int64, of every class 0..{classes - 1}")


def _check_similarity(provider: Provider, similarity: float | None) -> None:
    if similarity is None:
        return
    if not provider.halves():
        raise TransferlibError(f"similarity is for {with_dial()} only: leave it out for {provider.name}")
    if not 0 <= similarity <= 1:
        raise TransferlibError(f"expected similarity in 0..1, got {similarity}")
