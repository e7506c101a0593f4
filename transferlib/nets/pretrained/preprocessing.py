"""How a network wants its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["lanczos", "bilinear", "bicubic"]

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How a network wants its pictures: those of the weights' own transforms, in the engine's units.

    Attributes:
        resolution: side of its input, in pixels.
        stored: side of the square that a picture is resized to before it is cropped to ``resolution``.
        mean, std: of its input, subtracted from and divided into the pixels (RGB, 0..255).
        interpolation: by which pictures are resized.
    """

    resolution: int
    stored: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation = "bilinear"

    @classmethod
    def of_units(
        cls,
        resolution: int = 224,
        stored: int = 256,
        mean: tuple[float, ...] = _IMAGENET[0],
        std: tuple[float, ...] = _IMAGENET[1],
        interpolation: Interpolation = "bilinear",
    ) -> Preprocessing:
        """From mean and standard deviation of pixels between 0 and 1; by default those that most networks share."""
        low, wide = ((255 * v[0], 255 * v[1], 255 * v[2]) for v in (mean, std))
        return cls(resolution, stored, low, wide, interpolation)

    def at(self, resolution: int) -> Preprocessing:
        """The same at another resolution; as much of a picture is cropped away as before."""
        stored = round(resolution * self.stored / self.resolution)
        return Preprocessing(resolution, stored, self.mean, self.std, self.interpolation)
