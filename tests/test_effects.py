"""The verdicts: rules on known intervals, claims on runs made so that each claim holds or fails, epochs by hand."""

import math

import pandas as pd
import pytest
from small_studies import invented, store_of

from transferlib import paper
from transferlib.effects import (
    CLAIMS,
    HOLDS,
    NOT_HERE,
    UNDECIDED,
    UNKNOWN,
    WEAKER,
    Effect,
    by_length,
    effects,
    effects_table,
    epochs_saved,
    epochs_to,
    judge_effect,
    judge_loss,
    judge_same,
    last_change,
    outcomes_table,
)
from transferlib.stats import Estimate, estimate

SPLITS = ("random:0", "random:1", "random:2", "random:3")


def known(mean, half_width, pairs=8):
    """An estimate whose 95 % interval has this half-width, over so many pairs that t is the normal."""
    return Estimate(mean, half_width / 1.959964, math.inf, pairs, "pairs")


def ninety(mean, half_width):
    return Estimate(mean, half_width / 1.644854, math.inf, 8, "pairs")


@pytest.mark.parametrize(
    ("mean", "half", "verdict"),
    [
        (0.0, 0.9, HOLDS),
        (5.0, 0.5, HOLDS),  # a gain is no loss
        (-0.5, 0.4, HOLDS),
        (-0.5, 0.6, UNKNOWN),
        (-2.0, 0.9, NOT_HERE),
        (-2.0, 1.1, UNKNOWN),
        (0.0, math.nan, UNKNOWN),
    ],
)
def test_no_loss_holds_where_a_loss_of_a_point_is_ruled_out(mean, half, verdict):
    assert judge_loss(ninety(mean, half)) == verdict


@pytest.mark.parametrize(
    ("mean", "half", "verdict"),
    [
        (0.2, 0.7, HOLDS),
        (0.2, 0.9, UNKNOWN),
        (2.0, 0.9, NOT_HERE),
        (-2.0, 0.9, NOT_HERE),
        (5.0, 4.5, UNKNOWN),
        (0.0, math.nan, UNKNOWN),
    ],
)
def test_the_same_holds_where_both_sides_are_ruled_out(mean, half, verdict):
    assert judge_same(ninety(mean, half)) == verdict


@pytest.mark.parametrize("sign", [1, -1], ids=["gain", "loss"])
@pytest.mark.parametrize(
    ("mean", "half", "verdict"),
    [
        (4.0, 1.0, HOLDS),
        (2.0, 1.0, HOLDS),
        (1.9, 1.0, WEAKER),
        (1.9, 2.0, UNKNOWN),
        (0.1, 0.4, NOT_HERE),  # shown to be smaller than the margin
        (-2.0, 1.0, NOT_HERE),
        (4.0, math.nan, UNKNOWN),
    ],
)
def test_an_effect_holds_where_the_interval_excludes_zero_on_the_papers_side(sign, mean, half, verdict):
    assert judge_effect(known(sign * mean, half), papers=sign * 4.0) == verdict


def test_the_margin_is_the_measures():
    assert judge_loss(ninety(-0.5, 0.4), margin=0.2) == UNKNOWN
    assert judge_loss(ninety(-1.5, 0.4), margin=0.2) == NOT_HERE
    assert judge_effect(known(0.1, 0.4), 4.0, margin=0.1) == UNKNOWN


# --- epochs ---


def a_curve(*top1):
    return pd.DataFrame({"epoch": range(1, len(top1) + 1), "top1": top1})


@pytest.mark.parametrize(
    ("level", "epochs"), [(0.1, 0.5), (0.2, 1.0), (0.3, 1.5), (0.4, 2.0), (0.45, 3 + 0.15 / 0.2), (0.6, None)]
)
def test_epochs_to_an_accuracy_are_read_off_the_line_between_points(level, epochs):
    assert epochs_to(a_curve(0.2, 0.4, 0.3, 0.5), level) == pytest.approx(epochs)


