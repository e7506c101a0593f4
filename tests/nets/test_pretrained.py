"""Networks of torchvision and timm in eight parts: the same network, cut as its family is, or refused in a line."""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from itertools import combinations, pairwise

import pytest
import small
import torch
from torch import nn
from torch.nn import functional
from torchvision import models

from transferlib.errors import TransferlibError
from transferlib.nets import NETWORKS, network, register
from transferlib.nets.pretrained import Preprocessing, cut, from_module
from transferlib.nets.pretrained.cutting import CUTS, _balanced
from transferlib.nets.stack import LAYERS
from transferlib.train import Family, Member, Recipe, fresh_network, graft
from transferlib.treatments import parse_treatments

CPU = torch.device("cpu")
RESNET = ("stem", "layer1", "layer2", "layer3.0", "layer3.1", "layer4.0", "layer4.1", "head")
FAMILIES = (
    *("alexnet@64", "vgg11_bn@32", "resnet18@64", "resnet50@64", "mobilenet_v3_small@64", "mobilenet_v3_large@64"),
    *("mobilenet_v2@64", "efficientnet_b0@64", "convnext_tiny@64", "swin_t@64", "vit_b_32@64"),
)


def others(net):
    """Norms and statistics of their own, so that none could be left out unseen."""
    torch.manual_seed(5)
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            if tensor.is_floating_point() and tensor.dim() < 2:
                tensor.mul_(1 + 0.5 * torch.rand_like(tensor)).add_(0.1 * torch.rand_like(tensor))
    return net


@lru_cache(maxsize=1)  # a VGG has half a gigabyte
def both(name):
    """torchvision's own network, and ours with its weights, for five classes."""
    spec, own = network(f"torchvision:{name}"), name.partition("@")[0]
    size = {"image_size": spec.resolution} if own.startswith("vit") else {}
    torch.manual_seed(1)
    theirs = others(models.get_model(own, weights=None, num_classes=5, **size)).eval()
    whole = spec.whole(5)
    whole.load_state_dict(theirs.state_dict())
    return theirs, spec.laid(whole, 5).eval(), spec


def pixels(spec, count=2):
    return torch.rand(count, 3, spec.resolution, spec.resolution, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", FAMILIES)
def test_eight_parts_one_after_another_are_the_network_whole(name):
    theirs, ours, spec = both(name)
    x = pixels(spec)
    with torch.no_grad():
        taps = ours.taps(x, LAYERS)
        assert torch.allclose(taps[-1], theirs(x), rtol=1e-4, atol=1e-5)
    assert [tuple(tap.shape[1:]) for tap in taps[1:]] == [layer.shape for layer in ours]
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", ["resnet18@64", "mobilenet_v3_small@64", "swin_t@64", "vit_b_32@64"])
@pytest.mark.parametrize("n", [2, 5])
def test_a_tails_gradients_are_those_of_the_plain_network_with_its_prefix_frozen(name, n):
    theirs, spec = both(name)[0], network(f"torchvision:{name}")
    whole = spec.whole(5)
    whole.load_state_dict(theirs.state_dict())
    called = {id(p): key for key, p in whole.named_parameters()}  # which the eight parts share
    ours, parameters = spec.laid(whole, 5).eval(), dict(theirs.named_parameters())
    frozen, trained = ([*layers.parameters()] for layers in (ours.layers[:n], ours.layers[n:]))
    for p in frozen:
        parameters[called[id(p)]].requires_grad_(False)
    x, y = pixels(spec), torch.tensor([0, 3])
    functional.cross_entropy(theirs(x), y).backward()
    with torch.no_grad():
        tap = ours.taps(x, n)[n]
    functional.cross_entropy(ours(tap, start=n), y).backward()
    gradients = {key: p.grad for key, p in parameters.items()}
    theirs.zero_grad()
    theirs.requires_grad_(True)
    assert frozen and all(p.grad is None for p in frozen)
    assert {key for key, grad in gradients.items() if grad is not None} == {called[id(p)] for p in trained}
    for p in trained:
        assert torch.allclose(p.grad, gradients[called[id(p)]], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "efficientnet_lite0"])
def test_timms_networks_are_cut_too(name):
    timm = pytest.importorskip("timm")
    spec = network(f"timm:{name}@64")
    size = {"img_size": 64} if "vit" in name else {}
    theirs = others(timm.create_model(name, pretrained=False, num_classes=5, **size)).eval()
    whole = spec.whole(5)
    whole.load_state_dict(theirs.state_dict())
    x = pixels(spec)
    with torch.no_grad():
        assert torch.allclose(spec.laid(whole, 5).eval()(x), theirs(x), rtol=1e-4, atol=1e-5)
    assert len(spec.names) == LAYERS and spec.names[-1] == "head"


