"""How alike two layers represent the same images: linear CKA (Kornblith et al., 2019), free of its bias."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from transferlib.errors import TransferlibError
from transferlib.nets import LAYERS, Stack
from transferlib.train import to_input

BATCH = 250


def _gram(features: Tensor) -> Tensor:
    """The similarities between images, without an image's own: float64 (n, n)."""
    x = features.flatten(1).double()
    x = x - x.mean(0)  # changes nothing but the rounding: the estimate centres anyway
    return (x @ x.T).fill_diagonal_(0)


def _hsic(k: Tensor, m: Tensor) -> Tensor:
    """The unbiased estimate of HSIC (Song et al., 2012) for each pair of Gram matrices, (K, n, n) and (M, n, n)."""
    n = k.shape[1]
    rows_k, rows_m = k.sum(2), m.sum(2)
    trace = k.flatten(1) @ m.flatten(1).T
    means = rows_k.sum(1)[:, None] * rows_m.sum(1) / ((n - 1) * (n - 2))
    return (trace + means - 2 / (n - 2) * rows_k @ rows_m.T) / (n * (n - 3))


def _cka(batches: Iterable[tuple[Tensor, Tensor]]) -> np.ndarray:
    """CKA of each pair from batches of Gram matrices: the three HSIC are averaged first (Nguyen et al., 2021)."""
    terms = [(_hsic(k, m), _hsic(k, k).diagonal(), _hsic(m, m).diagonal()) for k, m in batches]
    both, own_k, own_m = (torch.stack(term).mean(0) for term in zip(*terms, strict=True))
    return (both / (own_k[:, None] * own_m).sqrt()).numpy()


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Linear CKA of two sets of features of the same images, by the unbiased estimate of HSIC.

    1 where one is the other rotated, shifted or scaled as a whole; about 0, of either sign, where they have nothing
    in common. The usual, biased estimate is far above 0 there as soon as there are more features than images.

    Args:
        x: (n, p), n of at least 4.
        y: (n, q).
    """
    if len(x) != len(y) or len(x) < 4:
        raise TransferlibError(f"expected the same images, at least 4, got {len(x)} and {len(y)}")
    return float(_cka([(_gram(x)[None], _gram(y)[None])])[0, 0])


def cka_matrix(net_a: Stack, net_b: Stack, pixels: np.ndarray) -> np.ndarray:
    """Linear CKA of each layer of one network with each of another, over whole activations.

    Unbiased, averaged over batches of at least ``BATCH`` images, so that it neither depends on the batch's size nor
    holds all images at once.

    Args:
        net_a, net_b: two networks for images of one size.
        pixels: uint8 (N, R, R, 3).

    Returns:
        float64 (8, 8): layer i + 1 of A, layer j + 1 of B.
    """
    if len(pixels) < 4:
        raise TransferlibError(f"expected at least 4 images, got {len(pixels)}")
    parts = np.array_split(np.ascontiguousarray(pixels), max(1, len(pixels) // BATCH))
    return _cka((_layers(net_a, part), _layers(net_b, part)) for part in parts)


@torch.no_grad()
def _layers(net: Stack, pixels: np.ndarray) -> Tensor:
    images = to_input(torch.from_numpy(pixels), net.spec, torch.device("cpu"))
    return torch.stack([_gram(tap) for tap in net.taps(images, LAYERS)[1:]])
