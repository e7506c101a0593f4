"""The data sets of a measurement: opened once, called by names for people, and the runs on them read back."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from transferlib.data import FOLDER, Dataset, Snapshot, input_folders, load, snapshot
from transferlib.errors import TransferlibError
from transferlib.names import printable
from transferlib.nets.pretrained import is_named
from transferlib.nets.pretrained.libraries import Torchvision
from transferlib.records import as_table, config_key, with_correct
from transferlib.store import Store
from transferlib.study import Study


def opened_at(name: str, resolution: int, interpolation: str = "lanczos") -> tuple[Snapshot, Dataset]:
    """Open a data set at a resolution in pixels, once; what is odd about it is among its findings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        taken = snapshot(name, resolution, interpolation)
        return taken, taken.dataset or load(name, resolution)


def folders_of(*names: str) -> list[Path]:
    """The folders of a user's own among data sets and networks by name, into which nothing may be written.

    Raises:
        TransferlibError: for what is neither; a network of torchvision's without its library is told its name.
    """
    data = [name for name in names if not is_named(name)]
    for name in data:
        if name in Torchvision().names:
            raise TransferlibError(f"{name} is no data set: for torchvision's network say torchvision:{name}")
    return input_folders(*data)


def label(name: str, parts: int = 1) -> str:
    """What a data set is called: its own name, or so many of the last parts of a folder's path.

    >>> label("folder:/home/me/screws")
    'folder:screws'
    """
    if not name.startswith(FOLDER):
        return printable(name)
    return printable(FOLDER + "/".join(Path(name.removeprefix(FOLDER)).parts[-parts:]))


def labels(source: str, target: str) -> tuple[str, str]:
    """What two data sets are called: as much of their paths as tells them apart."""
    parts = 1
    while label(source, parts).removeprefix(FOLDER) == label(target, parts).removeprefix(FOLDER):
        parts += 1
    return label(source, parts), label(target, parts)


def changed(study: Study) -> list[str]:
    """Notes of folders that have changed since they were read."""
    return [
        f"{name} has changed since it was read: what is measured is what it held before" for name in study.changed()
    ]


def seeds_of(count: int) -> tuple[int, ...]:
    """The seeds of so many trainings of everything.

    Raises:
        TransferlibError: for less than one.
    """
    if count < 1:
        raise TransferlibError(f"expected at least 1 seed, got {count}")
    return tuple(range(count))


def runs_of(store: Store, keys: Collection[str]) -> pd.DataFrame:
    """Those runs of some keys that a store has, as ``Store.table``, with ``correct``: bool (M,) each."""
    records = {config_key(record["config"]): record for record in store.records(keys)}
    return with_correct(as_table(records.values()), records)
