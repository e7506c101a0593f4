"""What a layer answers to in one picture: five methods, each with what it shows and what it cannot show.

All pictures go through Captum in float32, on a network in evaluation mode, which they leave as it was. A network's
input is normalised, so that zeros are a picture of the mean colour: they stand for "nothing there".
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import (
    LayerActivation,
    LayerAttribution,
    LayerConductance,
    LayerGradCam,
    LayerGradientXActivation,
    NeuronFeatureAblation,
    NeuronGuidedBackprop,
)
from scipy.stats import spearmanr
from torch import Tensor

from transferlib.attribution.photographs import square
from transferlib.errors import TransferlibError
from transferlib.nets import Layer, NetworkSpec, ReceptiveField, Stack
from transferlib.train import fresh_network, to_input

CONDUCTANCE_STEPS = 25
PATCHES = 8  # a side: ablation covers one of 8 x 8 patches at a time
CPU = torch.device("cpu")


# --- pictures in, units and their fields ---


def as_input(pictures: Sequence[np.ndarray], spec: NetworkSpec) -> Tensor:
    """Pictures, uint8 (H, W, 3) of any size, as a network's input, float32 (B, 3, R, R): their central squares."""
    pixels = np.stack([square(picture, spec.resolution) for picture in pictures])
    return to_input(torch.from_numpy(pixels), spec, CPU).contiguous()


