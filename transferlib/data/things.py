"""The 20 things that ``shapes`` draws, each as two signed distances: its outline, and the marks on it.

A field is a float32 array (n, R, R), one plane per image, or anything that broadcasts to it. It is negative
inside and grows by about one per unit of length, so that an edge can be smoothed to one pixel at any
resolution. A thing fills about -1..1 in x and y, y upwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TypeAlias

import numpy as np

Field: TypeAlias = np.ndarray
Thing: TypeAlias = tuple[Field, Field]
NOTHING = np.full((1, 1, 1), 9.0, np.float32)  # the distance to marks that are not there


class Uniforms:
    """Hands out the columns of a table of uniform numbers, so that an image depends on its own row alone.

    Args:
        rows: uniforms in [0, 1), float32 (n, columns).
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows, self._next = rows, 0

    def __call__(self, low: float, high: float) -> Field:
        """The next column, between ``low`` and ``high``: (n, 1, 1)."""
        column = self._rows[:, self._next, None, None]
        self._next += 1
        return np.float32(low) + column * np.float32(high - low)

    def whole(self, low: int, high: int) -> Field:
        """Whole numbers ``low`` to ``high``, both included: (n, 1, 1)."""
        return np.floor(self(low, high + 1))

    def sign(self) -> Field:
        """-1 or 1: (n, 1, 1)."""
        return np.where(self(-1, 1) < 0, np.float32(-1), np.float32(1))


def disc(x: Field, y: Field, radius: Field | float) -> Field:
    """A disc around the origin."""
    return np.sqrt(x * x + y * y) - radius


def box(x: Field, y: Field, half_width: Field | float, half_height: Field | float) -> Field:
    """An upright rectangle around the origin."""
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def line(x: Field, y: Field, start: tuple[Field, Field], stop: tuple[Field, Field], width: Field | float) -> Field:
    """A straight stroke with round ends; ``width`` is half its thickness."""
    dx, dy = stop[0] - start[0], stop[1] - start[1]
    px, py = x - start[0], y - start[1]
    along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0, 1)
    return disc(px - along * dx, py - along * dy, width)


def lens(x: Field, y: Field, half_width: Field) -> Field:
    """Two arcs from (0, -1) to (0, 1)."""
    radius = (1 + half_width**2) / (2 * half_width)
    return disc(np.abs(x) + (radius - half_width), y, radius)


def fold(x: Field, period: Field | float) -> Field:
    """The signed way from the nearest multiple of ``period``: what repeats a field."""
    return x - period * np.rint(x / period)


def union(*fields: Field) -> Field:
    """What lies in any of the fields."""
    return reduce(np.minimum, fields)


def common(*fields: Field) -> Field:
    """What lies in all of the fields."""
    return reduce(np.maximum, fields)


def _polar(x: Field, y: Field) -> tuple[Field, Field]:
    return np.sqrt(x * x + y * y), np.arctan2(y, x)


def _leaf(x: Field, y: Field, u: Uniforms) -> Thing:
    x = x + u(-0.35, 0.35) * (y * y - 0.4)
    veins = np.abs(fold(y - u(0.5, 1.0) * np.abs(x), u(0.36, 0.5))) * 0.8 - 0.06
    return lens(x, y, u(0.4, 0.65)), union(np.abs(x) - 0.06, veins)


def _shell(x: Field, y: Field, u: Uniforms) -> Thing:
    radius, angle = _polar(x + 0.15, y)
    turn = np.mod(angle * u.sign() + u(-0.6, 0.6), 2 * np.pi)  # from the mouth of the shell inwards
    pace = u(0.1, 0.15)
    coil = radius * np.abs(fold(np.log(radius + 0.01) + pace * turn, 2 * np.pi * pace)) - 0.06
    return radius - 1.1 * np.exp(-pace * turn), coil


def _cloud(x: Field, y: Field, u: Uniforms) -> Thing:
    puffs = [disc(x - cx, y - u(-0.25, 0.1) - 0.25 * (cx == 0), u(0.3, 0.5)) for cx in (-0.6, -0.3, 0, 0.3, 0.6)]
    return common(union(*puffs), -0.35 - y), NOTHING


def _flame(x: Field, y: Field, u: Uniforms) -> Thing:
    height = np.clip((y + 1) / 2, 0, 1)
    x = x + u(0.1, 0.3) * np.sin(u(3, 5) * y + u(0, 2 * np.pi)) * height
    width = u(1.2, 1.7) * np.sqrt(height) * (1 - height)
    core = np.abs(x) - 0.75 * np.sqrt(height) * (0.6 - height)
    return common((np.abs(x) - width) * 0.8, np.abs(y) - 1), core