def test_parts_have_the_names_that_a_practitioner_uses_and_cost_what_they_cost():
    _, net, spec = both("resnet18@64")
    assert spec.names == RESNET
    counted, seen = {}, []
    for name, module in net.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            key = int(name.split(".")[1])
            module.register_forward_hook(lambda m, i, o, key=key: seen.append((key, m, o)))
    with torch.no_grad():
        net(pixels(spec, 1))
    for key, module, out in seen:
        places = out[0].numel() // out.shape[1]
        counted[key] = counted.get(key, 0) + module.weight.numel() * places
    assert [layer.multiply_adds for layer in net] == [counted[k] for k in range(LAYERS)]


@pytest.mark.parametrize("name", ["resnet18@64", "mobilenet_v3_small@64", "swin_t@64"])
def test_a_declared_family_is_cut_where_its_table_says(name):
    spec = network(f"torchvision:{name}")
    starts = next(cuts for pattern, cuts in CUTS.items() if re.fullmatch(pattern, name.partition("@")[0]))
    for part, start in zip(spec.parts[1:], starts, strict=False):
        module = start if isinstance(start, str) else start[0]
        assert f"{part.steps[0]}.".startswith(f"{module}.")


def test_parts_of_a_family_without_a_table_cost_about_alike():
    generator = torch.Generator().manual_seed(4)
    for units in (7, 8, 10):
        costs = torch.randint(1, 9, (units,), generator=generator).tolist()
        found = min(
            sum(sum(costs[a:b]) ** 2 for a, b in pairwise((0, *starts, units)))
            for starts in combinations(range(1, units), 6)
        )
        starts = _balanced(costs)
        assert sum(sum(costs[a:b]) ** 2 for a, b in pairwise((0, *starts, units))) == found


# --- what can't be cut ---


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torchvision:densenet121@64", "torchvision:densenet121@64 can't be cut into 8 parts: its modules"),
        ("torchvision:squeezenet1_0@64", "torchvision:squeezenet1_0@64 can't be cut"),
        ("torchvision:resnet17", "resnet18"),
        ("torchvision:", "names no network"),
        ("torchvision:resnet18@7", "32 pixels or more"),
        ("torchvision:resnet18@x", "32 pixels or more"),
        ("torchvision:alexnet@32", "does not run on pictures of 32 px"),
        ("timm:no_such_net", "timm has no network no_such_net"),
    ],
)
def test_a_network_that_is_none_or_cannot_be_cut_is_refused_in_one_line(name, words):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(TransferlibError) as refused:
        network(name)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_where_timm_is_missing_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TransferlibError, match="pip install timm"):
        network("timm:resnet34")


class Chain(nn.Module):
    """Seven convolutions, some with a norm, and a head; with a skip that no cut can take, if that is asked for."""

    def __init__(self, classes=5, skip=False):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3 if k == 0 else 4, 4, 3, padding=1) for k in range(7))
        self.norm, self.pool, self.fc = nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Linear(4, classes)
        self.skip = skip

    def forward(self, x):
        x = first = self.convs[0](x)
        for conv in self.convs[1:]:
            x = conv(x)
        x = self.norm(x) + (first if self.skip else 0)
        return self.fc(self.pool(x).flatten(1))


PARTS = {f"conv{k}": [f"convs.{k}"] for k in range(6)} | {
    "conv6": ["convs.6", "norm", "pool", "flatten"],
    "head": ["fc"],
}
PICTURES = Preprocessing.of_units(32, 32)


def test_a_module_is_cut_as_its_parts_are_named():
    spec = cut("mine", Chain, PICTURES, PARTS)
    assert spec.names == tuple(PARTS)
    with pytest.raises(TransferlibError, match="mine can't be cut into 8 parts: its modules"):
        cut("mine", Chain, PICTURES)  # a ModuleList does not run


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv6": None}, "7 parts are named"),
        ({"conv6": []}, "7 parts are named"),
        ({"conv2": ["convs.9"]}, "it has no module convs.9"),
        ({"head": ["pool"]}, "not the one fully connected layer"),
        ({"conv6": ["convs.6", "pool", "flatten"]}, "don't give what it gives"),
        ({"conv0": ["convs.1"], "conv1": ["convs.0"]}, "don't run one after another"),
    ],
    ids=str,
)
def test_parts_that_are_named_wrongly_are_refused(change, words):
    parts = {name: steps for name, steps in (PARTS | change).items() if steps is not None}
    with pytest.raises(TransferlibError, match=f"mine can't be cut into 8 parts: .*{words}"):
        cut("mine", Chain, PICTURES, parts)


