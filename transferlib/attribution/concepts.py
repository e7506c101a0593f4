"""Concepts drawn by the package, and the directions in a layer that stand for them (TCAV: Kim et al., 2018).

Each image is two colours mixed by a pattern. The counter-set ``random`` is smooth noise, as coarse or fine, with
colours and contrasts from the same draws: a concept can be told from it only by the pattern's structure.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from scipy import stats as scipy_stats
from torch import Tensor
from torch.utils.data import DataLoader

from transferlib.attribution.probes import DEPTH, interval
from transferlib.errors import TransferlibError
from transferlib.nets import Stack
from transferlib.train import to_input
from transferlib.treatments import DEPTHS

if TYPE_CHECKING:
    from captum.concept import Classifier, Concept

COUNTER = "random"
SMALLEST = 16  # pixels: below, stripes and checks are the same few dots
STRENGTHS = tuple(10.0**k for k in range(-4, 3))  # of the ridge, in units of the kernel's mean diagonal
Draw = np.random.Generator
Field = np.ndarray  # float (R, R)


# --- drawing ---


def _plane(side: int) -> tuple[Field, Field]:
    """Coordinates in pixels from the picture's centre."""
    along = np.arange(side) - (side - 1) / 2
    return along[None, :], along[:, None]


def _turned(side: int, draw: Draw) -> tuple[Field, Field]:
    x, y = _plane(side)
    angle = draw.uniform(0, np.pi)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _wave(along: Field, period: float, draw: Draw) -> Field:
    return np.cos(2 * np.pi * (along / period + draw.uniform()))


def _stripes(side: int, draw: Draw) -> Field:
    return _wave(_turned(side, draw)[0], draw.uniform(3, side / 4), draw)


def _dots(side: int, draw: Draw) -> Field:
    u, v = _turned(side, draw)
    period = draw.uniform(4, side / 3)
    return np.maximum(_wave(u, period, draw) + _wave(v, period, draw), -0.5) * draw.choice((-1, 1))


def _texture(side: int, draw: Draw) -> Field:
    """A weave: two gratings that cross, each moved about by smooth noise."""
    u, v = _turned(side, draw)
    period = draw.uniform(4, side / 4)
    bend = [period * 0.25 * _noise(side, draw) for _ in range(2)]
    return _wave(u + bend[0], period, draw) * _wave(v + bend[1], period, draw)


def _objects(side: int, draw: Draw) -> Field:
    """One closed shape with a few corners or bulges, somewhere near the centre."""
    x, y = _plane(side)
    x, y = (along - draw.uniform(-side / 8, side / 8) for along in (x, y))
    angle, radius = np.arctan2(y, x), draw.uniform(side / 5, side / 3)
    edge = 1 + draw.uniform(0, 0.35) * np.cos(draw.integers(2, 6) * angle + draw.uniform(0, 2 * np.pi))
    return np.clip(radius * edge - np.hypot(x, y), -2, 2) * draw.choice((-1, 1))


def _noise(side: int, draw: Draw) -> Field:
    scale = np.exp(draw.uniform(np.log(0.4), np.log(side / 8)))
    field = ndimage.gaussian_filter(draw.normal(size=(side, side)), scale, mode="wrap")
    return field / field.std()


_FIELDS: dict[str, Callable[[int, Draw], Field]] = {
    "stripes": _stripes,
    "dots": _dots,
    "texture": _texture,
    "objects": _objects,
    COUNTER: _noise,
}
CONCEPTS: tuple[str, ...] = tuple(name for name in _FIELDS if name != COUNTER)


def draw_concept(name: str, count: int, resolution: int, seed: int = 0) -> np.ndarray:
    """Images of a concept, or of the counter-set ``random``; each seed gives other images.

    Args:
        name: of ``CONCEPTS``, or ``random``.
        count: how many.
        resolution: their side in pixels.
        seed: names the set.

    Returns:
        uint8 (count, resolution, resolution, 3).

    Raises:
        TransferlibError: for an unknown name, or a resolution too small for patterns.
    """
    if name not in _FIELDS:
        raise TransferlibError(f"unknown concept {name!r}: expected one of {', '.join(_FIELDS)}")
    if resolution < SMALLEST:
        raise TransferlibError(f"expected a resolution of at least {SMALLEST} for patterns, got {resolution}")
    draw = np.random.default_rng((seed, list(_FIELDS).index(name)))
    return np.stack([_painted(_FIELDS[name](resolution, draw), draw) for _ in range(count)])


