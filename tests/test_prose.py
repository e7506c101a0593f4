"""Sentences with numbers: what is shown, and what can be read back from the output."""

import json

import numpy as np
import pandas as pd
import pytest

from transferlib.effects import CLAIMS, Effect
from transferlib.errors import TransferlibError
from transferlib.prose import estimated, say, say_effects
from transferlib.stats import Estimate


@pytest.fixture
def shown(monkeypatch):
    """Call something that shows one sentence; gives its Markdown and the numbers that its output keeps."""

    def call(function, *arguments, **numbers):
        outputs = []
        monkeypatch.setattr("IPython.display.display", lambda shown, metadata: outputs.append((shown, metadata)))
        function(*arguments, **numbers)
        ((sentence, metadata),) = outputs
        json.dumps(metadata)  # a notebook can keep it
        return sentence._repr_markdown_(), metadata["transferlib"]

    return call


def test_numbers_are_filled_in_and_kept(shown):
    text, kept = shown(say, "Base: **{top1:.1f} %** of {images:,}; {who}.", top1=39.123, images=5000, who="A")
    assert text == "Base: **39.1 %** of 5,000; A."
    assert kept == {"top1": 39.123, "images": 5000, "who": "A"}


def test_what_json_lacks_is_kept_as_a_number_or_as_text(shown):
    effect = Estimate(-1.25, 0.1, 7, 8, "pairs")
    text, kept = shown(
        say, "{a:.2f} {b} {c} {d} {e}", a=np.float32(0.5), b=np.int64(7), c=effect, d=None, e=np.bool_(True)
    )
    assert text == "0.50 7 −1.2 [−1.5, −1.0] None True"
    assert kept == {"a": 0.5, "b": 7, "c": str(effect), "d": None, "e": True}
    assert [type(kept[name]) for name in "abe"] == [float, int, bool]


def test_a_minus_is_a_minus_and_a_hyphen_stays(shown):
    text, _ = shown(say, "{a:+.1f} ({b}), chapter-3, 2014-2016, [-{c}]", a=-1.0, b=-2, c=3)
    assert text == "−1.0 (−2), chapter-3, 2014-2016, [−3]"


def test_what_rounds_to_zero_has_no_sign(shown):
    text, _ = shown(say, "{a:+.1f} [{b:+.1f}, {c:+.1f}] {d:+.2f}", a=-0.04, b=-0.06, c=0.04, d=-0.004)
    assert text == "0.0 [−0.1, 0.0] 0.00"


def test_a_field_without_a_value_and_a_value_without_a_field_are_named():
    with pytest.raises(TransferlibError, match="the sentence needs a value for 'loss'"):
        say("{loss:.1f}", gain=1.0)
    with pytest.raises(TransferlibError, match="the sentence has no field for gain"):
        say("{loss:.1f}", loss=1.0, gain=1.0)


def test_a_value_is_unused_though_a_longer_name_begins_with_it():
    with pytest.raises(TransferlibError, match="the sentence has no field for loss"):
        say("{loss_at_5:.1f}", loss=1.0, loss_at_5=2.0)


def test_a_contrast_is_told_with_its_interval_or_as_not_run():
    pairs = pd.DataFrame({"split": ["a", "b", "c"], "value": [1.0, 2.0, 3.0], "scores": [None] * 3})
    assert estimated(pairs) == "+2.0 [-0.5, +4.5] (over 3 pairs)"  # t = 4.30 at 2 degrees of freedom, times 1 / √3
    assert estimated(pairs.iloc[:0]) == "not run"


def test_effects_are_told_with_the_papers_figure_ours_and_the_verdict(shown):
    first, second, third = CLAIMS[:3]
    paper, ours = Estimate(0.31, 0.1, 7, 8, "pairs"), Estimate(-0.4, 0.05, 7, 8, "pairs")
    found = [Effect(first, paper, ours), Effect(second, paper, None), Effect(third, paper, ours)]
    text, kept = shown(say_effects, found, first.number, second.number)
    lines = text.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"- **{first.number}: {first.words}**")
    assert "Yosinski et al. 2014: +0.3 [+0.1, +0.5]; ours: −0.4 [−0.5, −0.3] (over 8 pairs)." in lines[0]
    assert lines[0].endswith("Verdict: **holds**.")
    assert "ours: not run. Verdict: **cannot be told**." in lines[1]
    assert kept == {f"effect_{first.number}": -0.4, f"effect_{second.number}": None}