def test_a_skip_across_a_cut_is_refused():
    with pytest.raises(TransferlibError, match="leap can't be cut into 8 parts: its parts, one after another"):
        cut("leap", lambda classes: Chain(classes, skip=True), PICTURES, PARTS)


def test_a_module_of_ones_own_starts_anew_by_resetting_every_module_and_one_that_cannot_is_named():
    given = from_module("mine", Chain(), PICTURES, PARTS)
    assert given.classes == 5
    fresh = fresh_network(given.spec, 3, ("x",), CPU).state_dict()
    source = given.stack().state_dict()
    assert not any(torch.equal(t, source[k]) for k, t in fresh.items() if k.endswith("conv.weight") or ".0.convs" in k)
    odd = Chain()
    odd.convs[2].register_parameter("extra", nn.Parameter(torch.ones(1)))
    odd.own = nn.Module()
    odd.own.register_parameter("scale", nn.Parameter(torch.ones(1)))
    with pytest.raises(TransferlibError, match="no fresh weights are known for its own"):
        from_module("odd", odd, PICTURES, PARTS)


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "vgg11"])
def test_a_librarys_network_as_a_module_of_ones_own_is_cut_by_itself(name, monkeypatch):
    monkeypatch.setattr("transferlib.nets.registry.NETWORKS", dict(NETWORKS))
    given = from_module("own", models.get_model(name, weights=None, num_classes=5), Preprocessing.of_units(64, 64))
    register(given.spec)  # looks at its shapes without memory, and draws its weights twice


def test_a_make_that_asks_for_numbers_can_be_looked_at_without_memory(monkeypatch):
    monkeypatch.setattr("transferlib.nets.registry.NETWORKS", dict(NETWORKS))

    def make(classes):
        net = Chain(classes)
        assert net.convs[0].weight.sum().item() is not None
        return net

    register(from_module("asks", Chain(), PICTURES, PARTS, make).spec)


def test_the_head_is_the_one_that_the_parts_name():
    module = Chain()
    module.aside = nn.Linear(3, 3)  # registered last, and no head
    given = from_module("mine", module, PICTURES, PARTS)
    assert given.spec.build(9).classes == 9


def test_two_networks_of_one_name_and_other_modules_are_two():
    wide, deep = Chain(), Chain()
    deep.convs[3].add_module("act", nn.Tanh())
    one, two = (from_module("mine", net, PICTURES, PARTS).spec.recorded() for net in (wide, deep))
    assert one["architecture"] != two["architecture"]
    assert from_module("mine", Chain(), PICTURES, PARTS).spec.recorded() == one
    assert "architecture" not in network("torchvision:mobilenet_v3_small@32").recorded()


def test_weights_that_two_parts_share_are_refused():
    class Shared(Chain):
        def __init__(self, classes=5):
            super().__init__(classes)
            self.convs[4] = self.convs[2]

    with pytest.raises(TransferlibError, match=r"its convs\.4 runs in conv2 and in conv4, which can't be frozen apart"):
        cut("shared", Shared, PICTURES, PARTS)


def test_a_librarys_name_is_not_for_a_module_of_ones_own():
    with pytest.raises(TransferlibError, match="is a name of torchvision's"):
        from_module("torchvision:resnet18", Chain(), PICTURES, PARTS)


def test_a_size_that_a_network_does_not_take_is_one_line():
    with pytest.raises(TransferlibError, match=r"vit_b_16@50 can't be cut into 8 parts: it can't be made for .* 50 px"):
        network("torchvision:vit_b_16@50")


# --- fresh weights, and training ---


@pytest.mark.parametrize("name", ["mobilenet_v3_small@32", "swin_t@32"])
def test_fresh_weights_come_from_the_stream_and_buffers_are_whole(name):
    spec = network(f"torchvision:{name}")
    torch.manual_seed(7)
    before = torch.get_rng_state()
    once = fresh_network(spec, 5, ("a",), CPU)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(8)
    again = small.copies(fresh_network(spec, 5, ("a",), CPU))
    assert all(torch.equal(tensor, again[key]) for key, tensor in small.copies(once).items())
    if name.startswith("mobilenet"):  # Swin takes seconds to draw
        other = small.copies(fresh_network(spec, 5, ("b",), CPU))
        assert not any(
            torch.equal(t, other[key]) for key, t in small.copies(once).items() if key.endswith("0_0.weight")
        )
    tables = [t for key, t in once.state_dict().items() if "relative_position_index" in key]
    assert all(t.min() == 0 and t.max() == (2 * 7 - 1) ** 2 - 1 for t in tables)
    assert bool(tables) == name.startswith("swin")
    assert once(pixels(spec)).isfinite().all()


