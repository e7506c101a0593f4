"""Figures 2 and 3 of small made tables: each point is where its row says."""

import pytest
from drawings import line, made, of_family, points
from small_studies import invented, store_of

from transferlib.errors import TransferlibError
from transferlib.figures import NUDGE, accuracies, figure_2, figure_3, meaning, one_panel, save_figure


def test_figure_2_has_each_run_of_the_random_splits_where_the_table_says(table):
    top, bottom = figure_2(table).axes
    random = table[table["split"].str.startswith("random")]
    for name in ("base", "BnB", "BnB+", "AnB", "AnB+"):
        rows = of_family(random, name)
        expected = sorted((round(r.n + NUDGE.get(name, 0), 3), round(100 * r.top1, 4)) for r in rows.itertuples())
        assert points(top, meaning(name)) == expected
        if name != "base":
            means = 100 * rows.groupby("n")["top1"].mean()
            assert line(bottom, name) == pytest.approx(means.to_dict())
    base = 100 * of_family(random, "base")["top1"].mean()
    assert [float(y[0]) for y in (one.get_ydata() for one in bottom.lines) if len(y) == 1] == pytest.approx([base])
    assert meaning("RnB") not in [c.get_label() for c in top.collections]


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
    assert points(top, meaning("base")) == [(0.0, 60.0)]


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
    assert 11.1 not in [y for _, y in points(top, meaning("AnB"))]
    assert 22.2 in [y for _, y in points(top, meaning("AnB"))]
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


def test_figure_3_finds_its_runs_beside_a_larger_study(tmp_path):
    far = [invented(name, 0.4, "natural-manmade") for name in ("base", "A1B", "A2B")]
    dial = [invented(name, 0.9, f"similarity:{x}", epochs=9) for x in (0.0, 1.0) for name in ("base", "A1B", "A2B")]
    figure = figure_3(store_of(tmp_path, *far, *dial).table())
    assert line(figure.axes[0], "target man-made") == {0: 40.0, 1: 40.0, 2: 40.0}
