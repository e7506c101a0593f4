"""Residual networks of eight parts: a stem, six residual blocks, a head (He et al., 2016)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from transferlib.nets.geometry import Grid
from transferlib.nets.initialisation import draw_weights, he
from transferlib.nets.stack import Layer, Stack, as_recorded

Parts = OrderedDict[str, nn.Module]


@dataclass(frozen=True)
class ResNetSpec:
    """A residual network: a ``NetworkSpec``.

    Attributes:
        name: as a study names it.
        resolution: side of its input in pixels.
        widths: channels of the six blocks; where they grow, the block's grid halves.
        normalisation: ``batch``, or ``none``: then each branch ends in a gain that starts at zero, so that the network
            starts as the identity and trains without (De and Smith, 2020; Bachlechner et al., 2021).
        mean, std: of its input, subtracted from and divided into the pixels (RGB, 0..255).
    """

    name: str
    resolution: int
    widths: tuple[int, int, int, int, int, int]
    normalisation: Literal["batch", "none"] = "batch"
    mean: tuple[float, float, float] = (123.0, 117.0, 104.0)
    std: tuple[float, float, float] = (68.0, 66.0, 70.0)

    def recorded(self) -> dict[str, object]:
        """All of its fields."""
        return as_recorded(self)

    def build(self, classes: int) -> Stack:
        """The network for some number of classes."""
        return Stack(self, [*self._features(), self._head(classes)], classes)

    def initialise(self, layer: Layer, k: int, draw: torch.Generator) -> None:
        """Draw fresh weights for layer ``k`` (1..8)."""
        draw_weights(layer, he(k), draw)
        for module in layer.modules():
            if isinstance(module, Gain):
                nn.init.zeros_(module.weight)

    def _features(self) -> Iterator[Layer]:
        grid, width = Grid(self.resolution).through(3, 2, 1), self.widths[0]
        yield self._layer("stem", "convolution 3×3", _convolution(3, width, 2, self._batch), width, grid, 27 * width)
        for k, wider in enumerate(self.widths, start=1):
            stride = 2 if wider > width else 1
            grid = grid.through(3, stride, 1).through(3, 1, 1)
            cost = 9 * width * wider + 9 * wider**2 + (width * wider if wider != width else 0)
            block: Parts = OrderedDict(block=Block(width, wider, stride, self._batch))
            yield self._layer(f"block{k}", "residual block", block, wider, grid, cost)
            width = wider

    @property
    def _batch(self) -> bool:
        return self.normalisation == "batch"

    @staticmethod
    def _layer(name: str, kind: str, parts: Parts, width: int, grid: Grid, cost: int) -> Layer:
        """A layer of ``width`` channels on a grid, each place of which costs so many multiply-adds."""
        shape = (width, grid.side, grid.side)
        return Layer(parts, name=name, kind=kind, shape=shape, multiply_adds=cost * grid.side**2, field=grid.field)

    def _head(self, classes: int) -> Layer:
        width = self.widths[-1]
        return Head(
            OrderedDict(fc=nn.Linear(width, classes)),
            name="head",
            kind="mean over places, fully connected",
            shape=(classes,),
            multiply_adds=width * classes,
        )


_WIDTHS = (16, 16, 32, 32, 64, 64)
RESNETS = (
    ResNetSpec("resnet32-tiny", 32, (8, 8, 16, 16, 32, 32)),
    ResNetSpec("resnet32-small", 32, _WIDTHS),
    ResNetSpec("resnet32-small-plain", 32, _WIDTHS, normalisation="none"),
)


class Head(Layer):
    """The mean over all places, then a fully connected layer."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, channels, height, width) → (B, classes)."""
        return super().forward(input.mean((2, 3)))


class Gain(nn.Module):
    """One number that a branch is multiplied by; it starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, input: Tensor) -> Tensor:
        """Of any shape."""
        return input * self.weight


class Block(nn.Module):
    """Two convolutions, whose sum with what came in passes a ReLU; the way past them is a convolution where it must be.

    Args:
        channels_in, channels_out: of the block.
        stride: of its first convolution.
        batch_norm: whether a convolution is followed by batch norm; else the branch is scaled by a gain.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, batch_norm: bool) -> None:
        super().__init__()
        first = _convolution(channels_in, channels_out, stride, batch_norm)
        second = [(f"{name}2", part) for name, part in _convolution(channels_out, channels_out, 1, batch_norm).items()]
        self.branch = nn.Sequential(OrderedDict([*first.items(), *second[:-1]]))
        if not batch_norm:
            self.branch.append(Gain())
        past = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
        self.past = nn.Identity() if channels_in == channels_out else past
        self.relu = nn.ReLU(inplace=False)

    def forward(self, input: Tensor) -> Tensor:
        """(B, channels_in, H, W) → (B, channels_out, H / stride, W / stride)."""
        return self.relu(self.past(input) + self.branch(input))


def _convolution(channels_in: int, channels_out: int, stride: int, batch_norm: bool) -> Parts:
    conv = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=not batch_norm)
    norm: list[tuple[str, nn.Module]] = [("bn", nn.BatchNorm2d(channels_out))] if batch_norm else []
    return OrderedDict([("conv", conv), *norm, ("relu", nn.ReLU(inplace=False))])
