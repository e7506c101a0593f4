"""*Draw your guess*: the reader's own curve, before what was measured is drawn over it."""

from __future__ import annotations

import math

import pandas as pd

from transferlib.errors import TransferlibError
from transferlib.figures.panels import losses, one_panel
from transferlib.splits import RANDOM, of_kind
from transferlib.stats import comparable, curves
from transferlib.widgets.drawing import Drawing, points
from transferlib.widgets.outcomes import in_words

ROOM = 4  # points above and below what was measured, so that the axis does not tell


def draw_your_guess(table: pd.DataFrame, family: str, sentence: str) -> Drawing:
    """A family minus its base against n, to be drawn by the reader first; what is guessed stays in the page.

    Args:
        table: rows of ``Store.table``; the random splits of the largest study are drawn.
        family: in the paper's notation, such as ``AnB``.
        sentence: what is to be seen in the measured curve, said once it is shown.

    Raises:
        TransferlibError: where the family, or its base, was not run on a random split.
    """
    truth = curves(comparable(of_kind(table, RANDOM)), family)
    if truth.empty:
        raise TransferlibError(f"nothing to guess: needs base and {family} on a random split, run them first")
    ends = [0.0, *truth[["mean", "low", "high"]].stack()]
    reach = [math.floor(min(ends)) - ROOM, math.ceil(max(ends)) + ROOM]
    data = {"family": family, "truth": points(truth), "reach": reach, "sentence": sentence}
    said = "; ".join(f"n = {row['n']:.0f}: {in_words(row['mean'])}" for _, row in truth.iterrows())
    still = one_panel(losses(family), table)
    return Drawing(
        f"Draw your guess: {family}", "guess", data, still, f"{family} minus base, in points: {said}. {sentence}"
    )
