"""Your own pictures: a folder of class folders, named by where it lies, whose runs are named by its pixels."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np

from transferlib.data import folders
from transferlib.data.cache import About, cached, decode_into, from_pictures
from transferlib.data.checking import Check
from transferlib.data.dataset import Dataset
from transferlib.data.provider import CHECKED_AT, Provider, Size, Snapshot
from transferlib.data.worker import LANCZOS
from transferlib.errors import TransferlibError
from transferlib.names import printable
from transferlib.paths import keep_apart, keep_out, resolved

FOLDER = "folder:"


class Folder(Provider):
    """A folder of pictures.

    Args:
        path: of the folder, in full.
        interpolation: by which its pictures are resized.
    """

    description = "your own pictures"
    obtained = "a folder of class folders, or train/ and val/ with such"
    version = None  # its pixels tell

    def __init__(self, path: Path, interpolation: str = LANCZOS) -> None:
        self.path, self.interpolation = path, interpolation
        self.name = f"{FOLDER}{path}"

    @property
    def recorded_name(self) -> str:
        """The folder's last name, wherever it lies."""
        return f"{FOLDER}{self.path.name or self.path}"

    def inputs(self) -> tuple[Path, ...]:
        """The folder."""
        return (self.path,)

    def size(self) -> Size:
        """Counted in its list, before any picture is opened."""
        listed = folders.source(self.path)
        return Size(len(listed.train.files), len(listed.classes))

    def load(self, root: Path, resolution: int, progress: bool, similarity: float | None = None) -> Dataset:
        """Open the pictures, decoded first if the folder has changed since."""
        keep_apart(root / "arrays", [self.path])
        listed = folders.source(self.path)
        found = folders.fingerprint(listed)
        key = hashlib.sha256(str(self.path).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        decoded = from_pictures(self.name, resolution, lambda: listed, progress, True, self.interpolation)

        def make(place: Path) -> About:
            about = decoded(place)
            if folders.fingerprint(folders.source(self.path)) != found:
                raise TransferlibError(
                    f"{self.path} changed while it was read: start again when nothing writes into it"
                )
            return about

        way = "" if self.interpolation == LANCZOS else f"-{self.interpolation}"
        arrays = root / "arrays" / f"folder-{key}" / f"{resolution}{way}"
        return cached(self.name, resolution, arrays, make, self.groups, found)

    def resized(self, interpolation: str) -> Folder:
        """The same pictures, resized otherwise."""
        return Folder(self.path, interpolation)

    def fetch(self, root: Path, progress: bool) -> Path:
        """Where it lies, if its layout is the expected one."""
        folders.source(self.path)
        return self.path

    def check(self, root: Path, progress: bool) -> Check:
        """Decode the pictures as a training would, into a folder that is thrown away."""
        keep_out(resolved(tempfile.gettempdir()), [self.path])
        listed = folders.source(self.path)
        title = f"check {printable(self.path.name)}"
        with tempfile.TemporaryDirectory(prefix="transferlib-") as folder:
            found = decode_into(Path(folder), title, listed, CHECKED_AT, progress, own=True)
        counts = len(listed.classes), len(listed.train.files), len(listed.val.files)
        return Check(self.name, str(self.path), *counts, *found)

    def state(self) -> str:
        """Its files' names, sizes and times as a hash; empty where it can't be read any more."""
        try:
            return folders.fingerprint(folders.source(self.path))
        except (OSError, TransferlibError):
            return ""

    def snapshot(self, root: Path, resolution: int) -> Snapshot:
        """The opened pictures, and the hash of their pixels, which names their runs."""
        state = self.state()  # before it is opened: a change in between is one that ``changed`` tells of
        opened = self.load(root, resolution, progress=True)
        return Snapshot(self, _hash(opened), opened, state)


def _hash(opened: Dataset) -> str:
    digest = hashlib.sha256()
    for images in (opened.train, opened.val):
        digest.update(images.labels.tobytes())
        digest.update(np.ascontiguousarray(images.pixels).data)
    return digest.hexdigest()[:16]
