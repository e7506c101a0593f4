"""The embedded data set: 20 classes of things drawn from a seed, with a dial for how alike the halves are.

Every image is one thing of ``things`` on a textured, cluttered ground, with its own place, size, tilt,
colours, light, occlusion and noise. The colours, the ground and all the rest come from the same factors for
every class; only the dial moves the factors, and only those of half B.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlib.data.cache import About, cached, from_arrays
from transferlib.data.checking import Check
from transferlib.data.dataset import Dataset, Images
from transferlib.data.provider import Provider, Size
from transferlib.data.things import MAN_MADE, NATURAL, Field, Thing, Uniforms, line
from transferlib.errors import TransferlibError

VERSION: int = 1
_THINGS = NATURAL | MAN_MADE
_HALF_A = ("brick-wall", "cloud", "flower", "gear", "house", "key", "leaf", "pebbles", "stairs", "tree")
_HALF_B = tuple(sorted(set(_THINGS) - set(_HALF_A)))
_CHUNK = 64  # images at a time: their planes stay in the processor's cache
_COLUMNS = 96  # uniforms an image: more than any thing or scene asks for


@dataclass(frozen=True)
class _Style:
    """The factors that the dial moves; all but the contrast move in a straight line."""

    hue: float  # the middle of the palette, in turns of the colour circle
    outlined: float  # how likely it is outlined with its marks drawn, not filled with its marks cut out
    contrast: float  # the least difference in brightness between the thing and its ground
    tilt: float  # the middle of the tilts, in radians
    octave: float  # the frequency of the ground's texture: 2**octave waves across the image
    ripple: float  # how strong that texture is
    grain: float  # how far the texture's waves may turn from the diagonal, in radians


_HOME = _Style(hue=0.08, outlined=0.0, contrast=0.08, tilt=0.0, octave=0.2, ripple=0.15, grain=np.pi / 2)
_AWAY = _Style(hue=0.6, outlined=1.0, contrast=0.22, tilt=np.pi / 4, octave=2.0, ripple=0.06, grain=0.2)


class Shapes(Provider):
    """The embedded data set, drawn when it is opened first."""

    name = "shapes"
    description = "20 classes of drawn shapes, 10 natural and 10 man-made"
    obtained = "drawn by the package"
    version = VERSION

    def size(self) -> Size:
        """Of what ``draw`` draws unless told otherwise."""
        return Size(images=10_000, classes=20)

    def load(self, root: Path, resolution: int, progress: bool, similarity: float | None = None) -> Dataset:
        """Open it at a position of the dial, 1 by default, drawn first where needed."""
        dial = 1.0 if similarity is None else float(similarity)

        def make(folder: Path) -> About:
            classes, names, _, *arrays = draw(resolution=resolution, similarity=dial)
            return from_arrays(classes, names, Images(*arrays[:2]), Images(*arrays[2:]))(folder)

        folder = root / "arrays" / self.name / f"{resolution}-s{dial}-v{VERSION}"
        return cached(self.name, resolution, folder, make, self.groups)

    def check(self, root: Path, progress: bool) -> Check:
        """Count what is drawn."""
        classes, _, _, _, train, _, val = draw()
        return Check(self.name, "the package", len(classes), len(train), len(val))

    def groups(self, classes: tuple[str, ...]) -> tuple[str | None, ...]:
        """By what is drawn."""
        return tuple("natural" if slug in NATURAL else "man-made" for slug in classes)

    def halves(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those of ``similarity_halves``."""
        return similarity_halves()


