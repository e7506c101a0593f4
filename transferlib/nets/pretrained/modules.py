"""A network of your own, as a module."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial

from torch import nn

from transferlib.errors import TransferlibError
from transferlib.nets.pretrained.cutting import cut
from transferlib.nets.pretrained.preprocessing import Preprocessing
from transferlib.nets.pretrained.spec import Make
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
            asked to ``reset_parameters``.

    Raises:
        TransferlibError: for a network that can't be cut so, or whose fresh weights are not known.
    """
    spec = cut(name, make or _remaking(name, module), pictures, parts)
    return Pretrained.of(spec, name, module.state_dict())


def _remaking(name: str, module: nn.Module) -> Make:
    heads = [path for path, part in module.named_modules() if isinstance(part, nn.Linear)]
    if not heads:
        raise TransferlibError(f"{name} can't be cut into eight parts: it has no fully connected layer")

    return partial(_remade, name, module, heads[-1])


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
