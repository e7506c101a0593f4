"""Chapters 1 to 4 and 7 to 11 speak of the published runs: their numbers worked out here from the files alone."""

from __future__ import annotations

import json
import re
from statistics import mean

import numpy as np
import pytest
import torch
from published import DEPTHS, RESULTS, gaps, numbers, records, runs
from safetensors.torch import load_file
from scipy.optimize import linear_sum_assignment

FAR = "natural-manmade:"


def shipped(target: str) -> dict[str, torch.Tensor]:
    """The weights of the first split's base."""
    record = runs()["random:0", target, "base"]
    (key,) = [key for key, one in records().items() if one is record]
    return load_file(RESULTS / "shipped" / f"{key}.safetensors")


def by_depth(family: str, other: str = "base", **of: object) -> dict[int, float]:
    """A family minus another, the mean over pairs at each depth, in points."""
    return {n: mean(gaps(family.replace("n", str(n)), other.replace("n", str(n)), **of)) for n in DEPTHS}


def by_seed() -> dict[tuple[float, str], list[float]]:
    """The runs on the drawn half B minus their bases, in points, seed by seed, by similarity and treatment."""
    found, lost = {}, {}
    for record in records().values():
        config = record["config"]
        drawn = config["data"]["name"] == "shapes" and config["target"] == "B"
        if drawn and config["split"].startswith("similarity:"):
            found[float(config["split"].split(":")[1]), config["seed"], config["treatment"]] = 100 * record["top1"]
    for (at, seed, treatment), top1 in found.items():
        if treatment != "base":
            lost.setdefault((at, treatment), []).append(top1 - found[at, seed, "base"])
    return lost


def slope(line: dict[int, float]) -> float:
    return float(np.polyfit([*line], [*line.values()], 1)[0])


# --- chapters 1 to 4 ---


