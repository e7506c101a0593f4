"""First-layer filters: as pictures, and matched one to one across two networks.

Only layer 1 looks at the image itself, so only its kernels can be shown as they are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional

from transferlib.errors import TransferlibError
from transferlib.nets import Stack
from transferlib.streams import generator
from transferlib.train import fresh_network

SHIFT = 1  # pixels: the same edge may lie a pixel further in another network's kernel
NULLS = ("untrained", "scrambled")


def kernels(net: Stack) -> Tensor:
    """The weights of layer 1, float32 (filters, 3, k, k), on the CPU.

    Raises:
        TransferlibError: for a network that does not begin with a convolution.
    """
    first = next((module for module in net.layer(1).modules() if isinstance(module, nn.Conv2d)), None)
    if first is None:
        raise TransferlibError(f"layer 1 of {net.spec.name} has no convolution, so no filters can be shown")
    return first.weight.detach().float().cpu()


def as_pictures(weights: Tensor) -> np.ndarray:
    """Kernels as pictures, each scaled by its own largest weight; grey is zero.

    Args:
        weights: (filters, 3, k, k).

    Returns:
        uint8 (filters, k, k, 3).
    """
    largest = weights.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    return (127.5 + 127.5 * weights / largest).round().byte().permute(0, 2, 3, 1).numpy()


def filter_tiles(net: Stack, columns: int = 8, zoom: int = 1) -> np.ndarray:
    """All filters of layer 1 in rows, a white line between them: the paper's networks' Gabors and colour blobs.

    Args:
        net: any network.
        columns: filters in a row.
        zoom: screen pixels for each weight.

    Returns:
        uint8 (H, W, 3).
    """
    pictures = as_pictures(kernels(net)).repeat(zoom, 1).repeat(zoom, 2)
    count, side = pictures.shape[:2]
    rows, step = -(-count // columns), side + zoom
    sheet = np.full((rows * step + zoom, columns * step + zoom, 3), 255, np.uint8)
    for k, picture in enumerate(pictures):
        top, left = zoom + k // columns * step, zoom + k % columns * step
        sheet[top : top + side, left : left + side] = picture
    return sheet


def kernel_correlations(a: Tensor, b: Tensor) -> Tensor:
    """The cosine of each pair of kernels at the shift of at most ``SHIFT`` pixels where it is largest in size.

    What a shift pushes over the edge counts as zero, so that a shifted copy comes close to 1 but not up to it.

    Args:
        a: (K, 3, k, k).
        b: (M, 3, k, k).

    Returns:
        (K, M), -1..1; a negative number is the same pattern with dark and light exchanged.
    """
    norms = a.flatten(1).norm(dim=1)[:, None] * b.flatten(1).norm(dim=1)
    shifted = functional.conv2d(b, a, padding=SHIFT).flatten(2).transpose(0, 1)  # (K, M, shifts)
    best = shifted.abs().argmax(2, keepdim=True)
    return shifted.gather(2, best)[..., 0] / norms.clamp_min(1e-12)


def match_kernels(a: Tensor, b: Tensor) -> pd.DataFrame:
    """Pair kernels one to one so that the sum of the absolute correlations is largest (Kuhn, 1955).

    Returns:
        Columns ``a`` and ``b`` (numbers of the kernels) and ``correlation``, best pair first.

    Raises:
        TransferlibError: for kernels of different sizes.
    """
    if a.shape[1:] != b.shape[1:]:
        raise TransferlibError(f"expected kernels of one size, got {tuple(a.shape[1:])} and {tuple(b.shape[1:])}")
    found = kernel_correlations(a, b).numpy()
    rows, columns = linear_sum_assignment(-np.abs(found))
    table = pd.DataFrame({"a": rows, "b": columns, "correlation": found[rows, columns]})
    return table.sort_values("correlation", key=abs, ascending=False, ignore_index=True, kind="stable")


def match_filters(net_a: Stack, net_b: Stack) -> pd.DataFrame:
    """Pair the first-layer filters of two networks one to one; see ``match_kernels``."""
    return match_kernels(kernels(net_a), kernels(net_b))


def _scrambled(weights: Tensor, draw: torch.Generator) -> Tensor:
    """Kernels of the same energy in each frequency and each channel, their phases moved at random.

    The three channels of a kernel move together, so colours stay; the noise is real, hence the result is too.
    """
    noise = torch.randn(len(weights), 1, *weights.shape[2:], generator=draw)
    phase = torch.fft.fft2(noise)
    return torch.fft.ifft2(torch.fft.fft2(weights) * phase / phase.abs().clamp_min(1e-12)).real


def match_by_chance(net_a: Stack, net_b: Stack, null: str, draws: int = 20, seed: int = 0) -> np.ndarray:
    """How well the filters of A match filters that have learned nothing: what ``match_filters`` is to be held against.

    Args:
        net_a, net_b: the networks whose match is in question.
        null: ``untrained`` puts fresh random kernels in the place of B's; ``scrambled`` B's own with random phases,
            which are as smooth and as colourful as B's but have no edges or blobs in common with them.
        draws: how many such sets.
        seed: of the draws.

    Returns:
        The absolute correlation of each pair, best pair first, float32 (draws, pairs).

    Raises:
        TransferlibError: for an unknown null.
    """
    if null not in NULLS:
        raise TransferlibError(f"unknown null {null!r}: expected one of {', '.join(NULLS)}")
    matches = []
    for k in range(draws):
        name = (seed, "filters", null, k)
        if null == "untrained":
            other = kernels(fresh_network(net_b.spec, net_b.classes, name, torch.device("cpu")))
        else:
            other = _scrambled(kernels(net_b), generator(*name))
        matches.append(match_kernels(kernels(net_a), other)["correlation"].abs())
    return np.stack(matches)
