"""ImageNet (ILSVRC 2012), as the user has it: ``imagenet/{train,val}/<wnid>/*.JPEG`` in the data folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from transferlib.data.cache import cached, from_pictures
from transferlib.data.checking import Check, check_pictures
from transferlib.data.dataset import Dataset, Source
from transferlib.data.folders import class_folders, read_words, split_source
from transferlib.data.provider import Provider, Size
from transferlib.errors import TransferlibError

CLASSES = 1000


class ImageNet(Provider):
    """ImageNet; its labels are in the order of sorted wnids."""

    name = "imagenet"
    description = "ILSVRC 2012, 1000 classes, 1.3 million photographs"
    obtained = "from image-net.org with an account; expected as imagenet/{train,val}/<wnid>/ in the data folder"

    def size(self) -> Size:
        """Of the whole, as it is published."""
        return Size(images=1_281_167, classes=CLASSES)

    def load(self, root: Path, resolution: int, progress: bool, similarity: float | None = None) -> Dataset:
        """Open it, decoded first where needed; the arrays alone are enough."""
        folder = root / self.name
        make = from_pictures(self.name, resolution, lambda: source(self.fetch(root, progress)), progress)
        found = _fingerprint(folder) if folder.is_dir() else None
        arrays = root / "arrays" / self.name / str(resolution)
        return cached(self.name, resolution, arrays, make, self.groups, found)

    def fetch(self, root: Path, progress: bool) -> Path:
        """Make sure that it is there; it cannot be downloaded without an account.

        Raises:
            TransferlibError: when it is not there, with the layout that is expected.
        """
        folder = root / self.name
        for split in ("train", "val"):
            if not (folder / split).is_dir():
                raise TransferlibError(
                    f"no {folder / split}: get the archives from image-net.org (free account), unpack them with "
                    f"torchvision.datasets.ImageNet({str(folder)!r}, {split!r})"
                )
        return folder

    def check(self, root: Path, progress: bool) -> Check:
        """Decode every picture, and keep none."""
        place = self.fetch(root, progress)
        return check_pictures(self.name, place, source(place), progress)


def source(folder: Path) -> Source:
    """List ``train/`` and ``val/``; the names are torchvision's for all 1000 classes, else words.txt's."""
    classes = class_folders(folder / "train")
    words = read_words(folder / "words.txt")
    if len(classes) == CLASSES:
        from torchvision.models import AlexNet_Weights

        words = dict(zip(classes, AlexNet_Weights.DEFAULT.meta["categories"], strict=True))
    return split_source(folder, lambda wnid: words.get(wnid, wnid))


def _fingerprint(folder: Path) -> str:
    # The class folders only: listing 1.3 million files would take longer than all else at a start.
    folders = [class_folders(folder / split) for split in ("train", "val") if (folder / split).is_dir()]
    return hashlib.sha256(repr(folders).encode()).hexdigest()
