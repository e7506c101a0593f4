"""Linear probes (Alain and Bengio, 2016): how much of a question a linear classifier reads from each layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from torch import Tensor
from torch.nn import functional

from transferlib.errors import TransferlibError
from transferlib.nets import Stack
from transferlib.train import to_input

GRID = 4  # activations of a convolution are averaged over 4 x 4 places before they are flattened
DEPTH = 7  # layers 0 (the pixels) to 7
STRENGTHS = tuple(10.0**k for k in range(-5, 2))  # of the ridge, in units of the features' mean variance
BATCH = 500

Labelled = tuple[np.ndarray, np.ndarray]  # uint8 (N, R, R, 3) and int64 (N,)


def pooled_features(net: Stack, pixels: np.ndarray) -> Iterator[list[Tensor]]:
    """What layers 0 to 7 give for the images, batch by batch: for each layer float32 (B, features), pooled."""
    for start in range(0, len(pixels), BATCH):
        part = torch.from_numpy(np.ascontiguousarray(pixels[start : start + BATCH]))
        images = to_input(part, net.spec, torch.device("cpu"))
        with torch.no_grad():
            yield [_pooled(tap) for tap in net.taps(images, DEPTH)]


def _pooled(tap: Tensor) -> Tensor:
    if tap.dim() == 4 and tap.shape[-1] > GRID:
        tap = functional.adaptive_avg_pool2d(tap, GRID)
    return tap.flatten(1)


class _Moments:
    """Sums over images from which a ridge regression on any of them can be solved: one layer's."""

    def __init__(self, features: int, classes: int) -> None:
        self.count = 0
        self.x, self.y = torch.zeros(features, dtype=torch.float64), torch.zeros(classes, dtype=torch.float64)
        self.xx, self.xy = torch.zeros(features, features), torch.zeros(features, classes)

    def add(self, x: Tensor, y: Tensor) -> None:
        self.count += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.xx.addmm_(x.T, x)
        self.xy.addmm_(x.T, y)

    def plus(self, other: _Moments) -> _Moments:
        both = _Moments(*self.xy.shape)
        both.count = self.count + other.count
        for name in ("x", "y", "xx", "xy"):
            setattr(both, name, getattr(self, name) + getattr(other, name))
        return both

    def solve(self, strength: float) -> tuple[Tensor, Tensor]:
        """Weights (features, classes) and biases (classes,) of the ridge regression on one-hot targets."""
        mean_x, mean_y = self.x / self.count, self.y / self.count
        cov = self.xx.double() / self.count - mean_x[:, None] * mean_x
        cross = self.xy.double() / self.count - mean_x[:, None] * mean_y
        cov.diagonal().add_(strength * cov.diagonal().mean().clamp_min(1e-12))
        weights = torch.linalg.solve(cov, cross)
        return weights.float(), (mean_y - mean_x @ weights).float()


def _moments(net: Stack, pixels: np.ndarray, classes: np.ndarray, count: int) -> list[_Moments]:
    targets = functional.one_hot(torch.from_numpy(classes), count).float()
    found: list[_Moments] = []
    for taps, y in zip(pooled_features(net, pixels), targets.split(BATCH), strict=True):
        found = found or [_Moments(tap.shape[1], count) for tap in taps]
        for moments, tap in zip(found, taps, strict=True):
            moments.add(tap, y)
    return found


def _right(
    net: Stack, pixels: np.ndarray, classes: np.ndarray, solutions: list[list[tuple[Tensor, Tensor]]]
) -> np.ndarray:
    """How many images each layer's solutions get right, int64 (layers, solutions)."""
    right = np.zeros((len(solutions), len(solutions[0])), np.int64)
    answers = torch.from_numpy(classes).split(BATCH)
    for taps, truth in zip(pooled_features(net, pixels), answers, strict=True):
        for k, (tap, row) in enumerate(zip(taps, solutions, strict=True)):
            right[k] += [int((torch.addmm(b, tap, w).argmax(1) == truth).sum()) for w, b in row]
    return right


def interval(right: int, images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy over test images."""
    found = binomtest(right, images).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def capped(labels: np.ndarray, per_class: int | None, seed: int) -> np.ndarray:
    """The numbers of at most ``per_class`` images of each class, drawn by a seed, in random order."""
    order = np.random.default_rng(seed).permutation(len(labels))
    if per_class is None:
        return order
    rank = pd.Series(labels[order]).groupby(labels[order]).cumcount().to_numpy()
    return order[rank < per_class]


def probe(net: Stack, train: Labelled, test: Labelled, *, per_class: int | None = 200, seed: int = 0) -> pd.DataFrame:
    """Read the classes from each layer by ridge regression, one class against all others, in closed form.

    The activations of a convolution are averaged to 4 x 4 places first, so that no layer has an advantage by sheer
    size. The ridge's strength is chosen, for each layer, on a fifth of the training images; then all are used.

    Args:
        net: any network; only its first seven layers count.
        train: uint8 (N, R, R, 3) of the network's resolution, and labels int64 (N,).
        test: the same, of the same classes.
        per_class: how many training images of each class at most; None for all.
        seed: which ones.

    Returns:
        A row for each ``layer`` 0 (pixels) to 7: ``accuracy``, its 95 % interval over the test images ``low`` and
        ``high``, ``features``, ``strength``, ``train_images``, ``test_images``.

    Raises:
        TransferlibError: for images of another size, or test classes without training images.
    """
    names = np.unique(train[1])
    _check(net, names, train, test)
    classes, test_classes = np.searchsorted(names, train[1]), np.searchsorted(names, test[1])
    chosen = capped(train[1], per_class, seed)
    fit, held = np.sort(chosen[len(chosen) // 5 :]), np.sort(chosen[: len(chosen) // 5])
    fitted, rest = (_moments(net, train[0][rows], classes[rows], len(names)) for rows in (fit, held))
    trials = [[moments.solve(strength) for strength in STRENGTHS] for moments in fitted]
    best = _right(net, train[0][held], classes[held], trials).argmax(1)
    final = [[one.plus(two).solve(STRENGTHS[k])] for one, two, k in zip(fitted, rest, best, strict=True)]
    right = _right(net, test[0], test_classes, final)[:, 0]
    rows = []
    for layer, (hits, k, moments) in enumerate(zip(right.tolist(), best, fitted, strict=True)):
        low, high = interval(hits, len(test[1]))
        row = {"layer": layer, "accuracy": hits / len(test[1]), "low": low, "high": high}
        rows.append(row | {"features": len(moments.x), "strength": STRENGTHS[k]})
    return pd.DataFrame(rows).assign(train_images=len(chosen), test_images=len(test[1]))


def _check(net: Stack, names: np.ndarray, train: Labelled, test: Labelled) -> None:
    side = net.spec.resolution
    for pixels, _ in (train, test):
        if pixels.shape[1:] != (side, side, 3):
            raise TransferlibError(f"{net.spec.name} needs images of {side} px, got {pixels.shape[1:]}")
    if not np.isin(test[1], names).all():
        raise TransferlibError("expected training images of every class of the test images")
