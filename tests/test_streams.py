"""Named streams and the hashed numbers."""

from __future__ import annotations

import naive
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlib.streams import generator, hashed_uniform, stream_seed

CPU = torch.device("cpu")
SEEDS = st.integers(0, 2**62 - 1)


@given(SEEDS | st.sampled_from([0, 1, 2**62 - 1]), st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_hashed_numbers_are_splitmix64s(seed, count):
    assert hashed_uniform(seed, count, CPU).tolist() == naive.uniform(seed, count)


def test_splitmix64_here_gives_the_published_numbers():
    assert naive.splitmix64(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(SEEDS, st.integers(1, 300), st.integers(1, 300))
@settings(deadline=None)
def test_how_many_are_drawn_changes_none(seed, few, more):
    assert torch.equal(hashed_uniform(seed, few + more, CPU)[:few], hashed_uniform(seed, few, CPU))


@pytest.mark.parametrize("seed", [0, 1, stream_seed("dropout", 6, 0, 0)])
def test_hashed_numbers_are_uniform_and_uncorrelated(seed):
    u = hashed_uniform(seed, 200_000, CPU).double()
    assert u.min() >= 0 and u.max() < 1
    assert float(u.mean()) == pytest.approx(0.5, abs=0.003)
    assert float(u.var()) == pytest.approx(1 / 12, abs=0.001)
    shares = torch.histc(u, 10, 0, 1) / len(u)
    assert (shares - 0.1).abs().max() < 0.004
    neighbour = hashed_uniform(seed + 1, 200_000, CPU).double()
    for other in (u.roll(1), u.roll(12), neighbour):
        assert abs(float(torch.corrcoef(torch.stack([u, other]))[0, 1])) < 0.01


@given(st.lists(st.integers(0, 50) | st.sampled_from(["order", "crops", "A", "B", "random:0"]), min_size=1))
def test_a_streams_seed_is_its_names_hash(name):
    assert stream_seed(*name) == naive.seed_of(*name)
    assert 0 <= stream_seed(*name) < 2**62


def test_streams_of_other_names_differ():
    names = [(s, split, t, k, e) for s in (0, 1) for split in "xy" for t in "AB" for k in (6, 7) for e in (0, 1)]
    assert len({stream_seed(*name) for name in names}) == len(names)
    drawn = {tuple(torch.rand(3, generator=generator(*name)).tolist()) for name in names}
    assert len(drawn) == len(names)


def test_a_stream_starts_at_its_beginning_each_time_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    one, two = (torch.rand(5, generator=generator("a", 1)) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(before, torch.get_rng_state())
