"""Chapter 5 speaks of the published runs and of the paper's: its numbers worked out here from the files alone."""

from __future__ import annotations

import base64
import csv
import json
from statistics import mean

import numpy as np
import pytest
from published import DEPTHS, RESULTS, ROOT, gaps, numbers, runs


def theirs(family: str, n: int) -> float:
    """The same of the paper's networks: the mean over the splits and directions that were logged."""
    with (ROOT / "transferlib" / "paper_runs.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["study"] == "random-split"]
    top1 = {(r["split"], r["target"], r["treatment"], int(r["n"])): float(r["top1_mean_of_best_10"]) for r in rows}
    found = [(place, value) for place, value in top1.items() if place[2:] == (family, n)]
    return mean(100 * (value - top1[(*place[:2], "base", 0)]) for place, value in found)


def test_what_each_depth_costs_ours_and_the_papers(executed):
    told = executed("05_freezing")
    for name, n in (("one", 1), ("two", 2), ("three", 3), ("seven", 7)):
        assert told[name] == pytest.approx(-mean(gaps(f"A{n}B", "base")))
    assert told["our_dip"] == pytest.approx(mean(gaps("B5B", "base")))
    assert told["their_three"] == pytest.approx(-theirs("AnB", 3), abs=0.02)
    assert told["their_seven"] == pytest.approx(-theirs("AnB", 7), abs=0.02)
    assert told["their_dip"] == pytest.approx(-theirs("BnB", 5), abs=0.02)
    assert told["one"] < told["two"] < told["three"] < told["seven"] and told["their_dip"] > 2  # as the text says


def test_the_effects_and_the_two_losses(executed):
    told = executed("05_freezing")
    for number, n in (("1a", 1), ("1b", 2), ("1c", 3)):
        assert told[f"effect_{number}"] == pytest.approx(mean(gaps(f"A{n}B", "base")))
    own = {n: mean(gaps(f"B{n}B", "base")) for n in DEPTHS}
    assert told["effect_2"] == pytest.approx(mean(own[n] for n in (4, 5)) - mean(own[n] for n in (1, 2, 3, 6, 7)))
    specificity = {n: mean(gaps(f"B{n}B", f"A{n}B")) for n in DEPTHS}
    assert told["effect_3"] == pytest.approx(np.polyfit(DEPTHS, [*specificity.values()], 1)[0])
    assert (told["least"], told["most"]) == pytest.approx((-max(own.values()), -min(own.values())))
    for name, n in (("foreign_two", 2), ("foreign_four", 4), ("foreign_seven", 7)):
        assert told[name] == pytest.approx(specificity[n])
    assert told["gap"] == pytest.approx(specificity[7])
    assert numbers(told["own"])[0] == pytest.approx(own[7], abs=0.051)
    assert numbers(told["other"])[0] == pytest.approx(mean(gaps("A7B", "base")), abs=0.051)
    assert told["over"] == "8 pairs of 4 splits"
    low, high = numbers(told["other"])[1:3]
    assert told["half"] == pytest.approx((high - low) / 2, abs=0.051)


def test_the_middle_in_validation_loss(executed):
    told = executed("05_freezing")
    ends = {n: [] for n in DEPTHS}
    for (*_, treatment), run in runs().items():
        if treatment[0] == treatment[-1] == "B":
            ends[int(treatment[1])].append(run["curve"][-1]["loss"])
    here = mean(mean(ends[n]) for n in (4, 5)) - mean(mean(ends[n]) for n in (1, 2, 3, 6, 7))
    mine, low, _ = numbers(told["our_loss"])
    assert mine == pytest.approx(here, abs=0.00051) and low > 0
    assert numbers(told["paper_loss"])[0] > mine


def test_the_prediction_of_the_probes(executed):
    told = executed("05_freezing")
    here = runs()
    lost = [
        mean(100 * (here["random:0", t, f"B{n}B"]["top1"] - here["random:0", t, f"A{n}B"]["top1"]) for t in "AB")
        for n in DEPTHS
    ]
    probes = json.loads((RESULTS / "layers.json").read_text(encoding="utf-8"))["probes"]
    read = {(p["layer"], p["network"], p["classes"]): 100 * p["accuracy"] for p in probes}
    own = [mean(read[n, half, half] - read[n, "AB".replace(half, ""), half] for half in "AB") for n in DEPTHS]
    off = [measured - predicted for measured, predicted in zip(lost, own, strict=True)]
    assert told["off"] == pytest.approx(mean(off))
    assert told["most_off"] == pytest.approx(max(off, key=abs))
    assert told["agree"] == pytest.approx(np.corrcoef(np.argsort(np.argsort(lost)), np.argsort(np.argsort(own)))[0, 1])
    assert told["agree"] > 0.9 and told["most_off"] < told["off"] < 0  # as the text says in words


def right(record: dict) -> np.ndarray:
    packed = np.frombuffer(base64.b64decode(record["correct"]), dtype=np.uint8)
    return np.unpackbits(packed)[: record["val_images"]].astype(float)


def test_what_longer_training_and_batch_norm_move(executed):
    told = executed("05_freezing")

    def dip(pair: tuple[str, str], found: dict) -> float:
        own = {n: 100 * found[(*pair, f"B{n}B")]["top1"] for n in DEPTHS}
        return mean(own[n] for n in (4, 5)) - mean(own[n] for n in (1, 2, 3, 6, 7))

    def lost(pair: tuple[str, str], found: dict) -> float:
        return mean(100 * (found[(*pair, f"A{n}B")]["top1"] - found[(*pair, "base")]["top1"]) for n in DEPTHS)

    once, long, normed = runs(), runs(48), runs(24, "alexnet32-small-bn")
    for name, measure, variant in (("dip_moved", dip, long), ("lost_moved", lost, long), ("lost_normed", lost, normed)):
        pairs = sorted({place[:2] for place in variant if (*place[:2], "A7B") in variant or measure is dip})
        pairs = [p for p in pairs if all((*p, f"{'B' if measure is dip else 'A'}{n}B") in variant for n in DEPTHS)]
        moved = mean(measure(pair, variant) - measure(pair, once) for pair in pairs)
        assert numbers(told[name])[0] == pytest.approx(moved, abs=0.051)
