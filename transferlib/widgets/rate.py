"""*The rate dial*: the rate at which fresh layers start on frozen ones of their own, and what the cut costs at it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.errors import TransferlibError
from transferlib.figures.marks import n_axis
from transferlib.figures.style import STYLE, base_line, clean, legend
from transferlib.stats import curves, signed
from transferlib.widgets.explorer import Explorer, Frame


def turn_the_rate(doses: Mapping[float, pd.DataFrame]) -> Explorer:
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

    def frame(rate: str) -> Frame:
        return Frame(_picture(found, rate), _words(found[rate], rate))

    return Explorer("The rate dial", {"peak rate of the fresh layers": [*found]}, frame)


def _lost(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {outcome: curves(table, "BnB", outcome=outcome) for outcome in ("top1", "train_loss")}


def _words(lost: dict[str, pd.DataFrame], rate: str) -> str:
    both = lost["top1"].merge(lost["train_loss"], on="n", suffixes=("", "_loss"))
    cuts = [
        f"B{row['n']:.0f}B {_number(row['mean'])} ({_number(row['low'])} to {_number(row['high'])}), "
        f"training loss {_number(row['mean_loss'], 2)}"
        for _, row in both.iterrows()
    ]
    about = f"Restarted at {rate}: BnB's top-1 minus that of the base, in points (95 % interval), and in nats"
    return f"{about}: {'; '.join(cuts)}."


def _number(value: float, digits: int = 1) -> str:
    return signed(value, digits).replace("-", "−")


def _picture(found: dict[str, dict[str, pd.DataFrame]], rate: str) -> Figure:
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    for ax, outcome in zip(figure.subplots(2, 1, sharex=True), ("top1", "train_loss"), strict=True):
        _panel(ax, {name: lost[outcome] for name, lost in found.items()}, rate)
        ax.set_ylabel({"top1": "top-1 − base (points)", "train_loss": "training loss − base (nats)"}[outcome])
        ax.label_outer()
    return figure


def _panel(ax: Axes, found: dict[str, pd.DataFrame], rate: str) -> None:
    colour, marker = STYLE["BnB"]
    for lost in found.values():
        ax.plot(lost["n"], lost["mean"], color=colour, linewidth=1, alpha=0.35)
    lost = found[rate]
    half_width = (lost["high"] - lost["mean"]).fillna(0)
    how = {"color": colour, "marker": marker, "linewidth": 2.2, "capsize": 5, "markersize": 7, "zorder": 4}
    ax.errorbar(lost["n"], lost["mean"], half_width, label=f"BnB, restarted at {rate}", **how)
    base_line(ax, label="base")
    ends = pd.concat([every[["mean", "low", "high"]] for every in found.values()])
    low, high = min(0.0, ends.min(axis=None)), max(0.0, ends.max(axis=None))
    ax.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))  # the same in every picture
    n_axis(ax, "")
    clean(ax)
    legend(ax, frame=False, fontsize=9.5)
