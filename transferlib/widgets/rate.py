"""*The rate dial*: the rate at which fresh layers start on frozen ones of their own, and what the cut costs at it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from transferlib.errors import TransferlibError
from transferlib.figures.doses import figure_doses
from transferlib.stats import curves
from transferlib.widgets.drawing import Drawing, points
from transferlib.widgets.outcomes import in_words


def turn_the_rate(doses: Mapping[float, pd.DataFrame]) -> Drawing:
    """The peak rate of what is fresh → BnB minus base against n at it, in points and in nats of training loss.

    Args:
        doses: runs by the peak rate of what is fresh, as ``Results.by_rate``; rates without a BnB are left out.

    Raises:
        TransferlibError: where there is no BnB with its base at any rate.
    """
    found = {f"{rate:g}": _lost(doses[rate]) for rate in sorted(doses)}
    found = {rate: lost for rate, lost in found.items() if len(lost["top1"])}
    if not found:
        raise TransferlibError("no rate to turn: needs base and BnB at some rate, run them first")

    told = [{"rate": rate, "words": _words(lost, rate)} for rate, lost in found.items()]
    drawn = [{name: points(rows) for name, rows in lost.items()} for lost in found.values()]
    data = {"rates": [one | two for one, two in zip(told, drawn, strict=True)]}
    return Drawing("The rate dial", "rate", data, figure_doses(doses), " ".join(one["words"] for one in told))


def _lost(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {outcome: curves(table, "BnB", outcome=outcome) for outcome in ("top1", "train_loss")}


def _words(lost: dict[str, pd.DataFrame], rate: str) -> str:
    both = lost["top1"].merge(lost["train_loss"], on="n", suffixes=("", "_loss"))
    cuts = [
        f"B{row['n']:.0f}B {in_words(row['mean'])} ({in_words(row['low'])} to {in_words(row['high'])}), "
        f"training loss {in_words(row['mean_loss'], 2)}"
        for _, row in both.iterrows()
    ]
    about = f"Restarted at {rate}: BnB's top-1 minus that of the base, in points (95 % interval), and in nats"
    return f"{about}: {'; '.join(cuts)}."
