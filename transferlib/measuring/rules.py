"""Rules of thumb for pretrained networks, each a difference of two treatments, held against a measurement."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from transferlib.measuring.advice import TOLERATED
from transferlib.measuring.report import Measurement
from transferlib.measuring.scores import Scores
from transferlib.stats import Estimate
from transferlib.treatments import Treatment


@dataclass(frozen=True)
class Rule:
    """A rule of thumb.

    Attributes:
        words: as one hears it.
        first, second: the treatments that it compares, such as ``A7B`` and ``A7B+``.
        beats: whether it says that the first is better, or else that the first is no worse.
    """

    words: str
    first: str
    second: str
    beats: bool

    def verdict(self, effect: Estimate) -> str:
        """Whether a difference, in points, shows the rule to be ``right`` or ``wrong``, or ``cannot tell``."""
        low, high = effect.interval()
        if low > (0.0 if self.beats else -TOLERATED):
            return "right"
        return "wrong" if high < 0 else "cannot tell"


RULES = (
    Rule("pictures so unlike the source's: train from scratch", "base", "A7B+", beats=True),
    Rule("few pictures: the head alone is enough", "A7B", "A7B+", beats=False),
    Rule("the first layers are general: freeze them", "A2B", "A2B+", beats=False),
    Rule("the last layers are the source's: start them anew", "A4B+", "A7B+", beats=True),
    Rule("features of the middle serve a far target better than the last", "A4B", "A7B", beats=True),
)


def rules_of_thumb(measured: Measurement) -> pd.DataFrame:
    """A row for each rule whose treatments were measured: the difference in points with its 95 % interval, the verdict.

    Args:
        measured: of a pretrained network; where its classes are unequal, points are of balanced accuracy.
    """
    scores, rows = Scores.of(measured.runs, measured.unequal), {}
    for rule in RULES:
        first, second = Treatment.parse(rule.first), Treatment.parse(rule.second)
        if {first, second} <= scores.right.keys():
            effect = scores.difference(first, second)
            claim = f"{rule.first} − {rule.second} {'> 0' if rule.beats else f'> −{TOLERATED:.0f}'}"
            rows[rule.words] = [claim, str(effect), rule.verdict(effect)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["says", "points", "verdict"])