def transfer(tmp_path, *depths):
    return store_of(tmp_path, invented("base", 0.4), *(invented(f"A{n}B+", 0.5) for n in depths)).table()


def test_epochs_saved_is_the_mean_share_of_the_bases_epochs(tmp_path):
    table = transfer(tmp_path, 1, 7)
    base, *runs = (table.loc[table["treatment"] == name, "key"].item() for name in ("base", "A1B+", "A7B+"))
    curves = {base: a_curve(0.1, 0.2, 0.3, 0.4), runs[0]: a_curve(0.4, 0.4), runs[1]: a_curve(0.2, 0.4, 0.4, 0.4)}
    (row,) = epochs_saved(table, curves.get, 1.0).itertuples()
    assert row.value == pytest.approx(100 * (1 - (1 + 2) / 2 / 4))
    (row,) = epochs_saved(table, curves.get, 0.5).itertuples()
    assert row.value == pytest.approx(100 * (1 - (0.5 + 1) / 2 / 2))


def test_a_network_that_never_gets_there_counts_with_its_whole_training(tmp_path):
    table = transfer(tmp_path, 3)
    base, run = (table.loc[table["treatment"] == name, "key"].item() for name in ("base", "A3B+"))
    curves = {base: a_curve(0.2, 0.4), run: a_curve(0.1, 0.1)}
    (row,) = epochs_saved(table, curves.get, 1.0).itertuples()
    assert row.value == pytest.approx(0)


def test_without_a_base_or_a_transfer_no_epoch_is_saved(tmp_path):
    table = transfer(tmp_path, 3)
    for lacking in ("base", "AnB"):
        assert epochs_saved(table[table["kind"] != lacking], None, 1.0).empty


# --- the claims ---


def test_the_papers_own_runs_bear_out_its_claims():
    found = {effect.claim.number: effect for effect in effects(paper.table(), paper.curve)}
    values = {number: effect.ours.mean for number, effect in found.items()}
    hand = {"1a": 0.31, "1b": -0.12, "1c": -0.62, "2": (-1.85 - 2.97) / 2 - (0.35 + 0.03 - 0.21 - 0.45) / 5}
    assert {number: values[number] for number in hand} == pytest.approx(hand, abs=0.01)
    lost_to_features = [0.04, 0.15, 0.41, 0.68, 1.74, 4.0, 8.26]  # BnB - AnB by n, of the rounded means
    slope = sum((n - 4) * lost for n, lost in enumerate(lost_to_features, 1)) / 28
    assert values["3"] == pytest.approx(slope, abs=0.12)
    assert {number: found[number].verdict for number in ("1a", "1b", "1c", "2", "3")} == dict.fromkeys(
        ("1a", "1b", "1c", "2", "3"), HOLDS
    )
    for effect in found.values():
        assert effect.ours == effect.paper or effect.ours.mean == effect.paper.mean
        assert math.isnan(effect.ours.error) <= (effect.verdict == UNKNOWN)


def made(tmp_path, lost, splits=SPLITS, kinds=("BnB", "AnB", "BnB+", "AnB+")):
    """Runs of random halves whose difference to the base, in points, is a function of family, n and the pair."""
    records = []
    for i, split in enumerate(splits):
        for target in "AB":
            base = 0.5 + 0.02 * i
            records.append(invented("base", base, split, target))
            for kind in kinds:
                for n in range(1, 8):
                    jitter = 0.05 * ((i + n + (target == "A")) % 3 - 1)
                    value = base + (lost(kind, n) + jitter) / 100
                    records.append(invented(kind.replace("n", str(n)), round(value, 5), split, target))
    return store_of(tmp_path, *records).table()


def verdicts(table):
    steady = a_curve(0.2, 0.4)
    return {effect.claim.number: effect.verdict for effect in effects(table, lambda _: steady)}


def as_in_the_paper(kind, n):
    return {"BnB": -3.0 * (n in (4, 5)), "AnB": -1.2 * n if n > 3 else 0.0, "BnB+": 0.0, "AnB+": 1.6}[kind]


