"""The figure of a measurement of your own pictures."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.figures.marks import n_axis
from transferlib.figures.style import NUDGE, STYLE, base_line, clean, legend, meaning


def figure_measured(table: pd.DataFrame, about: str) -> Figure:
    """What a user's own measurement gave: accuracy (left) and its difference from the base (right) against n.

    Args:
        table: as ``Measurement.table``.
        about: the title: the data, the network and the training, in lines.
    """
    figure = Figure(figsize=(10.0, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _measured(left, table, "accuracy", "top-1 accuracy on the target (%)")
    _measured(right, table, "difference", "top-1 minus base (points)")
    legend(left)
    figure.suptitle(about, fontsize=9, x=0.01, ha="left", parse_math=False)
    return figure


def _measured(ax: Axes, table: pd.DataFrame, column: str, label: str) -> None:
    base = table.loc[table["family"] == "base"].iloc[0]
    base_line(ax, base[column], label=meaning("base"))
    ax.axhspan(base[f"{column}_low"], base[f"{column}_high"], color=STYLE["base"][0], alpha=0.08, linewidth=0)
    for name in ("AnB", "AnB+"):
        rows, (colour, marker) = table[table["family"] == name], STYLE[name]
        bars = [rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column]]
        words = meaning(name).replace("the other half's", "the source's")
        ax.errorbar(rows["n"] + NUDGE[name], rows[column], bars, color=colour, marker=marker, capsize=3, label=words)
    n_axis(ax, label)
    clean(ax)
