"""What came of a treatment, as explorers draw it: its accuracy, the base's, and their difference with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from transferlib.stats import Estimate, contrast, estimate, family_names, minus, signed, with_differences


def in_words(value: float, digits: int = 1) -> str:
    """A difference as explorers say it: ``stats.signed``, with a minus sign and no hyphen.

    >>> in_words(-2.04), in_words(0.3)
    ('−2.0', '+0.3')
    """
    return signed(value, digits).replace("-", "−")


@dataclass(frozen=True)
class Outcome:
    """The runs of one treatment, each paired with the base of its target.

    Attributes:
        top1: their mean top-1 accuracy (%).
        base: the mean of those bases (%).
        effect: the first minus the second (points), with its interval.
    """

    top1: float
    base: float
    effect: Estimate

    @property
    def half_width(self) -> float:
        """Of the effect's 95 % interval, in points; NaN where there is none."""
        return self.effect.interval()[1] - self.effect.mean

    def __str__(self) -> str:
        return f"{self.top1:.1f} % top-1, {self._against} {self.base:.1f} % ({self._interval})"

    @property
    def _against(self) -> str:
        apart = f"{abs(self.effect.mean):.1f}"
        if apart == "0.0":
            return "level with the base's"
        return f"{apart} points {'below' if self.effect.mean < 0 else 'above'} the base's"

    @property
    def _interval(self) -> str:
        pairs = f"{self.effect.pairs} run{'s' * (self.effect.pairs > 1)}"
        if math.isnan(self.effect.error):
            return f"{pairs}, no interval"
        low, high = (in_words(end) for end in self.effect.interval())
        over = pairs if self.effect.over == "pairs" else f"the test images of {pairs}"
        return f"95 % interval of the difference {low} to {high}, over {over}"


def outcomes(table: pd.DataFrame) -> dict[str, Outcome]:
    """What came of each treatment of a table, such as ``A3B+``; those without a base to pair with are left out.

    Args:
        table: rows of ``Store.table``; where they carry ``correct``, a single run has an interval too.
    """
    paired = with_differences(table)
    paired = paired[paired["kind"] != "base"]
    groups = paired.assign(family=family_names(paired)).groupby(["treatment", "family", "n"])
    found = {}
    for (name, family, n), rows in groups:
        effect = estimate(contrast(table, minus(family, "base", [n])))
        found[name] = Outcome(100 * rows["top1"].mean(), 100 * rows["base_top1"].mean(), effect)
    return found
