"""Somebody else's network, cut in eight, as a specification."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from transferlib.nets.pretrained import tokens
from transferlib.nets.pretrained.preprocessing import Preprocessing
from transferlib.nets.stack import LAYERS, Layer, Stack

# what many networks do in front of a fully connected layer, and have no module for
BETWEEN: dict[str, Callable[[], nn.Module]] = {
    "flatten": lambda: nn.Flatten(1),
    "mean over places": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1)),
}
Make = Callable[[int], nn.Module]  # classes → the network with fresh weights


@dataclass(frozen=True)
class Part:
    """One of the eight parts of somebody else's network.

    Attributes:
        name: for people, by the modules' own names.
        steps: these modules, in the order in which they run.
        kind: their types.
        shape: of what it gives for one image.
        multiply_adds: for one image.
        dropout: whether the network drops some of what it gives in training.
    """

    name: str
    steps: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    multiply_adds: int
    dropout: bool


@dataclass(frozen=True)
class PretrainedSpec:
    """Somebody else's network, cut in eight: a ``NetworkSpec``.

    Dropout behind a part is the engine's, at the recipe's rate; what else would draw random numbers in the network,
    such as stochastic depth, is off, so that a run stays what its configuration says.

    Attributes:
        name: as a study names it.
        pictures: how it wants its pictures.
        parts: eight.
        make: makes the network for some number of classes, with fresh weights as its authors draw them.
        architecture: a digest of what it is, where its name does not say it.
    """

    name: str
    pictures: Preprocessing
    parts: tuple[Part, ...]
    make: Make = field(repr=False)
    architecture: str = ""

    @property
    def resolution(self) -> int:
        """Side of its input in pixels."""
        return self.pictures.resolution

    @property
    def mean(self) -> tuple[float, float, float]:
        """Of its input (RGB, 0..255)."""
        return self.pictures.mean

    @property
    def std(self) -> tuple[float, float, float]:
        """Of its input (RGB, 0..255)."""
        return self.pictures.std

    @property
    def names(self) -> tuple[str, ...]:
        """Of its eight parts."""
        return tuple(part.name for part in self.parts)

    def recorded(self) -> dict[str, object]:
        """Its name, its input, and which modules are which part."""
        parts = [[part.name, *part.steps] for part in self.parts]
        about = {"name": self.name, "resolution": self.resolution, "mean": [*self.mean], "std": [*self.std]}
        known: dict[str, object] = {"architecture": self.architecture} if self.architecture else {}
        return {**about, "parts": parts, **known}

    def whole(self, classes: int) -> nn.Module:
        """The network in one piece, with fresh weights, whose names are those of a file of weights."""
        return quiet(self.make(classes))

    def build(self, classes: int) -> Stack:
        """The network for some number of classes, in eight parts."""
        return self.laid(self.whole(classes), classes)

    def laid(self, whole: nn.Module, classes: int) -> Stack:
        """The modules of a network in one piece, with their weights, laid into eight parts."""
        return Stack(self, [_layer(part, whole) for part in self._for(classes)], classes)

    def _for(self, classes: int) -> Iterator[Part]:
        *features, head = self.parts
        yield from features
        yield replace(head, shape=(classes,), multiply_adds=head.multiply_adds // head.shape[0] * classes)

    def initialise(self, layer: Layer, k: int, draw: torch.Generator) -> None:
        """Give layer ``k`` (1..8) weights as the network's authors draw them, from a stream of its own."""
        with drawing(int(torch.randint(2**62, (), generator=draw))):
            fresh = self.build(layer.shape[0] if k == LAYERS else 2).layer(k)
        # buffers too, whether they are saved or not: a layer that had no memory has lost its tables of positions
        for own, drawn in zip(_tensors(layer), _tensors(fresh), strict=True):
            own.data.copy_(drawn.data)


def _tensors(layer: Layer) -> list[torch.Tensor]:
    return [*layer.parameters(), *layer.buffers()]


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """PyTorch's global generator at a seed, and afterwards where it was: other people's networks draw from it."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(seed)
        yield


def quiet(net: nn.Module) -> nn.Module:
    """Write nothing in place, since a cut keeps what a part gives; draw nothing in training."""
    for module in net.modules():
        kind = type(module).__name__.lower()
        if getattr(module, "inplace", False) is True:
            setattr(module, "inplace", False)  # noqa: B010 (whatever kind of module has it)
        if "drop" in kind or kind == "stochasticdepth":
            for name in ("p", "drop_prob"):
                if hasattr(module, name):
                    setattr(module, name, 0.0)
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return net


def is_added(step: str) -> bool:
    """Whether a step is none of the network's modules, but what it does between them."""
    return step in (*BETWEEN, tokens.FIRST, *tokens.EMBEDDINGS)


def module_of(whole: nn.Module, step: str) -> nn.Module:
    """The module that takes a step of a network."""
    if step in BETWEEN:
        return BETWEEN[step]()
    if step == tokens.FIRST:
        return tokens.FirstToken()
    return tokens.EMBEDDINGS[step](whole) if step in tokens.EMBEDDINGS else whole.get_submodule(step)


def _layer(part: Part, whole: nn.Module) -> Layer:
    return Layer(
        OrderedDict(zip(_keys(part.steps), (module_of(whole, step) for step in part.steps), strict=True)),
        name=part.name,
        kind=part.kind,
        shape=part.shape,
        multiply_adds=part.multiply_adds,
        dropout=part.dropout,
    )


def _keys(steps: Sequence[str]) -> Iterator[str]:
    """Names for the modules of a part, without dots; a module may be a step more than once."""
    for place, step in enumerate(steps):
        again = steps[:place].count(step)
        yield step.replace(".", "_") + (f"_{again + 1}" if again else "")
