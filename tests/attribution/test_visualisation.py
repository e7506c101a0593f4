"""Feature visualisation: what is painted excites its unit as noise does not, and leaves the network as it was."""

from __future__ import annotations

import numpy as np
import pytest
import small
import torch

from transferlib.attribution import PHOTOGRAPHS, as_input, crops, photograph, visualise
from transferlib.errors import TransferlibError
from transferlib.results import open_results
from transferlib.train import fresh_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def net():
    return open_results("published", "random", treatments="base,AnB").base("A")


def answers(net, pictures, n):
    """Layer ``n`` before its rectifier, by its weights alone, in the mean over positions: (B, units)."""
    below, weighted = net(as_input(pictures, net.spec), stop=n - 1), next(net.layer(n).children())
    given = weighted(below if net.layer(n).has_positions else below.flatten(1))
    return given.reshape(*given.shape[:2], -1).mean(2).detach()


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 8])
def test_each_picture_excites_its_own_unit_as_no_photograph_does(net, n):
    units = [1, 4, 7]
    pictures = visualise(net, n, units, steps=48)
    assert pictures.shape == (3, 32, 32, 3)
    assert pictures.dtype == np.uint8
    seen = np.concatenate([crops(photograph(name), 32, 50) for name in PHOTOGRAPHS])
    own, best = answers(net, pictures, n)[:, units], answers(net, seen, n)[:, units].amax(0)
    assert (own.argmax(0) == torch.arange(3)).all()  # of the three, each unit likes its own best
    assert (own.diagonal() > best).all()


@torch.no_grad()  # as where pictures are looked at: the climb has slopes of its own
def test_the_same_again_and_another_by_another_seed(net):
    one, again, other = (visualise(net, 5, [0, 2], steps=8, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_the_network_stays_as_it_was(net):
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    visualise(net, 8, [0], steps=3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_what_it_does_not_take(net):
    with pytest.raises(TransferlibError, match=r"expected layer in 1\.\.8, got 9"):
        visualise(net, 9, [0])
    training = fresh_network(small.SPEC, 5, (0, "test"), CPU)
    with pytest.raises(TransferlibError, match="evaluation mode"):
        visualise(training, 1, [0])
