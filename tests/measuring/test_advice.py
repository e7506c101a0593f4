"""The rule of the recommendation on tables with known answers."""

from __future__ import annotations

import pandas as pd
import pytest
from made import IMAGES, invented

from transferlib.errors import TransferlibError
from transferlib.measuring.advice import BASE, COPIES, advise
from transferlib.treatments import Treatment


def mean(estimates, treatment):
    return estimates[Treatment.parse(treatment)].mean


def test_a_clear_winner_is_recommended_with_its_difference():
    advice = advise(invented({"base": 50, "A4B+": 75}, default=40))
    assert (advice.verdict, str(advice.treatment)) == ("helps", "A4B+")
    assert advice.best == advice.treatment and advice.repeated
    assert (mean(advice.accuracies, "A4B+"), mean(advice.accuracies, "base")) == pytest.approx((75, 50))
    assert mean(advice.effects, "A4B+") == pytest.approx(25)
    assert len(advice.effects) == len(COPIES) and advice.longer is None


def test_of_those_as_good_as_the_best_the_one_that_trains_fewest_layers_is_recommended():
    advice = advise(invented({"base": 50, "A3B": 70, "A5B": 69.9, "A6B": 66, "A2B+": 70.2}, default=50))
    assert (advice.verdict, str(advice.treatment)) == ("helps", "A5B")
    assert str(advice.best) == "A2B+"


def test_of_fine_tuned_ones_which_all_cost_the_same_the_most_accurate_is_recommended():
    plus = {f"A{n}B+": 69 + n / 10 for n in (2, 5, 3)} | {"A4B+": 69.6}
    assert str(advise(invented({"base": 50, **plus}, default=50)).treatment) == "A4B+"


def test_copies_that_all_do_worse_harm():
    advice = advise(invented({"base": 70, "A1B+": 55}, default=45))
    assert (advice.verdict, advice.treatment) == ("harms", BASE)
    assert mean(advice.effects, "A1B+") == pytest.approx(-15)


def test_a_tie_that_enough_images_show_is_called_one_and_the_cheapest_is_recommended():
    advice = advise(invented({}, default=50, images=40_000))
    assert (advice.verdict, str(advice.treatment)) == ("cannot tell", "A7B")


def test_where_little_can_be_told_nothing_is_frozen_on_its_account():
    advice = advise(invented({}, default=50))
    assert (advice.verdict, advice.treatment) == ("cannot tell", BASE)


def test_in_a_tie_with_fine_tuning_alone_the_base_is_recommended_since_it_needs_no_source():
    level = {"base": 60} | {f"A{n}B+": 60.02 for n in range(1, 8)}
    advice = advise(invented(level, default=30, images=40_000))
    assert (advice.verdict, advice.treatment) == ("cannot tell", BASE)
    assert advice.best != BASE


def test_few_test_images_tell_nothing_where_many_do():
    same = {"base": 50, "A3B": 60}
    assert advise(invented(same, default=50, images=2000)).verdict == "helps"
    assert advise(invented(same, default=50, images=50)).verdict == "cannot tell"


def test_where_no_run_beats_guessing_nothing_is_recommended():
    advice = advise(invented({}, default=20, base="chance", AnB="chance", AnB_plus="chance"))
    assert (advice.verdict, advice.treatment) == ("nothing learned", None)
    assert (advice.tests, advice.effects) == (IMAGES, {})


def test_a_treatment_at_chance_or_diverged_is_never_recommended():
    runs = invented({"base": 50, "A5B": 70, "A2B+": 69}, default=50, AnB="chance")
    assert str(advise(runs).treatment) == "A2B+"
    runs = invented({"base": 50, "A5B": 70}, default=50, AnB="diverged", AnB_plus="diverged")
    assert (advise(runs).verdict, advise(runs).treatment) == ("harms", BASE)


def test_copying_that_helps_is_held_against_a_base_trained_longer():
    runs = invented({"base": 50, "A4B+": 75}, default=40)
    as_good, worse = (invented({"base": top1}, default=0).query("kind == 'base'") for top1 in (74, 55))
    for longer, ahead in ((as_good, 1), (worse, 20)):
        rival = advise(runs, longer.assign(recipe="longer")).longer
        assert (rival.accuracy.mean, rival.effect.mean) == pytest.approx((75 - ahead, ahead))
    assert advise(runs, as_good.assign(status="diverged")).longer is None
    assert advise(invented({"base": 70}, default=45), worse).longer is None


def test_the_sources_own_base_takes_no_part():
    runs = invented({"base": 50, "A4B+": 75}, default=40)
    source = runs[runs["kind"] == "base"].assign(target="A", split="whole:A", status="chance")
    assert advise(pd.concat([source, runs])) == advise(runs)


def test_a_base_that_always_diverged_is_one_line():
    with pytest.raises(TransferlibError, match="diverged in every seed: try another number of --epochs"):
        advise(invented({}, default=50, base="diverged"))
