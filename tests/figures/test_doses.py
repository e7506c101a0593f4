"""Figures of the restart rate: each mark is where its runs say, and nothing is drawn of what was not run."""

import pandas as pd
import pytest
from drawings import bars, drawn, ranges
from small_studies import invented, store_of

from transferlib.figures import figure_costs, figure_doses, responses

SINK = {0.05: 0.0, 0.1: 0.02, 0.2: 0.06}  # of BnB at n = 2 to 5; AnB lies .03 below


@pytest.fixture
def doses(tmp_path):
    tables = {}
    for rate, lost in SINK.items():
        records = [invented("base", 0.5, train_loss=2.0)]
        for n in range(1, 8):
            own = 0.5 - lost * (2 <= n <= 5)
            records.append(invented(f"B{n}B", round(own, 4), train_loss=2.0 + 10 * lost))
            records.append(invented(f"A{n}B", round(own - 0.03, 4)))
        tables[rate] = store_of(tmp_path / str(rate), *records).table()
    return tables


def test_the_middle_sinks_with_the_rate_and_specificity_stays(doses):
    left, right = figure_doses(doses).axes
    for rate, lost in SINK.items():
        found = {n: mean for n, (_, mean, _) in bars(left, f"BnB, restarted at {rate:g}").items()}
        assert found == pytest.approx({n: -100 * lost * (2 <= n <= 5) for n in range(1, 8)})
    cut, features = (ranges(right, f"lost to {part}") for part in ("broken co-adaptation", "specificity"))
    assert {rate: mean for rate, (_, mean, _) in cut.items()} == pytest.approx({r: 100 * x for r, x in SINK.items()})
    assert [mean for _, mean, _ in features.values()] == pytest.approx([3, 3, 3])


def test_in_training_loss_there_is_one_panel(doses):
    figure = figure_doses(doses, outcome="train_loss")
    assert len(figure.axes) == 1 and drawn(figure).get_ylabel() == "training loss minus base (nats)"
    assert bars(drawn(figure), "BnB, restarted at 0.2")[4][1] == pytest.approx(0.6)


def test_what_was_not_run_has_no_response(doses, tmp_path):
    bare = {0.4: store_of(tmp_path / "bare", invented("base", 0.5)).table()}
    assert responses(bare).empty and len(responses(doses | bare)) == 6
    assert not figure_doses(bare).axes[1].get_legend_handles_labels()[0]


def test_a_cost_lies_in_its_own_row_with_its_interval():
    rows = [("nothing changed", 2.0, 1.0, 3.5), ("a warm-up", 1.5, 0.5, 2.0), ("one scale", -0.5, -1.0, 0.5)]
    (ax,) = figure_costs(pd.DataFrame(rows, columns=["tried", "mean", "low", "high"])).axes
    assert [text.get_text() for text in ax.get_yticklabels()] == [name for name, *_ in rows]
    for row, (name, *numbers) in enumerate(rows):
        (found,) = [one for one in ax.containers if one.get_label() == name]
        (low, y), (high, _) = found.lines[2][0].get_segments()[0]
        assert (found.lines[0].get_xdata()[0], low, high) == pytest.approx(tuple(numbers)) and y == row
    assert ax.yaxis_inverted()  # the first is on top
