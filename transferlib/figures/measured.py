"""The figure of a measurement of your own pictures."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.figures.marks import n_axis
from transferlib.figures.style import LINE, NUDGE, SMALL, STYLE, WIDE, base_line, broken, clean, meaning
from transferlib.treatments import DEPTHS

ROW = 0.15  # inches, of a line of the title


def figure_measured(table: pd.DataFrame, about: str, parts: Sequence[str] = ()) -> Figure:
    """What a user's own measurement gave: accuracy (left) and its difference from the base (right) against n.

    Args:
        table: as ``Measurement.table``.
        about: the title: the data, the network and the training, in lines.
        parts: what the eight layers are called; by default they are numbered only.
    """
    about = f"{about}\nbars: 95 % of each difference by itself; the advice goes by wider ones, for all at once"
    lines = [line for given in about.splitlines() for line in broken(given, LINE).splitlines()]
    figure = Figure(figsize=(WIDE, (5.0 if parts else 4.4) + ROW * len(lines)), layout="constrained")
    axes = figure.subplots(1, 2 if table["difference"].notna().any() else 1, squeeze=False)[0]
    score = "balanced" if "balanced" in table else "accuracy"
    named = {"balanced": "balanced accuracy", "accuracy": "top-1 accuracy"}[score]
    _measured(axes[0], table, score, f"{named} (%)")
    for ax in axes[1:]:  # without a base there is no difference to it
        _measured(ax, table, "difference", f"{named.removesuffix(' accuracy')} minus base (points)")
    for ax in axes:
        _name_layers(ax, parts)
    # beneath all: the names of the parts take more room than numbers
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", fontsize=SMALL, frameon=False)
    figure.suptitle("\n".join(lines), fontsize=SMALL, x=0.01, ha="left", parse_math=False)
    return figure


def _name_layers(ax: Axes, parts: Sequence[str]) -> None:
    """Say of each n which part is the last that is copied."""
    if parts:
        ax.set_xticks(DEPTHS, [f"{n}  {part}" for n, part in zip(DEPTHS, parts, strict=False)])
        ax.tick_params(axis="x", labelrotation=40)
        ax.set_xlabel("n: layers copied, up to")
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor", parse_math=False)


def _measured(ax: Axes, table: pd.DataFrame, column: str, label: str) -> None:
    for _, base in table[table["family"] == "base"].iterrows():
        base_line(ax, base[column], label=meaning("base"))
        ax.axhspan(base[f"{column}_low"], base[f"{column}_high"], color=STYLE["base"][0], alpha=0.08, linewidth=0)
    for name in ("AnB", "AnB+"):
        rows, (colour, marker) = table[table["family"] == name], STYLE[name]
        if rows.empty:
            continue
        bars = [rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column]]
        words = meaning(name).replace("the other half's", "the source's")
        ax.errorbar(rows["n"] + NUDGE[name], rows[column], bars, color=colour, marker=marker, capsize=3, label=words)
    n_axis(ax, label)
    ax.set_xlim(DEPTHS[0] - 0.4, DEPTHS[-1] + 0.4)  # whichever depths were measured
    clean(ax)
