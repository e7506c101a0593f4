"""*Cut the network*: which layers are copied, whether they are frozen, and what that does to the accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Rectangle

from transferlib.errors import TransferlibError
from transferlib.figures.style import STYLE, base_line, clean, legend
from transferlib.nets import LAYERS, NETWORKS, network, outline
from transferlib.splits import RANDOM, of_kind
from transferlib.stats import comparable
from transferlib.treatments import DEPTHS, FAMILIES, FamilyName, Treatment
from transferlib.widgets.explorer import Explorer, Frame
from transferlib.widgets.outcomes import Outcome, outcomes

SOURCES: dict[str, str] = {"A, the other half": "AnB", "B, its own half": "BnB", "random": "RnB"}
COPYING = ("frozen", "fine-tuned")
ORIGIN = {"AnB": "A's base", "BnB": "B's own base", "RnB": "an untrained network"}
_WIDE, _STEP = 0.8, 1.0  # of a block, and from one to the next


def draw_network(ax: Axes, treatment: Treatment, names: Sequence[str]) -> None:
    """Draw a treatment's network as 8 blocks, as the paper's figure 1: copied, frozen (hatched, locked), fresh.

    Args:
        ax: the axis, which is taken up whole.
        treatment: what is drawn.
        names: of the layers, as ``layer_names`` gives them.
    """
    ax.set(xlim=(-0.95, 9.05), ylim=(-0.55, 1.75))
    ax.axis("off")
    colour = STYLE[str(treatment.family)][0]
    for k, name in enumerate(names, 1):
        copied, frozen = k <= treatment.n, k <= treatment.frozen
        face = colour if copied else "white"
        how = {"edgecolor": "white" if frozen else "#444444", "hatch": "///" if frozen else None, "linewidth": 0}
        ax.add_patch(Rectangle((k - _WIDE / 2, 0), _WIDE, 1, facecolor=face, **how))
        ax.add_patch(Rectangle((k - _WIDE / 2, 0), _WIDE, 1, fill=False, edgecolor="#444444", linewidth=1.2))
        plate = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
        ax.text(k, 0.62, str(k), ha="center", va="center", fontsize=12, weight="bold", bbox=plate)
        ax.text(k, -0.12, name, ha="center", va="top", fontsize=9)
        if frozen:
            _lock(ax, k, 0.12)
    for k in range(LAYERS + 1):
        start, tip = (k + _WIDE / 2, 0.5), (k + 1 - _WIDE / 2, 0.5)
        arrow = {"arrowstyle": "->", "color": "#444444", "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", xy=tip, xytext=start, arrowprops=arrow)
    ax.text(0.32, 0.5, "image", ha="right", va="center", fontsize=9)
    _brackets(ax, treatment)


def _lock(ax: Axes, x: float, y: float) -> None:
    plate = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
    ax.text(x, y + 0.1, "    ", ha="center", va="center", fontsize=8, bbox=plate)
    ax.add_patch(Rectangle((x - 0.1, y), 0.2, 0.15, color="#222222", zorder=4))
    ax.add_patch(Arc((x, y + 0.15), 0.13, 0.24, theta1=0, theta2=180, color="#222222", linewidth=1.4, zorder=4))


def _brackets(ax: Axes, treatment: Treatment) -> None:
    if treatment.n:
        fate = "then frozen" if treatment.frozen else "then trained on"
        _bracket(ax, 1, treatment.n, f"{_copied(treatment)}, {fate}", "left")
    _bracket(ax, treatment.n + 1, LAYERS, "start anew, trained on B", "right")


def _bracket(ax: Axes, first: int, last: int, words: str, side: str) -> None:
    left, right = first - _WIDE / 2, last + _WIDE / 2
    ax.plot([left, left, right, right], [1.1, 1.2, 1.2, 1.1], color="#444444", linewidth=1.2)
    ax.text(left if side == "left" else right, 1.3, words, ha=side, va="bottom", fontsize=9.5)


def _copied(treatment: Treatment) -> str:
    return "random" if treatment.kind == "RnB" else f"copied from {ORIGIN[treatment.kind]}"


def layer_names(network_name: str) -> list[str]:
    """The layers' names in a network; empty ones where it is not known here, as that of somebody else's store."""
    if network_name not in NETWORKS:
        return [""] * LAYERS
    return [layer.name for layer in outline(network(network_name), classes=2)]


def cut_the_network(table: pd.DataFrame) -> Explorer:
    """The book's first explorer: n, source, frozen or fine-tuned → the network drawn, and its accuracy on the curves.

    Args:
        table: rows of ``Store.table`` or ``Results.table`` (whose ``correct`` gives a single run an interval); the
            random splits of the largest study are drawn.

    Raises:
        TransferlibError: where there is no base, or no transfer run, on a random split.
    """
    table = comparable(of_kind(table, RANDOM))
    found = outcomes(table)
    if not found:
        raise TransferlibError("nothing to cut: needs bases and transfer runs on a random split, run them first")
    names = layer_names(table["network"].iloc[0])
    base = max(found.values(), key=lambda outcome: outcome.effect.pairs).base

    def frame(n: str, source: str, copying: str) -> Frame:
        kind, fine_tuned = SOURCES[source], copying == COPYING[1]
        if kind == "RnB" and fine_tuned:
            return Frame(_picture(Treatment("base"), names, found, f"base: {base:.1f} % top-1"), _no_such(int(n), base))
        treatment = Treatment(kind, int(n), fine_tuned)
        outcome = found.get(str(treatment))
        result = f"{treatment}: not run"
        if outcome:
            result = f"{treatment}: {outcome.top1:.1f} % top-1\nbase: {outcome.base:.1f} %"
        return Frame(_picture(treatment, names, found, result), describe(treatment, outcome))

    controls = {"n, layers copied": [str(n) for n in DEPTHS], "source": list(SOURCES), "after copying": list(COPYING)}
    return Explorer("Cut the network", controls, frame, start=("4", "A, the other half", "frozen"))


def describe(treatment: Treatment, outcome: Outcome | None) -> str:
    """A treatment in words, with its numbers where it has been run."""
    n = treatment.n
    fate = "frozen" if treatment.frozen else "trained on"
    fresh = f"layers {n + 1} to 8 start anew" if n < 7 else "layer 8 starts anew"
    result = f"{outcome}" if outcome else "no such run is in the store, so there is no number"
    layers = f"layers 1 to {n}" if n > 1 else "layer 1"
    return f"{treatment}: {layers} {_copied(treatment)} and {fate}, {fresh}; {result}."


def _no_such(n: int, base: float) -> str:
    return (
        f"R{n}B+ is no treatment of its own: random layers that are trained are an ordinary start. This is the base, "
        f"all 8 layers start anew: {base:.1f} % top-1."
    )


def _picture(treatment: Treatment, names: Sequence[str], found: dict[str, Outcome], result: str) -> Figure:
    figure = Figure(figsize=(6.4, 5.4))
    draw_network(figure.add_axes((0.01, 0.69, 0.98, 0.3)), treatment, names)
    ax = figure.add_axes((0.11, 0.1, 0.86, 0.52))
    for name in FAMILIES[1:]:
        _curve(ax, name, found, bold=name == str(treatment.family))
    colour, marker = STYLE["base"]
    base_line(ax)
    ax.plot(0, 0, marker, color=colour, markersize=16 if treatment.kind == "base" else 9, label="base", zorder=4)
    if str(treatment) in found:
        _mark(ax, treatment, found[str(treatment)])
    ax.text(0.03, 0.05, result, transform=ax.transAxes, fontsize=12, weight="bold", linespacing=1.4)
    ax.set_ylim(*_reach(found))  # the same in every picture
    ax.set_xticks([0, *DEPTHS])
    ax.set_xlabel("n: layers copied", fontsize=10)
    ax.set_ylabel("top-1 minus base (points)", fontsize=10)
    clean(ax)
    above = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1)}
    legend(ax, frame=False, fontsize=9, ncols=6, columnspacing=1.2, **above)
    return figure


def _reach(found: dict[str, Outcome]) -> tuple[float, float]:
    widths = [(outcome.effect.mean, np.nan_to_num(outcome.half_width)) for outcome in found.values()]
    low, high = min(0.0, *(d - w for d, w in widths)), max(0.0, *(d + w for d, w in widths))
    return low - 0.08 * (high - low), high + 0.05 * (high - low)


def _curve(ax: Axes, name: str, found: dict[str, Outcome], bold: bool) -> None:
    drawn = [(t.n, found[str(t)].effect.mean) for t in FamilyName.parse(name).treatments if str(t) in found]
    if not drawn:
        return
    colour, marker = STYLE[name]
    width, alpha = (2.2, 1.0) if bold else (1.0, 0.45)
    depths, effects = zip(*drawn, strict=True)
    ax.plot(depths, effects, color=colour, marker=marker, markersize=5, label=name, linewidth=width, alpha=alpha)


def _mark(ax: Axes, treatment: Treatment, outcome: Outcome) -> None:
    colour, marker = STYLE[str(treatment.family)]
    how = {"color": colour, "marker": marker, "markersize": 10, "markeredgecolor": "black", "ecolor": "black"}
    ax.errorbar(
        treatment.n, outcome.effect.mean, outcome.half_width, capsize=8, elinewidth=2, capthick=2, zorder=5, **how
    )
