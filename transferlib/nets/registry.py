"""The networks that a study can name."""

from __future__ import annotations

import torch

from transferlib.errors import TransferlibError
from transferlib.nets.alexnet import ALEXNETS
from transferlib.nets.stack import LAYERS, NetworkSpec, outline

NETWORKS: dict[str, NetworkSpec] = {spec.name: spec for spec in ALEXNETS}


def network(name: str) -> NetworkSpec:
    """The named network's specification.

    Raises:
        TransferlibError: for an unknown name.
    """
    if name not in NETWORKS:
        raise TransferlibError(f"unknown network {name!r}: expected one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def register(spec: NetworkSpec) -> None:
    """Let studies name a network of your own.

    Raises:
        TransferlibError: where another network has the name, or its layers do not give what they say.
    """
    if spec.name in NETWORKS and NETWORKS[spec.name].recorded() != spec.recorded():
        raise TransferlibError(f"there is another network of the name {spec.name}: choose one of its own")
    if spec.recorded().get("name") != spec.name:
        raise TransferlibError(f"{spec.name} does not record its name, by which its runs are known")
    _check_shapes(spec)
    NETWORKS[spec.name] = spec


def _check_shapes(spec: NetworkSpec) -> None:
    """Run the network without weights, on the shapes alone."""
    net = outline(spec, classes=2).eval()
    x = torch.empty(2, 3, spec.resolution, spec.resolution, device="meta")
    for k, (layer, tap) in enumerate(zip(net, net.taps(x, LAYERS)[1:], strict=True), start=1):
        if tap.shape[1:] != layer.shape:
            raise TransferlibError(
                f"{spec.name}: layer {k} gives {tuple(tap.shape[1:])} for an image, and says {layer.shape}"
            )