def test_runs_made_as_the_paper_claims_hold_and_the_opposite_does_not(tmp_path):
    found = verdicts(made(tmp_path / "as", as_in_the_paper))
    numbers = ("1a", "1b", "1c", "1d", "1e", "1f", "2", "3", "4a", "4b", "4c", "5")
    assert {number: found[number] for number in numbers} == dict.fromkeys(numbers, HOLDS)
    found = verdicts(made(tmp_path / "against", lambda kind, n: -3 * (n < 4) - 2.5 * kind.endswith("+")))
    numbers = ("1a", "1b", "1c", "2", "3", "4a", "5")
    assert {number: found[number] for number in numbers} == dict.fromkeys(numbers, NOT_HERE)


def test_claims_without_runs_cannot_be_told(tmp_path):
    table = made(tmp_path, as_in_the_paper, kinds=("BnB", "AnB"))
    found = {effect.claim.number: effect for effect in effects(table, lambda _: a_curve(0.2, 0.4))}
    for number in ("4a", "4b", "4c", "5", "6", "7", "8a", "8b"):
        assert (found[number].ours, found[number].verdict) == (None, UNKNOWN)
        assert found[number].ours_text == "not run"


def test_distant_halves_are_held_against_random_ones_and_random_filters(tmp_path):
    near = made(tmp_path / "near", as_in_the_paper, kinds=("AnB",))
    far = [
        invented(name, round(0.5 + lost / 100, 5), split, target)
        for split in ("natural-manmade:0", "natural-manmade:1")
        for target in "AB"
        for name, lost in [("base", 0), *((f"A{n}B", -4 * n + 0.01 * n * (target == "A")) for n in range(1, 8))]
    ]
    filters = [
        invented(f"R{n}B", round(0.5 + 0.02 * i - 0.06 * n + 0.0001 * n * (target == "A"), 5), split, target)
        for i, split in enumerate(SPLITS)
        for target in "AB"
        for n in range(1, 8)
    ]
    table = pd.concat([near, store_of(tmp_path / "far", *far, *filters).table()])
    found = {effect.claim.number: effect for effect in effects(table, lambda _: a_curve(0.2, 0.4))}
    near_slope = sum((n - 4) * as_in_the_paper("AnB", n) for n in range(1, 8)) / 28
    assert found["6"].ours.mean == pytest.approx(-4 - near_slope, abs=0.05)
    assert found["6"].verdict == HOLDS
    assert found["7"].ours.mean == pytest.approx(-16 + 24, abs=0.05)
    assert found["7"].verdict == WEAKER


def test_the_table_has_a_row_for_each_claim_and_names_what_the_interval_is_over(tmp_path):
    found = effects(made(tmp_path, as_in_the_paper), lambda _: a_curve(0.2, 0.4))
    table = effects_table(found)
    assert list(table.index) == [claim.number for claim in CLAIMS]
    assert table.loc["1a", "interval over"] == "8 pairs of 4 splits"
    assert table.loc["6", "ours [95 %]"] == "not run"
    assert table.loc["2", f"{paper.CITATION}, logs"].startswith("-2.4 [")
    assert table["its table 1"].to_dict() == dict.fromkeys(table.index, "") | {"4a": "+1.6", "4b": "+1.4", "4c": "+1.7"}
    assert set(table["verdict"]) <= {HOLDS, WEAKER, NOT_HERE, UNKNOWN}