def source():
    """A network with statistics of its own, frozen as the study hands it out."""
    spec = network("torchvision:mobilenet_v3_small@32")
    return others(fresh_network(spec, 4, ("source",), CPU)).requires_grad_(False).eval()


def family(names):
    treatments, copied, halves = parse_treatments(names), source(), [small.random_half(k, side=32) for k in (1, 2)]
    members = []
    for treatment in treatments:
        net = graft(treatment, copied, fresh_network(copied.spec, 3, small.STREAM, CPU))
        members.append(Member(treatment, net, small.RECIPE, small.CPU))
    prefix = copied if treatments[0].frozen else None
    return small.run(Family(members, prefix, small.RECIPE, small.STREAM, *halves, small.CPU))


@pytest.fixture(scope="module")
def trained():
    """A2B and A5B of a small network, trained for some steps together and alone, and A5B+."""
    return {names: family(names) for names in ("A2B,A5B", "A5B", "A5B+")}


def below(n, state):
    return {key: tensor for key, tensor in state.items() if int(key.split(".")[1]) < n}


def test_a_frozen_part_keeps_every_byte_with_its_batch_norms_and_what_is_above_moves(trained):
    found = trained["A2B,A5B"]
    before = small.copies(source())
    fresh = small.copies(fresh_network(found.spec, 3, small.STREAM, CPU))
    for member in found.members:
        state = member.net.state_dict()
        kept = below(member.frozen, state)
        assert any("running_mean" in key for key in kept)
        assert all(torch.equal(tensor, before[key]) for key, tensor in kept.items())
        above = {key: tensor for key, tensor in state.items() if key not in kept and "bias" not in key}
        assert not any(torch.equal(tensor, fresh[key]) for key, tensor in above.items())


def test_a_run_in_its_family_is_the_run_alone_bit_for_bit(trained):
    assert small.numbers(trained["A2B,A5B"])["A5B"] == small.numbers(trained["A5B"])["A5B"]


def test_fine_tuning_moves_the_copied_layers_and_their_statistics(trained):
    found = trained["A5B+"]
    before = small.copies(source())
    copied = below(5, found.members[0].net.state_dict())
    assert not any(torch.equal(t, before[key]) for key, t in copied.items() if "bias" not in key)


def test_nothing_random_is_drawn_in_training_and_dropout_in_front_of_a_part_is_the_engines():
    spec = network("torchvision:efficientnet_b0@64")
    net, x = fresh_network(spec, 5, ("x",), CPU).train(), pixels(spec)
    with torch.no_grad():
        torch.manual_seed(1)
        once = net(x)
        torch.manual_seed(2)
        assert torch.equal(once, net(x))
    assert [k for k, layer in enumerate(net, 1) if layer.dropout] == [7]
    alexnet = network("torchvision:alexnet@64")
    assert [part.dropout for part in alexnet.parts] == [False] * 4 + [True, True, False, False]


def test_copied_layers_move_at_their_own_rate():
    spec, moved = network("torchvision:mobilenet_v3_small@32"), {}
    copied = fresh_network(spec, 4, ("source",), CPU)
    for scale in (1.0, 0.1):
        (treatment,) = parse_treatments("A3B+")
        net = graft(treatment, copied, fresh_network(spec, 3, ("x",), CPU))
        recipe = Recipe(epochs=1, momentum=0.0, nesterov=False, weight_decay=0.0, copied_rate=scale)
        member, before = Member(treatment, net, recipe, small.CPU), small.copies(net)
        for group in member.optimizer.param_groups:
            group["lr"] = 0.1 * group["scale"]
        torch.manual_seed(0)
        member.step([torch.rand(8, 3, 32, 32)], {}, torch.arange(8) % 3, small.CPU)
        moved[scale] = {k: t - before[k] for k, t in small.copies(net).items() if "weight" in k}
    for key, step in moved[1.0].items():
        expected = 0.1 if int(key.split(".")[1]) < 3 else 1.0
        assert torch.allclose(moved[0.1][key], expected * step, rtol=1e-3, atol=1e-7)
