"""Residual networks: their sizes by what runs, their first weights, what a place sees."""

from __future__ import annotations

import pytest
import small
import torch
from torch import nn

from transferlib.nets import NETWORKS, network, outline
from transferlib.nets.resnet import RESNETS, Gain
from transferlib.train import fresh_network

CPU = torch.device("cpu")
NAMES = [spec.name for spec in RESNETS]


def counted(net, side):
    """Multiply-adds of each layer for one image, by what its modules are given."""
    found = []

    def count(module, inputs, output):
        found[-1] += module.weight.numel() * output[0, 0].numel()  # places of a convolution, 1 of a linear layer

    for layer in net:
        layer.register_forward_pre_hook(lambda *_: found.append(0))
        for module in layer.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.register_forward_hook(count)
    net.eval()(torch.zeros(1, 3, side, side))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_multiply_adds_are_those_of_what_runs(name):
    net = fresh_network(network(name), 10, ("x",), CPU)
    assert [layer.multiply_adds for layer in net] == counted(net, 32)
    assert sum(layer.multiply_adds for layer in net) < 10e6  # what two cores can pay


def test_a_residual_network_is_a_stem_six_blocks_and_a_head():
    net = outline(network("resnet32-small"), 10)
    assert [layer.name for layer in net] == ["stem", *(f"block{k}" for k in range(1, 7)), "head"]
    assert [layer.shape for layer in net] == [(16, 16, 16)] * 3 + [(32, 8, 8)] * 2 + [(64, 4, 4)] * 2 + [(10,)]
    assert net.layer(2).kind == "residual block" and not any(layer.dropout for layer in net)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_changed_in_place_and_each_module_is_used_once(name):
    net, used = fresh_network(network(name), 3, ("x",), CPU).eval(), []
    leaves = [module for module in net.modules() if not list(module.children())]
    for module in leaves:
        module.register_forward_hook(lambda module, *_: used.append(id(module)))
    net(torch.randn(2, 3, 32, 32))
    assert sorted(used) == sorted(map(id, leaves))
    assert not any(module.inplace for module in leaves if isinstance(module, nn.ReLU))


def test_batch_norm_takes_the_place_of_biases():
    normed, plain = (outline(NETWORKS[name], 3) for name in ("resnet32-small", "resnet32-small-plain"))
    kinds = [{type(module) for module in net.modules()} for net in (normed, plain)]
    assert nn.BatchNorm2d in kinds[0] and Gain not in kinds[0]
    assert nn.BatchNorm2d not in kinds[1] and Gain in kinds[1]
    convs = [module for module in normed.modules() if isinstance(module, nn.Conv2d)]
    assert all(conv.bias is None for conv in convs) and len(convs) == 1 + 2 * 6 + 2


def test_without_normalisation_a_block_begins_as_what_passes_by_it():
    x = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    net = fresh_network(small.RESNET_PLAIN, 3, ("x",), CPU)
    taps = net.taps(x, 7)
    for k in range(2, 8):
        block = net.layer(k).block
        assert torch.equal(taps[k], torch.relu(block.past(taps[k - 1])))
    assert float(taps[7].detach().std()) > 0.01  # and not nothing


def test_what_a_place_sees_is_where_the_gradient_reaches():
    net, draw = fresh_network(network("resnet32-small"), 2, (0,), CPU).eval(), torch.Generator().manual_seed(0)
    for k in (1, 2, 3, 4):
        field, side = net.layer(k).field, net.layer(k).shape[1]
        reach = torch.zeros(32)
        for _ in range(8):  # a ReLU hides some paths in one draw
            x = torch.randn(1, 3, 32, 32, generator=draw, requires_grad=True)
            net(x, stop=k)[0, :, side // 2, side // 2].sum().backward()
            reach += x.grad[0].abs().sum((0, 1))
        seen = reach.nonzero()[:, 0]
        first = field.start + side // 2 * field.step
        assert (int(seen.min()), int(seen.max())) == (max(first, 0), min(first + field.size - 1, 31)), k
