"""The networks that a study can name."""

from __future__ import annotations

import json

import torch

from transferlib.errors import TransferlibError
from transferlib.nets import pretrained
from transferlib.nets.alexnet import ALEXNETS
from transferlib.nets.resnet import RESNETS
from transferlib.nets.stack import LAYERS, NetworkSpec, Stack, outline
from transferlib.nets.vit import VITS

NETWORKS: dict[str, NetworkSpec] = {spec.name: spec for spec in (*ALEXNETS, *RESNETS, *VITS)}
NEEDED = ("name", "resolution", "mean", "std", "build", "initialise", "recorded")  # of a specification


def network(name: str) -> NetworkSpec:
    """The named network's specification; that of another library's network, such as ``torchvision:resnet18``, too.

    Raises:
        TransferlibError: for an unknown name.
    """
    if pretrained.is_named(name):
        return pretrained.named(name)
    if name not in NETWORKS:
        raise TransferlibError(f"unknown network {name!r}: expected one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def register(spec: NetworkSpec) -> None:
    """Let studies name a network of your own.

    Raises:
        TransferlibError: where another network has the name, where its layers do not give what they say, or its weights
            do not come from the stream that they are to be drawn from.
    """
    if lacking := [name for name in NEEDED if not hasattr(spec, name)]:
        raise TransferlibError(f"{type(spec).__name__} is no specification of a network: it lacks {', '.join(lacking)}")
    _check_record(spec)
    if spec.name in NETWORKS and NETWORKS[spec.name].recorded() != spec.recorded():
        raise TransferlibError(f"there is another network of the name {spec.name}: choose one of its own")
    _check_shapes(spec)
    _check_weights(spec)
    NETWORKS[spec.name] = spec


def _check_record(spec: NetworkSpec) -> None:
    try:
        again = json.loads(json.dumps(spec.recorded(), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TransferlibError(f"{spec.name} records what JSON does not have ({error})") from error
    if again != spec.recorded():
        raise TransferlibError(f"{spec.name} records what JSON gives back otherwise: pass it through nets.as_recorded")
    if again.get("name") != spec.name:
        raise TransferlibError(f"{spec.name} does not record its name, by which its runs are known")


def _check_shapes(spec: NetworkSpec) -> None:
    """Run the network without weights, on the shapes alone."""
    net = outline(spec, classes=2).eval()
    x = torch.empty(2, 3, spec.resolution, spec.resolution, device="meta")
    for k, (layer, tap) in enumerate(zip(net, net.taps(x, LAYERS)[1:], strict=True), start=1):
        if tap.shape[1:] != layer.shape:
            raise TransferlibError(
                f"{spec.name}: layer {k} gives {tuple(tap.shape[1:])} for an image, and says {layer.shape}"
            )


def _check_weights(spec: NetworkSpec) -> None:
    """Draw all weights twice, on other memory, from the same streams: every number must come out alike."""
    once, again = (_drawn(spec, before) for before in (0.0, 1.0))
    for name, tensor in once.state_dict().items():
        if not torch.equal(tensor, again.state_dict()[name]):
            raise TransferlibError(f"{spec.name}: initialise does not set {name} from its stream alone")


def _drawn(spec: NetworkSpec, before: float) -> Stack:
    net = outline(spec, classes=2).to_empty(device="cpu")
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.fill_(before)
        for k, layer in enumerate(net, start=1):
            spec.initialise(layer, k, torch.Generator().manual_seed(k))
    return net
