"""The cures of a middle that breaks: each changes the one thing that it says, and training leaves what is frozen."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from small import CPU, RECIPE, SPEC, STREAM, family_of, run, source_of

from transferlib.stability import fixed_batch
from transferlib.train import Member, fresh_network, graft

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import cures

NAMES = "B2B B3B B5B B6B"


@pytest.fixture
def family():
    return family_of(NAMES, SPEC)


def of(family, name):
    taps = family.taps(fixed_batch(family)[0])
    return cures.cured(family_of(NAMES, SPEC), cures.cures(source_of(SPEC), taps)[name]), taps


def read_by(member, taps):
    """What the first fresh layer's first module of its own is given."""
    seen = []
    first = next(iter(member.net.layer(member.frozen + 1)))
    with torch.no_grad():
        handle = first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        member.net(taps[member.frozen], start=member.frozen)
        handle.remove()
    return seen[0]


def test_the_scale_is_one_and_nothing_else_changes(family):
    changed, taps = of(family, "scale of the tap")
    for member, before in zip(changed.members, family.members, strict=True):
        read = read_by(member, taps)
        assert float(read.std()) == pytest.approx(1)
        tap = taps[member.frozen]
        assert torch.allclose(read.flatten(1), (tap / tap.std()).flatten(1))
        assert all(torch.equal(a, b) for a, b in zip(member.trained, before.trained, strict=True))


def test_batch_norm_stands_before_the_fresh_layers_and_learns(family):
    changed, _ = of(family, "batch norm of the tap")
    norms = [next(iter(member.net.layer(member.frozen + 1))) for member in changed.members]
    assert norms[0].shape[1] > 1 and norms[3].shape[1:] == (1, 1)
    norms = [norm.norm for norm in norms]
    assert all(any(p is norm.weight for p in m.trained) for norm, m in zip(norms, changed.members, strict=True))
    run(changed)
    assert all(norm.num_batches_tracked == changed.total_steps for norm in norms)
    assert all(not torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms)


def test_preserved_layers_begin_at_the_solution_and_move(family):
    source = fresh_network(SPEC, 3, ("source",), CPU.device).requires_grad_(False).eval()
    nets = [graft(m.treatment, source, fresh_network(SPEC, 3, STREAM, CPU.device)) for m in family.members]
    members = [Member(m.treatment, net, RECIPE, CPU) for m, net in zip(family.members, nets, strict=True)]
    own = dataclasses.replace(family, prefix=source, members=members)
    kept = cures.cured(own, lambda net, n: cures.preserved(net, n, source))
    images = fixed_batch(kept)[0]
    for member in kept.members:
        member.net.eval()
        assert torch.equal(member.net(images), source(images))
    run(kept)
    for member in kept.members:
        moved = [not torch.equal(p, q) for p, q in zip(member.net.parameters(), source.parameters(), strict=True)]
        assert not any(moved[: 2 * member.frozen]) and all(moved[2 * member.frozen :])


def test_what_is_trained_is_told_as_a_runs_result(family, capsys):
    changed, _ = of(family, "scale of the tap")
    found = cures.trained(changed, "told")
    assert list(found) == NAMES.split() and "told 2 B2B" in capsys.readouterr().out
    assert all(len(result["curve"]) == 2 and result["status"] in ("ok", "chance") for result in found.values())


def test_the_plan_is_of_the_published_base_at_the_rate_that_breaks():
    plan = cures.plan()
    assert [str(t) for t in plan.treatments] == ["B2B", "B3B", "B4B", "B5B"]
    assert plan.study.recipe.learning_rate == 0.2 and plan.source_base.study.recipe.learning_rate == 0.05


def test_how_large_the_numbers_are_that_a_fresh_layer_reads(family):
    images, source = fixed_batch(family)[0], source_of(SPEC)
    found, taps = cures.spreads(source, images, range(2, 6)), family.taps(images)
    assert found["trained"] == {n: pytest.approx(float(taps[n].std()), abs=1e-4) for n in range(2, 6)}
    assert found["untrained"].keys() == found["trained"].keys() and found["untrained"] != found["trained"]


@pytest.mark.parametrize(("which", "slow"), [("the reading layer alone", True), ("all fresh layers but that", False)])
def test_one_part_alone_gets_the_small_rate(family, which, slow):
    changed, _ = of(family, f"small rate for {which}")
    images, labels = fixed_batch(family)
    for member, before in zip(changed.members, family.members, strict=True):
        taps = family.taps(images)[member.frozen]
        pairs = []
        for one in (member, before):
            one.net.eval().zero_grad()
            torch.nn.functional.cross_entropy(one.net(taps, start=one.frozen), labels).backward()
            pairs.append({k: [p.grad.clone() for p in one.net.layer(k).parameters()] for k in range(one.frozen + 1, 9)})
        for k, gradients in pairs[0].items():
            factor = 0.25 if (k == member.frozen + 1) is slow else 1.0
            assert all(torch.allclose(a, factor * b) for a, b in zip(gradients, pairs[1][k], strict=True))
