"""Opening a profile's results: what is there is read, what is lacking is trained, and what cannot be is said."""

import dataclasses
import json
import math

import pytest
import torch
from small_studies import invented, small_study, store_of, strays, use_data_folder

from transferlib import profiles, records, results
from transferlib.errors import TransferlibError
from transferlib.profiles import Profile
from transferlib.records import config_key
from transferlib.results import (
    compared,
    convergence,
    in_both,
    open_results,
    own_store,
    published_store,
    recorded,
)
from transferlib.stats import Estimate, contrast, minus
from transferlib.store import Store
from transferlib.train import Recipe


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A profile of two parts on a folder of tiny pictures, with a store of its own; trained when it is opened."""
    use_data_folder(monkeypatch)
    monkeypatch.setenv("TRANSFERLIB_STORE", str(tmp_path / "store"))
    parts = {"random": (small_study("base,A1B,A3B"),), "doubled": (small_study("base", epochs=3),)}
    return enter(monkeypatch, Profile("tiny", "for tests", parts))


def enter(monkeypatch, profile):
    monkeypatch.setitem(profiles.PROFILES, profile.name, profile)
    return profile


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(results, "profile_seconds", lambda profile, execution: 5400.0)


@pytest.fixture
def nothing_trains(monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing is lacking, and something was trained")

    monkeypatch.setattr(results, "run_study", refuse)


def test_what_is_lacking_is_trained_once_and_then_read(tiny, monkeypatch, request):
    opened = open_results("tiny")
    assert sorted(opened.table["treatment"]) == ["A1B", "A3B", "base", "base"]  # base A is what A1B copies from
    assert opened.store.folder == own_store("tiny")
    assert not strays(opened.store.folder)
    request.getfixturevalue("nothing_trains")
    again = open_results("tiny")
    assert again.table["top1"].tolist() == opened.table["top1"].tolist()


def test_a_row_has_the_images_that_its_run_got_right(tiny):
    opened = open_results("tiny", treatments="base,A3B")
    for row in opened.table.itertuples():
        record = opened.store.get(row.key)
        assert row.correct.shape == (record["val_images"],)
        assert row.correct.mean() == pytest.approx(row.top1)


def test_treatments_and_parts_narrow_what_is_opened(tiny):
    opened = open_results("tiny", "random", treatments="base,A1B,BnB")
    assert sorted(opened.table["treatment"]) == ["A1B", "base", "base"]
    assert opened.part("doubled").empty
    both = open_results("tiny", "random", "doubled", treatments="base")
    assert sorted(both.table["epochs"]) == [2, 3]
    assert both.part("doubled")["epochs"].tolist() == [3]
    with pytest.raises(TransferlibError, match="profile tiny has no part 'dial': it has random, doubled"):
        both.part("dial")


def test_a_variant_is_a_part_that_not_every_profile_has(tiny):
    opened = open_results("tiny", treatments="base")
    longer, lacking = opened.variant("doubled"), opened.variant("batch-norm")
    assert longer.table["epochs"].tolist() == [3]
    assert list(longer.curves_of("base")) == ["base"]
    assert lacking.table.empty and list(lacking.table) == list(longer.table)
    assert lacking.curves_of("base") == {}


def test_a_variant_is_trained_once_where_it_is_lacking(tiny, request):
    opened = open_results("tiny", treatments="base")
    assert len(opened.variant("doubled").table) == 1
    request.getfixturevalue("nothing_trains")
    again = open_results("tiny", treatments="base")
    assert again.variant("doubled", "base").table["top1"].tolist() == opened.variant("doubled").table["top1"].tolist()
    assert len(opened.everything) == len(again.everything) == 2


def test_each_record_is_read_once_whatever_is_asked_of_it(tiny, monkeypatch):
    open_results("tiny", "random", "doubled")
    read = []
    monkeypatch.setattr(records, "_check", lambda record, key: read.append(key))
    opened = open_results("tiny")
    opened.against_longer_bases(), opened.gain_from_doubling(), opened.inventory(), opened.curves_of("base", "AnB")
    assert sorted(read) == sorted(opened.records) and len(read) == 5


def test_the_inventory_is_of_the_whole_store(tiny):
    opened = open_results("tiny", treatments="base")
    opened.variant("doubled")
    listed = opened.inventory().set_index("epochs")
    assert listed.loc[[2, 3], "runs"].tolist() == [1, 1]
    assert set(listed["family"]) == {"base"} and listed["made on"].str.contains("torch").all()


def test_the_inventory_tells_recipes_apart_and_those_of_the_source(tmp_path):
    usual = Recipe(epochs=5, learning_rate=0.05)
    early, hot = dataclasses.replace(usual, until=3), dataclasses.replace(usual, learning_rate=0.2, nesterov=False)
    steps, warm = (dataclasses.replace(usual, **change) for change in ({"schedule": "step"}, {"warmup_epochs": 3.0}))
    asked = [("base", usual, None), ("B1B", usual, None), ("base", early, None), ("B1B", hot, usual)]
    asked += [("B1B", hot, early), ("B1B", steps, usual), ("B1B", warm, usual)]
    made = [invented(name, 0.5, recipe=recipe, base_recipe=base) for name, recipe, base in asked]
    made = [record | {"execution": "cpu fp32", "versions": {"torch": "2"}} for record in made]
    records = {config_key(record["config"]): record for record in made}
    found = dataclasses.replace(open_results("published"), records=records).inventory()
    assert sorted(zip(found["family"], found["rate"], strict=True)) == [
        ("BnB", "0.05"),
        ("BnB", "0.05, in steps on 0.05"),
        ("BnB", "0.05, warm-up 3 on 0.05"),
        ("BnB", "0.2, plain on 0.05"),
        ("BnB", "0.2, plain on 0.05, until 3"),
        ("base", "0.05"),
        ("base", "0.05, until 3"),
    ]


def names(table):
    return sorted(f"{run.target}{run.seed} {run.treatment}" for run in table.itertuples())


def test_a_study_and_its_variant_are_held_to_the_runs_that_both_have(tmp_path):
    def runs(folder, *wanted):
        records = [invented(name, 0.5, target=t, seed=seed, status=status) for name, t, seed, status in wanted]
        return store_of(tmp_path / folder, *records).table()

    whole = [(name, target, seed, "ok") for name in ("base", "A1B", "A3B") for target in "AB" for seed in (0, 1)]
    some = [("base", "A", 0, "ok"), ("A1B", "A", 0, "ok"), ("A3B", "A", 0, "diverged")]
    some += [("base", "B", 1, "ok"), ("A3B", "B", 1, "ok"), ("base", "A", 1, "ok"), ("A1B", "B", 0, "ok")]
    for kept in in_both(runs("main", *whole), runs("variant", *some)):
        # a base that nothing is held against is out, and a run whose base is lacking has no contrast
        assert names(kept) == ["A0 A1B", "A0 base", "B0 A1B", "B1 A3B", "B1 base"]
    assert all(table.empty for table in in_both(runs("main", *whole), runs("bases", ("base", "A", 0, "ok"))))


def test_what_is_asked_of_a_variant_is_over_the_same_pairs_with_the_change_between(tmp_path):
    def runs(folder, shift, *pairs):
        made = [invented(name, top1, target=t) for t in pairs for name, top1 in (("base", 0.6), ("A3B", 0.5 + shift))]
        return store_of(tmp_path / folder, *made).table()

    asked = {"the loss": minus("AnB", "base", [3]), "never run": minus("BnB", "base", [3])}
    found = compared(runs("main", 0.0, "A", "B"), runs("variant", 0.04, "B"), asked)
    assert found.index.tolist() == ["the loss"]
    assert found.loc["the loss"].tolist() == ["-10.0", "-6.0", "+4.0", "1 pair, no interval"]
    main = runs("again", 0.0, "A")
    assert compared(main, main.iloc[:0], asked).empty


def test_longer_bases_take_the_place_of_the_short_ones_and_their_gain_is_paired(tiny):
    short, longer = (open_results("tiny", part).table for part in ("random", "doubled"))
    mixed = open_results("tiny").against_longer_bases()
    assert mixed[["treatment", "epochs"]].values.tolist() == [["base", 3], ["A1B", 2], ["A3B", 2]]
    base, long_base = (table.query("kind == 'base' and target == 'B'").iloc[0] for table in (short, longer))
    a3b = short.query("treatment == 'A3B'").iloc[0]
    (value,) = contrast(mixed, minus("AnB", "base", [3]))["value"]
    assert value == pytest.approx(100 * (a3b.top1 - long_base.top1))
    gain = open_results("tiny").gain_from_doubling()
    assert gain.mean == pytest.approx(100 * (long_base.top1 - base.top1))
    difference = 100 * (long_base.correct.astype(float) - base.correct)
    assert gain.error == pytest.approx(difference.std(ddof=1) / math.sqrt(len(difference)))
    assert gain.over == "test images"


def test_runs_are_held_against_bases_of_another_recipe(tiny, monkeypatch):
    own = small_study("base,A1B,A3B")
    hot = [dataclasses.replace(own.recipe, learning_rate=rate) for rate in (0.03, 0.04)]
    hot = tuple(dataclasses.replace(own, recipe=recipe, base_recipe=own.recipe) for recipe in hot)
    enter(monkeypatch, Profile("tiny", "for tests", {"random": (own,), "restart": hot}))
    opened = open_results("tiny", "random", "restart")
    assert len(opened.everything) == 2 + 3 * 2  # two bases, which all share
    pairs = contrast(opened.table, minus("AnB", "base", [3]))
    base, runs = (opened.table.query(f"treatment == '{name}' and target == 'B'") for name in ("base", "A3B"))
    assert sorted(pairs["value"]) == pytest.approx(sorted(100 * (runs["top1"] - base["top1"].iloc[0])))
    assert len(pairs) == 3 and len(contrast(opened.variant("restart").table, minus("AnB", "base", [3]))) == 2


def test_the_main_studys_first_split_is_told_by_the_length_of_its_trainings(tiny):
    lengths = open_results("tiny").lengths
    assert {epochs: sorted(rows["treatment"]) for epochs, rows in lengths.items()} == {
        2: ["A1B", "A3B", "base", "base"],
        3: ["base"],
    }


def test_without_longer_bases_nothing_is_held_against_them(tiny, monkeypatch):
    enter(monkeypatch, dataclasses.replace(profiles.PROFILES["tiny"], parts={"random": tiny.parts["random"]}))
    assert open_results("tiny").gain_from_doubling() is None
    assert contrast(open_results("tiny").against_longer_bases(), minus("AnB", "base", [3])).empty
    assert "not measured" in convergence(None)


@pytest.mark.parametrize(
    ("gain", "error", "words"),
    [
        (0.5, 0.1, ": converged, by"),
        (1.5, 0.1, ": not converged, by"),
        (0.8, 0.2, ": whether they have converged cannot be told, by"),
        (1.2, 0.2, ": whether they have converged cannot be told, by"),
        (0.5, math.nan, ": whether they have converged cannot be told, by"),
        (0.7, 0.17, ": converged, by"),  # 1.64 errors below a point, not 1.96
    ],
)
def test_a_base_is_converged_where_twice_the_training_is_shown_to_gain_less_than_a_point(gain, error, words):
    said = convergence(Estimate(gain, error, math.inf, 2, "test images"))
    assert words in said
    assert f"{gain:+.1f}" in said


def test_a_curve_is_its_runs(tiny):
    opened = open_results("tiny", treatments="base,A3B")
    found = opened.curves_of("base", "AnB")
    assert list(found) == ["base", "A3B"]
    for name, curve in found.items():
        row = opened.table[(opened.table["treatment"] == name) & (opened.table["target"] == "B")].iloc[0]
        assert curve["epoch"].tolist() == [1, 2]
        assert curve["top1"].iloc[-1] == row.top1
    assert opened.curves_of("base", split="random:9") == {}
    with pytest.raises(TransferlibError, match="no run 0123456789abcdef in "):
        opened.curve("0123456789abcdef")


# --- a base to look into ---


def test_a_base_is_the_trained_network_in_full_precision(tiny):
    opened = open_results("tiny", treatments="base,A1B")
    for half in "AB":
        net = opened.base(half)
        assert not net.training
        assert {p.dtype for p in net.parameters()} == {torch.float32}
    bases = opened.table[opened.table["treatment"] == "base"].set_index("target")["key"]
    trained = opened.store.get_weights(bases["B"])
    assert all(torch.equal(tensor, trained[name]) for name, tensor in opened.base("B").state_dict().items())


def test_a_base_that_ships_in_half_precision_serves_where_the_weights_are_gone(tiny):
    opened = open_results("tiny", treatments="base")
    (key,) = opened.table["key"]
    whole = opened.base("B").state_dict()
    opened.store.ship(key, {})
    (opened.store.folder / "weights" / f"{key}.safetensors").unlink()
    for name, tensor in opened.base("B").state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.allclose(tensor, whole[name], rtol=1e-3, atol=1e-6)


def test_a_base_without_weights_is_named_with_the_mend(tiny):
    opened = open_results("tiny", treatments="base")
    with pytest.raises(TransferlibError, match=r"no weights of base target A .*: train it with `transferlib run`"):
        opened.base("A")


# --- what cannot be opened ---


def test_an_unknown_profile_or_part_is_told_what_there_is(tiny):
    with pytest.raises(TransferlibError, match="unknown profile 'smok': expected one of smoke, colab, published"):
        open_results("smok")
    with pytest.raises(TransferlibError, match="profile smoke has no part 'doubled': it has random, dissimilar"):
        open_results("smoke", "doubled")
    with pytest.raises(TransferlibError, match="unknown treatment 'A9'"):
        open_results("tiny", treatments="A9")


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A folder from which no published store is to be seen."""
    monkeypatch.setattr(results, "__file__", str(tmp_path / "installed" / "transferlib" / "results.py"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def test_published_without_its_store_says_how_to_get_it(nowhere):
    with pytest.raises(TransferlibError, match=r"clone the repository .* or choose PROFILE = 'smoke' or 'colab'"):
        open_results("published")


def test_the_published_store_is_found_from_a_folder_below_and_never_trained(nowhere, monkeypatch, nothing_trains):
    (nowhere / "book" / "results" / "runs").mkdir(parents=True)
    assert published_store() == nowhere / "book" / "results"
    opened = open_results("published")
    assert opened.table.empty
    assert opened.store.folder == nowhere / "book" / "results"


def test_a_measurement_that_ships_is_read_and_one_that_does_not_is_named(nowhere):
    folder = nowhere / "book" / "results"
    (folder / "runs").mkdir(parents=True)
    (folder / "speed.json").write_text(json.dumps({"epoch": 1.5}))
    assert recorded("speed") == {"epoch": 1.5}
    with pytest.raises(TransferlibError, match=r"no measurement layers in .*results: make it as"):
        recorded("layers")


def test_without_a_gpu_the_minutes_are_told_and_nothing_trains(tiny, monkeypatch, no_gpu, nothing_trains):
    enter(monkeypatch, dataclasses.replace(tiny, wants_gpu=True))
    with pytest.raises(TransferlibError) as told:
        open_results("tiny")
    text = str(told.value)
    assert "profile tiny wants a GPU, and there is none" in text
    assert "1:30" in text or "90" in text
    assert "on_cpu=True" in text
    assert "\n" not in text


def test_on_the_cpu_it_goes_on_where_that_is_asked_for(tiny, monkeypatch, no_gpu):
    enter(monkeypatch, dataclasses.replace(tiny, wants_gpu=True))
    assert open_results("tiny", treatments="base", on_cpu=True).made_on
    assert len(open_results("tiny", treatments="base").table) == 1  # it is there now: no GPU is asked for


def test_a_profiles_own_store_is_where_the_user_says_or_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSFERLIB_STORE", str(tmp_path / "here"))
    assert own_store("smoke") == tmp_path / "here"
    monkeypatch.delenv("TRANSFERLIB_STORE")
    assert own_store("smoke").parts[-3:] == ("transferlib", "stores", "smoke")
    assert own_store("smoke") != own_store("colab")


def test_another_folder_can_be_named(tiny, tmp_path):
    opened = open_results("tiny", treatments="base", store=tmp_path / "there")
    assert opened.store.folder == tmp_path / "there"
    assert len(Store(tmp_path / "there").table()) == 1


def test_the_catalogue_and_the_splits_are_those_of_the_main_data_set():
    opened = results.Results(profiles.profile("published"), Store("nowhere"), (), {})
    assert opened.catalogue.name == "tiny-imagenet"
    split = opened.split("random:0")
    assert (len(split.A), len(split.B)) == (100, 100)


def test_a_part_that_a_profile_lacks_has_no_base():
    with pytest.raises(TransferlibError, match="profile published has no bases of the part"):
        open_results("published").variant("nothing").base("A")