def similarity_halves() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The halves A and B of the split ``similarity:X``: five natural and five man-made classes each."""
    return _HALF_A, _HALF_B


def draw(
    resolution: int = 32,
    similarity: float = 1.0,
    train_per_class: int = 500,
    val_per_class: int = 100,
    seed: int = 0,
) -> tuple[list[str], list[str], list[str], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw the data set; an image depends on its seed, class, split and index, not on how many are drawn.

    Args:
        resolution: the side of an image in pixels.
        similarity: 1 draws both halves of ``similarity_halves`` from the same factors, 0 draws B in a style far
            from A's.
        train_per_class: training images of each class.
        val_per_class: validation images of each class.
        seed: names the data set; another seed gives other images of the same kind.

    Returns:
        The classes' ids, sorted; their names; their groups, natural or man-made; training pixels uint8
        (N, R, R, 3) and labels int64 (N,), class after class; validation pixels and labels alike.

    Raises:
        TransferlibError: for a similarity outside 0..1, a resolution below 8, or a negative count or seed.
    """
    _check(resolution, similarity, train_per_class, val_per_class, seed)
    classes = sorted(_THINGS)
    groups = ["natural" if slug in NATURAL else "man-made" for slug in classes]
    arrays = []
    for split, count in enumerate((train_per_class, val_per_class)):
        pixels = [_draw_class(slug, resolution, similarity, (seed, split), count) for slug in classes]
        arrays += [np.concatenate(pixels), np.repeat(np.arange(len(classes), dtype=np.int64), count)]
    return classes, [slug.replace("-", " ") for slug in classes], groups, *arrays


def _check(resolution: int, similarity: float, train_per_class: int, val_per_class: int, seed: int) -> None:
    if not 0 <= similarity <= 1:
        raise TransferlibError(f"expected similarity in 0..1, got {similarity}")
    if resolution < 8:
        raise TransferlibError(f"expected a resolution of at least 8, got {resolution}")
    counts = {"train_per_class": train_per_class, "val_per_class": val_per_class, "seed": seed}
    for name, value in counts.items():
        if value < 0:
            raise TransferlibError(f"expected {name} of at least 0, got {value}")


def _style(slug: str, similarity: float) -> _Style:
    way = 0.0 if slug in _HALF_A else 1.0 - similarity
    ends = zip(dataclasses.astuple(_HOME), dataclasses.astuple(_AWAY), strict=True)
    style = _Style(*(home + way * (away - home) for home, away in ends))
    # half-way, areas and outlines mix, which is harder to learn: more contrast makes up for it
    return dataclasses.replace(style, contrast=style.contrast + 0.9 * way * (1 - way))


def _draw_class(slug: str, resolution: int, similarity: float, stream: tuple[int, int], count: int) -> np.ndarray:
    pixels = np.empty((count, resolution, resolution, 3), np.uint8)
    style = _style(slug, similarity)
    starts = range(0, count, _CHUNK)
    for start, uniforms in zip(starts, _uniforms(slug, resolution, stream, count), strict=True):
        pixels[start : start + _CHUNK] = _scene(slug, resolution, style, *uniforms)
    return pixels


def _uniforms(
    slug: str, resolution: int, stream: tuple[int, int], count: int
) -> Iterator[tuple[Uniforms, Uniforms, np.ndarray]]:
    """Each chunk's numbers for the thing, the scene and the noise: a row an image, whatever the count."""
    name = zlib.crc32(slug.encode())  # so that a new class leaves the others' images alone
    figure, scene, noise = (
        np.random.Generator(np.random.PCG64(np.random.SeedSequence((*stream, name, part)))) for part in range(3)
    )
    for start in range(0, count, _CHUNK):
        n = min(_CHUNK, count - start)
        rows = [Uniforms(stream.random((n, _COLUMNS)).astype(np.float32)) for stream in (figure, scene)]
        yield rows[0], rows[1], noise.random((n, resolution, resolution, 3)).astype(np.float32)


def _scene(slug: str, resolution: int, style: _Style, figure: Uniforms, u: Uniforms, noise: np.ndarray) -> np.ndarray:
    """One chunk of images, painted from the back to the front: uint8 (n, R, R, 3)."""
    side = (np.arange(resolution, dtype=np.float32) + 0.5) * np.float32(2 / resolution) - 1
    x, y = side[None, None, :], -side[None, :, None]
    soft = resolution / 2  # pixels in a unit of length
    thing, ground, other = _palette(style, u)
    image = _mix(ground, other, 0.5 + 0.5 * _texture(x, y, style, u))
    for _ in range(3):
        image = _mix(image, _between(ground, thing, u), _cover(_streak(x, y, u) * soft))
    filled, outlined = _ink(slug, x, y, style, figure, u, soft)
    # one or the other by chance: half-way between them the marks would vanish
    ink = np.where(u(0, 1) < style.outlined, outlined, filled)
    image = _mix(image, thing * (1 + 0.25 * _texture(x, y, style, u))[..., None], ink)
    image = _mix(image, _between(ground, thing, u), _cover(_streak(x, y, u) * soft) * (u(0, 1) < 0.5))
    return _expose(image, x, y, u, noise)


