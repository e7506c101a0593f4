"""A data set as it was when it was opened: what is trained on, and what names it, are read at one time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import TransferlibError
from . import FOLDER, folders, load, named, shapes
from .dataset import Dataset


@dataclass(frozen=True)
class Snapshot:
    """An opened data set with its version, which is another one when its pixels are."""

    dataset: Dataset
    version: int | str


@cache
def snapshot(name: str, resolution: int, similarity: float | None) -> Snapshot:
    """Open a data set, once until ``forget``: whatever happens to its folder, all get the same.

    Args:
        name, resolution, similarity: as for ``load``.
    """
    if not name.startswith(FOLDER):
        return Snapshot(load(name, resolution, similarity=similarity), _fixed_version(name))
    _state(named(name))  # before it is opened: a change in between is one that ``changed`` tells of
    opened = load(name, resolution, similarity=similarity)
    return Snapshot(opened, _hash(opened))


def forget() -> None:
    """Open data sets anew from now on: folders may have changed since this process read them last."""
    snapshot.cache_clear()
    _state.cache_clear()


def data_version(name: str, resolution: int) -> int | str:
    """What changes when a data set's pixels do: the drawing's version, a hash of a user's pictures, else 0."""
    if not name.startswith(FOLDER):
        return _fixed_version(name)
    return snapshot(name, resolution, None).version


def changed(name: str) -> bool:
    """Whether a folder of pictures has changed since it was opened."""
    return name.startswith(FOLDER) and _state(named(name)) != _state.__wrapped__(named(name))


def recorded_name(name: str) -> str:
    """A data set's name in a record: a folder of pictures goes by its last name, wherever it lies."""
    if not name.startswith(FOLDER):
        return name
    path = Path(named(name).removeprefix(FOLDER))
    return f"{FOLDER}{path.name or path}"


def _fixed_version(name: str) -> int:
    return shapes.VERSION if name == "shapes" else 0


def _hash(opened: Dataset) -> str:
    digest = hashlib.sha256()
    for images in (opened.train, opened.val):
        digest.update(images.labels.tobytes())
        digest.update(np.ascontiguousarray(images.pixels).data)
    return digest.hexdigest()[:16]


@cache
def _state(name: str) -> str:
    """A folder's names, sizes and times as a hash; empty where it can't be read any more."""
    try:
        return folders.state(Path(name.removeprefix(FOLDER)))
    except (OSError, TransferlibError):
        return ""
