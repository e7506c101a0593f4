"""Panels of small made tables and of the paper's: each mark is where its row says."""

import numpy as np
import pandas as pd
import pytest
from drawings import LEVEL, bars, drawn, line, of_family, points, ranges, said
from small_studies import invented, store_of

from transferlib import paper
from transferlib.figures import (
    NUDGE,
    STYLE,
    about,
    accuracies,
    beside_paper,
    both_sides,
    bridged,
    dial,
    distances,
    few_images,
    learning_figure,
    losses,
    meaning,
    one_panel,
    parts_of_the_loss,
    side_by_side,
)
from transferlib.stats import curves

PANELS = {
    "accuracies": accuracies("BnB", "AnB", "BnB+", "AnB+"),
    "losses": losses("BnB", "AnB", "BnB+", "AnB+"),
    "parts_of_the_loss": parts_of_the_loss,
    "distances": distances,
    "bridged": bridged,
    "both_sides": both_sides,
}


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_draws_the_papers_runs_and_a_small_table(table, name):
    left, right = beside_paper(PANELS[name], table).axes
    for ax in (left, right):
        assert ax.get_legend_handles_labels()[1]
        assert "no such run yet" not in said(ax)
        assert ax.get_xlabel().startswith("n: layers copied")
    assert left.get_title(loc="left") == "Yosinski et al. 2014: ImageNet, CaffeNet"
    assert right.get_title(loc="left").split() == f"ours: {about(table)}".split()  # in lines


@pytest.mark.parametrize("name", [*PANELS, "dial", "few_images"])
def test_a_panel_without_its_runs_says_so(tmp_path, name):
    bare = store_of(tmp_path, invented("base", 0.6), invented("A3B", 0.5, "random:9", "A")).table()
    bare = bare[bare["kind"] == "base"] if name not in ("both_sides", "dial", "few_images") else bare
    panel = {"dial": dial("A2B"), "few_images": few_images("A5B")}.get(name) or PANELS[name]
    ax = drawn(one_panel(panel, bare))
    assert said(ax) == ["no such run yet"]
    assert ax.get_legend() is None


def test_accuracies_are_every_runs_and_a_base_without_transfer_is_left_out(table, tmp_path):
    source_only = store_of(tmp_path / "source", invented("base", 0.99, "random:5", "A")).table()
    ax = drawn(one_panel(accuracies("AnB"), pd.concat([table, source_only], ignore_index=True)))
    random = table[table["split"].str.startswith("random")]
    for name in ("base", "AnB"):
        rows = of_family(random, name)
        expected = sorted((round(r.n + NUDGE.get(name, 0), 3), round(100 * r.top1, 4)) for r in rows.itertuples())
        assert points(ax, meaning(name)) == expected


def test_losses_are_the_paired_differences_with_their_interval(table):
    found = bars(drawn(one_panel(losses("BnB", "AnB"), table)), meaning("AnB"))
    expected = curves(table[table["split"].str.startswith("random")], "AnB")
    assert sorted(found) == expected["n"].tolist() == [1, 4, 7]
    for row in expected.itertuples():
        assert found[row.n] == pytest.approx((row.low, row.mean, row.high))
        assert row.mean == pytest.approx(100 * (LEVEL["AnB"] - LEVEL["base"] - 0.013 * row.n))


def test_the_losses_of_training_are_drawn_in_nats(tmp_path):
    records = [invented("base", 0.5, train_loss=0.4), invented("B5B", 0.5, train_loss=1.0)]
    ax = drawn(one_panel(losses("BnB", outcome="train_loss"), store_of(tmp_path, *records).table()))
    assert bars(ax, meaning("BnB"))[5][1] == pytest.approx(0.6)
    assert ax.get_ylabel() == "training loss minus base (nats)"
    ax = drawn(one_panel(losses("BnB", outcome="train_loss"), paper.table()))
    assert bars(ax, meaning("BnB"))[5][1] == pytest.approx(0.617, abs=0.001)


