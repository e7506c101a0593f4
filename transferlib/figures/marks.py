"""What is drawn on an axis against n: points, lines of means, lines with intervals, lines with ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes

from transferlib.figures.style import MARKERS, NUDGE, SIDES, STYLE, Dash, Look, meaning, shade
from transferlib.treatments import DEPTHS, Treatment

if TYPE_CHECKING:
    from typing_extensions import Unpack


def points(ax: Axes, rows: pd.DataFrame, name: str, column: str) -> None:
    """A point for each run of a family."""
    colour, marker = STYLE[name]
    x = rows["n"] + NUDGE.get(name, 0.0)
    ax.scatter(x, rows[column], color=colour, marker=marker, s=34, label=meaning(name), zorder=3)


def line(ax: Axes, rows: pd.DataFrame, name: str, column: str, **how: Unpack[Look]) -> pd.Series:
    """A line through the means at each n, in a family's style but for what ``how`` says; gives the means."""
    colour, marker = STYLE[name]
    means = rows.groupby("n")[column].mean()
    look: Look = {"color": colour, "marker": marker, "label": name}
    ax.plot(means.index, means, **(look | how))
    return means


def sides(ax: Axes, table: pd.DataFrame) -> None:
    """The accuracy of AnB on natural and on man-made targets, a line each that begins at the base."""
    for target, (name, dash) in SIDES.items():
        rows = table[(table["target"] == target) & table["family"].isin(["base", "AnB"])]
        if len(rows):
            line(ax, rows, "AnB", "percent", linestyle=dash, label=f"target {name}")


def interval_line(
    ax: Axes, rows: pd.DataFrame, style: tuple[str, str], label: str, nudge: float = 0.0, dash: Dash = "-"
) -> None:
    """A line with intervals through the rows of ``stats.curves``; nothing where there are none."""
    if rows.empty:
        return
    colour, marker = style
    bars = [(rows["mean"] - rows["low"]).fillna(0), (rows["high"] - rows["mean"]).fillna(0)]
    ax.errorbar(
        rows["n"] + nudge,
        rows["mean"],
        bars,
        color=colour,
        marker=marker,
        markerfacecolor="white" if dash == "--" else colour,
        linestyle=dash,
        capsize=3,
        linewidth=1.5,
        elinewidth=1,
        label=label,
    )


def depth_line(ax: Axes, rows: pd.DataFrame, treatment: Treatment) -> None:
    """A line with intervals of one treatment, in the style of its depth: from dark to light, fine-tuned dashed."""
    style = shade((treatment.n - 1) / 6), MARKERS[treatment.n - 1]
    interval_line(ax, rows, style, str(treatment), dash="--" if treatment.fine_tuned else "-")


def n_axis(ax: Axes, label: str, zero: bool = False) -> None:
    """Name the axes of a panel against n; with ``zero`` n begins at 0, where the base is drawn."""
    ax.set_xticks([0, *DEPTHS] if zero else list(DEPTHS))
    ax.set_xlabel("n: layers copied")
    ax.set_ylabel(label)
