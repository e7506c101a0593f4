"""Figures 2 and 3 of small made tables: each point is where its row says. Nothing here is ever published."""

import pandas as pd
import pytest
from small_studies import invented, store_of

from transferlib import paper
from transferlib.errors import TransferlibError
from transferlib.plots import (
    MEANING,
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
    figure_2,
    figure_3,
    learning_figure,
    losses,
    one_panel,
    parts_of_the_loss,
    save_figure,
    show,
    side_by_side,
)
from transferlib.stats import comparable, curves, with_differences

LEVEL = {"base": 0.6, "BnB": 0.55, "BnB+": 0.61, "AnB": 0.5, "AnB+": 0.62, "RnB": 0.3}


ALL = ("base", "BnB", "BnB+", "AnB", "AnB+")


def made(split="random:0", target="B", shift=0.0, families=ALL):
    records = []
    for family in families:
        for n in (0,) if family == "base" else (1, 4, 7):
            name = family if family == "base" else family.replace("n", str(n))
            records.append(invented(name, round(LEVEL[family] + shift - 0.013 * n, 4), split, target))
    return records


@pytest.fixture
def table(tmp_path):
    """Two random splits, one of them in both directions, man-made halves and random filters."""
    records = made() + made("random:1", shift=0.02) + made("random:1", "A", -0.03)
    records += made("natural-manmade", "A", shift=0.05, families=("base", "AnB"))
    records += made("natural-manmade", "B", shift=-0.05, families=("base", "AnB"))
    records += made(families=("RnB",))
    return store_of(tmp_path / "store", *records).table()


def points(ax, label) -> list[tuple[float, float]]:
    (dots,) = [c for c in ax.collections if c.get_label() == label]
    return sorted((round(float(x), 3), round(float(y), 4)) for x, y in dots.get_offsets())


def line(ax, label) -> dict[int, float]:
    (found,) = [one for one in ax.lines if one.get_label().split("  (")[0] == label]
    return {int(x): float(y) for x, y in zip(*found.get_data(), strict=True)}


