"""Your own folder: the rule of the recommendation on tables with known answers, and two folders measured for real."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from transferlib.cli import main
from transferlib.errors import TransferlibError
from transferlib.executors.serial import Serial
from transferlib.measure import (
    BASE,
    COPIES,
    LEVEL,
    Scores,
    _differ,
    _know_nothing,
    action,
    advise,
    example_folders,
    measure,
    recipe_for,
    study_of,
)
from transferlib.splits import make_split
from transferlib.stats import difference_over_images
from transferlib.store import Store
from transferlib.study import FamilyPlan, Study
from transferlib.train import Recipe
from transferlib.treatments import Treatment, parse_treatments

IMAGES = 1000


def invented(percent: dict[str, float], default: float, seeds: int = 3, images: int = IMAGES, **status: str):
    """Runs with made accuracies: a fixed share of the images is right, every run's errors elsewhere at random."""
    rows = []
    for number, treatment in enumerate((BASE, *COPIES)):
        for seed in range(seeds):
            right = np.zeros(images, bool)
            right[: round(images * percent.get(str(treatment), default) / 100)] = True
            np.random.default_rng([number, seed]).shuffle(right)
            rows.append(_row(treatment, seed, right, status.get(str(treatment.family).replace("+", "_plus"), "ok")))
    return pd.DataFrame(rows)


def _row(treatment, seed, right, status="ok"):
    named = {"dataset": "folder:x", "resolution": 32, "network": "net", "recipe": "r", "images_per_class": None}
    about = {"treatment": str(treatment), "kind": treatment.kind, "n": treatment.n, "fine_tuned": treatment.fine_tuned}
    place = {"split": "whole:B", "target": "B", "seed": seed}
    return named | about | place | {"top1": right.mean(), "correct": right, "status": status}


# --- the rule ---


def test_a_clear_winner_is_recommended_with_its_difference():
    advice = advise(invented({"base": 50, "A4B+": 75}, default=40))
    assert (advice.verdict, str(advice.treatment)) == ("helps", "A4B+")
    assert "copy layers 1 to 4" in advice.text
    assert "A4B+ gets 75.0 % of the test pictures right, training from scratch 50.0 %: +25.0 points" in advice.text


def test_of_those_as_good_as_the_best_the_one_that_trains_fewest_layers_is_recommended():
    advice = advise(invented({"base": 50, "A3B": 70, "A5B": 69.9, "A6B": 66, "A2B+": 70.2}, default=50))
    assert (advice.verdict, str(advice.treatment)) == ("helps", "A5B")
    assert "A2B+, the most accurate with 70.2 %, is ahead by less than one standard error" in advice.text
    assert "trains only 3 of 8 layers" in advice.text


def test_of_fine_tuned_ones_which_all_cost_the_same_the_most_accurate_is_recommended():
    plus = {f"A{n}B+": 69 + n / 10 for n in (2, 5, 3)} | {"A4B+": 69.6}
    assert str(advise(invented({"base": 50, **plus}, default=50)).treatment) == "A4B+"


def test_copies_that_all_do_worse_harm():
    advice = advise(invented({"base": 70, "A1B+": 55}, default=45))
    assert (advice.verdict, advice.treatment) == ("harms", BASE)
    assert "Even A1B+" in advice.text and "-15.0 points" in advice.text


def test_a_tie_that_enough_images_show_is_called_one_and_the_cheapest_is_recommended_with_the_reason():
    advice = advise(invented({}, default=50, images=40_000))
    assert (advice.verdict, str(advice.treatment)) == ("cannot tell", "A7B")
    assert "of what is shown to lose less than 1 point" in advice.text and "more test pictures" in advice.text


def test_where_little_can_be_told_nothing_is_frozen_on_its_account():
    advice = advise(invented({}, default=50))
    assert (advice.verdict, advice.treatment) == ("cannot tell", BASE)
    assert "nothing with copied layers is shown to lose less than 1 point" in advice.text


def test_one_training_each_only_seems_to_help():
    advice = advise(invented({"base": 50, "A4B+": 75}, default=40, seeds=1))
    assert advice.verdict == "helps"
    assert advice.text.startswith("Copying seems to help, by one training each (three would tell more)")


