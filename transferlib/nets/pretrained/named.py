"""Networks that a library makes by name: ``torchvision:resnet18``, or at another size ``torchvision:resnet18@128``."""

from __future__ import annotations

from functools import lru_cache, partial

from torch import nn

from transferlib.errors import TransferlibError
from transferlib.nets.pretrained.cutting import cut
from transferlib.nets.pretrained.libraries import LIBRARIES, Library
from transferlib.nets.pretrained.spec import PretrainedSpec

SMALLEST = 32  # pixels: below, most of these networks have nothing left to pool


def is_named(name: str) -> bool:
    """Whether a name is that of a library's network, such as ``torchvision:resnet18``."""
    return name.partition(":")[0] in LIBRARIES


def parsed(name: str) -> tuple[Library, str, int | None]:
    """A name's library, the network's own name, and the resolution that is asked for.

    Raises:
        TransferlibError: for one that the library does not have.
    """
    library, _, rest = name.partition(":")
    own, _, side = rest.partition("@")
    if side and not (side.isascii() and side.isdigit() and int(side) >= SMALLEST):
        raise TransferlibError(f"{name}: expected a resolution of {SMALLEST} pixels or more behind the @, got {side}")
    if not own:
        raise TransferlibError(f"{name} names no network: expected a name such as torchvision:resnet18")
    LIBRARIES[library].check(own)
    return LIBRARIES[library], own, int(side) if side else None


@lru_cache(maxsize=8)
def named(name: str) -> PretrainedSpec:
    """The network of a name, cut in eight.

    Raises:
        TransferlibError: for an unknown one, or one that can't be cut.
    """
    library, own, side = parsed(name)
    pictures = library.pictures(own)
    if side and side != pictures.resolution:
        pictures = pictures.at(side)
    elif side:  # two names for one network would be two runs
        return named(name.rpartition("@")[0])
    return cut(name, partial(_make, library, own, pictures.resolution), pictures)


def _make(library: Library, own: str, resolution: int, classes: int) -> nn.Module:
    return library.make(own, classes, resolution)