def test_filters_are_matched_as_well_as_can_be(executed):
    a, b = (shipped(target)["layers.0.conv.weight"].double() for target in "AB")
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
    assert (told["pairs"], told["layers"]) == (len(a), 8)
    assert told["mean"] == pytest.approx(best.mean(), abs=1e-2)  # the weights ship in half the bits
    assert told["found"] == pytest.approx(np.sort(best)[::-1][: len(a) // 2].mean(), abs=1e-2)
    assert 0 < told["untrained"] < told["scrambled"] < told["found"] < 1  # as the text says


def test_pairing_narrows_an_interval(executed):
    told = executed("02_halves")
    assert (told["size"], told["images"]) == (72, 5000)
    assert told["near"] > 100 * told["far"]
    assert told["paired"] < told["unpaired"]
    for target in "AB":
        top1 = [runs()["random:0", target, treatment]["top1"] for treatment in ("A5B", "base")]
        if told["unpaired"] == pytest.approx(196 * sum(p * (1 - p) / 5000 for p in top1) ** 0.5):
            return
    raise AssertionError(told["unpaired"])


def test_where_weights_sit_and_how_far_the_bases_are_from_their_end(executed):
    told, weights = executed("03_bases"), shipped("B")
    sizes = [sum(w.numel() for name, w in weights.items() if name.startswith(f"layers.{i}.")) for i in range(8)]
    assert told["heavy"] == pytest.approx(100 * sum(sizes[5:]) / sum(sizes))
    assert told["low"] == pytest.approx(100 * sum(sizes[:3]) / sum(sizes))
    reached = {epochs: 100 * runs(epochs)["random:0", "B", "base"]["top1"] for epochs in (24, 48, 96)}
    assert told["short"] == pytest.approx(max(reached.values()) - reached[24])
    assert numbers(told["ends"])[::2] == pytest.approx([*reached.values()], abs=0.051)
    gained = mean(100 * (runs(48)["random:0", t, "base"]["top1"] - runs()["random:0", t, "base"]["top1"]) for t in "AB")
    assert numbers(told["verdict"])[0] == pytest.approx(gained, abs=0.051)


def test_what_probes_and_likeness_say(executed):
    told, measures = executed("04_seeing"), json.loads((RESULTS / "layers.json").read_text(encoding="utf-8"))
    read = {(p["layer"], p["network"], p["classes"]): 100 * p["accuracy"] for p in measures["probes"]}
    other = {"A": "B", "B": "A"}
    gap = {n: mean(read[n, half, half] - read[n, other[half], half] for half in "AB") for n in DEPTHS}
    assert (told["gap1"], told["gap7"]) == pytest.approx((gap[1], gap[7]))
    foreign = {n: mean(read[n, other[half], half] for half in "AB") for n in DEPTHS}
    assert (told["best"], told["top"]) == (max(foreign, key=foreign.get), pytest.approx(max(foreign.values())))
    assert told["end"] == pytest.approx(foreign[7])
    likeness = np.diag(measures["cka"]["A, B"])
    assert (told["cka1"], told["cka7"]) == pytest.approx((likeness[0], likeness[6]))
    assert told["step"] == 2 + int(np.argmin(np.diff(likeness[:7])))
    assert told["alike"] == next(n for n, likely in enumerate(likeness) if likely <= 0.8)
    assert all(-0.5 < told[name] < 0.5 for name in ("three", "four", "five"))  # learning changed them


def test_the_networks_of_the_pictures_see(executed):
    told = executed("04_seeing")
    seeing = runs(48, network="alexnet64-small")
    assert told["right"] == pytest.approx(100 * seeing["random:0", "A", "base"]["top1"])
    assert (told["chelsea"], told["coffee"]) == ("tabby", "espresso")  # as the text says, right
    assert 6 <= told["named"] <= 8


# --- chapters 7 to 11 ---


def test_what_fine_tuning_gives_back(executed):
    told, transfer, selffer = executed("07_fine_tuning"), by_depth("AnB+"), by_depth("BnB+")
    gained = by_depth("AnB+", "BnB+")
    assert told["effect_4a"] == pytest.approx(mean(transfer.values()))
    assert told["effect_4b"] == pytest.approx(mean(gained.values()))
    assert told["effect_5"] == pytest.approx(mean(selffer.values()))
    assert told["one"] == pytest.approx(transfer[1])
    assert numbers(str(told["seven_gained"]))[0] == pytest.approx(gained[7], abs=0.051)
    assert (told["own_one"], told["own_seven"]) == pytest.approx((selffer[1], selffer[7]))
    assert (told["least"], told["most"]) == pytest.approx((min(gained.values()), max(gained.values())))
    assert told["zero"] >= 6  # of the seven depths
    assert numbers(told["over_base"])[0] == pytest.approx(mean(transfer.values()), abs=0.051)


def test_a_base_with_as_many_batches_is_better(executed):
    told = executed("07_fine_tuning")
    here, longer = runs(), runs(48)
    lost = [
        100 * (here["random:0", target, f"A{n}B+"]["top1"] - longer["random:0", target, "base"]["top1"])
        for target in "AB"
        for n in DEPTHS
        if ("random:0", target, f"A{n}B+") in here
    ]
    assert numbers(told["versus"])[0] == pytest.approx(mean(lost), abs=0.051)
    assert numbers(told["versus"])[2] < 0  # as the text says


def test_what_distance_costs(executed):
    told = executed("08_distance")
    near, far, never = by_depth("AnB"), by_depth("AnB", kind=FAR), by_depth("RnB")
    assert told["effect_6"] == pytest.approx(slope(far) - slope(near))
    assert told["effect_7"] == pytest.approx(mean(far.values()) - mean(never.values()))
    for name, line in (("near", near), ("far", far), ("never", never)):
        assert told[f"{name}_three"] == pytest.approx(-line[3])
        assert told[f"{name}_seven"] == pytest.approx(-line[7])
        assert numbers(told[name])[0] == pytest.approx(line[7], abs=0.051)
    assert all(near[n] > far[n] > never[n] for n in range(2, 8))  # as the text says
    foreign = by_depth("BnB", "AnB", kind=FAR)
    assert (told["two"], told["four"], told["seven"]) == pytest.approx((foreign[2], foreign[4], foreign[7]))
    assert numbers(told["tuned"])[0] == pytest.approx(mean(by_depth("AnB+", kind=FAR).values()), abs=0.051)
    assert numbers(told["gained"])[0] == pytest.approx(mean(by_depth("AnB+", "BnB+", kind=FAR).values()), abs=0.051)


def test_it_is_the_distance_and_not_the_size_of_the_halves(executed):
    told = executed("08_distance")
    lines = {
        "random": by_depth("AnB"),
        "cut": by_depth("AnB", kind="random-small:"),
        "kinds": by_depth("AnB", kind=FAR),
    }
    for name, line in lines.items():
        assert numbers(str(told[name]))[0] == pytest.approx(slope(line), abs=0.051)
    low, high = numbers(str(told["cut"]))[1:3]
    assert numbers(str(told["kinds"]))[2] < low and low <= numbers(str(told["random"]))[0] <= high  # as the text says


def test_what_the_dial_says_at_each_position(executed):
    told, lost = executed("08_distance"), by_seed()
    positions = (1.0, 0.75, 0.5, 0.25, 0.0)
    for treatment, name in (("A7B", "deep"), ("A2B", "shallow")):
        line = [mean(lost[at, treatment]) for at in positions]
        assert numbers(told[name]) == pytest.approx(line, abs=0.051)
        if treatment == "A7B":
            assert told["half"] == pytest.approx(100 * (line[2] - line[0]) / (line[4] - line[0]))


def test_what_few_images_gain_by_transfer(executed):
    told = executed("09_speed")
    for name, treatment, images in (("frozen", "A7B", 25), ("tuned", "A7B+", 25), ("frozen_250", "A7B", 250)):
        gained = mean(gaps(treatment, "base", epochs=48, images=images))
        assert numbers(told[name])[0] == pytest.approx(gained, abs=0.051)
    assert told["times"] == pytest.approx(
        runs(48, images=25)["random:0", "B", "A7B"]["top1"] / runs(48, images=25)["random:0", "B", "base"]["top1"]
    )


def test_where_the_learning_curves_cross(executed):
    told, here = executed("09_speed"), runs()
    base, deep, tuned = (
        [100 * point["top1"] for point in here["random:0", "B", treatment]["curve"]]
        for treatment in ("base", "A7B", "A7B+")
    )
    assert (told["base"], told["deep"], told["start"]) == pytest.approx((base[0], deep[0], tuned[0]))
    assert told["passed"] == 1 + next(k for k, pair in enumerate(zip(base, deep, strict=True)) if pair[0] > pair[1])
    assert told["behind"] == pytest.approx(base[-1] - deep[-1])
    assert all(mine > other for mine, other in zip(tuned, base, strict=True))  # never passed


def test_the_conclusions_are_told_with_the_verdicts_numbers(executed):
    told = executed("10_decisions")
    assert told["total"] == 16
    assert sum(int(number) for number in re.findall(r"\*: (\d+)", told["summary"])) == 16
    for name, pair in (("c1a", ("A1B", "base")), ("c1b", ("A2B", "base")), ("c1f", ("A3B", "B3B"))):
        assert numbers(told[name])[0] == pytest.approx(mean(gaps(*pair)), abs=0.051)
    assert numbers(told["longer"])[0] == numbers(executed("07_fine_tuning")["versus"])[0]
    assert numbers(told["far"])[0] == numbers(executed("08_distance")["tuned"])[0]
    assert told["advice"].strip()


def test_the_networks_of_today(executed):
    told = executed("11_networks_of_today")
    lines = told["found"].splitlines()
    assert [line.split(":")[0] for line in lines] == ["- **AlexNet**", "- **residual**", "- **transformer**"]
    first = {place: record for place, record in runs().items() if place[0] == "random:0"}
    for words, n in (("`AnB` at n = 4: ", 4), ("at n = 7: ", 7)):
        lost = mean(100 * (first["random:0", t, f"A{n}B"]["top1"] - first["random:0", t, "base"]["top1"]) for t in "AB")
        assert numbers(lines[0].split(words)[1])[0] == pytest.approx(lost, abs=0.051)


def test_how_sure_counts_the_verdicts_and_the_noise(executed):
    told = executed("how_sure")
    assert (told["total"], told["pairs"]) == (16, 8)
    assert told["pairs"] == len(gaps("A1B", "base"))
    asked = [seeds for (_, treatment), seeds in by_seed().items() if treatment in ("A2B", "A5B")]
    between = mean(np.var(seeds, ddof=1) for seeds in asked)
    assert told["between"] == pytest.approx(between**0.5)
    assert told["factor"] == pytest.approx(told["between"] / told["images"]) and told["factor"] > 1


# --- index and appendices ---


def test_index_and_the_reproduction_page_count_every_run_and_minute(executed):
    index, page = executed("index"), executed("reproduction")
    assert index["runs"] == page["runs"] == len(records())
    assert index["minutes"] == pytest.approx(sum(record["seconds"] for record in records().values()) / 60)
    assert index["minutes"] == pytest.approx(page["minutes"])
    assert page["odd"] == sum(record["status"] != "ok" for record in records().values())
    own = by_depth("BnB")
    dip = mean(own[n] for n in (4, 5)) - mean(own[n] for n in (1, 2, 3, 6, 7))
    assert numbers(page["dip"])[0] == pytest.approx(dip, abs=0.051)
