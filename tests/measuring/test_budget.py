"""What fits into the minutes: the probe first, then coarse to fine; frozen runs share their prefix."""

from __future__ import annotations

import pytest

from transferlib.measuring.budget import ORDER, Costs, planned
from transferlib.treatments import Treatment, parse_treatments

COSTS = Costs(layers=[8, 4, 4, 4, 4, 4, 4, 0], seen=100, judged=0, per_second=100.0)


def named(text):
    return list(parse_treatments(text))


def test_frozen_runs_pay_their_prefix_once_and_their_tails_three_times():
    assert COSTS.seconds(named("base")) == 3 * 32
    assert COSTS.seconds(named("A7B")) == 32
    assert COSTS.seconds(named("A7B,A4B")) == 32 + 3 * 12
    assert COSTS.seconds(named("A4B+")) == 3 * 32


def test_judging_costs_forward_passes():
    costs = Costs(COSTS.layers, seen=0, judged=100, per_second=100.0)
    assert costs.seconds(named("base")) == 32
    assert costs.seconds(named("A4B,A6B")) == 28 + 12 + 4


def test_the_order_names_every_run_once_and_the_probe_first():
    assert sorted(map(str, ORDER)) == sorted(map(str, named("base,AnB,AnB+")))
    assert str(ORDER[0]) == "A7B"


def test_all_fits_into_a_day_in_order():
    budget = planned(COSTS, 86400, (), head_first=False)
    assert (budget.treatments, budget.left_out) == (ORDER, ())
    frozen = [t for t in ORDER if t.frozen]
    assert budget.seconds == pytest.approx(COSTS.seconds(ORDER))
    assert budget.seconds == pytest.approx(COSTS.seconds(frozen) + 8 * 96)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [(31, ""), (32, "A7B"), (127, "A7B,A4B,A6B,A5B"), (128, "A7B,base"), (128 + 36, "A7B,base,A4B")],
)
def test_what_fits_is_taken_coarse_to_fine(seconds, chosen):
    budget = planned(COSTS, seconds, (), head_first=False)
    assert {*budget.treatments} == ({*named(chosen)} if chosen else set())
    assert {*budget.treatments} | {*budget.left_out} == {*ORDER}
    assert budget.seconds <= seconds


def test_what_is_finished_costs_nothing_and_is_kept():
    done = named("A7B,base,A4B")
    budget = planned(COSTS, 10, done, head_first=False)
    assert [*budget.treatments] == done and budget.seconds == 0
    assert {*planned(COSTS, 96, done, head_first=False).treatments} > {*done}


def test_with_heads_first_a_fine_tuned_run_brings_the_frozen_one_of_its_depth():
    done = named("base")
    budget = planned(COSTS, 32 + 96 + 1, done, head_first=True)
    for treatment in budget.treatments:
        if treatment.fine_tuned:
            assert Treatment("AnB", treatment.n) in budget.treatments


def test_several_seeds_cost_several_times_as_much():
    assert planned(COSTS, 63, (), head_first=False, seeds=2).treatments == ()
    assert planned(COSTS, 64, (), head_first=False, seeds=2).treatments == (ORDER[0],)