def _ink(slug: str, x: Field, y: Field, style: _Style, figure: Uniforms, u: Uniforms, soft: float) -> Thing:
    """Where the thing is, 0..1 (n, R, R): filled with its marks cut out, and outlined with its marks drawn."""
    scale, tilt = u(0.55, 0.95), style.tilt + u(-0.35, 0.35)
    x, y = x - u(-0.18, 0.18), y - u(-0.18, 0.18)
    cos, sin = np.cos(tilt) / scale, np.sin(tilt) / scale
    body, marks = _THINGS[slug]((cos * x + sin * y) * u.sign(), cos * y - sin * x, figure)
    inside, marked = _cover(body * scale * soft), _cover(marks * scale * soft)
    edge = inside - _cover(body * scale * soft + 0.07 * soft + 0.5)
    return inside * (1 - marked), np.maximum(edge, inside * marked)


def _cover(distance: Field) -> Field:
    # how much of a pixel lies inside; the distance is in pixels
    return np.clip(np.float32(0.5) - distance, 0, 1)


def _mix(below: np.ndarray, above: np.ndarray, much: Field) -> np.ndarray:
    return below + much[..., None] * (above - below)


def _between(one: np.ndarray, two: np.ndarray, u: Uniforms) -> np.ndarray:
    return one + u(0, 1)[..., None] * (two - one)


def _streak(x: Field, y: Field, u: Uniforms) -> Field:
    """A short stroke or blob anywhere: clutter behind the thing, or what hides a part of it."""
    start = u(-1, 1), u(-1, 1)
    stop = start[0] + u(-0.7, 0.7), start[1] + u(-0.7, 0.7)
    return line(x, y, start, stop, u(0.04, 0.18))


def _texture(x: Field, y: Field, style: _Style, u: Uniforms) -> Field:
    """A few plane waves, about -1..1 (n, R, R)."""
    waves = np.zeros((), np.float32)
    for _ in range(3):
        angle = np.float32(np.pi / 4) + u(-1, 1) * np.float32(style.grain)
        pace = np.pi * 2 ** (style.octave + u(-0.6, 0.6))
        waves = waves + np.cos(x * (pace * np.cos(angle)) + y * (pace * np.sin(angle)) + u(0, 2 * np.pi))
    return waves / 3


def _palette(style: _Style, u: Uniforms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The colours of the thing, of the ground and of the ground's texture: each (n, 1, 1, 3), 0..1."""
    ground, contrast = u(0.15, 0.45), u(style.contrast, 0.5)
    values = (ground + contrast, ground, ground + style.ripple * u(-1, 1))
    thing, below, texture = (_colour(style.hue + u(-0.2, 0.2), u(0.2, 0.8), v) for v in values)
    return thing, below, texture


def _colour(hue: Field, saturation: Field, value: Field) -> np.ndarray:
    k = np.mod(np.stack([5 + hue * 6, 3 + hue * 6, 1 + hue * 6], -1), 6)
    return value[..., None] * (1 - saturation[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1))


def _expose(image: np.ndarray, x: Field, y: Field, u: Uniforms, noise: np.ndarray) -> np.ndarray:
    """Light that falls off to one side, then noise, then bytes."""
    angle, fall = u(0, 2 * np.pi), u(0, 0.2)
    # added, not multiplied, so that bright grounds are no harder than dark ones
    light = u(-0.1, 0.1) + fall * (np.cos(angle) * x + np.sin(angle) * y)
    grain = (noise - np.float32(0.5)) * (0.05 + 0.7 * u(0, 1) ** 3)[..., None]
    image = image + light[..., None] + grain
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
