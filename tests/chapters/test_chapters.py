"""What the executed chapters say, held against numbers worked out here from the store's JSON files."""

from __future__ import annotations

import base64
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from published import DEPTHS, ROOT, numbers

from transferlib.profiles import profile
from transferlib.stats import curves, decomposition
from transferlib.store import Store

NAMES = [path.stem for path in sorted((ROOT / "book").glob("*.ipynb"))]
CHANCE = 10.0  # %: ten classes a half


def keys_of(*parts: str) -> set[str]:
    return {
        key
        for part in parts
        for study in profile("smoke").part(part)
        for plan in study.families()
        for key in plan.run_keys
    }


# --- every chapter ---


@pytest.mark.parametrize("name", NAMES)
def test_the_chapter_ran_from_top_to_bottom_with_the_smoke_profile(executed, name):
    chapter = executed(name)
    set_to = [re.findall(r'^PROFILE = "(\w+)"', cell.source, re.MULTILINE) for cell in chapter.code]
    assert [name for names in set_to for name in names][-1] == "smoke"
    assert [cell.execution_count for cell in chapter.code] == sorted(cell.execution_count for cell in chapter.code)
    assert not [output for output in chapter.outputs if output.output_type == "error"]
    assert not [output.text for output in chapter.outputs if output.get("name") == "stderr"]


@pytest.mark.parametrize("name", NAMES)
def test_every_number_that_a_sentence_tells_is_one(executed, name):
    chapter = executed(name)
    assert chapter.told
    for field, value in chapter.told.items():
        assert value is None or isinstance(value, (str, bool)) or math.isfinite(value), field
        assert "nan" not in str(value).lower().split(), field


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stands_for_one_number_throughout_a_chapter(executed, name):
    found = {}
    for output in executed(name).outputs:
        for field, value in output.get("metadata", {}).get("transferlib", {}).items():
            assert found.setdefault(field, value) == value, field


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_one_picture(executed, name):
    for cell in executed(name).code:
        if cell.metadata.get("mystnb", {}).get("figure"):
            shown = [output.get("data", {}) for output in cell.outputs]
            pictures = [data for data in shown if data.get("text/html", "").startswith('<div class="drawing">')]
            assert len(pictures) == 1, cell.metadata.mystnb.figure.name


def test_the_store_holds_the_whole_profile_and_its_networks_have_learnt(executed, runs):
    wanted = keys_of(*profile("smoke").parts)
    assert wanted <= set(runs["key"])
    sound = runs[(runs["status"] == "ok") & ~runs["treatment"].str.startswith("R")]
    assert len(sound) > 0.8 * len(runs)
    assert (100 * sound["top1"] > CHANCE).all()
    assert 100 * runs.loc[runs["treatment"] == "base", "top1"].median() > 2 * CHANCE
    assert [len(curve) for curve in runs["curve"]] == [3] * len(runs)
    assert np.allclose([images.mean() for images in runs["correct"]], runs["top1"], atol=1e-6)


# --- chapter by chapter ---


def test_freezing_of_ones_own_stands_beside_the_published(executed, chains, accuracy):
    told = executed("05_freezing")
    same = (chains["split"] == "random:0") & (chains["target"] == "B") & chains["images_per_class"].isna()
    rows = chains[same].set_index("treatment")["correct"]
    for name, treatment in (("my_own", "B7B"), ("my_other", "A7B")):
        apart = 100 * (rows[treatment].astype(float) - rows["base"].astype(float))
        half = 1.959964 * apart.std(ddof=1) / math.sqrt(len(apart))
        assert numbers(told[name])[:3] == pytest.approx(
            [apart.mean(), apart.mean() - half, apart.mean() + half], abs=0.051
        )
        assert numbers(told[name])[0] == pytest.approx(accuracy(treatment) - accuracy("base"), abs=0.051)


def test_what_the_page_for_lecturers_says_of_the_smallest_networks(accuracy):
    for n in (6, 7):
        assert accuracy(f"A{n}B") < accuracy("base") - 5 and accuracy(f"B{n}B") > accuracy("base") - 2
    assert min(accuracy("B4B"), accuracy("B5B")) > accuracy("base") - 2  # no dip
    assert all(accuracy(f"R{n}B") < accuracy("base") - 20 for n in DEPTHS)


def test_the_two_losses_add_up_to_the_whole():
    table = main_part()
    parts = decomposition(table).set_index(["part", "n"])["mean"]
    lost = curves(table, "AnB").set_index("n")["mean"]
    for n in DEPTHS:
        whole = parts["lost to broken co-adaptation", n] + parts["lost to specificity", n]
        assert whole == pytest.approx(-lost[n])


def main_part() -> pd.DataFrame:
    """The main part as a chapter has it."""
    table = Store(ROOT / "_build/smoke/store").table()
    return table[table["key"].isin(keys_of("random"))].reset_index(drop=True)


def epochs_to(curve: list[float], level: float) -> float | None:
    """By small steps along the drawn line, from nothing at epoch 0."""
    times = np.linspace(0, len(curve), 30_001)
    reached = times[np.interp(times, range(len(curve) + 1), [0.0, *curve]) >= level - 1e-9]
    return float(reached[0]) if len(reached) else None