def test_in_a_tie_with_fine_tuning_alone_the_base_is_recommended_since_it_needs_no_source():
    level = {"base": 60} | {f"A{n}B+": 60.02 for n in range(1, 8)}
    advice = advise(invented(level, default=30, images=40_000))
    assert (advice.verdict, advice.treatment) == ("cannot tell", BASE)
    assert "needs no source" in advice.text
    assert "Do not freeze this much: A1B -30.0 points" in advice.text


def test_few_test_images_tell_nothing_where_many_do():
    same = {"base": 50, "A3B": 60}
    assert advise(invented(same, default=50, images=2000)).verdict == "helps"
    assert advise(invented(same, default=50, images=50)).verdict == "cannot tell"


def test_where_no_run_beats_guessing_nothing_is_recommended():
    advice = advise(invented({}, default=20, base="chance", AnB="chance", AnB_plus="chance"))
    assert (advice.verdict, advice.treatment) == ("nothing learned", None)
    assert f"{IMAGES} test pictures" in advice.text


def test_a_treatment_at_chance_or_diverged_is_never_recommended():
    runs = invented({"base": 50, "A5B": 70, "A2B+": 69}, default=50, AnB="chance")
    assert str(advise(runs).treatment) == "A2B+"
    runs = invented({"base": 50, "A5B": 70}, default=50, AnB="diverged", AnB_plus="diverged")
    assert (advise(runs).verdict, advise(runs).treatment) == ("harms", BASE)


def test_copying_that_merely_saves_training_is_called_so():
    runs = invented({"base": 50, "A4B+": 75}, default=40)
    as_good, worse = (invented({"base": top1}, default=0).query("kind == 'base'") for top1 in (74, 55))
    assert "longer training is the alternative" in advise(runs, as_good.assign(recipe="longer")).text
    assert "A4B+ is still ahead: +20.0 points" in advise(runs, worse.assign(recipe="longer")).text


def test_the_sources_own_base_takes_no_part():
    runs = invented({"base": 50, "A4B+": 75}, default=40)
    source = runs[runs["kind"] == "base"].assign(target="A", split="whole:A", status="chance")
    assert advise(pd.concat([source, runs])) == advise(runs)


@pytest.mark.parametrize(
    "treatment, words",
    [
        ("base", "train all 8 layers from scratch on the target"),
        ("A1B", "copy layer 1 from the source, freeze it, and train layers 2 to 8 on the target"),
        ("A7B", "copy layers 1 to 7 from the source, freeze them, and train layer 8 on the target"),
        ("A2B+", "copy layers 1 to 2 from the source, start the rest anew, and train all 8 layers on the target"),
    ],
)
def test_actions_in_words(treatment, words):
    assert action(Treatment.parse(treatment)) == words


# --- intervals ---


def test_with_one_seed_and_many_images_the_interval_is_the_paired_one_over_images():
    runs = invented({"base": 50, "A3B": 60}, default=50, seeds=1, images=4000)
    effect = Scores.of(runs).difference(Treatment.parse("A3B"), BASE)
    assert effect.over == "test images"
    by_name = runs.set_index("treatment")["correct"]
    mean, half = difference_over_images(by_name["A3B"], by_name["base"])
    assert effect.mean == pytest.approx(mean)
    assert effect.interval()[1] - effect.mean == pytest.approx(half, rel=0.01)


def measurement(rng, spreads, images=200, seeds=3):
    """Scores of treatments that are equally good, with training noise (points) of a size of its own for each."""
    hard = rng.normal(0, 1, images)
    rights = {}
    for treatment, spread in zip((BASE, *COPIES), spreads, strict=True):
        own = 0.5 * rng.normal(0, 1, images)
        noise = rng.normal(0, spread / 40, (seeds, 1)) + rng.normal(0, 0.7, (seeds, images))
        rights[treatment] = 100.0 * (hard + own + noise > 0)
    return Scores(rights)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("base_spread", [2.0, 6.0])
def test_intervals_hold_the_truth_over_new_images_and_new_seeds(base_spread, seeds):
    rng, held, all_held = np.random.default_rng(1), [], []
    for _ in range(150):
        scores = measurement(rng, [base_spread] + [2.0] * len(COPIES), seeds=seeds)
        effects = [scores.difference(t, BASE) for t in COPIES]
        held += [low < 0 < high for low, high in (e.interval() for e in effects)]
        all_held.append(all(low < 0 < high for low, high in (e.interval(LEVEL) for e in effects)))
    assert np.mean(held) > (0.92 if base_spread == 2.0 else 0.89)
    assert np.mean(all_held) > 0.9