def _painted(field: Field, draw: Draw) -> np.ndarray:
    """Two colours mixed by a pattern, of which neither its mean nor its spread tells anything, and a little noise."""
    mix = 1 / (1 + np.exp(-3 * (field - field.mean()) / field.std()))
    one, other = draw.uniform(0, 1, (2, 3))
    while np.abs(one - other).sum() < 0.6:
        one, other = draw.uniform(0, 1, (2, 3))
    colours = one + mix[..., None] * (other - one) + draw.normal(scale=0.03, size=(*field.shape, 3))
    return (255 * np.clip(colours, 0, 1)).round().astype(np.uint8)


# --- concept activation vectors ---


def ridge_direction(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The direction that tells two sets of activations apart: ridge regression in closed form.

    Solved over images, of which there are fewer than features. The strength is the one of ``STRENGTHS`` with the
    smallest leave-one-out error, which costs no second fit.

    Args:
        x: (N, features).
        y: (N,), 1 for the concept and -1 for the counter-set.

    Returns:
        The direction (features,) and the bias (): ``x @ direction + bias`` is positive for the concept.
    """
    x, y = x.double(), y.double()
    mean_x, mean_y = x.mean(0), y.mean()
    centred, target = x - mean_x, y - mean_y
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    values = values.clamp_min(0)
    errors, duals = [], []
    for strength in STRENGTHS:
        shrink = 1 / (values + strength * values.mean().clamp_min(1e-12))
        dual = vectors @ (shrink * (vectors.T @ target))
        hat = 1 - (vectors**2 @ (values * shrink)) - 1 / len(y)
        ridge = strength * values.mean().clamp_min(1e-12)
        errors.append(float((ridge * dual / hat.clamp_min(1e-9)).square().mean()))
        duals.append(dual)
    direction = centred.T @ duals[int(np.argmin(errors))]
    return direction.float(), (mean_y - mean_x @ direction).float()


def concept_sets(resolution: int, images: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The concepts and the counter-set, name → uint8 (images, R, R, 3)."""
    return {name: draw_concept(name, images, resolution, seed) for name in _FIELDS}


def _flat_taps(net: Stack, pixels: np.ndarray) -> list[Tensor]:
    images = to_input(torch.from_numpy(pixels), net.spec, torch.device("cpu"))
    with torch.no_grad():
        return [tap.flatten(1) for tap in net.taps(images, DEPTH)]


def concept_separability(net: Stack, concepts: Mapping[str, np.ndarray], seed: int = 0) -> pd.DataFrame:
    """How well a plane in each layer tells a concept from the counter-set, on images that it was not fitted to.

    Half of each set fits the plane (``ridge_direction``, on whole activations, as TCAV does), half tests it.

    Args:
        net: any network.
        concepts: name → uint8 (N, R, R, 3), with the counter-set under ``random``; see ``concept_sets``.
        seed: which half is which.

    Returns:
        A row for each ``concept`` and ``layer`` 0 (pixels) to 7: ``accuracy``, chance being 0.5, its 95 % interval
        over the test images ``low`` and ``high``, and ``test_images``.

    Raises:
        TransferlibError: where the counter-set is missing.
    """
    if COUNTER not in concepts:
        raise TransferlibError(f"expected a counter-set named {COUNTER!r} among the concepts")
    draw, halves = np.random.default_rng(seed), {}
    for name, pixels in concepts.items():
        order, taps = torch.from_numpy(draw.permutation(len(pixels))), _flat_taps(net, pixels)
        halves[name] = [(tap[order[::2]], tap[order[1::2]]) for tap in taps]
    rows = []
    for name in concepts:
        for layer in range(DEPTH + 1) if name != COUNTER else ():
            right, images = _held_out(halves[name][layer], halves[COUNTER][layer])
            low, high = interval(right, images)
            found = {"accuracy": right / images, "low": low, "high": high, "test_images": images}
            rows.append({"concept": name, "layer": layer} | found)
    return pd.DataFrame(rows)


def _held_out(concept: tuple[Tensor, Tensor], counter: tuple[Tensor, Tensor]) -> tuple[int, int]:
    """Fit on the first of each pair, test on the second: how many are right, of how many."""
    x = torch.cat([concept[0], counter[0]])
    y = torch.cat([torch.ones(len(concept[0])), -torch.ones(len(counter[0]))])
    direction, bias = ridge_direction(x, y)
    right = int((concept[1] @ direction + bias > 0).sum()) + int((counter[1] @ direction + bias <= 0).sum())
    return right, len(concept[1]) + len(counter[1])


# --- TCAV scores, by Captum ---


def ridge_classifier() -> Classifier:
    """``ridge_direction`` as a classifier for Captum's TCAV; the accuracies of Captum's own are wrong for two sets."""
    from captum.concept import Classifier

    class RidgeClassifier(Classifier):
        """Tells two concepts apart; the first one named is on the positive side."""

        def __init__(self) -> None:
            self._direction, self._classes = torch.empty(0), []

        def train_and_eval(self, dataloader: DataLoader, **_: object) -> dict[str, Tensor]:
            batches = list(dataloader)
            x, labels = (torch.cat([batch[k] for batch in batches]) for k in (0, 1))
            self._classes = list(dict.fromkeys(labels.tolist()))
            y = torch.where(labels == self._classes[0], 1.0, -1.0)
            self._direction, bias = ridge_direction(x, y)
            right = ((x @ self._direction + bias) * y > 0).float().mean()
            return {"accs": right}  # on the images that it was fitted to

        def weights(self) -> Tensor:
            return torch.stack([self._direction, -self._direction])

        def classes(self) -> list[int]:
            return self._classes

    return RidgeClassifier()


def tcav_scores(
    net: Stack,
    pixels: np.ndarray,
    target: int,
    *,
    concepts: Sequence[str] = CONCEPTS,
    layers: Sequence[int] = DEPTHS,
    images: int = 60,
    draws: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """For which share of a class's images a step towards a concept would raise the class's score (Kim et al., 2018).

    The direction is fitted ``draws`` times, each time to other images of the concept and of the counter-set. The
    concept ``random`` is the null: other random images in the concept's place. A score says something only where its
    interval keeps away from both 0.5 and the null's interval.

    Args:
        net: in evaluation mode.
        pixels: uint8 (N, R, R, 3), images of the class in question.
        target: the class, as a number of the network's output.
        concepts: among ``CONCEPTS``.
        layers: among 1..8.
        images: of each set.
        draws: how often; at least 2.
        seed: of the drawings.

    Returns:
        A row for each ``concept`` and ``layer``: ``score``, the mean sign count, and its 95 % t interval over the
        draws, ``low`` and ``high``.
    """
    inputs = to_input(torch.from_numpy(np.ascontiguousarray(pixels)), net.spec, torch.device("cpu"))
    pairs = [(name, k) for name in (*concepts, COUNTER) for k in range(draws)]
    concept = cache(lambda name, number: _concept(net, name, number, images, seed))  # Captum wants each one once
    sets = [(concept(name, k), concept(COUNTER, draws + k)) for name, k in pairs]
    found = _interpret(net, inputs, target, sets, layers)
    rows = []
    for name in (*concepts, COUNTER):
        for layer in layers:
            scores = [found[pair, layer] for pair in range(len(pairs)) if pairs[pair][0] == name]
            margin = scipy_stats.t.ppf(0.975, draws - 1) * np.std(scores, ddof=1) / np.sqrt(draws)
            mean = float(np.mean(scores))
            ends = {"low": max(0.0, mean - margin), "high": min(1.0, mean + margin)}
            rows.append({"concept": name, "layer": layer, "score": mean} | ends)
    return pd.DataFrame(rows)


def _concept(net: Stack, name: str, number: int, images: int, seed: int) -> Concept:
    from captum.concept import Concept

    drawn = draw_concept(name, images, net.spec.resolution, seed=1000 * (seed + 1) + number)
    inputs = to_input(torch.from_numpy(drawn), net.spec, torch.device("cpu"))
    identifier = 100 * list(_FIELDS).index(name) + number
    # a list has a length and items, which is all that a loader's own documents ask of a data set
    loader = DataLoader(list(inputs), batch_size=images)  # pyright: ignore[reportArgumentType]
    return Concept(identifier, f"{name}-{number}", loader)


def _interpret(
    net: Stack, inputs: Tensor, target: int, sets: list[tuple[Concept, Concept]], layers: Sequence[int]
) -> dict[tuple[int, int], float]:
    """Captum's sign counts for the first of each pair: {(pair, layer): share of the inputs}."""
    from captum.concept import TCAV

    names = [net.path(layer) for layer in layers]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        tcav = TCAV(net, names, classifier=ridge_classifier(), save_path=folder)
        scores = tcav.interpret(inputs, [list(pair) for pair in sets], target=target)
    return {
        (k, layer): float(scores[f"{one.id}-{other.id}"][name]["sign_count"][0])
        for k, (one, other) in enumerate(sets)
        for layer, name in zip(layers, names, strict=True)
    }


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
