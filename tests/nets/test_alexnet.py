"""The networks: their sizes by arithmetic, their first weights, and what Captum asks of them."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import small
import torch
from torch import nn

from transferlib.errors import TransferlibError
from transferlib.nets import LAYERS, NETWORKS, network, outline
from transferlib.nets.alexnet import ALEXNETS
from transferlib.train import fresh_network

CPU = torch.device("cpu")


def conv(channels_in, channels, kernel, groups=1):
    return channels * (kernel * kernel * channels_in // groups) + channels


def linear(features_in, features):
    return features_in * features + features


def parameters(name, classes):
    net = outline(network(name), classes)
    return [sum(p.numel() for p in layer.parameters()) for layer in net.layers]


def multiply_adds(name, classes):
    return [layer.multiply_adds for layer in outline(network(name), classes)]


def test_caffenet_has_the_papers_parameters():
    expected = [
        conv(3, 96, 11),
        conv(96, 256, 5, groups=2),
        conv(256, 384, 3),
        conv(384, 384, 3, groups=2),
        conv(384, 256, 3, groups=2),
        linear(256 * 6 * 6, 4096),
        linear(4096, 4096),
        linear(4096, 1000),
    ]
    assert parameters("caffenet", 1000) == expected
    assert sum(expected) == 60_965_224


def test_small_networks_have_the_parameters_of_their_arithmetic():
    assert parameters("alexnet64", 100) == [
        conv(3, 64, 5), conv(64, 192, 5), conv(192, 384, 3), conv(384, 256, 3), conv(256, 256, 3),
        linear(256 * 4 * 4, 2048), linear(2048, 2048), linear(2048, 100),
    ]  # fmt: skip
    assert parameters("alexnet64-small", 100) == [
        conv(3, 32, 7), conv(32, 64, 3), conv(64, 128, 3), conv(128, 96, 3), conv(96, 96, 3),
        linear(96 * 4 * 4, 512), linear(512, 256), linear(256, 100),
    ]  # fmt: skip
    assert parameters("alexnet32", 50) == [
        conv(3, 32, 5), conv(32, 64, 3), conv(64, 128, 3), conv(128, 128, 3), conv(128, 96, 3),
        linear(96 * 4 * 4, 1024), linear(1024, 512), linear(512, 50),
    ]  # fmt: skip


def test_batch_norm_adds_two_parameters_a_channel_and_none_to_the_last_layer():
    plain, normed = parameters("alexnet32", 50), parameters("alexnet32-bn", 50)
    added = [b - a for a, b in zip(plain, normed, strict=True)]
    assert added == [2 * channels for channels in (32, 64, 128, 128, 96, 1024, 512, 0)]


def test_caffenets_multiply_adds_are_the_known_ones():
    assert multiply_adds("caffenet", 1000) == [
        55 * 55 * 96 * 11 * 11 * 3,
        27 * 27 * 256 * 5 * 5 * 48,
        13 * 13 * 384 * 3 * 3 * 256,
        13 * 13 * 384 * 3 * 3 * 192,
        13 * 13 * 256 * 3 * 3 * 192,
        9216 * 4096,
        4096 * 4096,
        4096 * 1000,
    ]


@pytest.mark.parametrize("name", ["alexnet64", "alexnet64-small", "alexnet32", "alexnet32-small", "alexnet32-tiny"])
def test_multiply_adds_are_those_of_the_layers_that_run(name):
    counted = []

    def count(module, inputs, output):
        weights = module.weight.numel()
        positions = output.shape[2] * output.shape[3] if isinstance(module, nn.Conv2d) else 1
        counted.append(weights * positions)

    net = outline(network(name), 10)
    for module in net.to_empty(device="cpu").eval().modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    side = net.spec.resolution
    assert net(torch.zeros(2, 3, side, side)).shape == (2, 10)
    assert len(counted) == 8
    assert [layer.multiply_adds for layer in net] == counted


@pytest.mark.parametrize("name", [spec.name for spec in ALEXNETS])
def test_every_network_is_eight_layers_each_with_one_matrix_and_nothing_in_place(name):
    net = outline(network(name), 10)
    assert len(net.layers) == LAYERS == 8
    for k, layer in enumerate(net.layers, start=1):
        kinds = Counter(type(module).__name__ for module in layer)
        assert kinds["Conv2d"] + kinds["Linear"] == 1 and kinds["Linear"] == (k > 5)
        assert kinds["ReLU"] == (k < 8)
        assert not any(module.inplace for module in layer if isinstance(module, nn.ReLU))
        assert kinds["BatchNorm2d"] + kinds["BatchNorm1d"] == (name.endswith("-bn") and k < 8)
    norms = [m for m in net.modules() if isinstance(m, nn.LocalResponseNorm)]
    assert len(norms) == (2 if name.startswith("caffenet") else 0)
    assert all((m.size, m.alpha, m.beta, m.k) == (5, 1e-4, 0.75, 1.0) for m in norms)


def test_each_module_is_used_exactly_once(alexnet):
    net, used = fresh_network(alexnet, 3, ("x",), CPU).eval(), Counter()
    for name, module in net.named_modules(remove_duplicate=False):
        if not list(module.children()):
            module.register_forward_hook(lambda *_, name=name: used.update([name]))
    net(torch.randn(2, 3, 8, 8))
    leaves = [n for n, m in net.named_modules(remove_duplicate=False) if not list(m.children())]
    assert used == Counter(leaves)
    assert len({id(m) for m in net.modules()}) == len(list(net.named_modules(remove_duplicate=False)))


@pytest.mark.parametrize("dropped", [False, True])
def test_running_from_any_layer_equals_running_the_whole(alexnet, dropped):
    net, x = fresh_network(alexnet, 3, ("x",), CPU).eval(), torch.randn(5, 3, 8, 8)
    masks = {6: (torch.rand(5, 12) > 0.5) * 2.0, 7: (torch.rand(5, 10) > 0.5) * 2.0} if dropped else None
    whole, taps = net(x, masks=masks), net.taps(x, 7, masks)
    assert len(taps) == 8 and taps[0] is x
    assert torch.equal(whole, net(x)) != dropped
    for n in range(8):
        assert torch.equal(net(x, stop=n, masks=masks), taps[n])
        assert torch.equal(net(taps[n], start=n, masks=masks), whole)


def test_caffe_initialisation_has_caffenets_spreads_and_biases():
    wide = dataclasses.replace(network("alexnet32-small"), initialisation="caffe")
    net = fresh_network(wide, 500, ("x",), CPU)
    for k, (std, bias) in enumerate(
        [(0.01, 0), (0.01, 1), (0.01, 0), (0.01, 1), (0.01, 1), (0.005, 1), (0.005, 1), (0.01, 0)]
    ):
        weight = net.layers[k][0].weight
        assert float(weight.detach().std()) == pytest.approx(std, rel=0.05), k + 1
        assert abs(float(weight.detach().mean())) < 0.1 * std
        assert (net.layers[k][0].bias == bias).all(), k + 1
    assert network("caffenet").initialisation == "caffe"


def test_he_initialisation_keeps_the_variance_and_starts_biases_at_zero():
    net = fresh_network(network("alexnet32-small-bn"), 500, ("x",), CPU)
    fans = [3 * 25, 24 * 9, 32 * 9, 64 * 9, 64 * 9, 64 * 16, 256, 256]
    for k, fan_in in enumerate(fans, start=1):
        layer = net.layers[k - 1]
        expected = ((2.0 if k < 8 else 1.0) / fan_in) ** 0.5
        assert float(layer[0].weight.detach().std()) == pytest.approx(expected, rel=0.05), k
        assert (layer[0].bias == 0).all()
        if k < 8:
            assert (layer.bn.weight == 1).all() and (layer.bn.bias == 0).all()
            assert (layer.bn.running_mean == 0).all() and (layer.bn.running_var == 1).all()
            assert layer.bn.num_batches_tracked == 0


def test_fresh_weights_come_from_the_layers_stream_and_leave_the_global_generator_alone(alexnet):
    before = torch.get_rng_state()
    one, same, other = (fresh_network(alexnet, c, (s,), CPU) for c, s in ((3, "x"), (5, "x"), (3, "y")))
    assert torch.equal(before, torch.get_rng_state())
    for k in range(8):
        a, b, c = (net.layers[k][0].weight for net in (one, same, other))
        assert not torch.equal(a, c)
        assert k == 7 or torch.equal(a, b)  # the number of classes changes layer 8 alone
    twins = [net.layers[2][0].weight.flatten()[:50] for net in (one, one)]
    assert not torch.equal(twins[0], one.layers[3][0].weight.flatten()[:50])


def test_an_unknown_network_is_refused_and_names_are_their_own():
    assert all(spec.name == name for name, spec in NETWORKS.items())
    with pytest.raises(TransferlibError, match="unknown network 'vgg': expected one of caffenet, "):
        network("vgg")


def test_the_test_network_is_the_one_that_the_plain_one_copies():
    assert [layer.multiply_adds for layer in outline(small.SPEC, 3)][:2] == [64 * 4 * 27, 16 * 6 * 18]