def test_the_papers_losses_are_where_the_paper_has_them():
    found = bars(drawn(beside_paper(losses("AnB"), paper.table())), meaning("AnB"))
    assert [found[n][1] for n in range(1, 8)] == pytest.approx(
        [0.31, -0.12, -0.62, -2.53, -4.71, -4.45, -8.26], abs=0.006
    )


def test_the_parts_of_the_loss_are_those_of_the_decomposition(table):
    ax = drawn(one_panel(parts_of_the_loss, table))
    assert bars(ax, "lost to specificity")[4][1] == pytest.approx(100 * (LEVEL["BnB"] - LEVEL["AnB"]))
    assert bars(ax, "gained by transfer")[4][1] == pytest.approx(100 * (LEVEL["AnB+"] - LEVEL["BnB+"]))
    cut = {n: 100 * (LEVEL["base"] - LEVEL["BnB"] + 0.013 * n) for n in (1, 4, 7)}
    assert {n: mean for n, (_, mean, _) in bars(ax, "lost to broken co-adaptation").items()} == pytest.approx(cut)


def test_distances_hold_random_halves_dissimilar_ones_and_random_filters_apart(table):
    ax = drawn(one_panel(distances, table))
    lost = {n: 100 * (LEVEL["AnB"] - LEVEL["base"] - 0.013 * n) for n in (1, 4, 7)}
    for label, shift in (("AnB, random halves", 0), ("AnB, natural and man-made", 0), ("RnB, random filters", -20)):
        means = {n: mean for n, (_, mean, _) in bars(ax, label).items()}
        assert means == pytest.approx({n: loss + shift for n, loss in lost.items()})


def test_bridged_holds_frozen_and_fine_tuned_transfer_apart_and_near_from_far(tmp_path):
    levels = {("AnB", "random:0"): -0.02, ("AnB+", "random:0"): 0.01}
    levels |= {("AnB", "natural-manmade"): -0.08, ("AnB+", "natural-manmade"): 0.03}
    records = [invented("base", 0.5, split) for split in ("random:0", "natural-manmade")]
    records += [invented(name.replace("n", "5"), round(0.5 + gain, 4), split) for (name, split), gain in levels.items()]
    ax = drawn(one_panel(bridged, store_of(tmp_path, *records).table()))
    for (name, split), gain in levels.items():
        words = "random halves" if split == "random:0" else "natural and man-made"
        assert bars(ax, f"{name}, {words}")[5][1] == pytest.approx(100 * gain)


def test_both_sides_begin_at_the_base(table):
    ax = drawn(one_panel(both_sides, table))
    for target, label in (("A", "target natural"), ("B", "target man-made")):
        rows = table[(table["split"] == "natural-manmade") & (table["target"] == target)]
        assert line(ax, label) == pytest.approx({r.n: 100 * r.top1 for r in rows.itertuples()})


def test_the_dial_shows_the_mean_over_seeds_with_its_interval(tmp_path):
    records = []
    for similarity in (1.0, 0.0):
        for seed, base in enumerate((0.6, 0.5, 0.4)):
            how = {"split": f"similarity:{similarity}", "seed": seed}
            lost = 0.05 * (1 - similarity) + 0.01 * seed
            records += [invented("base", base, **how), invented("A5B", round(base - lost, 4), **how)]
    ax = drawn(one_panel(dial("A2B", "A5B"), store_of(tmp_path, *records).table()))
    half = 4.302653 / np.sqrt(3)  # t(0.975, 2) · s / √3 of losses a point apart
    ends = {at: (mean - half, mean, mean + half) for at, mean in ((1.0, -1), (0.0, -6))}
    assert ranges(ax, "A5B") == {at: pytest.approx(found, rel=1e-5) for at, found in ends.items()}
    assert ax.xaxis_inverted()
    assert "A2B" not in ax.get_legend_handles_labels()[1]