def _flower(x: Field, y: Field, u: Uniforms) -> Thing:
    radius, angle = _polar(x, y)
    petals = np.abs(np.cos(u.whole(5, 8) / 2 * angle))
    return (radius - u(0.35, 0.5) - 0.55 * np.sqrt(petals)) * 0.7, radius - u(0.18, 0.28)


def _branches(x: Field, y: Field, u: Uniforms, foot: tuple[Field, Field], angle: Field, level: int) -> list[Field]:
    length = u(0.75, 0.95) * 0.68**level
    tip = foot[0] + length * np.sin(angle), foot[1] + length * np.cos(angle)
    limb = line(x, y, foot, tip, 0.13 * 0.7**level)
    if level == 3:
        return [limb]
    sides = (_branches(x, y, u, tip, angle + side * u(0.3, 0.75), level + 1) for side in (-1, 1))
    return [limb, *(limb for side in sides for limb in side)]


def _tree(x: Field, y: Field, u: Uniforms) -> Thing:
    foot = np.zeros((1, 1, 1), np.float32), np.full((1, 1, 1), -1, np.float32)
    return union(*_branches(x, y, u, foot, u(-0.15, 0.15), 0)), NOTHING


def _fish(x: Field, y: Field, u: Uniforms) -> Thing:
    y = y + u(-0.2, 0.2) * x * x
    tail = common(np.abs(y) + (x + 0.5) * u(0.7, 1.1), -1 - x) * 0.75
    eye, gill = disc(x - 0.6, y - 0.08, 0.1), common(np.abs(disc(x - 0.8, y, 0.5)) - 0.05, x - 0.5)
    return union(lens(y, (x - 0.15) / 0.85, u(0.4, 0.6)), tail), union(eye, gill)


def _starfish(x: Field, y: Field, u: Uniforms) -> Thing:
    radius, angle = _polar(x, y)
    angle = fold(angle + u(0.1, 0.5) * (radius - 0.5) * u.sign(), 2 * np.pi / 5)
    along, across = radius * np.cos(angle), np.abs(radius * np.sin(angle))
    arm = across - u(0.24, 0.34) * np.sqrt(np.clip(1 - along, 0, 1))
    return common(arm, along - 1) * 0.9, common(across - 0.05, np.abs(along - 0.4) - 0.3)