def test_a_number_stands_beside_its_share_of_the_base_and_its_loss(tmp_path):
    records = [
        invented(name, top1 + 0.01 * i, split, target, loss=loss + 0.1 * i)
        for i, split in enumerate(SPLITS)
        for target in "AB"
        for name, top1, loss in (("base", 0.4, 2.0), ("A3B", 0.3, 2.5))
    ]
    found = {e.claim.number: e for e in effects(store_of(tmp_path, *records).table(), lambda _: a_curve(0.2))}
    theirs, ours = found["1c"].others["share"]
    assert theirs.mean == pytest.approx(-1.0, abs=0.05)  # of 62.5 %
    assert ours.mean == pytest.approx(-100 * sum(0.1 / (0.4 + 0.01 * i) for i in range(4)) / 4)
    assert found["1c"].others["loss"][1].mean == pytest.approx(0.5)
    table = outcomes_table([*found.values()])
    assert table.loc["1c", "validation loss: ours"] == "+0.50 [+0.50, +0.50]"
    assert table.loc["1c", "% of the base: ours"].startswith("-24.1 [")
    assert table.loc["1c", "% of the base: paper"] == "-1.0" and "8a" not in table.index
    assert found["8a"].others == {"share": (None, None), "loss": (None, None)}


def trained_longer(tmp_path, *lost):
    """Eight pairs trained 5, 10, 20 epochs, whose A3B loses so many points of the base."""
    tables = {}
    for k, points in enumerate(lost):
        epochs = 5 * 2**k
        pairs = [("base", 0.4), ("A3B", round(0.4 - points / 100, 4))]
        records = [invented(n, top1, s, t, epochs=epochs) for s in SPLITS for t in "AB" for n, top1 in pairs]
        tables[epochs] = store_of(tmp_path / str(epochs), *records).table()
    return tables


@pytest.mark.parametrize(("lost", "moves"), [((8.0, 4.0, 4.0), False), ((4.0, 4.0, 8.0), True), ((4.0,), None)])
def test_a_number_that_the_last_doubling_still_moved_is_undecided(tmp_path, lost, moves):
    (claim,) = [claim for claim in CLAIMS if claim.number == "1c"]
    lengths = trained_longer(tmp_path, *lost)
    change = last_change(claim, lengths)
    assert (change and change.excludes_zero) is moves
    main = made(tmp_path / "main", as_in_the_paper)
    found = {e.claim.number: e for e in effects(main, lambda _: a_curve(0.2, 0.4), lengths)}
    assert found["1c"].verdict == (UNDECIDED if moves else HOLDS)
    assert found["1a"].moves is None and found["1a"].verdict == HOLDS


def test_a_number_at_each_length_is_over_the_pairs_that_have_it_at_all_of_them(tmp_path):
    (claim,) = [claim for claim in CLAIMS if claim.number == "1c"]
    lengths = trained_longer(tmp_path, 8.0, 4.0, 2.0)
    lengths[10] = lengths[10].query("split == 'random:0'")
    lengths[40] = lengths[20].query("kind == 'base'")
    found = by_length(claim, lengths)
    assert {epochs: len(rows) for epochs, rows in found.items()} == {5: 2, 10: 2, 20: 2}
    assert [estimate(rows).mean for rows in found.values()] == pytest.approx([-8, -4, -2])
    lengths[10] = lengths[10].iloc[:0]
    assert [*by_length(claim, lengths)] == [5, 20]
    elsewhere = {5: lengths[5].query("target == 'A'"), 20: lengths[20].query("target == 'B'")}
    assert by_length(claim, elsewhere) == by_length(claim, {}) == {}


def test_an_effect_without_runs_is_unknown():
    assert Effect(CLAIMS[0], known(1, 1), None).verdict == UNKNOWN


def test_an_effect_that_is_shown_to_be_too_small_does_not_hold_though_it_is_no_zero():
    tiny = Estimate(0.2, 0.05, 7, 8, "pairs")
    assert tiny.interval()[0] > 0
    assert judge_effect(tiny, 34.0) == NOT_HERE
    assert judge_effect(tiny, 34.0, margin=0.1) == WEAKER


def test_a_paper_that_found_nothing_does_not_turn_the_sign():
    assert judge_effect(Estimate(5.0, 0.1, 7, 8, "pairs"), 0.0) == HOLDS


def test_no_words_of_a_claim_are_cut_short_where_pandas_shows_them():
    assert max(len(text) for claim in CLAIMS for text in (claim.words, claim.measure)) < pd.get_option("max_colwidth")
