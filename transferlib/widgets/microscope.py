"""*The layer microscope*: what a layer of a network answers to in a photograph, by one of several methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from transferlib.attribution.microscope import METHODS, as_input, examined, first_guess, method
from transferlib.attribution.photographs import square
from transferlib.figures.layers import as_picture
from transferlib.nets import Stack
from transferlib.treatments import DEPTHS
from transferlib.widgets.explorer import Explorer, Frame

PANEL = 320  # pixels: a side of each of the two pictures of a frame


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """The picture in a white square of ``PANEL`` pixels, each of its cells a square of whole pixels."""
    times = PANEL // max(picture.shape[:2])
    large = picture.repeat(times, 0).repeat(times, 1)
    panel = np.full((PANEL, PANEL, 3), 255, np.uint8)
    top, left = (PANEL - large.shape[0]) // 2, (PANEL - large.shape[1]) // 2
    panel[top : top + large.shape[0], left : left + large.shape[1]] = large
    return panel


def _few_colours(picture: np.ndarray) -> np.ndarray:
    """The picture in 31 colours of its own: hundreds of frames stand in one page, a few kilobytes each."""
    few = Image.fromarray(picture).quantize(31, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    return np.asarray(few.convert("RGB"))


def _where(view: np.ndarray) -> str:
    """In which ninth of the picture a map is strongest, in words."""
    sizes = np.abs(view).sum(-1) if view.ndim == 3 else view
    even = sizes.repeat(3, 0).repeat(3, 1)  # whatever its size, it has thirds now
    ninths = [[part.mean() for part in np.array_split(rows, 3, 1)] for rows in np.array_split(even, 3, 0)]
    row, column = divmod(int(np.argmax(ninths)), 3)
    words = " ".join([("upper", "middle", "lower")[row], ("left", "centre", "right")[column]])
    return {"middle centre": "in the centre", "upper centre": "at the top", "lower centre": "at the bottom"}.get(
        words, f"at the {words}"
    )


def _in_words(name: str, n: int, view: np.ndarray, net: Stack) -> str:
    if not net.layer(n).has_positions and view.shape[:2] != (net.spec.resolution,) * 2:
        units = net.layer(n).shape[0]
        strong = int((np.abs(view) > 0.5).sum())
        return f"The layer has no positions: each cell is one of {units} units, {strong} above half of the strongest."
    if not view.any():
        return "Empty: at this layer nothing speaks for the class."
    sizes = np.abs(view)
    against = 100 * float(sizes[view < 0].sum() / sizes.sum())
    sides = f"; {against:.0f} % of its weight is negative" if against > 0.5 else ""
    return f"Strongest {_where(view)}; {100 * float((sizes < 0.1).mean()):.0f} % of it is next to nothing{sides}."


def microscope(
    net: Stack,
    pictures: Mapping[str, np.ndarray],
    classes: Sequence[str],
    layers: Sequence[int] = DEPTHS,
    methods: Sequence[str] = tuple(METHODS),
) -> Explorer:
    """Explorer (b), the layer microscope: photograph × layer × method.

    The class in question is the network's own first guess. On the left stands the picture as the network gets it.

    Args:
        net: in evaluation mode.
        pictures: a label for each picture, uint8 (H, W, 3) of any size.
        classes: the names of the network's classes, in the order of its outputs.
        layers: among 1..8; layer 8 names the class and is left out by default.
        methods: among ``METHODS``.
    """
    for name in methods:
        method(name)
    for n in layers:
        examined(net, n)
    controls = {"photograph": tuple(pictures), "layer": tuple(map(str, layers)), "method": tuple(methods)}

    def frame(label: str, layer: str, name: str) -> Frame:
        return _frame(net, label, pictures[label], int(layer), name, classes)

    return Explorer("Layer microscope: what a layer sees in a photograph", controls, frame)


def _frame(net: Stack, label: str, picture: np.ndarray, n: int, name: str, classes: Sequence[str]) -> Frame:
    image = as_input([picture], net.spec)
    target, chance = first_guess(net, image)
    view = method(name).see(net, image, n, target)
    gap = np.full((PANEL, 720 - 2 * PANEL, 3), 255, np.uint8)
    left, right = (_enlarged(_few_colours(one)) for one in (square(picture, net.spec.resolution), as_picture(view)))
    text = (
        f"{label}, layer {n}, {name}. Left: the photograph as the network gets it, {net.spec.resolution} px; its first "
        f"guess is {classes[target]} ({100 * chance:.0f} %). Right: {_in_words(name, n, view, net)}"
    )
    return Frame(np.concatenate([left, gap, right], 1), text)
