"""*Cut the network*: which layers are copied, whether they are frozen, and what that does to the accuracy."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Arc, Rectangle

from transferlib import paper
from transferlib.errors import TransferlibError
from transferlib.figures.panels import losses, one_panel
from transferlib.figures.style import STYLE
from transferlib.nets import LAYERS, NETWORKS, network, outline
from transferlib.results import PUBLISHED, Results
from transferlib.splits import RANDOM, of_kind
from transferlib.stats import comparable
from transferlib.treatments import DEPTHS, Treatment
from transferlib.widgets.drawing import Drawing, number
from transferlib.widgets.outcomes import Outcome, in_words, outcomes

SOURCES = ("AnB", "BnB", "RnB")
ORIGIN = {"AnB": "A's base", "BnB": "B's own base", "RnB": "an untrained network"}
_POSSIBLE = [one for one in itertools.product(SOURCES, DEPTHS, (False, True)) if one[0] != "RnB" or not one[2]]
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


def whose_networks(results: Results) -> dict[str, pd.DataFrame]:
    """The tables of all networks that can be cut: ours, the paper's, and, where they were published, those of today."""
    found = {"ours": results.table, "the paper's": paper.table()}
    if results.profile.name == PUBLISHED:
        found["a residual network"] = results.variant("residual").table
        found["a transformer"] = results.variant("transformer").table
    return found


def cut_the_network(table: pd.DataFrame | Mapping[str, pd.DataFrame]) -> Drawing:
    """The book's first explorer: n, source, frozen or fine-tuned → the network drawn, and its accuracy on the curves.

    Args:
        table: rows of ``Store.table`` or ``Results.table`` (whose ``correct`` gives a single run an interval), or
            several such tables by whose networks they are of; the random splits of the largest study are drawn.

    Raises:
        TransferlibError: where there is no base, or no transfer run, on a random split.
    """
    tables = {"ours": table} if isinstance(table, pd.DataFrame) else dict(table)
    tables = {name: comparable(of_kind(rows, RANDOM)) for name, rows in tables.items()}
    found = {name: outcomes(rows) for name, rows in tables.items()}
    if not found or not all(found.values()):
        raise TransferlibError("nothing to cut: needs bases and transfer runs on a random split, run them first")
    sets = {name: _set(tables[name], runs) for name, runs in found.items()}
    words = {f"{name}: {t}": text for name, runs in found.items() for t, text in _all_words(runs).items()}
    data = {"sets": sets, "words": words}
    first, runs = next(iter(tables.values())), next(iter(found.values()))
    families = dict.fromkeys(str(Treatment.parse(t).family) for t in runs if not t.startswith("R"))
    still = one_panel(losses(*families), first)
    return Drawing("Cut the network", "cut", data, still, "; ".join(_briefly(t, one) for t, one in runs.items()))


def _set(table: pd.DataFrame, found: Mapping[str, Outcome]) -> dict[str, object]:
    """What a network has: the names of its layers, and what came of each of its treatments."""
    return {"layers": layer_names(table["network"].iloc[0]), "runs": {t: _run(t, one) for t, one in found.items()}}


def _run(treatment: str, outcome: Outcome) -> dict[str, object]:
    low, high = outcome.effect.interval()
    ends = {"low": number(low), "high": number(high)}
    return {"family": str(Treatment.parse(treatment).family), "difference": number(outcome.effect.mean), **ends}


def _all_words(found: Mapping[str, Outcome]) -> dict[str, str]:
    """Every treatment in words, what was run and what was not."""
    base = max(found.values(), key=lambda outcome: outcome.effect.pairs).base
    words = {str(t): describe(t, found.get(str(t))) for t in itertools.starmap(Treatment, _POSSIBLE)}
    return words | {f"R{n}B+": _no_such(n, base) for n in DEPTHS}


def _briefly(treatment: str, outcome: Outcome) -> str:
    return f"{treatment} {in_words(outcome.effect.mean)}"


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