def test_few_images_are_held_against_the_base_of_as_many(tmp_path):
    records = []
    for count in (25, 100):
        how = {"images_per_class": count, "split": "random:0"}
        records += [invented("base", 0.2 + count / 1000, **how), invented("A5B", 0.25 + count / 1000, **how)]
        records += [invented("A5B", 0.01, **(how | {"images_per_class": 7}))] * (count == 25)  # has no base
    ax = drawn(one_panel(few_images("A5B"), store_of(tmp_path, *records).table()))
    assert ranges(ax, "A5B") == {25.0: pytest.approx((5, 5, 5)), 100.0: pytest.approx((5, 5, 5))}
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["25", "100"]


def test_all_images_are_500_of_each_class_and_a_base_alone_has_no_tick(tmp_path):
    few = {"images_per_class": 25, "split": "random:0"}
    some = [invented("base", 0.2, **few), invented("A5B", 0.3, **few), invented("base", 0.4)]
    ax = drawn(one_panel(few_images("A5B"), store_of(tmp_path / "few", *some).table()))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["25"]
    ax = drawn(one_panel(few_images("A5B"), store_of(tmp_path / "all", *some, invented("A5B", 0.38)).table()))
    assert ranges(ax, "A5B") == {25.0: pytest.approx((10, 10, 10)), 500.0: pytest.approx((-2, -2, -2))}


def test_a_line_of_few_images_is_of_the_same_pairs_from_end_to_end(tmp_path):
    records = [invented("base", 0.4, target="A"), invented("A5B", 0.9, target="A")]  # all images, and no fewer
    for count in (25, None):
        how = {"images_per_class": count, "split": "random:0"}
        records += [invented("base", 0.2, **how), invented("A5B", 0.3, **how)]
    ax = drawn(one_panel(few_images("A5B"), store_of(tmp_path, *records).table()))
    assert ranges(ax, "A5B") == {25.0: pytest.approx((10, 10, 10)), 500.0: pytest.approx((10, 10, 10))}


def test_two_kinds_of_runs_stand_side_by_side_on_one_scale(table):
    left, right = side_by_side(losses("AnB"), {"short": table, "long": table.iloc[:0]}).axes
    assert left.get_ylim() == right.get_ylim()
    assert left.get_title(loc="left").split() == f"short: {about(table)}".split()
    assert right.get_title(loc="left") == "long: not in the store yet"
    assert said(right) == ["no such run yet"]


def test_learning_curves_are_in_percent_and_the_base_in_its_own_style():
    curve = pd.DataFrame({"epoch": [1, 2], "top1": [0.1, 0.3]})
    ax = drawn(learning_figure({"base": curve, "A1B+": curve, "A7B+": curve}, "a title"))
    assert line(ax, "A1B+") == {1: 10.0, 2: 30.0}
    by_name = {one.get_label(): one for one in ax.lines}
    assert by_name["base"].get_color() == STYLE["base"][0]
    assert len({one.get_color() for one in ax.lines}) == len({one.get_linestyle() for one in ax.lines}) == 3
    assert ax.get_title(loc="left") == "a title"


def test_the_steps_of_a_rate_are_drawn_and_a_rate_that_always_falls_is_not():
    stalled, base = paper.curve("transfer1A1A_1_5"), paper.curve("half1A")
    ax = drawn(learning_figure({"B5B": stalled, "base": base}, "", outcomes=["train_loss"]))
    upright = [one.get_xdata()[0] for one in ax.lines if len(set(one.get_xdata())) == 1]
    assert upright == pytest.approx([178 * k / 4.5 for k in (1, 2, 3, 4)], abs=0.1)
    assert line(ax, "base")[178] == pytest.approx(base["train_loss"].iloc[-1]) and "training loss" in ax.get_ylabel()
    falling = base.assign(learning_rate=range(len(base), 0, -1))
    ax = drawn(learning_figure({"base": falling}, ""))
    assert len(ax.lines) == 1
