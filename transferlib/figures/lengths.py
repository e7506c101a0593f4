"""The figure of the effects against the length of training: what is flat is about finished networks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.effects import CLAIMS, Claim, by_length
from transferlib.figures.marks import interval_line
from transferlib.figures.style import SMALL, STYLE, WIDE, base_line, clean, fitted
from transferlib.stats import estimate

ACROSS = 4  # panels beside each other


def figure_lengths(lengths: Mapping[int, pd.DataFrame]) -> Figure:
    """A panel for each claim that is a contrast and was run at two lengths at least: its points against the epochs.

    Args:
        lengths: some of the pairs trained longer and longer, by epochs, as ``Results.lengths``.
    """
    found = [(claim, rows) for claim in CLAIMS if len(rows := lengths_of(claim, lengths)) > 1]
    down = -(-len(found) // ACROSS)
    figure = Figure(figsize=(WIDE, 2.4 * max(down, 1)), layout="constrained")
    axes = [*figure.subplots(max(down, 1), ACROSS, squeeze=False).flat]
    for ax, (claim, rows) in zip(axes, found, strict=False):
        _panel(ax, claim, rows)
    for ax in axes[len(found) :]:
        ax.axis("off")
    return figure


def lengths_of(claim: Claim, lengths: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """A claim's number at each length, over the pairs that have it at all of them.

    Returns:
        One row for each length: epochs, mean, low, high (95 %, in the claim's unit), over.
    """
    found = {epochs: estimate(rows) for epochs, rows in by_length(claim, lengths).items()}
    rows = [(epochs, one.mean, *one.interval(), one.behind) for epochs, one in found.items()]
    return pd.DataFrame(rows, columns=["epochs", "mean", "low", "high", "over"])


def _panel(ax: Axes, claim: Claim, rows: pd.DataFrame) -> None:
    clean(ax)
    base_line(ax)
    interval_line(ax, rows.assign(n=np.log2(rows["epochs"])), STYLE["AnB"], claim.number)
    ax.set_xticks(np.log2(rows["epochs"]), [f"{epochs:g}" for epochs in rows["epochs"]])
    ax.set_title(fitted(f"{claim.number}: {claim.measure}", ax), fontsize=SMALL, loc="left")
    ax.margins(x=0.15)
    ax.set_xlabel("epochs")
