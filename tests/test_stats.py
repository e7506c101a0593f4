"""Contrasts, intervals, equivalence: against scipy and statsmodels, and on simulated runs whose effects are known."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from small_studies import invented, store_of
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW, ttost_paired

from transferlib.errors import TransferlibError
from transferlib.records import COLUMNS
from transferlib.stats import (
    DECOMPOSITION,
    Estimate,
    bootstrap_over_images,
    by_split,
    comparable,
    contrast,
    curves,
    decomposition,
    difference,
    difference_over_images,
    equivalent,
    estimate,
    minus,
    noise_of_training,
    plus,
    slope,
    with_differences,
)
from transferlib.treatments import DEPTHS, Treatment, parse_treatments

IMAGES = 1000


def runs(accuracies, split="random:0", target="B", **more):
    """Rows as ``Store.table`` gives them: accuracies by treatment, or the images that each gets right."""
    rows = []
    for name, value in accuracies.items():
        treatment = Treatment.parse(name)
        row = dict.fromkeys(COLUMNS) | {
            "key": f"{split}/{target}/{name}/{more}",
            "split": split,
            "target": target,
            "seed": 0,
            "kind": treatment.kind,
            "n": treatment.n,
            "fine_tuned": treatment.fine_tuned,
            "treatment": name,
            "status": "ok",
            "top1": float(np.mean(value)),
        }
        if isinstance(value, np.ndarray):
            row["correct"] = value
        rows.append(row | more)
    return pd.DataFrame(rows)


def paired_rows(values):
    """What ``contrast`` gives for pairs with these values and no images."""
    return pd.DataFrame({"split": [f"random:{i}" for i, _ in enumerate(values)], "value": values, "scores": None})


def correct(rng, *chances):
    """Images that several runs get right: the same easy images for all, so that runs are correlated."""
    ease = rng.normal(size=IMAGES)
    noise = rng.normal(size=(len(chances), IMAGES))
    limits = [scipy_stats.norm.isf(chance) for chance in chances]
    return [(0.8 * ease + 0.6 * one > limit) for one, limit in zip(noise, limits, strict=True)]


# --- weights ---


def test_minus_averages_over_its_depths_and_counts_a_base_once():
    assert minus("AnB", "BnB", [3]) == {("AnB", 3): 1.0, ("BnB", 3): -1.0}
    weights = minus("AnB", "base")
    assert weights[("base", 0)] == pytest.approx(-1)
    assert [weights["AnB", n] for n in DEPTHS] == pytest.approx([1 / 7] * 7)


@pytest.mark.parametrize("depths", [DEPTHS, (1, 3, 4), (2, 7)], ids=str)
def test_a_slope_is_the_least_squares_line(depths):
    rng = np.random.default_rng(1)
    first, second = rng.random((2, len(depths)))
    table = runs({f"A{n}B": v for n, v in zip(depths, first, strict=True)})
    table = pd.concat([table, runs({f"B{n}B": v for n, v in zip(depths, second, strict=True)})])
    expected = np.polyfit(depths, 100 * (first - second), 1)[0]
    assert contrast(table, slope("AnB", "BnB", depths))["value"].tolist() == pytest.approx([expected])


def test_two_contrasts_add_up():
    total = plus(minus("base", "BnB", [5]), minus("BnB", "AnB", [5]))
    assert {place: weight for place, weight in total.items() if weight} == {("base", 0): 1.0, ("AnB", 5): -1.0}
    assert plus(minus("AnB", "base", [1]), minus("AnB", "base", [1]), -1.0)[("AnB", 1)] == 0


# --- contrasts ---


def test_a_contrast_is_taken_inside_a_pair_and_never_across():
    worlds = [{}, {"target": "A"}, {"split": "random:1"}, {"seed": 1}, {"images_per_class": 7}, {"recipe": "long"}]
    tables = [runs({"base": 0.5 + 0.01 * i, "A3B": 0.4 - 0.02 * i}, **world) for i, world in enumerate(worlds)]
    found = contrast(pd.concat(tables), minus("AnB", "base", [3]))
    assert found["value"].tolist() == pytest.approx([-10 - 3 * i for i in range(6)])
    assert found[["split", "target", "seed"]].iloc[1].tolist() == ["random:0", "A", 0]
    assert found["scores"].isna().all()


def test_pairs_that_lack_a_run_or_have_a_diverged_one_are_left_out():
    whole = runs({"base": 0.5, "A3B": 0.4})
    without = runs({"base": 0.5, "A4B": 0.4}, target="A")
    diverged = runs({"base": 0.5, "A3B": 0.1}, split="random:1")
    diverged.loc[1, "status"] = "diverged"
    found = contrast(pd.concat([whole, without, diverged]), minus("AnB", "base", [3]))
    assert found["value"].tolist() == pytest.approx([-10])
    with pytest.raises(TransferlibError, match="no pair of this table has all the runs"):
        estimate(contrast(without, minus("AnB", "base", [3])))


def test_the_scores_of_the_images_average_to_the_contrast():
    base, third, fifth = correct(np.random.default_rng(2), 0.6, 0.5, 0.4)
    table = runs({"base": base, "A3B": third, "A5B": fifth})
    (row,) = contrast(table, minus("AnB", "base", [3, 5])).itertuples()
    assert row.scores.shape == (IMAGES,)
    assert row.scores.mean() == pytest.approx(row.value)
    assert row.scores == pytest.approx(100 * (0.5 * third + 0.5 * fifth - base))


# --- intervals ---


def test_three_pairs_or_more_give_students_interval():
    values = np.array([-2.1, -3.4, -1.0, -2.6, -4.0])
    found = estimate(paired_rows(values))
    for level in (0.9, 0.95):
        expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(level)
        assert found.interval(level) == pytest.approx((expected.low, expected.high))
        assert found.interval(level) == pytest.approx(DescrStatsW(values).tconfint_mean(1 - level))
    assert (found.over, found.pairs, found.freedom) == ("pairs", 5, 4)


def test_one_pair_gives_the_interval_over_its_test_images():
    base, third = correct(np.random.default_rng(3), 0.6, 0.5)
    found = estimate(contrast(runs({"base": base, "A3B": third}), minus("AnB", "base", [3])))
    difference, half = difference_over_images(third, base)
    assert (found.over, found.pairs) == ("test images", 1)
    assert found.mean == pytest.approx(difference)
    assert found.interval()[1] - found.mean == pytest.approx(half, rel=2e-3)
    expected = DescrStatsW(100.0 * third - 100.0 * base).zconfint_mean()
    assert found.interval() == pytest.approx(expected)


def test_two_pairs_average_their_image_errors():
    rng = np.random.default_rng(4)
    base, third, fifth = correct(rng, 0.6, 0.5, 0.3)
    tables = [runs({"base": base, "A3B": third}), runs({"base": base, "A3B": fifth}, target="A")]
    both = estimate(contrast(pd.concat(tables), minus("AnB", "base", [3])))
    alone = [estimate(contrast(table, minus("AnB", "base", [3]))) for table in tables]
    assert both.error == pytest.approx(math.hypot(*(one.error for one in alone)) / 2)
    assert both.mean == pytest.approx((alone[0].mean + alone[1].mean) / 2)


def test_one_pair_without_images_has_no_interval_and_says_so():
    found = estimate(paired_rows([-3.0]))
    assert found.over == "nothing"
    assert all(math.isnan(end) for end in found.interval())
    assert str(found) == "-3.0"
    assert str(Estimate(1.04, 0.5, math.inf, 1, "test images")) == "+1.0 [+0.1, +2.0]"


def test_the_difference_of_two_estimates_is_welchs():
    rng = np.random.default_rng(5)
    first, second = rng.normal(0, 1, 8), rng.normal(1, 3, 4)
    found = estimate(paired_rows(first)) - estimate(paired_rows(second))
    expected = CompareMeans(DescrStatsW(first), DescrStatsW(second)).tconfint_diff(usevar="unequal")
    assert found.interval() == pytest.approx(expected)
    assert (found.over, found.pairs) == ("pairs", 4)


def test_a_difference_to_what_has_no_interval_has_none():
    known, unknown = Estimate(1, 0.1, 7, 8, "pairs"), Estimate(3, math.nan, math.inf, 1, "nothing")
    found = known - unknown
    assert found.mean == -2
    assert all(math.isnan(end) for end in found.interval())
    assert found.over == found.behind == "8 pairs; 1 pair, no interval"


# --- simulated runs whose effect is known ---


def share_that_covers(truth, intervals):
    return np.mean([low <= truth <= high for low, high in intervals])


def test_intervals_over_pairs_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(6)
    found = [estimate(paired_rows(rng.normal(-2, 1.3, 8))) for _ in range(1500)]
    for level in (0.90, 0.95):
        assert share_that_covers(-2, [one.interval(level) for one in found]) == pytest.approx(level, abs=0.02)


def test_what_a_splits_directions_have_in_common_makes_pairs_too_sure_and_not_splits():
    rng, as_pairs, as_splits = np.random.default_rng(16), [], []
    for _ in range(1500):
        shared = np.repeat(rng.normal(-2, 1.3, 4), 2)  # what both directions of a split have in common
        pairs = paired_rows(shared + rng.normal(0, 0.5, 8)).assign(split=np.repeat(["a", "b", "c", "d"], 2))
        as_pairs.append(estimate(pairs).interval())
        as_splits.append(estimate(by_split(pairs)).interval())
    assert share_that_covers(-2, as_pairs) < 0.9
    assert share_that_covers(-2, as_splits) == pytest.approx(0.95, abs=0.02)


def test_a_difference_of_contrasts_is_image_by_image_in_the_pairs_that_have_both():
    base, third, fifth = correct(np.random.default_rng(17), 0.6, 0.5, 0.3)
    whole = runs({"base": base, "A3B": third, "B3B": fifth})
    alone = runs({"base": base, "A3B": third}, target="A")
    first = contrast(pd.concat([whole, alone]), minus("AnB", "base", [3]))
    second = contrast(whole, minus("BnB", "base", [3]))
    found, expected = difference(first, second), contrast(whole, minus("AnB", "BnB", [3]))
    assert len(found) == 1
    assert found["value"].item() == pytest.approx(expected["value"].item())
    assert found["scores"].item() == pytest.approx(expected["scores"].item())
    bare = difference(first.assign(scores=None), second.assign(scores=None))
    assert bare["scores"].tolist() == [None]


def test_a_split_counts_once_with_the_mean_of_its_pairs():
    pairs = paired_rows([1.0, 2.0, 6.0, 7.0]).assign(split=["a", "a", "b", "a"])
    assert by_split(pairs)[["split", "value"]].values.tolist() == [["a", pytest.approx(10 / 3)], ["b", 6.0]]
    assert estimate(by_split(pairs)).over == "nothing"  # two splits tell no spread


def test_intervals_over_images_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(7)
    weights, found, drawn = minus("AnB", "base", [3]), [], []
    for i in range(250):
        base, third = correct(rng, 0.6, 0.55)
        pairs = contrast(runs({"base": base, "A3B": third}), weights)
        found.append(estimate(pairs).interval())
        drawn.append(bootstrap_over_images(pairs, draws=400, seed=i))
    assert share_that_covers(-5, found) == pytest.approx(0.95, abs=0.035)
    assert share_that_covers(-5, drawn) == pytest.approx(0.95, abs=0.035)


def test_welchs_intervals_cover_where_the_spreads_differ():
    rng = np.random.default_rng(8)
    samples = [(rng.normal(0, 1, 8), rng.normal(2, 3, 4)) for _ in range(1000)]
    found = [estimate(paired_rows(a)) - estimate(paired_rows(b)) for a, b in samples]
    assert share_that_covers(-2, [one.interval() for one in found]) == pytest.approx(0.95, abs=0.03)


def test_pairing_narrows_the_interval_over_images():
    base, third = correct(np.random.default_rng(9), 0.6, 0.55)
    paired = estimate(contrast(runs({"base": base, "A3B": third}), minus("AnB", "base", [3])))
    alone = math.hypot(*(100 * one.std(ddof=1) / math.sqrt(IMAGES) for one in (base, third)))
    assert paired.error < 0.8 * alone


# --- the bootstrap ---


def test_the_bootstrap_agrees_with_the_normal_interval_and_repeats():
    rng = np.random.default_rng(10)
    tables = [runs(dict(zip(["base", "A3B"], correct(rng, 0.6, 0.5), strict=True)), target=t) for t in "AB"]
    pairs = contrast(pd.concat(tables), minus("AnB", "base", [3]))
    found = bootstrap_over_images(pairs, draws=20_000)
    assert found == pytest.approx(estimate(pairs).interval(), abs=0.15)
    assert bootstrap_over_images(pairs, draws=50) == bootstrap_over_images(pairs, draws=50)


def test_the_bootstrap_needs_the_images():
    with pytest.raises(TransferlibError, match="needs the images that each run got right"):
        bootstrap_over_images(contrast(runs({"base": 0.5, "A3B": 0.4}), minus("AnB", "base", [3])))
    with pytest.raises(TransferlibError, match="needs the images that each run got right"):
        bootstrap_over_images(contrast(runs({"base": 0.5}), minus("AnB", "base", [3])))


# --- equivalence ---


@pytest.mark.parametrize("centre", [0.0, 0.7, -0.9, 2.0])
@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_equivalence_is_the_two_one_sided_tests_of_statsmodels(centre, margin):
    rng = np.random.default_rng(11)
    first, second = rng.normal(50 + centre, 1, 8), np.full(8, 50.0)
    expected, *_ = ttost_paired(first, second, -margin, margin)
    assert equivalent(estimate(paired_rows(first - second)), margin) == pytest.approx(expected)


def test_equivalence_at_five_percent_is_the_ninety_percent_interval_inside_the_margin():
    rng = np.random.default_rng(12)
    verdicts = set()
    for _ in range(300):
        found = estimate(paired_rows(rng.normal(0.3, 0.8, 8)))
        low, high = found.interval(0.90)
        assert (equivalent(found) < 0.05) == (low > -1 and high < 1)
        verdicts.add(equivalent(found) < 0.05)
    assert verdicts == {True, False}


def test_equivalence_is_claimed_wrongly_in_one_of_twenty_at_the_margin():
    rng = np.random.default_rng(13)
    wrong = [equivalent(estimate(paired_rows(rng.normal(1.0, 0.4, 8)))) < 0.05 for _ in range(1500)]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.015)


def test_pairs_that_all_say_the_same_leave_no_doubt():
    assert [equivalent(estimate(paired_rows([value] * 3))) for value in (0.0, 0.9, -1.5)] == [0, 0, 1]


# --- curves and parts ---


@pytest.fixture
def whole():
    rng = np.random.default_rng(14)
    names = [str(t) for t in parse_treatments("base,BnB,AnB,BnB+,AnB+")]
    return pd.concat(
        runs({name: 0.5 + 0.1 * rng.random() for name in names}, split, target)
        for split in ("random:0", "random:1")
        for target in "AB"
    )


def test_a_curve_is_the_contrast_at_each_depth_that_has_runs(whole):
    table = whole[~whole["treatment"].isin(["A2B"])]
    found = curves(table, "AnB")
    assert found["n"].tolist() == [1, 3, 4, 5, 6, 7]
    for row in found.itertuples():
        one = estimate(contrast(table, minus("AnB", "base", [row.n])))
        assert (row.mean, row.low, row.high, row.pairs, row.over) == (one.mean, *one.interval(), 4, "pairs")


def test_the_losses_add_up_to_the_whole_loss(whole):
    parts = decomposition(whole).set_index(["part", "n"])["mean"]
    lost = curves(whole, "AnB").set_index("n")["mean"]
    for n in DEPTHS:
        own, foreign = parts["lost to broken co-adaptation", n], parts["lost to specificity", n]
        assert own + foreign == pytest.approx(-lost[n])
    gained = curves(whole, "AnB+", "BnB+")["mean"].tolist()
    assert [parts["gained by transfer", n] for n in DEPTHS] == pytest.approx(gained)


def test_parts_without_runs_are_left_out(whole):
    frozen = decomposition(whole[~whole["fine_tuned"]])
    assert set(frozen["part"]) == {"lost to broken co-adaptation", "lost to specificity"}
    nothing = decomposition(whole[whole["kind"] == "base"])
    assert nothing.empty
    assert list(nothing.columns) == list(frozen.columns)
    assert set(DECOMPOSITION) > set(frozen["part"])


@pytest.mark.parametrize(
    ("pairs", "splits", "over", "words"),
    [
        (8, 0, "pairs", "8 pairs"),
        (8, 8, "pairs", "8 pairs"),
        (8, 4, "pairs", "8 pairs of 4 splits"),
        (3, 1, "pairs", "3 pairs of 1 split"),
        (1, 1, "test images", "the test images of 1 pair"),
        (2, 1, "nothing", "2 pairs, no interval"),
        (2, 1, "the test images of 2 pairs; 4 pairs", "the test images of 2 pairs; 4 pairs"),
    ],
)
def test_an_estimate_says_what_is_behind_it(pairs, splits, over, words):
    assert Estimate(0.0, 1.0, 7, pairs, over, splits).behind == words


def test_an_estimate_counts_the_splits_of_its_pairs():
    pairs = paired_rows([1.0, 2.0, 4.0, 3.0]).assign(split=["a", "a", "b", "b"])
    assert estimate(pairs).behind == "4 pairs of 2 splits"
    assert (estimate(paired_rows([1.0, 2.0, 4.0])) - estimate(pairs)).behind == "3 pairs of 2 splits"


def test_the_noise_of_training_is_the_scatter_between_seeds(tmp_path):
    base = np.arange(400) < 200
    rows = []
    for seed, more in ((0, 0), (1, 20), (2, 40)):
        run = base.copy()
        run[200 : 200 + more] = True
        for name, right in (("base", base), ("A2B", run)):
            record = invented(name, float(right.mean()), "similarity:1.0", seed=seed)
            rows.append(store_of(tmp_path / f"{seed}{name}", record).table().assign(correct=[right]))
    found = noise_of_training(pd.concat(rows, ignore_index=True))
    errors = [difference_over_images(base | (np.arange(400) >= 400 - m), base)[1] / 1.96 for m in (0, 20, 40)]
    assert found["seeds"] == 3
    assert found["between"] == pytest.approx(np.std([0, 5, 10], ddof=1))
    assert found["images"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert noise_of_training(pd.concat(rows[:2], ignore_index=True)) is None


# --- differences ---


def test_differences_are_to_the_base_of_the_same_target_split_seed_length_and_number_of_images(tmp_path):
    records = []
    worlds = [
        {},
        {"target": "A"},
        {"split": "random:1"},
        {"seed": 1},
        {"epochs": 9},
        {"images_per_class": 7},
    ]
    for i, world in enumerate(worlds):
        records += [invented("base", 0.5 + 0.01 * i, **world), invented("A3B", 0.3 + 0.02 * i, **world)]
    found = with_differences(store_of(tmp_path, *records).table())
    transfer = found[found["kind"] == "AnB"].sort_values("top1")
    assert transfer["base_top1"].tolist() == pytest.approx([0.5 + 0.01 * i for i in range(6)])
    assert transfer["difference"].tolist() == pytest.approx([-20 + i for i in range(6)])
    assert found.loc[found["kind"] == "base", "difference"].tolist() == [0.0] * 6


def test_runs_without_a_sound_base_and_diverged_runs_have_no_difference(tmp_path):
    records = [
        invented("base", 0.5, status="diverged"),
        invented("A3B", 0.4),
        invented("base", 0.5, target="A"),
        invented("A3B", 0.4, target="A", status="diverged"),
        invented("A4B", 0.4, target="A"),
    ]
    found = with_differences(store_of(tmp_path, *records).table())
    assert sorted(zip(found["target"], found["treatment"], strict=True)) == [("A", "A4B"), ("A", "base")]


OTHERS = [{"epochs": 9}, {"images_per_class": 7}, {"network": "alexnet32"}, {"resolution": 40}]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_the_larger_group_is_comparable(tmp_path, other):
    many = [invented(f"A{n}B", 0.3) for n in (1, 2, 3)]
    few = [invented(f"A{n}B", 0.4, **other) for n in (1, 2)]
    assert comparable(store_of(tmp_path / "a", *many, *few).table())["top1"].tolist() == [0.3] * 3
    few += [invented(f"A{n}B", 0.4, **other) for n in (3, 4)]
    assert comparable(store_of(tmp_path / "b", *many, *few).table())["top1"].tolist() == [0.4] * 4