def test_training_noise_widens_the_interval_by_what_it_is():
    rng = np.random.default_rng(2)
    calm, wild = (measurement(rng, [spread] * 15, images=4000, seeds=4) for spread in (0.0, 8.0))
    assert calm.difference(COPIES[0], BASE).interval()[1] < 4
    assert wild.difference(COPIES[0], BASE).error == pytest.approx(8 * np.sqrt(2 / 4), rel=0.5)
    assert np.sqrt(np.mean(list(wild.spread.values()))) == pytest.approx(8, rel=0.35)


def test_images_that_all_agree_are_no_certainty():
    runs = invented({}, default=100, images=20)
    effect = Scores.of(runs).difference(Treatment.parse("A3B"), BASE)
    assert effect.mean == 0 and effect.interval()[1] > 5
    assert Scores.of(runs).accuracy(BASE).interval()[0] < 98


def test_a_base_that_always_diverged_is_one_line():
    with pytest.raises(TransferlibError, match="diverged in every seed: try another number of --epochs"):
        advise(invented({}, default=50, base="diverged"))


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


# --- two folders ---


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Source: 3 classes of 40 pictures; target: 2 classes of 20, of unequal sizes, grey and see-through among them."""
    top, rng = tmp_path_factory.mktemp("folders"), np.random.default_rng(0)
    for role, classes, count in (("source", "abc", 40), ("target", "xy", 20)):
        for label, name in enumerate(classes):
            (top / role / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 120, (20 + i, 30, 3))
                pixels[: 10 * (label + 1)] += 130
                mode = ("RGB", "L", "RGBA")[i % 3]
                Image.fromarray(pixels.astype("uint8")).convert(mode).save(top / role / name / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSFERLIB_DATA", str(top / "data"))
        yield top


def names(folders):
    return f"folder:{folders / 'source'}", f"folder:{folders / 'target'}"


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
    assert result.recommendation == result.advice.text
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


# --- what a user can mend ---


def fails(capsys, *arguments):
    """The one line on the standard error of a measurement that can't be made."""
    assert main(["measure", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("transferlib: ")
    return err


def test_mistakes_are_one_line(folders, tmp_path, capsys):
    source, target = names(folders)
    store = ["--store", str(tmp_path / "store"), "--device", "cpu"]
    assert "both" in fails(capsys, "--source", source, "--target", f"{source}/", *store)
    assert "no folder" in fails(capsys, "--source", source, "--target", "folder:nowhere", *store)
    assert "unknown data set" in fails(capsys, "--source", "pictures", "--target", target, *store)
    assert "at least 1 seed" in fails(capsys, "--source", source, "--target", target, "--seeds", "0", *store)
    assert "at least 1 epoch" in fails(capsys, "--source", source, "--target", target, "--epochs", "0", *store)
    assert ".png or .svg" in fails(capsys, "--source", source, "--target", target, "--out", "curves.pdf", *store)
    assert not (tmp_path / "store").exists()


def picture_folder(folder, classes, count, seed=9):
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 255, (12, 12, 3)).astype("uint8")).save(folder / name / f"{i}.png")
    return f"folder:{folder}"


def test_folders_that_cannot_be_measured_are_one_line(folders, tmp_path, capsys):
    source, _ = names(folders)
    store = ["--store", str(tmp_path / "store"), "--device", "cpu"]
    one_class = picture_folder(tmp_path / "one-class", ["only"], 5)
    assert "at least two class folders" in fails(capsys, "--source", source, "--target", one_class, *store)
    one_picture = picture_folder(tmp_path / "one-picture", ["x", "y"], 1)
    assert "only picture of its class" in fails(capsys, "--source", source, "--target", one_picture, *store)
    damaged = picture_folder(tmp_path / "damaged", ["x", "y"], 3)
    (tmp_path / "damaged" / "x" / "0.png").write_bytes(b"no picture")
    assert "cannot be decoded" in fails(capsys, "--source", source, "--target", damaged, *store)


