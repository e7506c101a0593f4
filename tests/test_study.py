"""A study: its families, their sources and configurations, and what names its runs."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from small_studies import pictures, small_study, use_data_folder

from transferlib.data.own import Folder
from transferlib.errors import TransferlibError
from transferlib.study import Study
from transferlib.train import Recipe
from transferlib.treatments import Treatment, parse_treatments


@pytest.fixture(autouse=True)
def one_thread_and_our_pictures(monkeypatch):
    use_data_folder(monkeypatch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def cifar(treatments: str, targets=("A", "B"), **changes) -> Study:
    splits = changes.pop("splits", ("random:0",))
    recipe = Recipe(epochs=5)
    return Study("cifar100", 32, "alexnet32", splits, targets, parse_treatments(treatments), recipe, **changes)


def test_families_are_ordered_bases_first_and_a_base_stands_once():
    plans = cifar("base,BnB,AnB+", splits=("random:0", "random:1"), seeds=(0, 1)).families()
    found = [(p.split, p.seed, str(p.family), p.target) for p in plans]
    one = [("base", "A"), ("base", "B"), ("BnB", "A"), ("AnB+", "A"), ("BnB", "B"), ("AnB+", "B")]
    expected = [(s, k, *f) for s in ("random:0", "random:1") for k in (0, 1) for f in one]
    for start in range(0, 24, 6):  # the two bases in either order
        assert sorted(found[start : start + 2]) == expected[start : start + 2]
        assert found[start + 2 : start + 6] == expected[start + 2 : start + 6]
    assert len(found) == 24


def test_one_direction_trains_the_sources_base_without_being_asked():
    plans = cifar("A3B,A4B", targets=("B",)).families()
    assert [(p.target, [str(t) for t in p.treatments]) for p in plans] == [("A", ["base"]), ("B", ["A3B", "A4B"])]


@pytest.mark.parametrize(
    ("treatment", "target", "source"),
    [
        ("base", "A", None),
        ("A3B", "A", "B"),
        ("A3B", "B", "A"),
        ("A3B+", "A", "B"),
        ("A3B+", "B", "A"),
        ("B3B", "A", "A"),
        ("B3B+", "B", "B"),
        ("R3B", "A", "random"),
    ],
)
def test_the_source_of_each_treatment_in_each_direction(treatment, target, source):
    plan = cifar(treatment, (target,)).families()[-1]
    assert plan.config(plan.treatments[0])["source"] == plan.source == source
    base = plan.source_base
    assert (base and base.target) == (source if source in ("A", "B") else None)
    assert plan.config(plan.treatments[0])["source_key"] == (base.run_keys[0] if base else None)


def test_a_reduced_target_copies_from_the_other_halfs_whole_base_and_from_its_own_reduced_one():
    bnb, anb = (cifar(t, ("B",), images_per_class=6, seeds=(4,)).families()[-1] for t in ("B3B", "A3B"))
    assert (bnb.source_base.study.images_per_class, anb.source_base.study.images_per_class) == (6, None)
    assert (anb.source_base.seed, anb.source_base.split, anb.source_base.target) == (4, "random:0", "A")
    plans = cifar("base,A3B", images_per_class=6).families()
    bases = {(p.target, p.study.images_per_class) for p in plans if p.is_base}
    assert bases == {("A", 6), ("B", 6), ("A", None), ("B", None)}


def test_bases_may_be_trained_by_a_recipe_of_their_own():
    hot, own = Recipe(epochs=5, learning_rate=0.2), Recipe(epochs=5)
    plain, apart = cifar("base,A3B,B3B"), dataclasses.replace(cifar("base,A3B,B3B"), recipe=hot, base_recipe=own)
    same = dataclasses.replace(plain, base_recipe=own)
    bases = {key for plan in plain.families() if plan.is_base for key in plan.run_keys}
    assert {key for plan in apart.families() if plan.is_base for key in plan.run_keys} == bases
    assert same.run_keys == plain.run_keys and not (apart.run_keys - bases) & plain.run_keys
    plan = apart.families()[-1]
    config = plan.config(plan.treatments[0])
    assert config["recipe"]["learning_rate"] == 0.2 and config["source_key"] in bases


def test_a_recipe_of_bases_must_fit_the_images_too():
    with pytest.raises(TransferlibError, match="below the images' 32 px, got 32"):
        cifar("base,A3B", base_recipe=Recipe(epochs=1, crop_padding=32))


def test_bases_draw_from_another_stream_than_the_transfer_runs_which_share_theirs():
    found = cifar("base,BnB,AnB,AnB+,RnB", ("B",)).families()
    plans = {str(p.family): p.stream for p in found if p.target == "B"}
    assert plans.pop("base") not in plans.values()
    assert len(set(plans.values())) == 1


def test_a_familys_name_is_the_same_whichever_of_its_runs_are_asked_for():
    whole, part = (cifar(t, ("B",)).families()[-1] for t in ("AnB", "A3B"))
    others = [cifar("AnB+", ("B",)).families()[-1], cifar("AnB", ("A",)).families()[-1]]
    assert whole.name == part.name
    assert len({p.name for p in (whole, *others)}) == 3


def test_a_study_names_what_it_cannot_take():
    with pytest.raises(TransferlibError, match="expected targets among A and B, got none"):
        cifar("base", ())
    with pytest.raises(TransferlibError, match="alexnet32 needs images of 32 px, got 16"):
        Study("cifar100", 16, "alexnet32", ("random:0",), ("A",), parse_treatments("base"), Recipe(epochs=1))


# --- what names the runs ---


def no_opening(monkeypatch):
    """From now on, opening a folder of pictures fails, and so does looking whether it has changed."""
    for name in ("load", "snapshot", "state"):
        monkeypatch.setattr(Folder, name, lambda *_, name=name: pytest.fail(f"{name} was called"))
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("arrays were opened"))


def test_naming_the_runs_of_an_opened_study_opens_nothing(monkeypatch):
    study = small_study("base,A3B,B3B+", images_per_class=6).opened()
    no_opening(monkeypatch)
    keys = [key for plan in study.families() for key in [*plan.run_keys, plan.name]]
    assert len(set(keys)) > 4
    longer = dataclasses.replace(study, recipe=dataclasses.replace(study.recipe, epochs=9))
    assert not set(keys) & {key for plan in longer.families() for key in plan.run_keys}  # of other runs, as open as it
    assert study.opened().families()[0].run_keys == keys[:1]  # once is enough


def test_a_study_that_copies_from_another_folder_is_opened_with_it(tmp_path, monkeypatch):
    top = shutil.copytree(pictures(), tmp_path / "others")
    source = dataclasses.replace(small_study("base", folder=top), splits=("whole:A",), targets=("A",))
    study = dataclasses.replace(small_study("base,A3B"), splits=("whole:B",), source=source).opened()
    no_opening(monkeypatch)
    names = {plan.config(plan.treatments[0])["data"]["name"] for plan in study.families()}
    assert names == {"folder:pictures", "folder:others"}


def test_runs_of_a_folder_have_no_names_before_it_is_opened():
    study = small_study("base")
    with pytest.raises(TransferlibError, match="has not been opened, and its pictures name its runs: open the study"):
        _ = study.families()[0].run_keys
    other = dataclasses.replace(study.opened(), dataset=f"folder:{pictures() / 'train'}")  # what was opened is not it
    with pytest.raises(TransferlibError, match="has not been opened"):
        _ = other.families()[0].run_keys


def test_a_study_is_the_same_opened_or_not():
    study = small_study("base")
    assert study == study.opened() and hash(study) == hash(study.opened()) and repr(study) == repr(study.opened())
    assert study.families() == study.opened().families()


def test_device_and_precision_are_not_in_the_key():
    plan = small_study("base").opened().families()[0]
    config = plan.config(Treatment("base"))
    given = "format data split target source source_key network treatment recipe seed"
    assert set(config) == set(given.split())
    assert not [word for word in ("cpu", "cuda", "fp32", "precision", "device") if f"'{word}'" in str(config)]