def of_family(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[(table["kind"] == name.rstrip("+")) & (table["fine_tuned"] == name.endswith("+"))]


def test_figure_2_has_each_run_of_the_random_splits_where_the_table_says(table):
    top, bottom = figure_2(table).axes
    random = table[table["split"].str.startswith("random")]
    for name in ("base", "BnB", "BnB+", "AnB", "AnB+"):
        rows = of_family(random, name)
        expected = sorted((round(r.n + NUDGE.get(name, 0), 3), round(100 * r.top1, 4)) for r in rows.itertuples())
        assert points(top, MEANING[name]) == expected
        if name != "base":
            means = 100 * rows.groupby("n")["top1"].mean()
            assert line(bottom, name) == pytest.approx(means.to_dict())
    base = 100 * of_family(random, "base")["top1"].mean()
    assert [float(y[0]) for y in (one.get_ydata() for one in bottom.lines) if len(y) == 1] == pytest.approx([base])
    assert MEANING["RnB"] not in [c.get_label() for c in top.collections]


def test_the_means_of_figure_2_compare_families_that_were_run_for_other_pairs(tmp_path):
    on_b = [invented("base", 0.5), invented("A1B", 0.4)]
    on_a = [invented(name, top1, target="A") for name, top1 in (("base", 0.7), ("A1B", 0.6), ("A1B+", 0.8))]
    table = store_of(tmp_path, *on_b, *on_a).table()
    _, bottom = figure_2(table).axes
    assert line(bottom, "AnB") == pytest.approx({1: 50.0})
    assert line(bottom, "AnB+") == pytest.approx({1: 70.0})  # not 80: its base is better than the mean base
    lines = one_panel(accuracies("AnB", "AnB+"), table).axes[0].lines
    assert [float(one.get_ydata()[0]) for one in lines] == pytest.approx([50.0, 70.0, 60.0])


def test_figure_2_leaves_out_the_base_of_a_half_that_is_only_a_source(tmp_path):
    table = store_of(tmp_path, *made(), invented("base", 0.99, target="A")).table()
    top, _ = figure_2(table).axes
    assert points(top, MEANING["base"]) == [(0.0, 60.0)]


def test_each_treatment_has_a_colour_and_a_marker_of_its_own(table):
    assert len({colour for colour, _ in STYLE.values()}) == len({marker for _, marker in STYLE.values()}) == len(STYLE)


def test_figure_3_has_dissimilar_halves_random_filters_and_losses(table):
    left, right, bottom = figure_3(table).axes
    dissimilar = table[table["split"] == "natural-manmade"]
    for target, label in (("A", "target natural"), ("B", "target man-made")):
        rows = dissimilar[dissimilar["target"] == target]
        assert line(left, label) == pytest.approx({r.n: 100 * r.top1 for r in rows.itertuples()})
    rows = table[(table["split"] == "random:0") & table["kind"].isin(["base", "RnB"])]
    assert line(right, "RnB; n = 0: base") == pytest.approx({r.n: 100 * r.top1 for r in rows.itertuples()})
    loss = {n: 100 * (0.5 - 0.6 - 0.013 * n) for n in (1, 4, 7)}
    assert line(bottom, "random halves, AnB") == pytest.approx(loss)
    assert line(bottom, "natural and man-made halves, AnB") == pytest.approx(loss)
    assert line(bottom, "random filters, RnB") == pytest.approx({n: v - 20 for n, v in loss.items()})


def test_figure_3_says_which_part_the_store_lacks(tmp_path):
    only_random = store_of(tmp_path / "a", *made(families=("base", "RnB"))).table()
    left, right, _ = figure_3(only_random).axes
    assert [t.get_text() for t in left.texts] == ["no run on natural and man-made halves in the store"]
    assert not right.texts
    only_halves = store_of(tmp_path / "b", *made("natural-manmade", families=("base", "AnB"))).table()
    left, right, _ = figure_3(only_halves).axes
    assert [t.get_text() for t in right.texts] == ["no random filters in the store"]
    assert not left.texts


def test_diverged_runs_are_counted_in_the_title_and_not_drawn(tmp_path):
    odd = [invented("A5B", 0.111, status="diverged"), invented("A6B", 0.222, status="chance")]
    store = store_of(tmp_path, *made(), *odd, *made(families=("RnB",)))
    top, bottom = figure_2(store.table()).axes
    assert "1 diverged, not drawn; 1 stuck at chance" in top.get_title(loc="left")
    assert "cifar100, 32 px, alexnet32-tiny, 5 epochs" in top.get_title(loc="left")
    assert 11.1 not in [y for _, y in points(top, MEANING["AnB"])]
    assert 22.2 in [y for _, y in points(top, MEANING["AnB"])]
    assert 5 not in line(bottom, "AnB")
    figure = figure_3(store.table())
    assert "1 diverged, not drawn" in figure.get_suptitle()
    assert 5 not in line(figure.axes[2], "random halves, AnB")


def test_figures_name_what_they_need(tmp_path):
    (tmp_path / "empty" / "runs").mkdir(parents=True)
    bases = store_of(tmp_path / "bases", *made(families=("base",))).table()
    transfer = store_of(tmp_path / "transfer", *made(families=("AnB",))).table()
    for table in (bases, transfer):
        with pytest.raises(TransferlibError, match="figure 2 needs bases and transfer runs on a random split"):
            figure_2(table)
        with pytest.raises(TransferlibError, match="figure 3 needs AnB on natural-manmade halves, or RnB"):
            figure_3(table)
    for draw in (figure_2, figure_3):
        with pytest.raises(TransferlibError, match="the store has no finished run: start with `transferlib run`"):
            draw(store_of(tmp_path / "empty").table())


def test_figure_2_of_a_store_without_random_splits_says_so(tmp_path):
    table = store_of(tmp_path, *made("natural-manmade", families=("base", "AnB"))).table()
    with pytest.raises(TransferlibError, match=r"figure 2 needs .* on a random split"):
        figure_2(table)


def test_files_are_written_and_the_same_runs_give_the_same_bytes(table, tmp_path):
    for number in (2, 3):
        for suffix in ("png", "svg"):
            files = [tmp_path / f"{number}{i}.{suffix}" for i in range(2)]
            for file in files:
                save_figure(table, number, file)
            assert files[0].read_bytes() == files[1].read_bytes()
            assert files[0].read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml"}[suffix])


@pytest.mark.parametrize(
    ("number", "name", "message"),
    [(4, "f.png", "expected figure 2 or 3, got 4"), (2, "f.jpg", "expected a .png or .svg file, got f.jpg")],
)
def test_another_figure_or_kind_of_file_is_named(table, tmp_path, number, name, message):
    with pytest.raises(TransferlibError, match=message):
        save_figure(table, number, tmp_path / name)
    assert not (tmp_path / name).exists()


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


# --- panels ---


def drawn(figure, axis=0):
    return figure.axes[axis]


def bars(ax, label) -> dict[int, tuple[float, float, float]]:
    """An interval line's points by n: low, mean, high."""
    (found,) = [one for one in ax.containers if one.get_label() == label]
    x, y = found.lines[0].get_data()
    segments = found.lines[2][0].get_segments()
    return {round(float(n)): (float(s[0][1]), float(m), float(s[1][1])) for n, m, s in zip(x, y, segments, strict=True)}


def said(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


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
    assert right.get_title(loc="left") == f"ours: {about(table)}"


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
        assert points(ax, MEANING[name]) == expected


def test_losses_are_the_paired_differences_with_their_interval(table):
    found = bars(drawn(one_panel(losses("BnB", "AnB"), table)), MEANING["AnB"])
    expected = curves(table[table["split"].str.startswith("random")], "AnB")
    assert sorted(found) == expected["n"].tolist() == [1, 4, 7]
    for row in expected.itertuples():
        assert found[row.n] == pytest.approx((row.low, row.mean, row.high))
        assert row.mean == pytest.approx(100 * (LEVEL["AnB"] - LEVEL["base"] - 0.013 * row.n))


def test_the_papers_losses_are_where_the_paper_has_them():
    found = bars(drawn(beside_paper(losses("AnB"), paper.table())), MEANING["AnB"])
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


def ranges(ax, label) -> dict[float, tuple[float, float, float]]:
    (found,) = [one for one in ax.containers if one.get_label() == label]
    x, y = found.lines[0].get_data()
    segments = found.lines[2][0].get_segments()
    return {float(n): (float(s[0][1]), float(m), float(s[1][1])) for n, m, s in zip(x, y, segments, strict=True)}


def test_the_dial_shows_mean_and_range_over_seeds(tmp_path):
    records = []
    for similarity in (1.0, 0.0):
        for seed, base in enumerate((0.6, 0.5)):
            how = {"split": f"similarity:{similarity}", "seed": seed}
            lost = 0.05 * (1 - similarity) + 0.01 * seed
            records += [invented("base", base, **how), invented("A5B", round(base - lost, 4), **how)]
    ax = drawn(one_panel(dial("A2B", "A5B"), store_of(tmp_path, *records).table()))
    assert ranges(ax, "A5B") == {1.0: pytest.approx((-1, -0.5, 0)), 0.0: pytest.approx((-6, -5.5, -5))}
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
    assert left.get_title(loc="left") == f"short: {about(table)}"
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


def test_a_figure_is_shown_as_svg_or_as_a_picture_of_its_width(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    figure = learning_figure({"base": pd.DataFrame({"epoch": [1, 2], "top1": [0.1, 0.3]})}, "")
    show(figure)
    show(figure)
    show(figure, "png")
    assert shown[0]._repr_svg_().startswith("<svg")
    assert shown[0]._repr_svg_() == shown[1]._repr_svg_()
    assert shown[2].data.startswith(b"\x89PNG")
    assert shown[2].width == 8 * 96


def test_figure_3_finds_its_runs_beside_a_larger_study(tmp_path):
    far = [invented(name, 0.4, "natural-manmade") for name in ("base", "A1B", "A2B")]
    dial = [invented(name, 0.9, f"similarity:{x}", epochs=9) for x in (0.0, 1.0) for name in ("base", "A1B", "A2B")]
    figure = figure_3(store_of(tmp_path, *far, *dial).table())
    assert line(figure.axes[0], "target man-made") == {0: 40.0, 1: 40.0, 2: 40.0}
