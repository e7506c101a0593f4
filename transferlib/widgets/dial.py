"""*The similarity dial*: how alike the two halves of ``shapes`` are, and what a cut costs at that distance."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.data import shapes
from transferlib.errors import TransferlibError
from transferlib.figures.style import STYLE, base_line, clean, legend
from transferlib.splits import DIAL, of_kind, similarity_of
from transferlib.stats import comparable, curves, signed
from transferlib.treatments import DEPTHS
from transferlib.widgets.explorer import Explorer, Frame


def similarity_dial(table: pd.DataFrame) -> Explorer:
    """The similarity of the halves of ``shapes`` → a few images of both, and AnB minus base against n at it.

    Args:
        table: rows of ``Store.table``; those on splits ``similarity:X`` of the largest study are drawn.

    Raises:
        TransferlibError: where there is no base, or no AnB, on such a split.
    """
    table = comparable(of_kind(table, DIAL))
    found = {str(spec): curves(rows, "AnB") for spec, rows in table.groupby("split")}
    losses = {spec: loss for spec, loss in found.items() if len(loss)}
    if not losses:
        raise TransferlibError("no dial to turn: needs base and AnB on splits similarity:X, run them first")
    names = {f"{_position(spec):g}": spec for spec in sorted(losses, key=_position, reverse=True)}

    def frame(name: str) -> Frame:
        spec = names[name]
        return Frame(_picture(losses, spec), _words(losses[spec], name))

    return Explorer("The similarity dial", {"similarity of the halves": list(names)}, frame)


def _position(spec: str) -> float:
    position = similarity_of(spec)
    assert position is not None  # all splits here are of the dial
    return position


def _words(loss: pd.DataFrame, name: str) -> str:
    rows = zip(loss["n"], loss["mean"], loss["low"], loss["high"], strict=True)
    cuts = "; ".join(f"A{n}B {signed(mean)}{_interval(*ends)}".replace("-", "−") for n, mean, *ends in rows)
    pairs, over = int(loss["pairs"].max()), loss["over"].iloc[0]
    runs = f"{pairs} runs each" if pairs > 1 else "one run each"
    spread = "" if over == "nothing" else f", with 95 % intervals over {over.replace('pairs', 'runs')}"
    return f"Similarity {name}: AnB's top-1 minus that of the base, in points ({runs}{spread}): {cuts}."


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) else f" ({signed(low)} to {signed(high)})"


def _picture(losses: dict[str, pd.DataFrame], spec: str) -> Figure:
    figure = Figure(figsize=(6.4, 5.4))
    for half, name, place in zip(_images(_position(spec)), "AB", (0.08, 0.54), strict=True):
        ax = figure.add_axes((place, 0.72, 0.43, 0.2))
        rows = [np.concatenate(half[start::2], axis=1) for start in (0, 1)]
        ax.imshow(np.concatenate(rows), interpolation="nearest")
        ax.set_title(f"half {name}: an image of each class", fontsize=10, loc="left")
        ax.axis("off")
    _losses(figure.add_axes((0.11, 0.1, 0.82, 0.52)), losses, spec)
    return figure


@cache
def _images(similarity: float) -> list[list[np.ndarray]]:
    """One image of each class of either half, uint8 (H, W, 3) each."""
    classes, _, _, pixels, labels, *_ = shapes.draw(similarity=similarity, train_per_class=1, val_per_class=1)
    by_class = {classes[label]: image for label, image in zip(labels, pixels, strict=True)}
    return [[by_class[name] for name in half] for half in shapes.similarity_halves()]


def _losses(ax: Axes, losses: dict[str, pd.DataFrame], spec: str) -> None:
    colour, marker = STYLE["AnB"]
    others = sorted((other for other in losses if other != spec), key=lambda other: losses[other]["mean"].iloc[-1])
    low, high = _reach(losses.values())
    ends = _apart([losses[other]["mean"].iloc[-1] for other in others], (high - low) / 22)
    for other, end in zip(others, ends, strict=True):
        ax.plot(losses[other]["n"], losses[other]["mean"], color=colour, linewidth=1, alpha=0.35)
        ax.text(losses[other]["n"].iloc[-1] + 0.2, end, f"{_position(other):g}", va="center", fontsize=9)
    loss = losses[spec]
    half_width = loss["high"] - loss["mean"]
    how = {"color": colour, "marker": marker, "linewidth": 2.2, "capsize": 5, "markersize": 7, "zorder": 4}
    ax.errorbar(loss["n"], loss["mean"], half_width, label=f"AnB at similarity {_position(spec):g}", **how)
    base_line(ax, label="base at the same similarity")
    ax.set_ylim(low, high)  # the same in every picture
    ax.set_xlim(0.6, 7.6)
    ax.set_xticks(DEPTHS)
    ax.set_xlabel("n: layers copied and frozen", fontsize=10)
    ax.set_ylabel("top-1 minus base (points)", fontsize=10)
    clean(ax)
    legend(ax, frame=False, fontsize=9.5, ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 0.99))


def _apart(heights: Iterable[float], gap: float) -> list[float]:
    """Rising heights, each moved up where it would lie closer than a gap to the one below."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + gap) if moved else height)
    return moved


def _reach(losses: Iterable[pd.DataFrame]) -> tuple[float, float]:
    ends = pd.concat([loss[["mean", "low", "high"]] for loss in losses])
    low, high = min(0.0, ends.min(axis=None)), max(0.0, ends.max(axis=None))
    return low - 0.05 * (high - low), high + 0.05 * (high - low)
