"""The treatments of one target are paired by the study: the same fresh layers, images, crops and dropout."""

from __future__ import annotations

import pytest
import small
import torch
from small import CPU, RECIPE, SPEC_BN

from transferlib import nets, train
from transferlib.halves import OpenData
from transferlib.records import config_key
from transferlib.splits import Split
from transferlib.store import Store
from transferlib.study import FamilyPlan, Study
from transferlib.trainer import Trainer
from transferlib.treatments import Treatment


class Invented(OpenData):
    """Halves of noise, three classes each."""

    def split(self, plan):
        return Split(plan.split, ("a", "b", "c"), ("d", "e", "f"))

    def halves_of(self, plan, device):
        seed = {"A": 1, "B": 2}[plan.target]
        return small.random_half(seed), small.random_half(10 + seed)


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    monkeypatch.setitem(nets.NETWORKS, SPEC_BN.name, SPEC_BN)
    return Trainer(Store(tmp_path), CPU, data=Invented())


def plan(names, seed=0, split="random:0"):
    treatments = tuple(Treatment.parse(name) for name in names.split())
    study = Study("shapes", 8, SPEC_BN.name, (split,), ("B",), treatments, RECIPE, (seed,))
    return FamilyPlan(study, split, seed, "B", treatments[0].family, treatments)


def fresh_layers(trainer, names, **where):
    """The first member's state above its cut, before training."""
    member = trainer.build(plan(names, **where)).members[0]
    state, n = small.copies(member.net), member.treatment.n
    return {name: t for name, t in state.items() if int(name.split(".")[1]) >= n}


def seen(trainer, names, monkeypatch, **where):
    """What every step of a training is given: pixels as cut, labels and dropout masks."""
    family, found = trainer.build(plan(names, **where)), []
    real = train.dropout_masks
    with monkeypatch.context() as patch:
        patch.setattr(train, "dropout_masks", lambda *how: found.append(list(real(*how).values())) or real(*how))
        cut = train.cut_batch
        patch.setattr(train, "cut_batch", lambda *how: found.append([cut(*how)]) or cut(*how))
        for _ in range(6):
            family.train_step()
    return [t for tensors in found for t in tensors]


def same(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("other", ["B3B", "R3B", "A3B+", "B3B+"])
def test_treatments_of_one_target_start_from_the_same_fresh_layers_above_the_cut(trainer, other):
    one, two = fresh_layers(trainer, "A3B"), fresh_layers(trainer, other)
    assert one.keys() == two.keys() and "layers.3.conv.weight" in one
    assert same(list(one.values()), list(two.values()))


@pytest.mark.parametrize("other", ["B3B", "R3B", "A3B+", "B3B+"])
def test_treatments_of_one_target_see_the_same_crops_in_the_same_order_with_the_same_dropout(
    trainer, monkeypatch, other
):
    one, two = seen(trainer, "A3B", monkeypatch), seen(trainer, other, monkeypatch)
    assert len(one) == 6 * 3 and same(one, two)


@pytest.mark.parametrize("name", ["A3B", "B3B"])
def test_no_treatment_shares_a_stream_with_its_targets_base(trainer, monkeypatch, name):
    base, fresh = fresh_layers(trainer, "base"), fresh_layers(trainer, name)
    for key, tensor in fresh.items():
        if key.endswith(("conv.weight", "fc.weight")):
            assert not torch.equal(tensor, base[key]), key
    one, two = seen(trainer, "base", monkeypatch), seen(trainer, name, monkeypatch)
    assert len(one) == len(two)
    assert not any(torch.equal(x, y) for x, y in zip(one, two, strict=True))


@pytest.mark.parametrize("where", [{"seed": 1}, {"split": "random:1"}])
def test_another_seed_or_split_draws_everything_anew(trainer, monkeypatch, where):
    one, two = (seen(trainer, "R3B", monkeypatch, **w) for w in ({}, where))
    assert not any(torch.equal(x, y) for x, y in zip(one, two, strict=True))
    one, two = (fresh_layers(trainer, "R3B", **w) for w in ({}, where))
    assert not any(torch.equal(one[k], two[k]) for k in one if k.endswith(("conv.weight", "fc.weight")))


def test_layers_are_copied_from_the_named_base_bit_for_bit(trainer):
    for names, half in (("A4B", "A"), ("B4B", "B"), ("A4B+", "A")):
        copy = plan(names)
        net = trainer.build(copy).members[0].net
        assert copy.source_base.target == half
        source = copy.source_base
        base = trainer.store.get_weights(config_key(source.config(source.treatments[0])))
        for name, tensor in net.state_dict().items():
            if int(name.split(".")[1]) < 4:
                assert torch.equal(tensor, base[name]), name


def test_random_frozen_layers_are_neither_a_bases_nor_those_of_the_tail(trainer):
    net = trainer.build(plan("R7B")).members[0].net
    tail = train.fresh_network(SPEC_BN, 3, plan("R7B").stream, CPU.device)
    base = trainer.build(plan("base")).members[0].net
    for k in range(7):
        weight = net.layers[k][0].weight
        assert not torch.equal(weight, tail.layers[k][0].weight)
        assert not torch.equal(weight, base.layers[k][0].weight)