def saved_by(runs, family: str, share: float) -> float:
    """In % of the base's epochs."""
    main = runs[runs["key"].isin(keys_of("random"))]
    base = main.loc[(main["treatment"] == "base") & (main["target"] == "B"), "curve"].item()
    level = share * base[-1]
    sound = main[(main["status"] == "ok") & main["treatment"].str.fullmatch(family)]
    times = [epochs_to(curve, level) or len(curve) for curve in sound["curve"]]
    return 100 * (1 - np.mean(times) / epochs_to(base, level))


def test_pairing_narrows_an_interval_of_ones_own(executed, chains, accuracy):
    told = executed("02_halves")
    same = (chains["split"] == "random:0") & (chains["target"] == "B") & chains["images_per_class"].isna()
    rows = chains[same].set_index("treatment")
    base, fifth = rows.loc["base", "correct"], rows.loc["A5B", "correct"]
    images = len(base)
    assert told["my_images"] == images == rows.loc["base", "val_images"]
    apart = np.array([value - other for value, other in zip(fifth.astype(float), base, strict=True)])
    assert told["my_paired"] == pytest.approx(100 * 1.96 * apart.std() / math.sqrt(images), rel=1e-6)
    alone = math.sqrt(sum(x * (100 - x) for x in (accuracy("A5B"), accuracy("base"))) / images)
    assert told["my_unpaired"] == pytest.approx(1.96 * alone, rel=1e-6)


def test_what_fine_tuning_gives_back_in_ones_own(executed, accuracy):
    told = executed("07_fine_tuning")
    for name, source in (("my_other", "A"), ("my_own", "B")):
        gained = np.mean([accuracy(f"{source}{n}B+") for n in DEPTHS]) - accuracy("base")
        assert numbers(told[name])[0] == pytest.approx(gained, abs=0.051)


def test_what_distance_costs_ones_own(executed, accuracy):
    told, kinds = executed("08_distance"), "natural-manmade"
    far = np.mean([accuracy("A7B", kinds, t) - accuracy("base", kinds, t) for t in "AB"])
    lost = {"my_near": accuracy("A7B") - accuracy("base"), "my_far": far}
    lost["my_never"] = accuracy("R7B") - accuracy("base")
    for name, value in lost.items():
        assert numbers(told[name])[0] == pytest.approx(value, abs=0.051)
    turned = [f"similarity:{x}" for x in (1.0, 0.5, 0.0)]
    assert numbers(told["my_dial"]) == pytest.approx(
        [accuracy("A7B", x) - accuracy("base", x) for x in turned], abs=0.051
    )


@pytest.mark.parametrize(("family", "name"), [(r"A\dB\+", "my_saved"), (r"B\dB\+", "my_own")])
def test_how_much_sooner_ones_own_get_there(executed, runs, family, name):
    assert numbers(executed("09_speed")[name])[0] == pytest.approx(saved_by(runs, family, 0.9), abs=0.1)


def test_what_few_images_gain_in_ones_own(executed, accuracy):
    told = executed("09_speed")
    for name, treatment in (("my_frozen", "A3B"), ("my_tuned", "A5B+")):  # all that this profile has
        gained = accuracy(treatment, images=100) - accuracy("base", images=100)
        assert numbers(told[name])[0] == pytest.approx(gained, abs=0.051)


def test_every_claim_is_judged_by_ones_own(executed):
    claims = executed("10_decisions")["claims"].split("; ")
    assert [claim.split()[0] for claim in claims][:3] == ["1a", "1b", "1c"] and len(claims) == 16


def test_networks_of_ones_own_and_what_moves_in_a_frozen_part(executed, accuracy):
    told = executed("11_networks_of_today")
    for words, network in (("AlexNet", "alexnet32-tiny"), ("residual", "resnet32-tiny")):
        lost = accuracy("A7B", network=network) - accuracy("base", network=network)
        assert numbers(told["sevens"].split(words)[1])[0] == pytest.approx(lost, abs=0.051)
    norms = 1 + 4 + 5  # of a ResNet-18: the first, those of layer1, those of layer2 and its way past
    assert (told["right"], told["wrong"]) == (0, 3 * norms)


def test_the_case_of_the_solar_cells_is_told_as_it_was_measured(executed):
    told, store = executed("11_networks_of_today"), ROOT / "book" / "results" / "solar-cells"
    about = json.loads((store / "measurement.json").read_text(encoding="utf-8"))
    labels, scores = np.array(about["labels"]), {}
    for key in about["runs"]:
        record = json.loads((store / "runs" / f"{key}.json").read_text(encoding="utf-8"))
        bits = np.unpackbits(np.frombuffer(base64.b64decode(record["correct"]), np.uint8))[: len(labels)]
        by_class = [bits[labels == label].mean() for label in np.unique(labels)]
        scores[record["config"]["treatment"]] = 100 * np.mean(by_class)
    assert told["best"] == pytest.approx(max(scores.values()))
    assert told["runs"] == len(scores)
    assert told["held"] == sum(map(int, re.findall(r"\d+", told["counts"])))
