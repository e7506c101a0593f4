"""AlexNets of exactly 8 layers, in which a layer carries all that follows it: ReLU, normalisation, pooling, dropout."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from transferlib.errors import TransferlibError

LAYERS = 8
DROPOUT_AFTER = (6, 7)  # fc6 and fc7, as in the paper


@dataclass(frozen=True)
class Conv:
    """A convolutional layer; ``pool`` is (kernel, padding) of the stride-2 max-pooling behind it, if any."""

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    pool: tuple[int, int] | None = None
    lrn: bool = False


@dataclass(frozen=True)
class NetworkSpec:
    """Everything that a network's numbers depend on, but for the number of classes.

    ``mean`` and ``std`` are subtracted from and divided into the pixels (RGB, 0..255). ``initialisation`` is ``caffe``
    (Gaussian weights, biases 0 or 1: the paper's) or ``he`` (variance 2 / fan-in: He et al., 2015).
    """

    name: str
    resolution: int
    convs: tuple[Conv, Conv, Conv, Conv, Conv]
    hidden: tuple[int, int]
    initialisation: Literal["caffe", "he"] = "he"
    mean: tuple[float, float, float] = (123.0, 117.0, 104.0)
    std: tuple[float, float, float] = (68.0, 66.0, 70.0)
    batch_norm: bool = False


_CAFFENET = NetworkSpec(
    name="caffenet",
    resolution=227,
    convs=(
        Conv(96, 11, stride=4, pool=(3, 0), lrn=True),
        Conv(256, 5, padding=2, groups=2, pool=(3, 0), lrn=True),
        Conv(384, 3, padding=1),
        Conv(384, 3, padding=1, groups=2),
        Conv(256, 3, padding=1, groups=2, pool=(3, 0)),
    ),
    hidden=(4096, 4096),
    initialisation="caffe",
    std=(1.0, 1.0, 1.0),  # Caffe subtracts the mean and leaves the scale
)


def _small(name: str, resolution: int, convs: tuple[Conv, ...], hidden: tuple[int, int]) -> NetworkSpec:
    return NetworkSpec(name=name, resolution=resolution, convs=convs, hidden=hidden)  # type: ignore[arg-type]


_PLAIN = (
    _CAFFENET,
    _small(
        "alexnet64",
        64,
        (
            Conv(64, 5, stride=2, padding=2, pool=(3, 1)),
            Conv(192, 5, padding=2, pool=(3, 1)),
            Conv(384, 3, padding=1),
            Conv(256, 3, padding=1),
            Conv(256, 3, padding=1, pool=(3, 1)),
        ),
        (2048, 2048),
    ),
    _small(
        "alexnet32",
        32,
        (
            Conv(32, 5, padding=2, pool=(2, 0)),
            Conv(64, 3, padding=1, pool=(2, 0)),
            Conv(128, 3, padding=1),
            Conv(128, 3, padding=1),
            Conv(96, 3, padding=1, pool=(2, 0)),
        ),
        (1024, 512),
    ),
    _small(  # affordable on two CPU cores: benchmarks/log.md
        "alexnet32-small",
        32,
        (
            Conv(24, 5, stride=2, padding=2, pool=(2, 0)),
            Conv(32, 3, padding=1),
            Conv(64, 3, padding=1, pool=(2, 0)),
            Conv(64, 3, padding=1),
            Conv(64, 3, padding=1),
        ),
        (256, 256),
    ),
    _small(
        "alexnet32-tiny",
        32,
        (
            Conv(16, 5, stride=2, padding=2, pool=(2, 0)),
            Conv(24, 3, padding=1),
            Conv(32, 3, padding=1),
            Conv(32, 3, padding=1),
            Conv(24, 3, padding=1, pool=(2, 0)),
        ),
        (128, 128),
    ),
)
NETWORKS: dict[str, NetworkSpec] = {spec.name: spec for spec in _PLAIN} | {
    f"{spec.name}-bn": dataclasses.replace(spec, name=f"{spec.name}-bn", batch_norm=True) for spec in _PLAIN
}


def network(name: str) -> NetworkSpec:
    """The named network's specification.

    Raises:
        TransferlibError: for an unknown name.
    """
    if name not in NETWORKS:
        raise TransferlibError(f"unknown network {name!r}: expected one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _conv_layer(conv: Conv, channels_in: int, batch_norm: bool) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = nn.Conv2d(channels_in, conv.channels, conv.kernel, conv.stride, conv.padding, groups=conv.groups)
    if batch_norm:
        parts["bn"] = nn.BatchNorm2d(conv.channels)
    parts["relu"] = nn.ReLU(inplace=False)  # in place, several Captum methods see the wrong tensor
    if conv.pool:
        parts["pool"] = nn.MaxPool2d(conv.pool[0], 2, conv.pool[1])
    if conv.lrn:
        parts["lrn"] = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
    return nn.Sequential(parts)


def _hidden_layer(features_in: int, features_out: int, batch_norm: bool) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict(fc=nn.Linear(features_in, features_out))
    if batch_norm:
        parts["bn"] = nn.BatchNorm1d(features_out)
    parts["relu"] = nn.ReLU(inplace=False)
    return nn.Sequential(parts)


class AlexNet(nn.Module):
    """A network of 8 layers, ``layers[0]`` to ``layers[7]``, that can be entered and left after any of them.

    Args:
        spec: the network's specification.
        classes: how many classes layer 8 tells apart.
    """

    def __init__(self, spec: NetworkSpec, classes: int) -> None:
        super().__init__()
        self.spec, self.classes = spec, classes
        channels = (3, *(conv.channels for conv in spec.convs))
        layers = [_conv_layer(conv, c, spec.batch_norm) for conv, c in zip(spec.convs, channels, strict=False)]
        features = channels[-1] * _final_side(spec) ** 2
        for width in spec.hidden:
            layers.append(_hidden_layer(features, width, spec.batch_norm))
            features = width
        layers.append(nn.Sequential(OrderedDict(fc=nn.Linear(features, classes))))
        self.layers = nn.ModuleList(layers)

    def forward(
        self, x: Tensor, start: int = 0, stop: int = LAYERS, masks: Mapping[int, Tensor] | None = None
    ) -> Tensor:
        """Run layers ``start + 1`` to ``stop``.

        Args:
            x: images (B, 3, R, R), normalised, or the activations after layer ``start``.
            start: how many layers have been run already.
            stop: the last layer to run.
            masks: dropout after the layers named, each (B, features), 0 or 1 / (1 - p). Without it nothing is dropped.

        Returns:
            The activations after layer ``stop``; logits (B, classes) for ``stop`` = 8.
        """
        for k in range(start, stop):
            x = self.layer(k + 1, x, masks)
        return x

    def layer(self, k: int, x: Tensor, masks: Mapping[int, Tensor] | None = None) -> Tensor:
        """Run layer ``k`` (1..8), dropout included."""
        x = self.layers[k - 1](torch.flatten(x, 1) if k > len(self.spec.convs) else x)
        return x * masks[k].to(x.dtype) if masks and k in masks else x

    def taps(self, x: Tensor, depth: int, masks: Mapping[int, Tensor] | None = None) -> list[Tensor]:
        """Run the first ``depth`` layers once and keep what each of them gives: ``taps[n]`` is after layer n."""
        taps = [x]
        for k in range(1, depth + 1):
            taps.append(self.layer(k, taps[-1], masks))
        return taps

    def extra_repr(self) -> str:
        """Name the specification in the network's print."""
        return f"{self.spec.name}, {self.classes} classes, dropout after layers {DROPOUT_AFTER} in training"


def _final_side(spec: NetworkSpec) -> int:
    side = spec.resolution
    for conv in spec.convs:
        side = (side + 2 * conv.padding - conv.kernel) // conv.stride + 1
        if conv.pool:
            side = (side + 2 * conv.pool[1] - conv.pool[0]) // 2 + 1
    return side


def _caffe_filler(k: int) -> tuple[float, float]:
    """CaffeNet's Gaussian standard deviation and constant bias of layer ``k``."""
    return (0.005 if k in (6, 7) else 0.01), (1.0 if k in (2, 4, 5, 6, 7) else 0.0)


@torch.no_grad()
def initialise_layer(net: AlexNet, k: int, draw: torch.Generator) -> None:
    """Draw fresh weights for layer ``k`` (1..8) from a stream of its own; batch norm starts as the identity."""
    for module in net.layers[k - 1]:
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = math.prod(module.weight.shape[1:])
            he = (math.sqrt((2.0 if k < LAYERS else 1.0) / fan_in), 0.0)
            std, bias = _caffe_filler(k) if net.spec.initialisation == "caffe" else he
            fresh = torch.empty(module.weight.shape).normal_(0.0, std, generator=draw)
            module.weight.copy_(fresh)
            nn.init.constant_(module.bias, bias)


def multiply_adds(spec: NetworkSpec) -> list[int]:
    """Multiply-adds of each convolutional and hidden layer 1..7 for one image, by arithmetic."""
    counts, side, channels = [], spec.resolution, 3
    for conv in spec.convs:
        side = (side + 2 * conv.padding - conv.kernel) // conv.stride + 1
        counts.append(side**2 * conv.channels * conv.kernel**2 * channels // conv.groups)
        side = (side + 2 * conv.pool[1] - conv.pool[0]) // 2 + 1 if conv.pool else side
        channels = conv.channels
    features = channels * side**2
    for width in spec.hidden:
        counts.append(features * width)
        features = width
    return counts
