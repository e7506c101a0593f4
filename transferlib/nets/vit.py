"""Vision transformers of eight parts: patches with their positions, six blocks, a head (Dosovitskiy et al., 2021)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transferlib.nets.geometry import ReceptiveField
from transferlib.nets.initialisation import draw_weights
from transferlib.nets.stack import LAYERS, Layer, Stack, as_recorded


@dataclass(frozen=True)
class ViTSpec:
    """A vision transformer: a ``NetworkSpec``. Its blocks normalise what they read, and it averages over places.

    Attributes:
        name: as a study names it.
        resolution: side of its input in pixels.
        patch: side of a patch in pixels; a picture has (resolution / patch)² places.
        width: numbers at each place.
        heads: of attention, each of ``width / heads`` numbers.
        expansion: how many times as wide a block's hidden layer is.
        mean, std: of its input, subtracted from and divided into the pixels (RGB, 0..255).
    """

    name: str
    resolution: int
    patch: int
    width: int
    heads: int
    expansion: int = 4
    mean: tuple[float, float, float] = (123.0, 117.0, 104.0)
    std: tuple[float, float, float] = (68.0, 66.0, 70.0)

    def recorded(self) -> dict[str, object]:
        """All of its fields."""
        return as_recorded(self)

    def build(self, classes: int) -> Stack:
        """The network for some number of classes."""
        blocks = [self._block(k) for k in range(1, LAYERS - 1)]
        return Stack(self, [self._patches(), *blocks, self._head(classes)], classes)

    def initialise(self, layer: Layer, k: int, draw: torch.Generator) -> None:
        """Draw fresh weights for layer ``k`` (1..8): normal with .02 but for the patches' own."""
        draw_weights(layer, lambda fan_in: (0.02 if k > 1 else fan_in**-0.5, 0.0), draw)
        for module in layer.modules():
            if isinstance(module, Patches):
                positions = torch.empty(module.positions.shape).normal_(0.0, 0.02, generator=draw)
                module.positions.data.copy_(positions)

    @property
    def _places(self) -> int:
        return (self.resolution // self.patch) ** 2

    def _patches(self) -> Layer:
        cost = self._places * 3 * self.patch**2 * self.width
        return Layer(
            OrderedDict(patches=Patches(self)),
            name="patches",
            kind=f"patches of {self.patch} px",
            shape=(self._places, self.width),
            multiply_adds=cost,
            field=ReceptiveField(self.patch, self.patch),
        )

    def _block(self, k: int) -> Layer:
        weights = (4 + 2 * self.expansion) * self.width**2
        return Layer(
            OrderedDict(attention=Attention(self), mlp=Perceptron(self)),
            name=f"block{k}",
            kind=f"transformer block, {self.heads} heads",
            shape=(self._places, self.width),
            multiply_adds=self._places * (weights + 2 * self._places * self.width),
        )

    def _head(self, classes: int) -> Layer:
        return Head(
            OrderedDict(norm=nn.LayerNorm(self.width), fc=nn.Linear(self.width, classes)),
            name="head",
            kind="mean over places, fully connected",
            shape=(classes,),
            multiply_adds=self.width * classes,
        )


VITS = (ViTSpec("vit32-small", 32, patch=8, width=96, heads=4, expansion=3),)


class Patches(nn.Module):
    """Cut the picture into patches, and add to each what stands for its place."""

    def __init__(self, spec: ViTSpec) -> None:
        super().__init__()
        places = (spec.resolution // spec.patch) ** 2
        self.conv = nn.Conv2d(3, spec.width, spec.patch, spec.patch)
        self.positions = nn.Parameter(torch.zeros(places, spec.width))

    def forward(self, input: Tensor) -> Tensor:
        """(B, 3, R, R) → (B, places, width)."""
        return self.conv(input).flatten(2).transpose(1, 2) + self.positions


class Attention(nn.Module):
    """What came in, and what each place asks of all others."""

    def __init__(self, spec: ViTSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.norm = nn.LayerNorm(spec.width)
        self.asked = nn.Linear(spec.width, 3 * spec.width)
        self.answer = nn.Linear(spec.width, spec.width)

    def forward(self, input: Tensor) -> Tensor:
        """(B, places, width) → the same shape."""
        batch, places, width = input.shape
        asked = self.asked(self.norm(input)).view(batch, places, 3, self.heads, width // self.heads)
        q, k, v = asked.permute(2, 0, 3, 1, 4)  # (B, heads, places, width / heads) each
        # by hand: torch's own takes seven tenths of a training step on CPUs in bfloat16, going backward
        weights = (q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5).softmax(-1)  # (B, heads, places, places)
        found = weights @ v
        return input + self.answer(found.transpose(1, 2).reshape(batch, places, width))


class Perceptron(nn.Module):
    """What came in, and what a small network makes of each place alone."""

    def __init__(self, spec: ViTSpec) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(spec.width)
        self.up = nn.Linear(spec.width, spec.expansion * spec.width)
        self.gelu = nn.GELU()
        self.down = nn.Linear(spec.expansion * spec.width, spec.width)

    def forward(self, input: Tensor) -> Tensor:
        """(B, places, width) → the same shape."""
        return input + self.down(self.gelu(self.up(self.norm(input))))


class Head(Layer):
    """The mean over all places, normalised, then a fully connected layer."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, places, width) → (B, classes)."""
        return super().forward(input.mean(1))