def crops(picture: np.ndarray, side: int, count: int, seed: int = 0) -> np.ndarray:
    """Random squares of a picture, from a quarter of its shorter side up to all of it, uint8 (count, side, side, 3).

    One photograph becomes a set of images that may be shown.
    """
    draw, short = np.random.default_rng(seed), min(picture.shape[:2])
    cuts = []
    for _ in range(count):
        size = int(draw.integers(max(1, short // 4), short + 1))
        top, left = (int(draw.integers(0, length - size + 1)) for length in picture.shape[:2])
        cuts.append(square(picture[top : top + size, left : left + size], side))
    return np.stack(cuts)


def examined(net: Stack, n: int) -> Layer:
    """Layer ``n`` (1..8) of a network that is to be looked into.

    Raises:
        TransferlibError: for a layer that it lacks, or a network that is being trained.
    """
    if net.training:
        raise TransferlibError("expected a network in evaluation mode: call its eval() first")
    return net.layer(n)


def _activation(net: Stack, images: Tensor, n: int) -> Tensor:
    with torch.no_grad():
        return _one(LayerActivation(net, examined(net, n)).attribute(images))


def _one(found: object) -> Tensor:
    """What Captum found in a layer that gives one tensor; of layers that give several it returns several."""
    assert isinstance(found, Tensor)
    return found


def strongest_units(net: Stack, images: Tensor, n: int, count: int = 1) -> Tensor:
    """The units of layer ``n`` (channels of a convolution) that answer most strongly to each image.

    Args:
        net: in evaluation mode.
        images: (B, 3, R, R), normalised.
        n: the layer, 1..8.
        count: how many units.

    Returns:
        int64 (B, count), strongest first; a channel counts by its largest value at any position.
    """
    answers = _activation(net, images, n)
    return answers.reshape(*answers.shape[:2], -1).amax(2).topk(count).indices


def first_guess(net: Stack, image: Tensor) -> tuple[int, float]:
    """The class that a network thinks most likely for one image (1, 3, R, R), and how likely it thinks it."""
    with torch.no_grad():
        chances = net(image).softmax(1)[0]
    return int(chances.argmax()), float(chances.max())


def _strongest_place(net: Stack, image: Tensor, n: int) -> tuple[int, ...]:
    """The strongest unit of a layer for one image, with the position at which it is strongest."""
    answer = _activation(net, image, n)[0]
    return tuple(int(i) for i in np.unravel_index(int(answer.argmax()), answer.shape))


def top_patches(net: Stack, pixels: np.ndarray, n: int, unit: int, count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """What a unit answers to most: one patch from each of the images that excite it most, cut to its receptive field.

    Args:
        net: in evaluation mode.
        pixels: uint8 (N, R, R, 3) of the network's resolution; images that may be shown.
        n: the layer, 1..8.
        unit: its number in the layer.
        count: how many patches.

    Returns:
        The patches, uint8 (count, size, size, 3), mid-grey beyond the picture's edge, or the whole picture where the
        field is no smaller; and the unit's values.
    """
    images = to_input(torch.from_numpy(np.ascontiguousarray(pixels)), net.spec, CPU)
    answers = _activation(net, images, n)[:, unit].reshape(len(images), -1)
    best = answers.amax(1).topk(min(count, len(pixels)))
    side, field = round(answers.shape[1] ** 0.5), net.layer(n).field
    patches = []
    for image in best.indices.tolist():
        row, column = divmod(int(answers[image].argmax()), side)
        patches.append(_cut(pixels[image], field, row, column))
    return np.stack(patches), best.values.numpy()


def _cut(picture: np.ndarray, field: ReceptiveField | None, row: int, column: int) -> np.ndarray:
    if field is None or field.size >= len(picture):
        return picture
    margin = field.size
    wide = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), constant_values=128)
    top, left = (margin + field.start + at * field.step for at in (row, column))
    return wide[top : top + field.size, left : left + field.size]


# --- the methods ---

See = Callable[[Stack, Tensor, int, int], np.ndarray]


@dataclass(frozen=True)
class Method:
    """A way to look at layer ``n`` of a network through one image.

    ``see(net, image, n, target)`` takes the image as (1, 3, R, R), the layer as 1..8 and the class in question, and
    gives float32 in -1..1, scaled by its largest size: (R, R), a map over the image; (R, R, 3), a picture; or
    (rows, columns), one cell for each unit of a layer that has no positions (cells left over are 0).
    """

    see: See
    shows: str
    cannot_show: str


def _scaled(values: Tensor) -> np.ndarray:
    return (values / values.abs().max().clamp_min(1e-12)).detach().float().numpy()


def _laid_out(values: Tensor, side: int) -> np.ndarray:
    """A map at the image's size, without smoothing, as coarse as it is; or the units as cells of a rectangle."""
    if values.dim() == 4:
        return _scaled(LayerAttribution.interpolate(values, (side, side), "nearest")[0, 0])
    units = values.flatten()
    columns = int(np.ceil(np.sqrt(len(units))))
    cells = units.new_zeros(-(-len(units) // columns) * columns)
    cells[: len(units)] = units
    return _scaled(cells.view(-1, columns))


def _see_activation(net: Stack, image: Tensor, n: int, target: int) -> np.ndarray:
    answer = _activation(net, image, n)
    if answer.dim() == 4:
        answer = answer[:, _strongest_place(net, image, n)[:1]]
    return _laid_out(answer, image.shape[-1])


def _see_guided(net: Stack, image: Tensor, n: int, target: int) -> np.ndarray:
    place = _strongest_place(net, image, n)
    with warnings.catch_warnings():  # Captum announces the hooks that it removes again
        warnings.simplefilter("ignore", UserWarning)
        found = NeuronGuidedBackprop(net, examined(net, n)).attribute(image, place)
    return _scaled(found[0].permute(1, 2, 0))


def _see_gradcam(net: Stack, image: Tensor, n: int, target: int) -> np.ndarray:
    """Selvaraju et al. (2017), the negative part cut off as there; units without positions are not summed."""
    if not net.layer(n).has_positions:
        found = LayerGradientXActivation(net, examined(net, n)).attribute(image, target)
    else:
        found = LayerGradCam(net, examined(net, n)).attribute(image, target, relu_attributions=True)
    return _laid_out(_one(found), image.shape[-1])


def _see_conductance(net: Stack, image: Tensor, n: int, target: int) -> np.ndarray:
    found = _one(LayerConductance(net, examined(net, n)).attribute(image, target=target, n_steps=CONDUCTANCE_STEPS))
    return _laid_out(found.sum(1, keepdim=True) if found.dim() == 4 else found, image.shape[-1])


def _see_ablation(net: Stack, image: Tensor, n: int, target: int) -> np.ndarray:
    side = image.shape[-1]
    cell = torch.arange(side) * PATCHES // side
    patches = (cell[:, None] * PATCHES + cell)[None, None]
    place = _strongest_place(net, image, n)
    method = NeuronFeatureAblation(net, examined(net, n))
    with torch.no_grad():
        found = method.attribute(image, place, feature_mask=patches, perturbations_per_eval=PATCHES**2)
    return _scaled(found[0, 0])


METHODS: dict[str, Method] = {
    "activation": Method(
        _see_activation,
        "Where the layer's strongest unit answers; in a layer without positions, how strongly each unit answers.",
        "It shows one unit of many, and not whether the network makes any use of it.",
    ),
    "guided backpropagation": Method(
        _see_guided,
        "Which pixels, made brighter or darker, would raise the strongest unit, along paths of rising units only.",
        "It finds edges whether a network has learned or not: with random weights much of the picture can stay "
        "(Adebayo et al., 2018). A sharp picture is no proof of a sharp idea.",
    ),
    "Grad-CAM": Method(
        _see_gradcam,
        "Where channels answer whose rise would raise the class; without positions, each unit's value times slope.",
        "It averages slopes over positions, which suits late layers: in early ones a channel helps here and hurts "
        "there, and the map says little. It is no finer than the layer's own grid.",
    ),
    "conductance": Method(
        _see_conductance,
        "How much of the class's score, from a picture of the mean colour to this one, flows through each place.",
        "It depends on what counts as an empty picture, and it splits what acts together as if it acted in turn.",
    ),
    "ablation": Method(
        _see_ablation,
        "How far the strongest unit falls when one of 8 × 8 patches is painted in the mean colour; no gradients.",
        "It sees one patch at a time: what either of two patches could supply looks useless. The painted square is "
        "itself an edge that no photograph has.",
    ),
}


def method(name: str) -> Method:
    """The named method.

    Raises:
        TransferlibError: for an unknown name, with those that exist.
    """
    if name not in METHODS:
        raise TransferlibError(f"unknown method {name!r}: expected one of {', '.join(METHODS)}")
    return METHODS[name]


def agreement_with_untrained(net: Stack, image: Tensor, name: str, n: int, target: int, seed: int = 0) -> float:
    """How much of a method's picture needs no learning: its rank correlation with that of an untrained network.

    After the randomisation test of Adebayo et al. (2018). Spearman's correlation over pixels of the size of what the
    method gives; near 1, the picture says more about the photograph than about the network. A map that is the same
    everywhere agrees with nothing: 0.
    """
    fresh = fresh_network(net.spec, net.classes, (seed, "untrained"), CPU).eval()
    views = [np.abs(method(name).see(one, image, n, target)) for one in (net, fresh)]
    one, other = ((view.sum(-1) if view.ndim == 3 else view).ravel() for view in views)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.asarray(spearmanr(one, other))[0])  # the correlation; its p-value is the other