def _pebbles(x: Field, y: Field, u: Uniforms) -> Thing:
    nearest, second = np.full_like(x, 9), np.full_like(x, 9)
    for cell in range(16):
        distance = disc(x - (cell % 4 - 1.5) * 0.6 - u(-0.2, 0.2), y - (cell // 4 - 1.5) * 0.6 - u(-0.2, 0.2), 0)
        second = np.minimum(second, np.maximum(nearest, distance))
        nearest = np.minimum(nearest, distance)
    radius, angle = _polar(x, y)
    heap = radius - 0.95 - 0.08 * np.sin(u.whole(2, 4) * angle + u(0, 2 * np.pi))
    return heap, (second - nearest) / 2 - 0.07


def _mushroom(x: Field, y: Field, u: Uniforms) -> Thing:
    edge, height = u(-0.1, 0.1), u(0.7, 0.95)
    cap = common(disc(x, (y - edge) / height, 0.95) * 0.85, edge - y)
    stem = common(np.abs(x) - u(0.18, 0.3) - 0.12 * y * y, np.abs(y + 0.5) - 0.5)
    spots = [disc(x - cx, y - 0.35 - u(-0.15, 0.15), u(0.1, 0.17)) for cx in (-0.45, 0.0, 0.45)]
    return union(cap, stem), union(*spots)


def _gear(x: Field, y: Field, u: Uniforms) -> Thing:
    radius, angle = _polar(x, y)
    teeth = np.clip(3 * np.cos(u.whole(7, 10) * angle), -1, 1)
    return radius - 0.83 - 0.14 * teeth, radius - u(0.22, 0.42)


def _brick_wall(x: Field, y: Field, u: Uniforms) -> Thing:
    course, length = u(0.34, 0.48), u(0.7, 1.0)
    row = np.floor(y / course)
    joints = np.abs(fold(x + u(0, 1) + np.mod(row, 2) * length / 2, length))
    return box(x, y, u(0.85, 1.0), u(0.65, 0.95)), union(joints, np.abs(fold(y - row * course, course))) - 0.06


def _window(x: Field, y: Field, u: Uniforms) -> Thing:
    half_width, half_height = u(0.6, 0.8), u(0.8, 1.0)
    across, down = half_width * 2 / 2, half_height * 2 / u.whole(2, 3)
    pane = box(
        fold(x - across / 2, across),
        fold(y - half_height - down / 2, down),
        across / 2 - 0.09,
        down / 2 - 0.09,
    )
    return box(x, y, half_width, half_height), common(pane, box(x, y, half_width - 0.15, half_height - 0.15))


def _ladder(x: Field, y: Field, u: Uniforms) -> Thing:
    x = x * (1 + u(0, 0.3) * y)
    half, thick = u(0.4, 0.58), u(0.08, 0.12)
    rails = np.abs(np.abs(x) - half) - thick
    rungs = common(np.abs(x) - half, np.abs(fold(y - u(-0.2, 0.2), u(0.38, 0.5))) - thick * 0.8)
    return common(union(rails, rungs), np.abs(y) - 1), NOTHING


def _house(x: Field, y: Field, u: Uniforms) -> Thing:
    half, eaves = u(0.6, 0.8), u(-0.05, 0.2)
    walls = box(x, y - (eaves - 1) / 2, half, (eaves + 1) / 2)
    roof = common(np.abs(x) + (y - 1) * (half + 0.15) / (1 - eaves), eaves - y) * 0.75
    door = box(x - u(-0.35, 0.0), y + 0.7, 0.13, 0.3)
    pane = box(x - u(0.3, 0.4), y + u(0.35, 0.55), 0.13, 0.13)
    return union(walls, roof), union(door, pane)


def _chessboard(x: Field, y: Field, u: Uniforms) -> Thing:
    half, cell = 0.9, 1.8 / u.whole(3, 5)
    across, down = fold(x + half - cell / 2, 2 * cell), fold(y + half - cell / 2, 2 * cell)
    same = common(cell / 2 - np.abs(across), cell / 2 - np.abs(down))
    both = box(across, down, cell / 2, cell / 2)
    return box(x, y, half, half), union(same, both)


def _stairs(x: Field, y: Field, u: Uniforms) -> Thing:
    steps, rise = u.whole(3, 5), u(1.4, 2.0)
    edges = [(2 * i / steps - 1, rise * (i + 1) / steps - 1) for i in range(5)]
    return common(union(*(common(left - x, y - top) for left, top in edges)), x - 1, -1 - y), NOTHING


def _key(x: Field, y: Field, u: Uniforms) -> Thing:
    bow, thick = u(0.34, 0.46), u(0.09, 0.13)
    shaft = box(x - 0.3, y, 0.7, thick)
    teeth = [box(x - at, y + 0.2, 0.09, u(0.2, 0.32)) for at in (0.55, 0.88)]
    ring = disc(x + 0.95 - bow, y, bow)
    return union(ring, shaft, *teeth), disc(x + 0.95 - bow, y, bow - 0.2)


def _mug(x: Field, y: Field, u: Uniforms) -> Thing:
    half, taper = u(0.45, 0.6), u(-0.1, 0.15)
    body = box(x + 0.25, y, half + taper * y, u(0.65, 0.9))
    ring = np.abs(disc(x + 0.25 - half, y * 0.9, u(0.34, 0.46))) - 0.1
    return union(body, common(ring, half - 0.25 - x)), common(box(x + 0.25, y - u(-0.3, 0.3), half - 0.02, 0.12), body)


def _wheel(x: Field, y: Field, u: Uniforms) -> Thing:
    radius, angle = _polar(x, y)
    apart = 2 * np.pi / u.whole(4, 8)
    spoke = radius * np.abs(np.sin(np.clip(fold(angle, apart), -np.pi / 2, np.pi / 2))) - 0.08
    return radius - 0.97, common(radius - u(0.7, 0.8), 0.25 - radius, -spoke)


NATURAL: dict[str, Callable[[Field, Field, Uniforms], Thing]] = {
    "cloud": _cloud,
    "fish": _fish,
    "flame": _flame,
    "flower": _flower,
    "leaf": _leaf,
    "mushroom": _mushroom,
    "pebbles": _pebbles,
    "shell": _shell,
    "starfish": _starfish,
    "tree": _tree,
}
MAN_MADE: dict[str, Callable[[Field, Field, Uniforms], Thing]] = {
    "brick-wall": _brick_wall,
    "chessboard": _chessboard,
    "gear": _gear,
    "house": _house,
    "key": _key,
    "ladder": _ladder,
    "mug": _mug,
    "stairs": _stairs,
    "wheel": _wheel,
    "window": _window,
}
