"""What the executed chapters say, held against numbers worked out here from the store's JSON files."""

from __future__ import annotations

import base64
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy.optimize import linear_sum_assignment

from transferlib.effects import DIP
from transferlib.profiles import profile
from transferlib.stats import contrast, curves, decomposition
from transferlib.store import Store

ROOT = Path(__file__).resolve().parents[2]
NAMES = [path.stem for path in sorted((ROOT / "book").glob("*.ipynb"))]
CHANCE = 10.0  # %: ten classes a half
DEPTHS = range(1, 8)
NUMBER = r"[-−+]?\d+(?:\.\d+)?"


def numbers(text: str) -> list[float]:
    """The numbers in a text such as ``-1.2 [-2.0, -0.4]``."""
    return [float(found.replace("−", "-")) for found in re.findall(NUMBER, text)]


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
def test_every_figure_has_one_picture(executed, name):
    for cell in executed(name).code:
        if cell.metadata.get("mystnb", {}).get("figure"):
            kinds = [kind for output in cell.outputs for kind in output.get("data", {}) if kind.startswith("image/")]
            assert len(kinds) == 1, cell.metadata.mystnb.figure.name


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


def test_index_counts_its_runs_and_minutes(executed, runs):
    own = runs[runs["key"].isin(keys_of("random", "random-filters"))]
    told = executed("index")
    assert len(own) == 2 + 4 * 7 + 7
    assert len(own) <= told["runs"] <= len(runs)  # other chapters fill the same store meanwhile
    assert own["seconds"].sum() / 60 <= told["minutes"] + 1e-9 <= runs["seconds"].sum() / 60 + 2e-9
    assert told["devices"] == ", ".join(sorted(own["device"].unique()))
    assert told["study"] == "shapes at 32 px with the network alexnet32-tiny"


def first_layer(chains, target: str) -> torch.Tensor:
    same = (chains["treatment"] == "base") & (chains["target"] == target) & (chains["split"] == "random:0")
    key = chains.loc[same & chains["images_per_class"].isna(), "key"].item()
    return load_file(ROOT / f"_build/smoke/store/weights/{key}.safetensors")["layers.0.conv.weight"].double()


