"""Five photographs that may be shown, with who made them: they lie in the wheels of scikit-image and scikit-learn."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from transferlib.errors import TransferlibError


@dataclass(frozen=True)
class Photograph:
    """What is to be said of a photograph wherever it is shown; ``package`` is the wheel that it lies in."""

    title: str
    author: str
    licence: str
    source: str
    package: str

    @property
    def credit(self) -> str:
        """One line for a caption: title, author and licence."""
        return f"{self.title}: {self.author}, {self.licence}"


_CC_BY = "CC BY 2.0 (https://creativecommons.org/licenses/by/2.0/)"
_FLICKR = "https://www.flickr.com/photos"
PHOTOGRAPHS: dict[str, Photograph] = {
    "chelsea": Photograph("Chelsea the cat", "Stéfan van der Walt", "CC0", "skimage.data.chelsea", "scikit-image"),
    "coffee": Photograph("A cup of coffee", "Rachel Michetti", "CC0", "skimage.data.coffee", "scikit-image"),
    "rocket": Photograph("Launch of a Falcon 9", "SpaceX", "public domain", "skimage.data.rocket", "scikit-image"),
    # scikit-learn's note gives both pictures one author; its links lead to these two
    "flower": Photograph("A flower", "vultilion", _CC_BY, f"{_FLICKR}/vultilion/6056698931/", "scikit-learn"),
    "china": Photograph("A temple", "danielbuechele", _CC_BY, f"{_FLICKR}/danielbuechele/6061409035/", "scikit-learn"),
}


def photograph(name: str) -> np.ndarray:
    """One of ``PHOTOGRAPHS``, uint8 (H, W, 3), read from its package without a network.

    Raises:
        TransferlibError: for an unknown name, or where the package that carries the picture is missing.
    """
    if name not in PHOTOGRAPHS:
        raise TransferlibError(f"unknown photograph {name!r}: expected one of {', '.join(PHOTOGRAPHS)}")
    package = PHOTOGRAPHS[name].package
    try:
        if package == "scikit-learn":
            return importlib.import_module("sklearn.datasets").load_sample_image(f"{name}.jpg").copy()
        return getattr(importlib.import_module("skimage.data"), name)()
    except ImportError as error:
        raise TransferlibError(f"the photograph {name!r} lies in {package}: pip install {package}") from error


def square(picture: np.ndarray, side: int) -> np.ndarray:
    """The largest square at the centre of a picture, resized with antialiasing, as data sets are decoded.

    Args:
        picture: uint8 (H, W, 3).
        side: of the result in pixels.

    Returns:
        uint8 (side, side, 3).

    Raises:
        TransferlibError: for a side below 1, or what is no colour picture in bytes.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise TransferlibError(f"expected a picture uint8 (H, W, 3), got {picture.dtype} {picture.shape}")
    if side < 1:
        raise TransferlibError(f"expected a side of at least 1, got {side}")
    return np.array(ImageOps.fit(Image.fromarray(picture), (side, side), Image.Resampling.LANCZOS))
