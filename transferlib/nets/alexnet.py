"""AlexNets: five convolutional and three fully connected layers, each with its ReLU, normalisation and pooling."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from transferlib.nets.geometry import Grid
from transferlib.nets.initialisation import Filler, draw_weights, he
from transferlib.nets.stack import Layer, Stack, as_recorded


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
class AlexNetSpec:
    """An AlexNet (Krizhevsky et al., 2012; the paper's is Caffe's version): a ``NetworkSpec``.

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

    def recorded(self) -> dict[str, object]:
        """All of its fields: a network that differs in any is another one."""
        return as_recorded(self)

    def build(self, classes: int) -> Stack:
        """The network for some number of classes."""
        convs = list(self._convolutional())
        return Stack(self, [*convs, *self._fully_connected(math.prod(convs[-1].shape), classes)], classes)

    def initialise(self, layer: Layer, k: int, draw: torch.Generator) -> None:
        """Draw fresh weights for layer ``k`` (1..8)."""
        draw_weights(layer, _caffe(k) if self.initialisation == "caffe" else he(k), draw)

    def _convolutional(self) -> Iterator[Layer]:
        grid, channels = Grid(self.resolution), 3
        for k, conv in enumerate(self.convs, start=1):
            grid = grid.through(conv.kernel, conv.stride, conv.padding)
            cost = grid.multiply_adds(conv.kernel, channels, conv.channels, conv.groups)
            if conv.pool:
                grid = grid.through(conv.pool[0], 2, conv.pool[1])
            yield Layer(
                _convolution(conv, channels, self.batch_norm),
                name=f"conv{k}",
                kind=f"convolution {conv.kernel}×{conv.kernel}",
                shape=(conv.channels, grid.side, grid.side),
                multiply_adds=cost,
                field=grid.field,
            )
            channels = conv.channels

    def _fully_connected(self, features: int, classes: int) -> Iterator[Layer]:
        for k, width in enumerate((*self.hidden, classes), start=len(self.convs) + 1):
            last = k > len(self.convs) + len(self.hidden)
            yield FullyConnected(
                OrderedDict(fc=nn.Linear(features, width)) if last else _hidden(features, width, self.batch_norm),
                name=f"fc{k}",
                kind="fully connected",
                shape=(width,),
                multiply_adds=features * width,
                dropout=not last,  # after fc6 and fc7, as in the paper
            )
            features = width


_CAFFENET = AlexNetSpec(
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


_PLAIN: tuple[AlexNetSpec, ...] = (
    _CAFFENET,
    AlexNetSpec(
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
    AlexNetSpec(  # what chapter 4 looks through: the photographs whole, and affordable too
        "alexnet64-small",
        64,
        (
            Conv(32, 7, stride=2, padding=3, pool=(2, 0)),
            Conv(64, 3, padding=1, pool=(2, 0)),
            Conv(128, 3, padding=1),
            Conv(96, 3, padding=1),
            Conv(96, 3, padding=1, pool=(2, 0)),
        ),
        (512, 256),
    ),
    AlexNetSpec(
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
    AlexNetSpec(  # affordable on two CPU cores: benchmarks/pilots.md
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
    AlexNetSpec(
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
ALEXNETS: tuple[AlexNetSpec, ...] = (
    *_PLAIN,
    *(dataclasses.replace(spec, name=f"{spec.name}-bn", batch_norm=True) for spec in _PLAIN),
)


class FullyConnected(Layer):
    """A layer that takes the activations below it as one list of features."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, …) → (B, features)."""
        return super().forward(torch.flatten(input, 1))


def _convolution(conv: Conv, channels_in: int, batch_norm: bool) -> OrderedDict[str, nn.Module]:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = nn.Conv2d(channels_in, conv.channels, conv.kernel, conv.stride, conv.padding, groups=conv.groups)
    if batch_norm:
        parts["bn"] = nn.BatchNorm2d(conv.channels)
    parts["relu"] = nn.ReLU(inplace=False)  # in place, several Captum methods see the wrong tensor
    if conv.pool:
        parts["pool"] = nn.MaxPool2d(conv.pool[0], 2, conv.pool[1])
    if conv.lrn:
        parts["lrn"] = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
    return parts


def _hidden(features_in: int, features_out: int, batch_norm: bool) -> OrderedDict[str, nn.Module]:
    parts: OrderedDict[str, nn.Module] = OrderedDict(fc=nn.Linear(features_in, features_out))
    if batch_norm:
        parts["bn"] = nn.BatchNorm1d(features_out)
    parts["relu"] = nn.ReLU(inplace=False)
    return parts


def _caffe(k: int) -> Filler:
    """CaffeNet's Gaussian standard deviation and constant bias of layer ``k``."""
    return lambda _: (0.005 if k in (6, 7) else 0.01, 1.0 if k in (2, 4, 5, 6, 7) else 0.0)
