"""Chapter 6 speaks of the published runs and of the paper's logs: its numbers worked out here from the files alone."""

from __future__ import annotations

import base64
import contextlib
import csv
import json
import math
from collections.abc import Iterable
from functools import cache
from statistics import mean

import numpy as np
import published
import pytest
from published import ROOT, numbers


def number(text: str) -> float:
    """The first number of a text such as ``-1.2 [-2.0, -0.4]``."""
    return numbers(text)[0]


@cache
def logged(run: str) -> dict[int, dict[str, float]]:
    """A network of the paper: its log by the iteration."""
    with (ROOT / "transferlib" / "paper_curves.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["run"] == run]
    names = ("learning_rate", "train_loss", "top1")
    return {int(float(row["iteration"])): {name: float(row[name]) for name in names} for row in rows}


def at_the_end(run: str) -> float:
    """The training loss of the last two points of a log."""
    log = logged(run)
    return mean(log[at]["train_loss"] for at in sorted(log)[-2:])


@cache
def records() -> tuple[dict, ...]:
    """The published runs on the first random halves of Tiny ImageNet by the AlexNet, all images, 24 epochs."""
    found = []
    for key, record in published.records().items():
        config = record["config"]
        asked = (config["data"]["name"], config["network"]["name"], config["split"], config["recipe"]["epochs"])
        whole = config["data"]["images_per_class"] is None and "until" not in config["recipe"]
        if asked == ("tiny-imagenet", "alexnet32-small", "random:0", 24) and whole:
            found.append({**record, "key": key})
    return tuple(found)


@cache
def in_steps(images: int | None) -> dict[str, dict]:
    """The runs on target B by the paper's form of schedule with so many images a class, None for all, by treatment."""
    found = {}
    for record in published.records().values():
        config = record["config"]
        asked = (config["target"], config["recipe"]["schedule"], config["data"]["images_per_class"])
        if asked == ("B", "step", images):
            found[config["treatment"]] = record
    return found


@cache
def restarted(rate: float, features: int = 24) -> dict[tuple[str, str, int], dict]:
    """The runs whose fresh layers started at a rate, by plain momentum: by treatment, target and seed.

    Those on features from a base that was broken off after so many epochs; 24 is all.
    """
    found = {}
    for one in records():
        config, recipe = one["config"], one["config"]["recipe"]
        source = published.records().get(config["source_key"])
        until = source["config"]["recipe"].get("until", 24) if source else 24
        asked = recipe["learning_rate"], recipe["nesterov"], recipe["warmup_epochs"], until
        if asked == (rate, False, 1.0, features):
            found[config["treatment"], config["target"], config["seed"]] = one
    return found


@cache
def bases() -> dict[tuple[str, int], dict]:
    """The bases of the main study, which the restarted runs copy from, by target and seed."""
    found = {}
    for one in records():
        config, recipe = one["config"], one["config"]["recipe"]
        if config["treatment"] == "base" and recipe["learning_rate"] == 0.05 and recipe["nesterov"]:
            found[config["target"], config["seed"]] = one
    return found


def gaps(rate: float, first: str, second: str, depths: Iterable[int], outcome: str = "top1") -> dict[tuple, float]:
    """One family minus another (``base`` too), the mean over depths, by target and seed, where all of it was run."""

    def value(family: str, n: int, pair: tuple[str, int]) -> float:
        run = bases()[pair] if family == "base" else restarted(rate)[(family.replace("n", str(n)), *pair)]
        return 100 * run["top1"] if outcome == "top1" else run["curve"][-1][outcome]

    found = {}
    for pair in bases():
        with contextlib.suppress(KeyError):
            found[pair] = mean(value(first, n, pair) - value(second, n, pair) for n in depths)
    return found


def gap(*asked: object, seed: int | None = None) -> float:
    return mean(value for (_, one), value in gaps(*asked).items() if seed in (None, one))


def test_the_stall_is_told_as_the_papers_log_has_it(executed):
    told = executed("06_middle")
    cut, base = logged("transfer0A0A_1_5"), logged("half0A")
    for at in (1000, 10_000, 100_000):
        assert told[f"cut_{at}"] == pytest.approx(100 * cut[at]["top1"])
        assert told[f"base_{at}"] == pytest.approx(100 * base[at]["top1"])
    assert told["jump"] == pytest.approx(100 * (cut[110_000]["top1"] - cut[100_000]["top1"]))
    assert told["cut_end"] == pytest.approx(at_the_end("transfer0A0A_1_5"))
    assert told["base_end"] == pytest.approx(at_the_end("half0A"))
    assert told["stood"] == math.ceil(100 * max(row["top1"] for at, row in cut.items() if at <= 100_000))
    assert told["jump"] > 10 and told["cut_end"] > 2 * told["base_end"]  # as the text says in words


def test_the_papers_middle_lacks_training_and_ours_does_not(executed):
    told = executed("06_middle")
    for n, name in ((4, "paper_four"), (5, "paper_five")):
        excess = [at_the_end(f"transfer{s}A{s}A_1_{n}") - at_the_end(f"half{s}A") for s in range(4)]
        assert told[name] == pytest.approx(mean(excess))
    assert told["paper_five"] > told["paper_four"] > 3 * told["rest"] and told["ours_below"] > 0


MILD, HOT = 0.05, 0.2
MIDDLE, END = (2, 3, 4, 5), (6, 7)


def test_the_middle_sinks_with_the_rate_and_the_end_does_not(executed):
    told = executed("06_middle")
    assert (told["mild"], told["hot"]) == (MILD, HOT)
    by_rate = {number(text.split(" at ")[1]): number(text) for text in told["middles"].split("; ")}
    assert set(by_rate) >= {MILD, HOT}
    for rate, middle in by_rate.items():
        assert middle == pytest.approx(gap(rate, "BnB", "base", MIDDLE), abs=0.051)
    assert told["level"] == pytest.approx(gap(MILD, "BnB", "base", MIDDLE))
    assert told["sunk"] == pytest.approx(gap(HOT, "BnB", "base", MIDDLE))
    twice = [number(one) for one in told["twice"].split(" and ")]
    assert twice == pytest.approx([gap(HOT, "BnB", "base", MIDDLE, seed=seed) for seed in (0, 1)], abs=0.051)
    assert number(told["end"]) == pytest.approx(gap(HOT, "BnB", "base", END), abs=0.051)
    deepest = {n: gap(HOT, "BnB", "base", [n]) for n in MIDDLE}
    assert told["where"] == min(deepest, key=lambda n: deepest[n])
    assert told["depth"] == pytest.approx(-min(deepest.values()))
    for rate, name in ((MILD, "below"), (HOT, "above")):
        assert told[name] == pytest.approx(gap(rate, "BnB", "base", [5], "train_loss"))


def test_a_base_at_that_rate_loses_more_than_any_cut_network(executed):
    told = executed("06_middle")
    hot = [one for one in records() if one["config"]["treatment"] == "base" and not one["config"]["recipe"]["nesterov"]]
    found = {one["config"]["recipe"]["learning_rate"]: 100 * (one["top1"] - bases()["B", 0]["top1"]) for one in hot}
    said = [numbers(one) for one in str(told["alone"]).split("; ")]  # mean, ends of the interval, rate
    assert {rate: mean for mean, _, _, rate in said} == pytest.approx(found, abs=0.051)
    lost = found[HOT] - found[MILD]
    assert told["whole"] == pytest.approx(lost) and number(told["lost_alone"]) == pytest.approx(lost, abs=0.051)
    ends = {one["config"]["recipe"]["learning_rate"]: one["curve"][-1]["train_loss"] for one in hot}
    assert told["heated"] == pytest.approx(ends[HOT] - ends[MILD])
    assert all(gap(HOT, "BnB", "base", [n]) > lost for n in range(1, 8))
    for seed, name in ((None, "hot"), (1, "again")):
        excess = {n: gap(HOT, "BnB", "base", [n], "train_loss", seed=seed) for n in (4, 5, 6)}
        assert [told[f"{name}_{n}"] for n in ("four", "five", "six")] == pytest.approx([*excess.values()])
        assert excess[5] > max(excess[4], excess[6])


def above_base(images: int | None) -> dict[str, float]:
    """By how much each run by the paper's form of schedule ends above its base in training loss."""
    lost = {name: run["curve"][-1]["train_loss"] for name, run in in_steps(images).items()}
    return {name: loss - lost["base"] for name, loss in lost.items()}


def test_in_the_papers_own_way_the_place_is_the_papers_and_the_size_is_not(executed):
    told, every, few = executed("06_middle"), above_base(None), above_base(100)
    for who, kind, above in (("every", "B", every), ("few", "B", few), ("foreign", "A", every)):
        ends = [above[f"{kind}{n}B"] for n in (4, 5, 6)]
        assert [told[f"{who}_{name}"] for name in ("four", "five", "six")] == pytest.approx(ends)
    for who, kind in (("few", "B"), ("foreign_few", "A")):
        peak = few[f"{kind}5B"] - (few[f"{kind}4B"] + few[f"{kind}6B"]) / 2
        assert told[f"{who}_peak"] == pytest.approx(peak) and few[f"{kind}5B"] < 0
    rest = max(abs(every[f"B{n}B"]) for n in (1, 2, 3, 7))
    assert told["farthest"] == pytest.approx(rest) and rest < every["B5B"] / 3
    assert 0.2 < told["every_five"] / told["theirs_five"] < 0.3  # a quarter, as the text says


def test_in_the_papers_own_way_n_5_stands_out_of_its_neighbours():
    every, few = above_base(None), above_base(100)
    for above, kind in ((every, "B"), (few, "B"), (few, "A")):
        assert above[f"{kind}5B"] > max(above[f"{kind}4B"], above[f"{kind}6B"])
    assert all(few["B5B"] > few[f"B{n}B"] for n in (1, 2, 3, 4, 6, 7)) and few["B5B"] > -0.1
    assert [every[f"A{n}B"] for n in range(1, 8)] == sorted(every[f"A{n}B"] for n in range(1, 8))
    steps = {n: every[f"A{n}B"] - every[f"A{n - 1}B"] for n in range(2, 8)}
    assert steps[5] > max(steps[4], steps[6])  # a step, no peak


def test_in_the_papers_own_way_accuracy_shows_nothing_and_the_base_comes_late(executed):
    told, runs = executed("06_middle"), in_steps(None)
    from_base = {name: 100 * (run["top1"] - runs["base"]["top1"]) for name, run in runs.items()}
    assert number(told["top"]) == pytest.approx(from_base["B5B"], abs=0.051)
    others = [from_base[f"B{n}B"] for n in (1, 2, 3, 4, 6, 7)]
    assert (told["worst"], told["finest"]) == pytest.approx((min(others), max(others)))
    at = {name: [point["train_loss"] for point in runs[name]["curve"]] for name in ("base", "B4B", "B5B", "B6B")}
    passed = int(told["passed"])
    assert passed == math.ceil(2 * 96 * 2 / 9) + 1  # the first epoch after the rate has fallen for the second time
    assert all((at["base"][k] < at["B5B"][k]) == (k >= passed - 1) for k in range(96))
    assert all(at["base"][k] > max(at["B4B"][k], at["B6B"][k]) for k in range(96))


@cache
def beside(name: str) -> dict:
    """A measurement that ships beside the runs."""
    return json.loads((ROOT / "book" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def shares(name: str, run: str) -> dict[float, float]:
    """The sharpness of a run as a share of what plain or Nesterov's momentum of .9 allows at its rate, by epoch."""
    nesterov = name == "base at .05"
    moments = beside("stability")["runs"][name][run]
    return {m["epoch"]: m["sharpness"] * m["rate"] * (2.8 if nesterov else 1.0) / 3.8 for m in moments}


def test_the_networks_that_stall_are_not_at_the_limit_of_their_rate(executed):
    told = executed("06_middle")
    early = {epoch: share for epoch, share in shares("cut, at .2", "B4B").items() if 1 <= epoch <= 12}
    assert (told["least"], told["most"]) == pytest.approx((min(early.values()), max(early.values())))
    assert told["most"] < 0.5  # the prediction said at least half
    assert told["shallow"] == pytest.approx(max(s for e, s in shares("cut, at .2", "B7B").items() if 1 <= e <= 12))
    base = shares("base at .05", "base")
    assert told["risen_from"] == pytest.approx(base[1])
    assert told["risen_to"] == pytest.approx(max(share for epoch, share in base.items() if epoch >= 1))
    assert told["shallow"] < 0.5 and told["risen_from"] < min(0.5, told["risen_to"])  # these parts held
    losses = {m["epoch"]: m["loss"] for m in beside("stability")["runs"]["cut, at .2"]["B5B"]}
    first = [max(s for e, s in shares("cut, at .2", run).items() if e >= 1) for run in ("B3B", "B4B", "B5B")]
    assert (told["highest"], told["most_sharp"]) == pytest.approx((max(first), max(first)))
    assert (told["early"], told["late"]) == pytest.approx((losses[0.25], losses[1])) and losses[1] > losses[0.25]


def right(record: dict) -> np.ndarray:
    """Which test images a run got right, float (M,)."""
    packed = np.frombuffer(base64.b64decode(record["correct"]), dtype=np.uint8)
    return np.unpackbits(packed)[: record["val_images"]].astype(float)


def costs_of(changed: dict[str, dict], features: int = 24) -> tuple[float, float]:
    """What the large rate costs B2B to B5B with something changed: the mean and half of its interval, in points."""
    mild = [right(restarted(MILD, features)[f"B{n}B", "B", 0]) for n in MIDDLE]
    hot = [right(changed[f"B{n}B"]) for n in MIDDLE]
    scores = 100 * (np.mean(mild, axis=0) - np.mean(hot, axis=0))
    return scores.mean(), 1.96 * scores.std() / math.sqrt(len(scores))


def test_what_the_rate_still_costs_with_one_thing_changed(executed):
    told = executed("06_middle")
    nothing, _ = costs_of({f"B{n}B": restarted(HOT)[f"B{n}B", "B", 0] for n in MIDDLE})
    assert told["cost"] == pytest.approx(nothing)
    loud = beside("cures")["spread"]
    times = [loud["trained"][str(n)] / loud["untrained"][str(n)] for n in MIDDLE]
    assert (told["low"], told["high"]) == pytest.approx((min(times), max(times))) and told["low"] > 1
    tried = {part.split("*")[1]: part.split("*: ")[1] for part in told["words"].split("; ")}
    found = {name: costs_of(changed) for name, changed in beside("cures")["cures"].items()}
    for epoch in (6, 12, 18):
        early = {f"B{n}B": restarted(HOT, features=epoch)[f"B{n}B", "B", 0] for n in MIDDLE}
        found[f"features of epoch {epoch}"] = costs_of(early, features=epoch)
    paid = [found[f"features of epoch {epoch}"][0] for epoch in (6, 12, 18)]
    assert paid[0] < nothing / 2 and [*paid, nothing] == sorted([*paid, nothing])  # as was predicted
    for name, (cost, half) in found.items():
        said = numbers(tried[name].replace(" %", ""))
        assert said == pytest.approx([cost, cost - half, cost + half, 100 * cost / nothing], abs=0.51)
        assert said[:3] == pytest.approx([cost, cost - half, cost + half], abs=0.06)


def test_which_of_the_two_losses_the_rate_moves(executed):
    told = executed("06_middle")
    for name, end, families in (("cut_moves", "cut", ("base", "BnB")), ("features_move", "features", ("BnB", "AnB"))):
        hot, mild = (gaps(rate, *families, MIDDLE) for rate in (HOT, MILD))
        moved = mean(hot[pair] - mild[pair] for pair in hot.keys() & mild.keys())
        assert number(told[name]) == pytest.approx(moved, abs=0.051)
        assert told[end] == pytest.approx(moved)
        for when, rate, seed in (("small", MILD, 0), ("once", HOT, 0), ("again", HOT, 1)):
            part = gap(rate, *families, MIDDLE, seed=seed)
            assert number(told[f"{end}_{when}"]) == pytest.approx(part, abs=0.051)


def apart(epochs: int, first: str, second: str, depths: Iterable[int]) -> float:
    """One family minus another on half B of the first split after so many epochs, the mean over depths, in points."""
    top1 = {place[2]: run["top1"] for place, run in published.runs(epochs).items() if place[:2] == ("random:0", "B")}
    return 100 * mean(top1[first.replace("n", str(n))] - top1[second.replace("n", str(n))] for n in depths)


def slope_of(values: list[float]) -> float:
    return float(np.polyfit(range(1, 8), values, 1)[0])


def test_what_longer_training_moves(executed):
    told, lengths, depths = executed("06_middle"), (24, 48, 96), range(1, 7)
    assert told["lengths"] == ", ".join(map(str, lengths))
    dips = [apart(e, "BnB", "base", (4, 5)) - apart(e, "BnB", "base", (1, 2, 3, 6, 7)) for e in lengths]
    assert numbers(told["dips"].replace(", ", " ")) == pytest.approx(dips, abs=0.051)
    wholes = [number(one) for one in told["wholes"].replace("], ", "]; ").split("; ")]
    assert wholes == pytest.approx([apart(e, "BnB", "base", depths) for e in lengths], abs=0.051)
    slopes = [number(one) for one in told["slopes"].replace("], ", "]; ").split("; ")]
    found = [slope_of([apart(e, "BnB", "AnB", [n]) for n in range(1, 8)]) for e in lengths]
    assert slopes == pytest.approx(found, abs=0.051)
    each = [apart(96, "BnB", "base", [n]) for n in depths]
    assert (told["deepest_cut"], told["mildest_cut"]) == pytest.approx((min(each), max(each)))
    assert max(each) < 0
    assert number(told["first_cut"]) == pytest.approx(apart(96, "AnB", "base", (1, 2)), abs=0.051)
    assert number(told["first_own"]) == pytest.approx(apart(96, "AnB", "BnB", (1, 2)), abs=0.051)
    assert number(executed("10_decisions")["cut"]) == pytest.approx(wholes[-1], abs=0.051)


def test_what_the_departures_did_in_the_same_pair(executed):
    told = executed("reproduction")
    for when, epochs in (("once", 24), ("later", 48)):
        dip = apart(epochs, "BnB", "base", (4, 5)) - apart(epochs, "BnB", "base", (1, 2, 3, 6, 7))
        assert number(told[f"{when}_dip"]) == pytest.approx(dip, abs=0.051)
        selffer = apart(epochs, "BnB+", "base", range(1, 8))
        assert number(told[f"{when}_selffer"]) == pytest.approx(selffer, abs=0.051)
