"""CIFAR-100: 50,000 training and 10,000 test images of 32×32, 100 classes, through torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from transferlib.data.cache import About, cached, from_arrays
from transferlib.data.checking import Check
from transferlib.data.dataset import Dataset, Images
from transferlib.data.download import download, locked
from transferlib.data.provider import Provider, Size
from transferlib.errors import TransferlibError

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR100

# The classes of the six superclasses of made things: food containers, electrical devices, furniture,
# large man-made outdoor things, vehicles 1 and 2. Animals, plants, people and landscapes are natural.
MAN_MADE = {
    *("bottle", "bowl", "can", "cup", "plate"),
    *("clock", "keyboard", "lamp", "telephone", "television"),
    *("bed", "chair", "couch", "table", "wardrobe"),
    *("bridge", "castle", "house", "road", "skyscraper"),
    *("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    *("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}


class Cifar100(Provider):
    """CIFAR-100; its labels are in the order of the original."""

    name = "cifar100"
    description = "100 classes, 60,000 images of 32 px"
    obtained = "downloaded by torchvision, 161 MiB"

    def size(self) -> Size:
        """Of the original."""
        return Size(images=50_000, classes=100)

    def load(self, root: Path, resolution: int, progress: bool, similarity: float | None = None) -> Dataset:
        """Open it, downloaded first where needed."""

        def make(folder: Path) -> About:
            place = self.fetch(root, progress)
            train, val = _part(place, train=True), _part(place, train=False)
            names = [name.replace("_", " ") for name in train.classes]
            return from_arrays(train.classes, names, _images(train, resolution), _images(val, resolution))(folder)

        return cached(self.name, resolution, root / "arrays" / self.name / str(resolution), make, self.groups)

    def fetch(self, root: Path, progress: bool) -> Path:
        """Make sure that the official files, checked by torchvision, lie in ``root``/cifar100.

        Raises:
            TransferlibError: when the download fails.
        """
        from torchvision.datasets import CIFAR100

        folder = root / self.name
        archive = folder / CIFAR100.filename
        try:
            with locked(archive):
                if not _is_whole(folder):
                    download(CIFAR100.url, archive, CIFAR100.tgz_md5, progress)
                    CIFAR100(folder, download=True)  # the archive is there, so it is only unpacked
        except TransferlibError as error:
            raise TransferlibError(
                f"cannot download CIFAR-100 from {CIFAR100.url}: check the network, or unpack {CIFAR100.filename} in "
                f"{folder} ({error})"
            ) from error
        return folder

    def check(self, root: Path, progress: bool) -> Check:
        """Count, after torchvision has verified the files' checksums.

        Raises:
            TransferlibError: when a file is missing or changed.
        """
        place = root / self.name
        train, val = _part(place, train=True), _part(place, train=False)
        return Check(self.name, str(place), len(train.classes), len(train), len(val))

    def groups(self, classes: tuple[str, ...]) -> tuple[str | None, ...]:
        """By superclass."""
        return tuple("man-made" if name in MAN_MADE else "natural" for name in classes)


def _is_whole(folder: Path) -> bool:
    try:
        _part(folder, train=True)
    except TransferlibError:
        return False
    return True


def _part(folder: Path, train: bool) -> CIFAR100:
    from torchvision.datasets import CIFAR100

    try:
        return CIFAR100(folder, train=train)
    except RuntimeError as error:
        raise TransferlibError(f"CIFAR-100 in {folder} is missing or damaged: fetch it again") from error


def _images(part: CIFAR100, resolution: int) -> Images:
    return Images(_resized(part.data, resolution), np.array(part.targets, np.int64))


def _resized(pixels: np.ndarray, resolution: int) -> np.ndarray:
    if pixels.shape[1] == resolution:
        return np.ascontiguousarray(pixels)
    size, filtered = (resolution, resolution), Image.Resampling.LANCZOS
    return np.stack([np.asarray(Image.fromarray(picture).resize(size, filtered)) for picture in pixels])
