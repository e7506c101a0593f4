"""The effects against the length of training: a panel for each claim, each mark where its runs say."""

import pytest
from drawings import ranges
from small_studies import invented, store_of

from transferlib.effects import CLAIMS
from transferlib.figures import figure_lengths, lengths_of

FOUR = [("random:0", "A"), ("random:0", "B"), ("random:1", "A"), ("random:1", "B")]


@pytest.fixture
def lengths(tmp_path):
    """The middle sinks, and A3B comes back to its base, as training grows longer; the longest has no transfer."""
    tables = {}
    for epochs, dip, lost in ((24, 0.0, 0.04), (48, 0.02, 0.02), (96, 0.03, 0.0)):
        records = []
        for i, (split, target) in enumerate(FOUR):
            tops = {"base": 0.5, "A3B": 0.5 - lost - 0.001 * i}
            tops |= {f"B{n}B": 0.5 - dip * (n in (4, 5)) - 0.001 * i * (n == 4) for n in range(1, 8)}
            records += [invented(name, round(top1, 4), split, target, epochs=epochs) for name, top1 in tops.items()]
        tables[epochs] = store_of(tmp_path / str(epochs), *records).table()
    tables[192] = tables[96].query("kind == 'base'")
    return tables


def test_each_claim_that_was_run_has_a_panel_with_its_number_at_each_length(lengths):
    panels = {ax.get_title(loc="left")[:2].strip(":"): ax for ax in figure_lengths(lengths).axes}
    assert [name for name in panels if name] == ["1c", "1f", "2"]
    dip = ranges(panels["2"], "2")
    assert [mean for _, mean, _ in dip.values()] == pytest.approx([-0.075, -2.075, -3.075])
    assert all(low < mean < high for low, mean, high in dip.values())
    assert [tick.get_text() for tick in panels["2"].get_xticklabels()] == ["24", "48", "96"]


def test_a_claim_of_one_length_or_of_none_is_no_line(lengths):
    (claim,) = [claim for claim in CLAIMS if claim.number == "1c"]
    rows = lengths_of(claim, lengths)
    assert rows["epochs"].tolist() == [24, 48, 96] and set(rows["over"]) == {"4 pairs of 2 splits"}
    assert lengths_of(claim, {}).empty
    once = figure_lengths({24: lengths[24]})
    assert not any(ax.axison for ax in once.axes)
