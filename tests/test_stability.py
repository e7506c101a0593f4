"""The sharpness of a loss, against the whole Hessian of a small network; its limit, against steps on a quadratic."""

from __future__ import annotations

import pytest
import torch
from small import CPU, SPEC, family_of, random_half
from torch.autograd.functional import hessian
from torch.func import functional_call

from transferlib.stability import limit, sharpness
from transferlib.train import centre_batches


def of(name):
    family = family_of(name, SPEC)
    ((images, labels),) = centre_batches(random_half(3), SPEC, CPU.device, 100)
    member = family.members[0]
    return member, family.taps(images)[member.frozen], labels


@pytest.mark.parametrize("name", ["A7B", "A6B"])
def test_it_is_the_largest_eigenvalue_of_the_whole_hessian(name):
    member, taps, labels = of(name)
    found = sharpness(member, taps, labels, iterations=300)
    names = [n for n, p in member.net.named_parameters() if any(p is q for q in member.trained)]
    shapes = [p.shape for p in member.trained]

    def loss(flat):
        parts = flat.split([s.numel() for s in shapes])
        weights = {n: part.view(s) for n, part, s in zip(names, parts, shapes, strict=True)}
        out = functional_call(member.net.eval(), weights, (taps,), {"start": member.frozen})
        return torch.nn.functional.cross_entropy(out, labels)

    whole = hessian(loss, torch.cat([p.detach().flatten() for p in member.trained]))
    assert found == pytest.approx(float(torch.linalg.eigvalsh(whole).abs().max()), rel=1e-3)


def test_measuring_changes_nothing_of_the_run():
    member, taps, labels = of("A2B")
    before = {name: tensor.clone() for name, tensor in member.net.state_dict().items()}
    modes = [layer.training for layer in member.net]
    assert sharpness(member, taps, labels) == sharpness(member, taps, labels)
    assert all(torch.equal(before[name], tensor) for name, tensor in member.net.state_dict().items())
    assert [layer.training for layer in member.net] == modes and all(p.grad is None for p in member.trained)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.5, 0.9])
@pytest.mark.parametrize(("share", "grows"), [(0.98, False), (1.02, True)])
def test_steps_on_a_quadratic_grow_beyond_the_limit(nesterov, momentum, share, grows):
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    curvature = share * limit(0.1, momentum, nesterov)
    descent = torch.optim.SGD([weight], lr=0.1, momentum=momentum, nesterov=nesterov)
    for _ in range(2000):
        descent.zero_grad()
        (curvature * weight**2 / 2).sum().backward()
        descent.step()
    assert (abs(weight.item()) > 1) is grows
