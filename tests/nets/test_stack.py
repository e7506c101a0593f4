"""What a network says of its own layers, and how one of your own is registered."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

import pytest
import small
import torch
from torch import nn

from transferlib.errors import TransferlibError
from transferlib.nets import NETWORKS, Layer, Stack, draw_weights, he, network, outline, register
from transferlib.train import fresh_network

CPU = torch.device("cpu")


@pytest.fixture
def registry(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr("transferlib.nets.registry.NETWORKS", dict(NETWORKS))


@dataclasses.dataclass(frozen=True)
class Toy:
    """Eight linear layers; ``told`` is what layer 3 says of its width."""

    name: str = "toy"
    resolution: int = 4
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    told: int = 5
    layers: int = 8

    def recorded(self):
        return {"name": self.name, "told": self.told}

    def build(self, classes):
        layers = []
        for k in range(1, self.layers + 1):
            width, below = classes if k == self.layers else 5, 48 if k == 1 else 5
            module = OrderedDict(flat=nn.Flatten(), fc=nn.Linear(below, width))
            told = self.told if k == 3 else width
            layers.append(Layer(module, name=f"fc{k}", kind="fully connected", shape=(told,), multiply_adds=1))
        return Stack(self, layers, classes)

    def initialise(self, layer, k, draw):
        draw_weights(layer, he(k), draw)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_gives_the_shapes_that_its_layers_say(name):
    spec = network(name)
    net = outline(spec, 7).eval()
    taps = net.taps(torch.empty(3, 3, spec.resolution, spec.resolution, device="meta"), 8)
    assert [tuple(tap.shape[1:]) for tap in taps[1:]] == [layer.shape for layer in net]
    assert net.layer(8).shape == (7,) and not net.layer(8).dropout


def test_layers_have_names_kinds_and_widths_for_people():
    net = outline(network("alexnet32-small"), 50)
    assert [layer.name for layer in net] == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert (net.layer(1).kind, net.layer(1).width) == ("convolution 5×5", "24 channels")
    assert (net.layer(8).kind, net.layer(8).width) == ("fully connected", "50 units")
    assert [layer.has_positions for layer in net] == [True] * 5 + [False] * 3
    assert [layer.field is None for layer in net] == [False] * 5 + [True] * 3
    assert [layer.dropout for layer in net] == [False] * 5 + [True, True, False]


@pytest.mark.parametrize("cut", range(9))
def test_the_state_above_a_cut_is_the_rest_of_the_whole(cut):
    net = fresh_network(small.SPEC_BN, 3, ("x",), CPU)
    whole, above = net.state_dict(), net.above(cut)
    below = {name for k in range(1, cut + 1) for name in whole if name.startswith(f"{net.path(k)}.")}
    assert list(above) == [name for name in whole if name not in below]
    assert all(above[name].data_ptr() == whole[name].data_ptr() for name in above)
    assert dict(net.named_modules())[net.path(3)] is net.layer(3)


@pytest.mark.parametrize("k", [0, 9, -1])
def test_a_network_has_no_other_layers(k):
    with pytest.raises(TransferlibError, match=rf"expected layer in 1\.\.8, got {k}"):
        outline(small.SPEC, 3).layer(k)


def test_an_outline_draws_nothing_and_takes_no_memory():
    before = torch.get_rng_state()
    net = outline(network("caffenet"), 1000)
    assert all(p.is_meta for p in net.parameters())
    assert torch.equal(before, torch.get_rng_state())


def test_a_network_of_ones_own_can_be_named(registry):
    register(Toy())
    assert network("toy") == Toy()
    register(Toy())  # as where a file is imported twice
    with pytest.raises(TransferlibError, match="another network of the name toy"):
        register(Toy(told=6))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Toy(told=6), r"layer 3 gives \(5,\) for an image, and says \(6,\)"),
        (Toy(layers=9), "toy has 9 layers: expected 8, blocks taken together"),
        (Toy(name="alexnet64"), "another network of the name alexnet64"),
    ],
)
def test_a_network_that_is_not_what_it_says_is_refused(registry, spec, words):
    with pytest.raises(TransferlibError, match=words):
        register(spec)
    assert "toy" not in NETWORKS


def test_a_network_must_record_its_name(registry, monkeypatch):
    monkeypatch.setattr(Toy, "recorded", lambda self: {"told": 1})
    with pytest.raises(TransferlibError, match="does not record its name"):
        register(Toy())


def test_what_is_no_specification_is_told_what_it_lacks(registry):
    with pytest.raises(TransferlibError, match="is no specification of a network: it lacks mean, std, initialise"):
        register(type("Bare", (), {"name": "bare", "resolution": 8, "build": 0, "recorded": 0})())


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        ({"name": "toy", "kinds": {1}}, "records what JSON does not have"),
        ({"name": "toy", "rate": float("nan")}, "records what JSON does not have"),
        ({"name": "toy", "widths": (1, 2)}, "gives back otherwise: pass it through nets.as_recorded"),
    ],
)
def test_a_record_must_be_what_json_gives_back(registry, monkeypatch, recorded, words):
    monkeypatch.setattr(Toy, "recorded", lambda self: recorded)
    with pytest.raises(TransferlibError, match=words):
        register(Toy())


@pytest.mark.parametrize(
    "initialise",
    [
        lambda self, layer, k, draw: None,
        lambda self, layer, k, draw: [nn.init.normal_(p) for p in layer.parameters()],  # the global generator's
        lambda self, layer, k, draw: k == 4 or draw_weights(layer, he(k), draw),
    ],
    ids=["nothing", "globally", "but for one"],
)
def test_weights_that_do_not_come_from_their_stream_are_refused(registry, monkeypatch, initialise):
    monkeypatch.setattr(Toy, "initialise", initialise)
    with pytest.raises(TransferlibError, match=r"toy: initialise does not set layers\.\d\.fc\.(weight|bias)"):
        register(Toy())
