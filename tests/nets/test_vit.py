"""Vision transformers: against PyTorch's own attention, their sizes by what runs, their first weights."""

from __future__ import annotations

import pytest
import small
import torch
from torch import nn
from torch.nn import functional

from transferlib.nets import network, outline
from transferlib.nets.vit import Patches
from transferlib.train import fresh_network

CPU = torch.device("cpu")


def plainly(net, x):
    """The network once more, with ``nn.MultiheadAttention`` and a loop over the patches."""
    spec, patches = net.spec, net.layer(1).patches
    cuts = [
        x[:, :, i : i + spec.patch, j : j + spec.patch].flatten(1)
        for i in range(0, spec.resolution, spec.patch)
        for j in range(0, spec.resolution, spec.patch)
    ]
    weight = patches.conv.weight.flatten(1)
    h = torch.stack([cut @ weight.T + patches.conv.bias for cut in cuts], 1) + patches.positions
    for k in range(2, 8):
        first, second = net.layer(k).attention, net.layer(k).mlp
        asked = nn.MultiheadAttention(spec.width, spec.heads, batch_first=True)
        asked.in_proj_weight.data.copy_(first.asked.weight)
        asked.in_proj_bias.data.copy_(first.asked.bias)
        asked.out_proj.load_state_dict(first.answer.state_dict())
        n = functional.layer_norm(h, (spec.width,), first.norm.weight, first.norm.bias)
        h = h + asked(n, n, n, need_weights=False)[0]
        n = functional.layer_norm(h, (spec.width,), second.norm.weight, second.norm.bias)
        h = h + second.down(functional.gelu(second.up(n)))
    head = net.layer(8)
    return head.fc(functional.layer_norm(h.mean(1), (spec.width,), head.norm.weight, head.norm.bias))


@pytest.mark.parametrize("name", ["test-vit", "vit32-small"])
def test_it_equals_the_network_written_with_pytorchs_own_attention(name):
    spec = small.VIT if name == "test-vit" else network(name)
    net = fresh_network(spec, 5, ("x",), CPU).eval()
    with torch.no_grad():
        for p in net.parameters():  # away from zero biases and norms of one
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
        x = torch.randn(3, 3, spec.resolution, spec.resolution, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(net(x), plainly(net, x), rtol=1e-4, atol=1e-4)


def test_a_transformer_is_patches_six_blocks_and_a_head():
    net = outline(network("vit32-small"), 10)
    assert [layer.name for layer in net] == ["patches", *(f"block{k}" for k in range(1, 7)), "head"]
    assert [layer.shape for layer in net] == [(16, 96)] * 7 + [(10,)]
    assert net.layer(1).field.size == 8 and net.layer(2).field is None


def test_multiply_adds_are_those_of_its_matrices_and_of_attention():
    net = outline(network("vit32-small"), 10)
    for k, layer in enumerate(net, start=1):
        matrices = sum(m.weight.numel() for m in layer.modules() if isinstance(m, (nn.Linear, nn.Conv2d)))
        attention = 2 * 16 * 16 * 96 if 1 < k < 8 else 0  # each place with each, once to ask and once to be told
        assert layer.multiply_adds == (16 if k < 8 else 1) * matrices + attention
    assert sum(layer.multiply_adds for layer in net) < 10e6  # what two cores can pay


def test_positions_are_drawn_from_the_first_layers_stream_and_norms_begin_as_identity():
    one, same, other = (fresh_network(small.VIT, 3, (s,), CPU) for s in ("x", "x", "y"))
    positions = [next(m for m in net.modules() if isinstance(m, Patches)).positions for net in (one, same, other)]
    assert torch.equal(positions[0], positions[1]) and not torch.equal(positions[0], positions[2])
    wide = fresh_network(network("vit32-small"), 3, ("x",), CPU)
    assert float(wide.layer(1).patches.positions.detach().std()) == pytest.approx(0.02, rel=0.1)
    for norm in (m for m in wide.modules() if isinstance(m, nn.LayerNorm)):
        assert (norm.weight == 1).all() and (norm.bias == 0).all()
    assert not any(isinstance(m, nn.Dropout) for m in wide.modules())
