"""The committed runs, and the README's words on them."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from transferlib.effects import UNDECIDED, effects
from transferlib.measuring.kept import kept
from transferlib.profiles import profile
from transferlib.records import config_key, correct_images
from transferlib.results import open_results
from transferlib.stats import contrast, curves, estimate, minus
from transferlib.store import Store, from_safetensors
from transferlib.treatments import parse_treatments

ROOT = Path(__file__).resolve().parent.parent
STORE = Store(ROOT / "book" / "results")


def update_readme():
    spec = importlib.util.spec_from_file_location("update_readme", ROOT / "tools" / "update_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_committed_run_is_named_by_the_hash_of_its_configuration():
    paths = list((STORE.folder / "runs").glob("*.json"))
    records = STORE.records()
    assert {config_key(record["config"]) for record in records} == {path.stem for path in paths}
    assert len(records) >= 16


def test_every_committed_key_is_made_anew_by_the_profile():
    """Published keys are for ever: whatever is restructured, this must hold before and after each move."""
    plans = [plan for study in profile("published").studies for plan in study.families()]
    made = {config_key(config): config for plan in plans for config in map(plan.config, plan.treatments)}
    committed = {config_key(record["config"]): record["config"] for record in STORE.records()}
    assert len(committed) >= 850
    assert committed == {key: made.get(key) for key in committed}


def test_the_case_of_the_solar_cells_is_whole_and_its_runs_are_named_by_their_configurations():
    store = Store(STORE.folder / "solar-cells")
    records = {config_key(record["config"]): record for record in store.records()}
    assert records.keys() == {path.stem for path in (store.folder / "runs").glob("*.json")}
    measured = kept(store.folder)
    assert {*measured.runs["key"]} == records.keys() and len(measured.labels) >= 400
    assert len({record["config"]["data"]["version"] for record in records.values()}) == 1
    for record in records.values():
        assert correct_images(record).mean() == pytest.approx(record["top1"], abs=1e-6)


def test_nothing_that_ships_names_a_folder_of_the_machine_that_made_it():
    place = re.compile(r"(?<![\w.])/(home|tmp|root|work|Users|mnt|content)/")
    assert not [path for path in STORE.folder.rglob("*.json") if place.search(path.read_text(encoding="utf-8"))]


def test_the_profiles_first_split_is_in_the_store():
    (study,) = profile("published").narrowed(
        splits=("random:0",), targets=("B",), treatments=parse_treatments("base,BnB,AnB")
    )
    wanted = {key for plan in study.families() for key in plan.run_keys}
    assert len(wanted) == 2 + 2 * 7
    assert wanted <= set(STORE.table()["key"])


def test_every_committed_runs_accuracy_is_that_of_its_images():
    for record in STORE.records():
        assert correct_images(record).mean() == pytest.approx(record["top1"], abs=1e-6)
        recipe = record["config"]["recipe"]
        assert len(record["curve"]) == recipe.get("until", recipe["epochs"])


def test_the_readmes_results_are_those_of_the_store():
    for path, text in update_readme().pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python tools/update_readme.py"


def test_the_shipped_weights_reach_what_they_say():
    shipped = sorted((STORE.folder / "shipped").glob("*.safetensors"))
    assert sum(path.stat().st_size for path in shipped) < 10e6
    for path in shipped:
        _, reached = from_safetensors(path.read_bytes())
        record = STORE.get(path.stem)
        assert record["config"]["treatment"] == "base"
        assert reached["top1_before_rounding"] == pytest.approx(record["top1"])
        assert reached["top1"] == pytest.approx(record["top1"], abs=0.005)


def test_the_layer_measures_are_of_the_shipped_bases():
    made_of = json.loads((STORE.folder / "layers.json").read_text(encoding="utf-8"))["made_of"]
    assert all((STORE.folder / "shipped" / f"{key}.safetensors").exists() for key in made_of["bases"])


def test_what_chapters_5_and_6_say_without_a_number_is_so():
    """Words that no cell computes: of claims 2 and 3, of the first layers, of the second training at a high rate."""
    published = open_results("published", "random", "dissimilar", "random-filters")
    found = {effect.claim.number: effect for effect in effects(published.table, published.curve, published.lengths)}
    assert [number for number, effect in found.items() if effect.verdict == UNDECIDED] == ["3"]
    theirs, ours = found["2"].others["loss"]
    assert ours.excludes_zero and 0 < ours.mean < theirs.mean
    longest = published.lengths[max(published.lengths)].query("target == 'B'")
    assert not estimate(contrast(longest, minus("AnB", "BnB", [1, 2]))).excludes_zero
    assert estimate(contrast(longest, minus("AnB", "base", [1, 2]))).mean < -1
    doses = published.by_rate("restart")
    for seed in (0, 1):
        excess = curves(doses[max(doses)].query(f"seed == {seed}"), "BnB", outcome="train_loss").set_index("n")["mean"]
        assert excess[5] > max(excess[4], excess[6])
    small, once, again = (
        estimate(contrast(rows, minus("BnB", "AnB", [2, 3, 4, 5]))).mean
        for rows in (doses[min(doses)], doses[max(doses)].query("seed == 0"), doses[max(doses)].query("seed == 1"))
    )
    assert small < again < small + 1 < once
    alone = published.by_rate("hot-bases")
    kinds = {"mild": alone[min(doses)], "hot": alone[max(doses)]}
    bases = pd.concat([rows.assign(kind=kind, recipe="") for kind, rows in kinds.items()])
    further = estimate(contrast(bases, {("hot", 0): 1.0, ("mild", 0): -1.0}))
    assert further.interval()[1] < curves(doses[max(doses)], "BnB").set_index("n")["mean"].min()


def test_what_chapter_10_says_of_far_sources_is_so():
    far = open_results("published", "few-images-far").table
    ahead, still = {}, {}
    for count, rows in far.assign(images_per_class=far["images_per_class"].fillna(500)).groupby("images_per_class"):
        gains = {
            name: max(estimate(contrast(rows, minus(name, "base", [n]))).mean for n in (3, 5, 7))
            for name in ("AnB", "AnB+")
        }
        ahead[count], still[count] = gains["AnB+"] - gains["AnB"], gains["AnB"]
    assert all(more > 1 for count, more in ahead.items() if count >= 50)
    assert [count for count, gain in still.items() if gain < 0] == [250, 500]
