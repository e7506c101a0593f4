"""Panels, which draw a table of runs on an axis, and the figures that are made of any of them.

Every panel draws the paper's own runs as well (``transferlib.paper.table``), so ``beside_paper`` puts it beside ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib import paper
from transferlib.figures.marks import depth_line, interval_line, line, n_axis, points, sides
from transferlib.figures.runs import about, in_percent, largest, levels, random_splits, with_targets
from transferlib.figures.style import (
    DASHES,
    NUDGE,
    SMALL,
    STYLE,
    WIDE,
    base_line,
    clean,
    fitted,
    legend,
    meaning,
    shade,
)
from transferlib.splits import DIAL, DISSIMILAR, RANDOM, of_kind, similarity_of
from transferlib.stats import OUTCOMES, PLACE, contrast, curves, decomposition, estimate, minus, with_differences
from transferlib.treatments import Treatment

Panel = Callable[[Axes, pd.DataFrame], None]


def one_panel(panel: Panel, table: pd.DataFrame, height: float = 4.0) -> Figure:
    """A figure of one panel, with what it was made of as its title."""
    figure = Figure(figsize=(WIDE, height), layout="constrained")
    _draw(figure.subplots(), panel, table, about(table))
    return figure


def beside_paper(panel: Panel, table: pd.DataFrame, height: float = 4.4) -> Figure:
    """The paper's own numbers (left) and ours (right), each on its own scale: data, network and length differ."""
    figure = Figure(figsize=(WIDE, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw(left, panel, paper.table(), f"{paper.CITATION}: ImageNet, CaffeNet")
    _draw(right, panel, table, f"ours: {about(table)}")
    return figure


def side_by_side(panel: Panel, named: Mapping[str, pd.DataFrame], height: float = 4.4) -> Figure:
    """Our own runs of several kinds on one scale, two beside each other, such as a training and one twice as long."""
    across, down = min(len(named), 2), -(-len(named) // 2)
    figure = Figure(figsize=(WIDE, height * down), layout="constrained")
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for ax, (name, table) in zip(axes.flat, named.items(), strict=False):
        _draw(ax, panel, table, f"{name}: {about(table)}")
        ax.label_outer()
    for ax in axes.flat[len(named) :]:
        ax.axis("off")
    return figure


def _draw(ax: Axes, panel: Panel, table: pd.DataFrame, title: str) -> None:
    _begin(ax, title)
    panel(ax, table)
    _end(ax)


def _begin(ax: Axes, title: str) -> None:
    clean(ax)
    ax.set_title(fitted(title, ax), fontsize=SMALL, loc="left", parse_math=False)  # a folder may be called $1


def _end(ax: Axes) -> None:
    if ax.get_legend_handles_labels()[0]:
        legend(ax, handlelength=3.0)  # long enough to show a dash
    else:  # whatever shows runs has a label; the base's line alone shows none
        ax.text(0.5, 0.5, "no such run yet", ha="center", va="center", transform=ax.transAxes)


# --- against n ---


def accuracies(*families: str) -> Panel:
    """Panel: the top-1 of every run on random halves against n; ``base`` is drawn at 0.

    The line is the mean difference to the own bases, on the level of the mean base, as in ``figure_2``.
    """

    def draw(ax: Axes, table: pd.DataFrame) -> None:
        table = in_percent(with_targets(random_splits(table)))
        means = levels(table)
        for name in ("base", *families):
            rows = table[table["family"] == name]
            if len(rows):
                points(ax, rows, name, "percent")
                if name != "base":
                    line(ax, means[means["family"] == name], name, "level", marker="", label=None)
        base_line(ax, means.loc[means["family"] == "base", "level"].mean(), zorder=1)
        n_axis(ax, "top-1 accuracy (%)", zero=True)

    return draw


OUTCOME = {"top1": "top-1 {}(points)", "loss": "validation loss {}(nats)", "train_loss": "training loss {}(nats)"}


def losses(*families: str, outcome: str = "top1") -> Panel:
    """Panel: families minus base on random halves, the mean over pairs at each n with its 95 % interval.

    Args:
        families: in the paper's notation.
        outcome: accuracy, or one of the two losses; see ``stats.OUTCOMES``.
    """

    def draw(ax: Axes, table: pd.DataFrame) -> None:
        base_line(ax)
        for name in families:
            found = curves(random_splits(table), name, outcome=outcome)
            interval_line(ax, found, STYLE[name], meaning(name), NUDGE.get(name, 0.0))
        n_axis(ax, OUTCOME[outcome].format("minus base "))

    return draw


PARTS = {  # of the decomposition: the colour and marker of the treatment that brings it in
    "lost to broken co-adaptation": (STYLE["BnB"], "-"),
    "lost to specificity": (STYLE["AnB"], "-"),
    "gained by transfer": (STYLE["AnB+"], "--"),
}


def parts_of_the_loss(ax: Axes, table: pd.DataFrame) -> None:
    """Panel: the paper's decomposition against n, with 95 % intervals."""
    rows = decomposition(random_splits(table))
    base_line(ax)
    for name, (style, dash) in PARTS.items():
        interval_line(ax, rows[rows["part"] == name], style, name, dash=dash)
    n_axis(ax, "points of top-1")


def distances(ax: Axes, table: pd.DataFrame) -> None:
    """Panel: AnB minus base on random and on dissimilar halves, and random filters, with 95 % intervals."""
    table = largest(table)
    _near_and_far(ax, table, "AnB")
    interval_line(ax, curves(table, "RnB"), STYLE["RnB"], "RnB, random filters", 0.12, ":")


def bridged(ax: Axes, table: pd.DataFrame) -> None:
    """Panel: AnB and AnB+ minus base on random and on dissimilar halves, with 95 % intervals."""
    table = largest(table)
    _near_and_far(ax, table, "AnB")
    _near_and_far(ax, table, "AnB+")


def _near_and_far(ax: Axes, table: pd.DataFrame, family: str) -> None:
    near, far = (curves(of_kind(table, kind), family) for kind in (RANDOM, DISSIMILAR))
    at = NUDGE.get(family, 0.0)
    base_line(ax)
    interval_line(ax, near, STYLE[family], f"{family}, random halves", at - 0.04)
    interval_line(ax, far, STYLE[family], f"{family}, natural and man-made", at + 0.04, "--")
    n_axis(ax, "top-1 minus base (points)")


def both_sides(ax: Axes, table: pd.DataFrame) -> None:
    """Panel: the accuracy of AnB on natural and on man-made targets against n; n = 0 is the base."""
    sides(ax, in_percent(of_kind(table, DISSIMILAR)))
    n_axis(ax, "top-1 accuracy (%)", zero=True)


# --- against something else ---


def dial(*treatments: str) -> Panel:
    """Panel: treatments minus base against the similarity of the halves of ``shapes``, the mean with its interval."""

    def draw(ax: Axes, table: pd.DataFrame) -> None:
        rows = of_kind(table, DIAL)
        rows = rows.assign(similarity=rows["split"].map(similarity_of))
        for name in treatments:
            depth_line(ax, _against(rows, "similarity", name), Treatment.parse(name))
        base_line(ax)
        ax.invert_xaxis()
        ax.set_xlabel("similarity of the halves: from alike (1) to apart (0)")
        ax.set_ylabel("top-1 minus base (points)")

    return draw


def _against(table: pd.DataFrame, by: str, treatment: str) -> pd.DataFrame:
    """A treatment minus its base at each value of a column: the value as ``n``, mean, low, high (points, 95 %)."""
    one = Treatment.parse(treatment)
    weights = minus(str(one.family), "base", [one.n])
    found = {value: contrast(rows, weights) for value, rows in table.groupby(by)}
    effects = {value: estimate(pairs) for value, pairs in found.items() if len(pairs)}
    rows = [(value, effect.mean, *effect.interval()) for value, effect in effects.items()]
    return pd.DataFrame(rows, columns=["n", "mean", "low", "high"])


ALL_IMAGES = 500  # training images of each class of Tiny ImageNet, and of shapes


def few_images(*treatments: str) -> Panel:
    """Panel: treatments minus the base trained on as many images of each class, against that number.

    Only the pairs that were run with the most such numbers, so that a line is of the same pairs from end to end.
    """

    def draw(ax: Axes, table: pd.DataFrame) -> None:
        table = table.assign(count=table["images_per_class"].fillna(ALL_IMAGES))
        rows = with_differences(table)
        rows = rows[rows["treatment"].isin(treatments)]
        numbers = rows.groupby(PLACE)["count"].transform("nunique")
        rows = rows[numbers == numbers.max()]
        if rows.empty:
            return
        table = table.merge(rows[[*PLACE, "count"]].drop_duplicates())
        for name in treatments:
            depth_line(ax, _against(table, "count", name), Treatment.parse(name))
        base_line(ax)
        ax.set_xscale("log")
        counts = sorted(rows["count"].unique())
        ax.set_xticks(counts, [f"{count:.0f}" for count in counts])
        ax.minorticks_off()
        ax.set_xlabel("training images of each class")
        ax.set_ylabel("top-1 minus base (points)")

    return draw


def learning(ax: Axes, named: Mapping[str, pd.DataFrame], outcome: str = "top1") -> None:
    """Draw learning curves against the epoch; ``base`` in its own style, the others from dark to light.

    Args:
        ax: where to.
        named: by label, each with ``epoch`` and the outcome; where it has ``learning_rate``, the first one's falls are
            drawn as pale upright lines.
        outcome: accuracy, or one of the two losses.
    """
    others = [name for name in named if not name.startswith("base")]
    for name, curve in named.items():
        if name.startswith("base"):
            style = {"color": STYLE["base"][0], "linestyle": ":", "linewidth": 2.0}
        else:
            i = others.index(name)
            colour = shade(i / max(len(others) - 1, 1))
            style = {"color": colour, "linestyle": DASHES[i % len(DASHES)], "linewidth": 1.4}
        ax.plot(curve["epoch"], OUTCOMES[outcome] * curve[outcome], label=name, **style)
    for epoch in _falls(next(iter(named.values()), pd.DataFrame())):
        ax.axvline(epoch, color="#999999", linewidth=0.8, zorder=0)
    ax.set_xlabel("epoch")
    ax.set_ylabel("top-1 accuracy (%)" if outcome == "top1" else OUTCOME[outcome].format(""))


def _falls(curve: pd.DataFrame) -> list[float]:
    """The epochs at which a rate that falls in steps falls; none where it falls all the time, or isn't known."""
    if "learning_rate" not in curve:
        return []
    rates = curve["learning_rate"]
    falls = curve.loc[rates < rates.shift(1), "epoch"].tolist()
    return falls if len(falls) < len(curve) / 2 else []


def learning_figure(
    named: Mapping[str, pd.DataFrame], title: str, height: float = 4.0, outcomes: Sequence[str] = ("top1",)
) -> Figure:
    """A figure of learning curves, a panel for each outcome; see ``learning``."""
    figure = Figure(figsize=(WIDE, height), layout="constrained")
    for ax, outcome in zip(figure.subplots(1, len(outcomes), squeeze=False)[0], outcomes, strict=True):
        _begin(ax, title if outcome == outcomes[0] else "")
        learning(ax, named, outcome)
        _end(ax)
    return figure


def figure_width(paired: float, unpaired: float, images: int) -> Figure:
    """Half the width of the interval of a difference against the number of test images, by the square-root law.

    Args:
        paired, unpaired: half widths in points at ``images`` test images; see ``stats.half_widths``.
        images: that number.
    """
    counts = np.geomspace(500, 100_000, 50)
    figure = Figure(figsize=(WIDE, 3.6), layout="constrained")
    ax = figure.subplots()
    for width, label, dash in ((unpaired, "unpaired", "--"), (paired, "paired: the same images", "-")):
        ax.loglog(counts, width * np.sqrt(images / counts), dash, color=STYLE["AnB"][0], label=label)
    base_line(ax, 1)
    ax.set_xlabel("test images")
    ax.set_ylabel("± points (95 %)")
    legend(ax, frame=False)
    return figure
