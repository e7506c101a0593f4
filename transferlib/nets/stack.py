"""The seam that all else uses: a network is a ``Stack`` of eight ``Layer``s, each of which describes itself."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from transferlib.errors import TransferlibError
from transferlib.nets.geometry import ReceptiveField

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LAYERS = 8  # of every network: seven that can be copied, and the one that names the classes


class Layer(nn.Sequential):
    """One of the eight parts of a network: weights with all that follows them (the paper's section 2).

    Args:
        modules: what it runs, one after another; their names are part of the weights' names.
        name: for people, short, such as ``conv1``.
        kind: what it is, for people, such as ``convolution 5×5``.
        shape: of what it gives for one image: (channels, height, width), or (features,).
        multiply_adds: for one image.
        field: what a position sees; None where the layer has none, and sees the whole picture.
        dropout: whether dropout follows it in training.
    """

    def __init__(
        self,
        modules: OrderedDict[str, nn.Module],
        *,
        name: str,
        kind: str,
        shape: tuple[int, ...],
        multiply_adds: int,
        field: ReceptiveField | None = None,
        dropout: bool = False,
    ) -> None:
        super().__init__(modules)
        self.name, self.kind, self.shape = name, kind, shape
        self.multiply_adds, self.field, self.dropout = multiply_adds, field, dropout

    @property
    def has_positions(self) -> bool:
        """Whether its units lie at positions of the picture, as those of a convolution do."""
        return len(self.shape) == 3

    @property
    def width(self) -> str:
        """How wide it is, in words."""
        return f"{self.shape[0]} {'channels' if self.has_positions else 'units'}"


class NetworkSpec(Protocol):
    """A network before it has weights: everything that its numbers depend on, but for the number of classes."""

    @property
    def name(self) -> str:
        """As a study names it."""
        ...

    @property
    def resolution(self) -> int:
        """Side of its input in pixels."""
        ...

    @property
    def mean(self) -> tuple[float, float, float]:
        """What is subtracted from the pixels (RGB, 0..255)."""
        ...

    @property
    def std(self) -> tuple[float, float, float]:
        """What they are divided by then."""
        ...

    def build(self, classes: int) -> Stack:
        """The network for some number of classes; its weights are those of torch, and to be drawn."""
        ...

    def initialise(self, layer: Layer, k: int, draw: torch.Generator) -> None:
        """Draw fresh weights for layer ``k`` (1..8) from a stream of its own."""
        ...

    def recorded(self) -> dict[str, object]:
        """What stands of it in a run's configuration, ``name`` among it, as JSON gives it back."""
        ...


class Stack(nn.Module):
    """A network of 8 layers, ``layers[0]`` to ``layers[7]``, that can be entered and left after any of them.

    Args:
        spec: the network's specification.
        layers: eight, from the image to the classes.
        classes: how many classes layer 8 tells apart.

    Raises:
        TransferlibError: for another number of layers.
    """

    def __init__(self, spec: NetworkSpec, layers: Sequence[Layer], classes: int) -> None:
        super().__init__()
        if len(layers) != LAYERS:
            raise TransferlibError(f"{spec.name} has {len(layers)} layers: expected {LAYERS}, blocks taken together")
        self.spec, self.classes = spec, classes
        self.layers = nn.ModuleList(layers)

    def layer(self, k: int) -> Layer:
        """Layer ``k``, 1..8.

        Raises:
            TransferlibError: for another ``k``.
        """
        if not 1 <= k <= LAYERS:
            raise TransferlibError(f"expected layer in 1..{LAYERS}, got {k}")
        layer = self.layers[k - 1]
        assert isinstance(layer, Layer)
        return layer

    def __iter__(self) -> Iterator[Layer]:
        """The layers, from the image on."""
        for k in range(1, LAYERS + 1):
            yield self.layer(k)

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
        for k in range(start + 1, stop + 1):
            x = self._run(k, x, masks)
        return x

    def _run(self, k: int, x: Tensor, masks: Mapping[int, Tensor] | None) -> Tensor:
        x = self.layers[k - 1](x)
        return x * masks[k].to(x.dtype) if masks and k in masks else x

    def taps(self, x: Tensor, depth: int, masks: Mapping[int, Tensor] | None = None) -> list[Tensor]:
        """Run the first ``depth`` layers once and keep what each of them gives: ``taps[n]`` is after layer n."""
        taps = [x]
        for k in range(1, depth + 1):
            taps.append(self._run(k, taps[-1], masks))
        return taps

    def path(self, k: int) -> str:
        """Where layer ``k`` (1..8) stands among the network's modules: what its weights' names begin with."""
        return f"layers.{k - 1}"

    def above(self, cut: int) -> dict[str, Tensor]:
        """The state of the layers above a cut, buffers included, by its names in the whole state."""
        state: dict[str, Tensor] = {}
        for k in range(cut + 1, LAYERS + 1):
            state |= self.layer(k).state_dict(prefix=f"{self.path(k)}.")
        return state

    def extra_repr(self) -> str:
        """Name the specification in the network's print."""
        dropped = tuple(k for k, layer in enumerate(self, start=1) if layer.dropout)
        return f"{self.spec.name}, {self.classes} classes, dropout after layers {dropped} in training"


def outline(spec: NetworkSpec, classes: int) -> Stack:
    """A network that describes its layers and has no weights yet: it costs neither memory nor random numbers.

    Args:
        spec: the network's specification.
        classes: how many classes it is to tell apart.
    """
    with torch.device("meta"):  # torch's own initialisation would draw from the global generator
        return spec.build(classes)


def as_recorded(value: DataclassInstance) -> dict[str, object]:
    """A dataclass as it stands in a run's configuration: as JSON gives it back, tuples as lists."""
    return {name: _listed(item) for name, item in dataclasses.asdict(value).items()}


def _listed(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return {k: _listed(v) for k, v in value.items()} if isinstance(value, dict) else value
