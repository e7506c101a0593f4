"""A network of your own, as a module."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from transferlib.errors import TransferlibError
from transferlib.nets.pretrained.cutting import cut
from transferlib.nets.pretrained.libraries import LIBRARIES
from transferlib.nets.pretrained.preprocessing import Preprocessing
from transferlib.nets.pretrained.spec import Make, drawing
from transferlib.nets.pretrained.weights import Pretrained


def from_module(
    name: str,
    module: nn.Module,
    pictures: Preprocessing,
    parts: Mapping[str, Sequence[str]] | None = None,
    make: Make | None = None,
) -> Pretrained:
    """A trained module of yours, as the source of copied layers.

    Args:
        name: what studies and figures call it.
        module: the network with its weights; it is not changed.
        pictures: how it wants its pictures.
        parts: its eight parts by name, each the names of the modules that run in it, in order, the last of them the
            fully connected layer that names the classes; by default they are found.
        make: makes the network for some number of classes with fresh weights; by default a copy whose every module is
            asked to ``reset_parameters``. Two networks of one name are told apart by their modules and shapes; what a
            ``forward`` of your own does besides is not seen, so give such a network another name when you change it.

    Raises:
        TransferlibError: for a network that can't be cut so, or whose fresh weights are not known.
    """
    if name.partition(":")[0] in LIBRARIES:
        raise TransferlibError(f"{name} is a name of {name.partition(':')[0]}'s: choose one of its own for your module")
    made = partial(_anywhere, make or _remaking(name, module, parts))
    spec = replace(cut(name, made, pictures, parts), architecture=_architecture(made))
    return Pretrained.of(spec, name, module.state_dict())


def _remaking(name: str, module: nn.Module, parts: Mapping[str, Sequence[str]] | None) -> Make:
    heads = [path for path, part in module.named_modules() if isinstance(part, nn.Linear)]
    if not heads:
        raise TransferlibError(f"{name} can't be cut into eight parts: it has no fully connected layer")
    named = [*parts.values()][-1] if parts else ()
    return partial(_remade, name, module, next((step for step in named if step in heads), heads[-1]))


def _anywhere(make: Make, classes: int) -> nn.Module:
    """The network, made where there is memory: one that has none, as for its shapes, gets it taken away again."""
    if torch.empty(0).device.type != "meta":
        return make(classes)
    with drawing(0):  # what is drawn here is not kept
        return make(classes).to("meta")


def _architecture(make: Make) -> str:
    """What the modules of a network say of themselves, and the shapes of its weights, as a digest."""
    with drawing(0):
        net = make(2)
    shapes = [(name, tuple(tensor.shape)) for name, tensor in net.state_dict().items()]
    return hashlib.sha256(f"{net!r}/{shapes}".encode()).hexdigest()[:16]


def _remade(name: str, module: nn.Module, head: str, classes: int) -> nn.Module:
    fresh = copy.deepcopy(module)
    old = fresh.get_submodule(head)
    assert isinstance(old, nn.Linear)
    fresh.set_submodule(head, nn.Linear(old.in_features, classes, old.bias is not None))
    _reset(name, fresh)
    return fresh


def _reset(name: str, fresh: nn.Module) -> None:
    for path, part in fresh.named_modules():
        reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
        if reset:
            reset()
        elif any(True for _ in part.parameters(recurse=False)):
            raise TransferlibError(f"{name}: no fresh weights are known for its {path or 'own parameters'}: give make")
