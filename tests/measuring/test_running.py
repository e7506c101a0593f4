"""The study of a measurement, and two folders measured for real."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
import torch
from made import names
from PIL import Image

from transferlib.cli import main
from transferlib.errors import TransferlibError
from transferlib.executors.serial import Serial
from transferlib.measuring import measure
from transferlib.measuring.advice import BASE, COPIES
from transferlib.measuring.running import recipe_for, study_of
from transferlib.measuring.words import recommendation
from transferlib.splits import make_split
from transferlib.store import Store
from transferlib.study import FamilyPlan, Study
from transferlib.train import Recipe
from transferlib.treatments import parse_treatments

# --- the study ---


def test_fewer_pictures_are_seen_more_often_in_smaller_batches():
    recipes = [recipe_for(count) for count in (8, 1_000, 100_000)]
    assert [r.epochs for r in recipes] == [100, 40, 20]
    assert [r.batch_size for r in recipes] == [16, 62, 128]
    assert [r.epochs for r in (recipe_for(8, 3), recipe_for(100_000, 3))] == [3, 3]


def test_large_data_are_trained_on_the_larger_network_and_a_large_target_once():
    small, large = (study_of(("shapes", "cifar100"), [count, 500], None, None) for count in (10_000, 10_001))
    assert (small.network, small.seeds) == ("alexnet32-tiny", (0, 1, 2))
    assert (large.network, large.seeds) == ("alexnet32-small", (0, 1, 2))
    assert large.source.network == large.network
    assert study_of(("shapes", "cifar100"), [500, 10_001], None, None).seeds == (0,)


def study(source="shapes", target="cifar100", **changes):
    parts = [
        Study(name, 32, "alexnet32-tiny", (f"whole:{h}",), (h,), parse_treatments(t), Recipe(epochs=epochs))
        for name, h, t, epochs in ((source, "A", "base", 7), (target, "B", "base,A3B", 9))
    ]
    return dataclasses.replace(parts[1], source=parts[0], **changes)


def test_a_copied_runs_configuration_names_both_data_sets_and_a_bases_only_its_own():
    base, source_base, copied = study().families()
    assert [plan.study.dataset for plan in (source_base, base, copied)] == ["shapes", "cifar100", "cifar100"]
    assert [str(plan.treatments[0]) for plan in (source_base, base, copied)] == ["base", "base", "A3B"]
    assert [plan.study.recipe.epochs for plan in (source_base, base, copied)] == [7, 9, 9]
    assert copied.config(copied.treatments[0])["source_key"] == source_base.run_keys[0]
    same_base, _, other_copied = study(source="tiny-imagenet").families()
    assert same_base.run_keys == base.run_keys
    assert other_copied.run_keys != copied.run_keys
    alone = FamilyPlan.base(dataclasses.replace(study(), source=None), "whole:B", 0, "B")
    assert alone.run_keys == base.run_keys


def test_its_own_base_is_still_a_selffers_source():
    plan = next(p for p in study(treatments=parse_treatments("B3B")).families() if not p.is_base)
    assert plan.source_base.study.dataset == "cifar100" and plan.source_base.target == "B"


def test_layers_of_another_network_are_refused():
    with pytest.raises(TransferlibError, match="do not fit alexnet32-small"):
        study(network="alexnet32-small")


def test_a_whole_data_set_is_one_half_and_has_no_other(folders):
    from transferlib.data import load

    data = load(names(folders)[1], 32)
    split = make_split(data, "whole:B")
    assert (split.half("B"), split.A) == (("x", "y"), ())
    with pytest.raises(TransferlibError, match="whole:B has no half A: another data set must be the source"):
        split.half("A")
    with pytest.raises(TransferlibError, match="unknown split"):
        make_split(data, "whole:C")


@pytest.fixture(scope="module")
def measured(folders, tmp_path_factory):
    torch.set_num_threads(1)
    store = tmp_path_factory.mktemp("measured") / "store"
    return store, measure(*names(folders), store, seeds=2, epochs=3, device="cpu")


def test_two_folders_give_curves_and_a_recommendation(measured):
    _, result = measured
    assert list(result.table["treatment"]) == [str(t) for t in (BASE, *COPIES)]
    assert set(result.table["seeds"]) == {2}
    inside = result.table["accuracy"].between(result.table["accuracy_low"], result.table["accuracy_high"])
    assert inside.all()
    assert result.recommendation == recommendation(result.advice)
    printed = str(result)
    assert "source  folder:source: 3 classes" in printed and "target  folder:target: 2 classes" in printed
    assert "note: only" in printed and result.recommendation in printed


def test_the_table_says_what_the_runs_say(measured):
    _, result = measured
    runs = result.runs[result.runs["target"] == "B"]
    means = 100 * runs.groupby("treatment")["top1"].mean()
    for row in result.table.itertuples():
        assert row.accuracy == pytest.approx(means[row.treatment], abs=1e-4)
        assert row.difference == pytest.approx(means[row.treatment] - means["base"], abs=1e-4)


def test_copied_frozen_layers_are_those_of_the_sources_base(measured, folders, monkeypatch):
    store, result = measured
    records = [Store(store).get(key) for key in result.runs["key"]]
    bases = {r["config"]["seed"]: k for r, k in zip(records, result.runs["key"], strict=True) if _of_source(r)}
    assert len(bases) == 2
    for record in records:
        if record["config"]["source"] == "A":
            assert record["config"]["source_key"] == bases[record["config"]["seed"]]
    assert Store(store).get_weights(bases[0])["layers.7.fc.weight"].shape[0] == 3


def _of_source(record):
    return record["config"]["treatment"] == "base" and record["config"]["data"]["name"] == "folder:source"


def test_a_second_call_trains_nothing_and_other_pictures_do(measured, folders, monkeypatch):
    store, result = measured
    before = {path.name for path in (store / "runs").iterdir()}
    again = measure(*names(folders), store, seeds=2, epochs=3, device="cpu")
    assert {path.name for path in (store / "runs").iterdir()} == before
    pd.testing.assert_frame_equal(again.table, result.table)
    added = folders / "target" / "x" / "new.png"
    Image.new("RGB", (40, 40), "red").save(added)
    try:  # in the same process, which has read the folder before
        monkeypatch.setattr(Serial, "run", lambda _, trainer, study: _keys_of(study))
        with pytest.raises(_Asked) as asked:
            measure(*names(folders), store, seeds=2, epochs=3, device="cpu")
    finally:
        added.unlink()
    assert sum(f"{key}.json" in before for key in asked.value.keys) == 2  # the source's bases


class _Asked(Exception):
    def __init__(self, keys):
        self.keys = keys


def _keys_of(study):
    raise _Asked([key for plan in study.families() for key in plan.run_keys])


def test_the_command_prints_draws_and_writes_the_curves(measured, folders, tmp_path, capsys):
    store, result = measured
    source, target = names(folders)
    out, csv = tmp_path / "curves.svg", tmp_path / "curves.csv"
    asked = ["--store", str(store), "--seeds", "2", "--epochs", "3", "--device", "cpu"]
    assert main(["measure", "--source", source, "--target", target, *asked, "--out", str(out), "--csv", str(csv)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{result}\n"
    assert "only" in printed.err and "<svg" in out.read_text(encoding="utf-8")
    pd.testing.assert_frame_equal(pd.read_csv(csv), result.table, check_dtype=False)
    first = out.read_bytes()
    result.save_figure(out)
    assert out.read_bytes() == first