def test_filters_are_matched_as_well_as_can_be(executed, chains):
    a, b = (first_layer(chains, target) for target in "AB")
    side, largest = a.shape[-1], torch.zeros(len(a), len(b))
    padded = torch.nn.functional.pad(b, (1, 1, 1, 1))
    for down in range(3):
        for right in range(3):  # every shift by a pixel
            moved = padded[..., down : down + side, right : right + side]
            dots = torch.einsum("kcij,mcij->km", a, moved).abs()
            largest = torch.maximum(largest, dots)
    largest /= a.flatten(1).norm(dim=1)[:, None] * b.flatten(1).norm(dim=1)
    best = largest.numpy()[linear_sum_assignment(-largest.numpy())]
    told = executed("01_layers")
    assert told["pairs"] == len(a)
    assert told["mean"] == pytest.approx(best.mean(), abs=1e-4)
    assert told["found"] == pytest.approx(np.sort(best)[::-1][: len(a) // 2].mean(), abs=1e-4)
    assert 0 < told["scrambled"] < 1
    assert 0 < told["untrained"] < 1
    assert told["layers"] == 8


def test_halves_and_how_much_pairing_narrows(executed, chains, accuracy):
    told = executed("02_halves")
    assert told["near"] == told["far"] == 0  # drawn classes have no place in WordNet
    assert told["size"] == 10
    same = (chains["split"] == "random:0") & (chains["target"] == "B") & chains["images_per_class"].isna()
    rows = chains[same].set_index("treatment")
    base, fifth = rows.loc["base", "correct"], rows.loc["A5B", "correct"]
    images = len(base)
    assert told["images"] == images == rows.loc["base", "val_images"]
    apart = np.array([value - other for value, other in zip(fifth.astype(float), base, strict=True)])
    assert told["paired"] == pytest.approx(100 * 1.96 * apart.std() / math.sqrt(images), rel=1e-6)
    alone = math.sqrt(sum(x * (100 - x) for x in (accuracy("A5B"), accuracy("base"))) / images)
    assert told["unpaired"] == pytest.approx(1.96 * alone, rel=1e-6)


def test_the_bases_accuracy_and_where_their_weights_sit(executed, chains, accuracy):
    told = executed("03_bases")
    assert told["reached"] == pytest.approx(accuracy("base"))
    assert told["reached"] > 2 * CHANCE
    assert "not measured here" in told["verdict"]
    same = (chains["treatment"] == "base") & (chains["target"] == "B") & (chains["split"] == "random:0")
    key = chains.loc[same & chains["images_per_class"].isna(), "key"].item()
    weights = load_file(ROOT / f"_build/smoke/store/weights/{key}.safetensors")
    sizes = [sum(w.numel() for n, w in weights.items() if n.startswith(f"layers.{i}.")) for i in range(8)]
    whole = [*sizes[:7], sizes[7] * 10]  # the chapter counts for 100 classes
    assert told["share"] == pytest.approx(100 * sum(whole[5:]) / sum(whole), abs=0.01)
    assert 50 < told["low"] < 100


def test_what_the_layers_show_is_in_range(executed):
    told = executed("04_seeing")
    assert -1 <= told["guided"] <= 1
    assert 0 <= told["cka7"] <= told["cka1"] <= 1
    assert all(-100 < told[name] < 100 for name in ("gap1", "gap7"))


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


def test_what_fine_tuning_gives_back(executed, accuracy):
    told = executed("07_fine_tuning")
    transfer, selffer = (np.mean([accuracy(f"{kind}{n}B+") for n in DEPTHS]) for kind in "AB")
    base = accuracy("base")
    assert told["effect_4a"] == pytest.approx(transfer - base)
    assert told["effect_4b"] == pytest.approx(transfer - selffer)
    assert told["effect_5"] == pytest.approx(selffer - base)
    assert numbers(told["over_base"])[0] == pytest.approx(transfer - base, abs=0.051)
    assert told["versus"] == "not run"
    assert numbers(told["over_selffer"])[0] == pytest.approx(transfer - selffer, abs=0.051)
    assert numbers(told["own_gain"])[0] == pytest.approx(selffer - base, abs=0.051)
    assert (told["found"], told["doubled"]) == ("none", "not run")


def test_what_distance_costs(executed, accuracy):
    told = executed("08_distance")
    near = {n: accuracy(f"A{n}B") - accuracy("base") for n in DEPTHS}
    far = {
        n: np.mean([accuracy(f"A{n}B", "natural-manmade", t) - accuracy("base", "natural-manmade", t) for t in "AB"])
        for n in DEPTHS
    }
    filters = {n: accuracy(f"R{n}B") - accuracy("base") for n in DEPTHS}
    slopes = [np.polyfit(DEPTHS, [lost[n] for n in DEPTHS], 1)[0] for lost in (far, near)]
    assert told["effect_6"] == pytest.approx(slopes[0] - slopes[1])
    assert told["effect_7"] == pytest.approx(np.mean([*far.values()]) - np.mean([*filters.values()]))
    for name, lost in (("near", near), ("far", far), ("never", filters)):
        assert numbers(told[name])[0] == pytest.approx(lost[7], abs=0.051)
    assert told["tuned"] == told["gained"] == "not run"


def test_what_the_dial_says_at_each_position(executed, accuracy):
    told = executed("08_distance")
    for treatment, name in (("A7B", "deep"), ("A2B", "shallow")):
        lost = [accuracy(treatment, f"similarity:{x}") - accuracy("base", f"similarity:{x}") for x in (1.0, 0.5, 0.0)]
        assert numbers(told[name]) == pytest.approx(lost, abs=0.051)
        if treatment == "A7B":
            assert told["half"] == pytest.approx(100 * (lost[1] - lost[0]) / (lost[2] - lost[0]))


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


@pytest.mark.parametrize(("share", "number", "selffer"), [(0.9, "8a", "own_90"), (1.0, "8b", "own_100")])
def test_how_much_sooner_transfer_gets_there_and_the_selffer(executed, runs, share, number, selffer):
    told = executed("09_speed")
    assert told[f"effect_{number}"] == pytest.approx(saved_by(runs, r"A\dB\+", share), abs=0.1)
    assert numbers(told[selffer])[0] == pytest.approx(saved_by(runs, r"B\dB\+", share), abs=0.1)


def test_what_few_images_gain_by_transfer(executed, accuracy):
    told = executed("09_speed")
    assert told["count"] == 100
    for name, treatment in (("frozen", "A3B"), ("tuned", "A5B+")):  # all that this profile has
        gained = accuracy(treatment, images=100) - accuracy("base", images=100)
        assert told[name].startswith(f"`{treatment}` ")
        assert numbers(told[name].split("` ")[1])[0] == pytest.approx(gained, abs=0.051)


def test_the_verdicts_are_those_of_the_chapters_before(executed, accuracy):
    told = executed("10_decisions")
    assert told["total"] == 16
    assert sum(int(number) for number in re.findall(r"\*: (\d+)", told["summary"])) == 16
    assert told["c5"] == executed("07_fine_tuning")["verdict"]
    assert told["versus"] == "not run"
    assert told["selffer"] == executed("09_speed")["own_90"]
    lost = [
        accuracy(f"A{n}B", "natural-manmade", t) - accuracy("base", "natural-manmade", t) for n in DEPTHS for t in "AB"
    ]
    assert numbers(told["frozen"])[0] == pytest.approx(np.mean(lost), abs=0.051)
    assert {told[name] for name in ("tuned", "over_selffer", "later", "later_gain")} == {"not run"}
    assert told["advice"].strip()


def test_the_networks_of_today_and_what_moves_in_a_frozen_part(executed, runs, accuracy):
    told = executed("11_networks_of_today")
    lost = {
        (network, n): accuracy(f"A{n}B", network=network) - accuracy("base", network=network)
        for network in ("alexnet32-tiny", "resnet32-tiny")
        for n in DEPTHS
    }
    lines = told["found"].splitlines()
    assert [line.split(":")[0] for line in lines] == ["- **AlexNet**", "- **residual**"]
    for line, network in zip(lines, ("alexnet32-tiny", "resnet32-tiny"), strict=True):
        for words, n in (("`AnB` at n = 4: ", 4), ("at n = 7: ", 7)):
            assert numbers(line.split(words)[1])[0] == pytest.approx(lost[network, n], abs=0.051)
        for words, n in (("specificity there: ", 4), (") and ", 7)):
            foreign = accuracy(f"B{n}B", network=network) - accuracy(f"A{n}B", network=network)
            assert numbers(line.split(words)[-1])[0] == pytest.approx(foreign, abs=0.051)
    reached = [np.mean([accuracy("base", target=t, network="resnet32-tiny") for t in "AB"])]
    assert numbers(told["reached"])[1:] == pytest.approx(reached, abs=0.051)
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


def test_the_reproduction_page_counts_the_runs_behind_it(executed, runs):
    own = runs[runs["key"].isin(keys_of("random", "dissimilar", "random-filters"))]
    told = executed("reproduction")
    assert len(own) <= told["runs"] <= len(runs)
    assert (own["status"] != "ok").sum() <= told["odd"] <= (runs["status"] != "ok").sum()
    own_loss = contrast(main_part(), DIP)["value"].mean()
    assert numbers(told["dip"])[0] == pytest.approx(own_loss, abs=0.051)