class _Opened(Exception):
    pass


def notes_of(source, target, monkeypatch, store):
    """What ``measure`` says of the data, without training."""
    monkeypatch.setattr(Serial, "run", lambda *_: (_ for _ in ()).throw(_Opened))
    notes = []
    with pytest.raises(_Opened):
        measure(source, target, store, report=lambda event: notes.append(str(event)))
    return notes


def test_five_pictures_of_a_class_are_measured_with_a_note(folders, tmp_path, monkeypatch):
    five = picture_folder(tmp_path / "five", ["x", "y"], 5)
    (note,) = notes_of(names(folders)[0], five, monkeypatch, tmp_path / "store")
    assert note.startswith("only ") and "intervals are wide" in note


def test_a_damaged_picture_among_many_is_a_note(folders, tmp_path, monkeypatch):
    many = picture_folder(tmp_path / "many", ["x", "y"], 12)
    (tmp_path / "many" / "x" / "0.png").write_bytes(b"no picture")
    first, _ = notes_of(names(folders)[0], many, monkeypatch, tmp_path / "store")
    assert "pictures cannot be decoded and are left out: 1, the first is" in first


def test_a_source_that_holds_the_targets_test_pictures_is_told_or_refused(tmp_path, folders, monkeypatch):
    target = picture_folder(tmp_path / "target" / "val", ["x", "y"], 4, seed=1).removesuffix("/val")
    picture_folder(tmp_path / "target" / "train", ["x", "y"], 4, seed=2)
    source = picture_folder(tmp_path / "source" / "train", ["a", "b"], 4, seed=3).removesuffix("/train")
    picture_folder(tmp_path / "source" / "val", ["a", "b"], 4, seed=4)
    for i in range(2):
        (tmp_path / "source/train/a" / f"seen{i}.png").write_bytes((tmp_path / f"target/val/x/{i}.png").read_bytes())
    assert "on 2 of the target's 8 test pictures" in notes_of(source, target, monkeypatch, tmp_path / "store")[0]
    for name in "xy":
        for i in range(4):
            file = tmp_path / f"target/val/{name}/{i}.png"
            (tmp_path / "source/train/b" / f"{name}{i}.png").write_bytes(file.read_bytes())
    with pytest.raises(TransferlibError, match="every test picture of the target"):
        measure(source, target, tmp_path / "store")


# --- the example, the split ---


def test_the_example_is_two_folders_without_a_class_in_common(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "data"))
    source, target = example_folders(tmp_path)
    counts = {}
    for role in ("source", "target"):
        for part in ("train", "val"):
            counts[role, part] = {c.name: len(list(c.iterdir())) for c in (tmp_path / role / part).iterdir()}
    assert not set(counts["source", "train"]) & set(counts["target", "train"])
    assert set(counts["source", "train"].values()) == {200} and set(counts["target", "train"].values()) == {15}
    assert all(len(classes) == 5 for classes in counts.values())
    assert (source, target) == (f"folder:{tmp_path / 'source'}", f"folder:{tmp_path / 'target'}")


def test_a_whole_data_set_is_one_half_and_has_no_other(folders):
    from transferlib.data import load

    data = load(names(folders)[1], 32)
    split = make_split(data, "whole:B")
    assert (split.half("B"), split.A) == (("x", "y"), ())
    with pytest.raises(TransferlibError, match="whole:B has no half A: another data set must be the source"):
        split.half("A")
    with pytest.raises(TransferlibError, match="unknown split"):
        make_split(data, "whole:C")


def test_a_source_that_learned_nothing_is_named():
    runs = pd.DataFrame({"target": ["A", "A", "B"], "status": ["chance", "ok", "chance"], "top1": [0.2, 0.4, 0.1]})
    assert "in 1 of 2 trainings (top-1 30.0 %)" in _know_nothing(runs)[0]
    assert _know_nothing(runs[1:]) == []


def test_folders_that_bear_a_data_sets_name_are_another_thing_than_the_data_set(tmp_path):
    _differ("shapes", f"folder:{tmp_path / 'shapes'}")
    with pytest.raises(TransferlibError, match="two different data sets"):
        _differ(f"folder:{tmp_path}", f"folder:{tmp_path / '.'}")
