"""Figures of the restart rate: how far the middle sinks, and which of the paper's two losses grows with the rate."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.cures import MIDDLE
from transferlib.figures.marks import interval_line, n_axis
from transferlib.figures.panels import OUTCOME, PARTS
from transferlib.figures.style import DASHES, MARKERS, SMALL, STYLE, WIDE, base_line, clean, legend, shade
from transferlib.stats import DECOMPOSITION, contrast, curves, estimate, minus


def figure_doses(doses: Mapping[float, pd.DataFrame], outcome: str = "top1") -> Figure:
    """The selffer minus its base against n, a line for each restart rate (left), and both losses against it (right).

    Args:
        doses: runs by the peak rate of what is fresh, as ``Results.by_rate``.
        outcome: accuracy, or one of the two losses; then the right panel is left out.
    """
    figure = Figure(figsize=(WIDE, 4.2), layout="constrained")
    axes = figure.subplots(1, 2 if outcome == "top1" else 1, squeeze=False)[0]
    _by_depth(axes[0], doses, outcome)
    if outcome == "top1":
        _by_dose(axes[1], doses)
    for ax in axes:
        clean(ax)
        if ax.get_legend_handles_labels()[0]:
            legend(ax, frame=False)
    return figure


def _by_depth(ax: Axes, doses: Mapping[float, pd.DataFrame], outcome: str) -> None:
    base_line(ax)
    for i, rate in enumerate(sorted(doses)):
        colour = shade(i / max(len(doses) - 1, 1))
        style, nudge = (colour, MARKERS[i % len(MARKERS)]), 0.06 * (i - len(doses) / 2)
        found = curves(doses[rate], "BnB", outcome=outcome)
        interval_line(ax, found, style, f"BnB, restarted at {rate:g}", nudge, DASHES[i % len(DASHES)])
    n_axis(ax, OUTCOME[outcome].format("minus base "))


def responses(doses: Mapping[float, pd.DataFrame], depths: Sequence[int] = MIDDLE) -> pd.DataFrame:
    """Both losses of the paper's decomposition at each rate, the mean over some depths.

    Returns:
        One row for each part and rate: part, rate, mean, low, high (points, 95 %), over.
    """
    rows = []
    for part in list(DECOMPOSITION)[:2]:
        for rate in sorted(doses):
            found = contrast(doses[rate], minus(*DECOMPOSITION[part], depths))
            if len(found):
                effect = estimate(found)
                rows.append((part, rate, effect.mean, *effect.interval(), effect.behind))
    return pd.DataFrame(rows, columns=["part", "rate", "mean", "low", "high", "over"])


def _by_dose(ax: Axes, doses: Mapping[float, pd.DataFrame]) -> None:
    base_line(ax)
    rows = responses(doses)
    for part, found in rows.groupby("part", sort=False):
        style, _ = PARTS[str(part)]
        interval_line(ax, found.rename(columns={"rate": "n"}), style, str(part))
    ax.set_xticks(sorted(doses), [f"{rate:g}" for rate in sorted(doses)])
    ax.set_xlabel("peak rate of what is fresh")
    ax.set_ylabel(f"points of top-1, mean of n = {MIDDLE[0]} to {MIDDLE[-1]}")


def figure_costs(costs: pd.DataFrame) -> Figure:
    """What the largest restart rate still costs, a row for each thing that was tried, with its interval.

    Args:
        costs: as ``transferlib.cures.costs`` gives them.
    """
    figure = Figure(figsize=(WIDE, 1.2 + 0.4 * len(costs)), layout="constrained")
    ax = figure.subplots()
    clean(ax, grid=False)
    ax.axvline(0, color=STYLE["base"][0], linewidth=1, linestyle=":")
    colour, marker = STYLE["BnB"]
    for row, (_, cost) in enumerate(costs.iterrows()):
        bar = [[cost["mean"] - cost["low"]], [cost["high"] - cost["mean"]]]
        ax.errorbar(cost["mean"], row, xerr=bar, color=colour, marker=marker, capsize=3, label=cost["tried"])
    names = [textwrap.fill(name, 22) for name in costs["tried"]]
    ax.set_yticks(range(len(costs)), names, fontsize=SMALL)
    ax.invert_yaxis()
    ax.set_xlabel(f"points of top-1 that the rate costs BnB, mean of n = {MIDDLE[0]} to {MIDDLE[-1]}", loc="right")
    return figure
