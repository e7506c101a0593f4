"""Figures from a table of runs: panels, which draw on an axis, and the paper's figures 2 and 3, made of them.

One colour and one marker per treatment throughout the book. Every panel draws the paper's own runs as well
(``transferlib.paper.table``), so ``beside_paper`` puts any of them beside ours.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib import paper
from transferlib.errors import TransferlibError
from transferlib.paths import figure_path
from transferlib.stats import PLACE, comparable, curves, decomposition, family_names, with_differences
from transferlib.treatments import DEPTHS

# Okabe and Ito's colours, told apart with any colour vision; the marker tells them apart without colour
STYLE: dict[str, tuple[str, str]] = {
    "base": ("#222222", "*"),
    "BnB": ("#0072B2", "o"),
    "BnB+": ("#56B4E9", "s"),
    "AnB": ("#D55E00", "D"),
    "AnB+": ("#E69F00", "^"),
    "RnB": ("#777777", "X"),
}
MEANING = {
    "base": "base: trained from scratch",
    "BnB": "BnB: own layers, frozen",
    "BnB+": "BnB+: own layers, fine-tuned",
    "AnB": "AnB: the other half's layers, frozen",
    "AnB+": "AnB+: the other half's layers, fine-tuned",
    "RnB": "RnB: random layers, frozen",
}
NUDGE = {"BnB": -0.12, "BnB+": -0.04, "AnB": 0.04, "AnB+": 0.12}
# where the paper reads the effects of its figure 2: its number, the n, its words
EFFECTS = {
    "BnB": (2, 5, "fragile co-adaptation"),
    "BnB+": (3, 3, "fine-tuning recovers it"),
    "AnB": (4, 7, "features too specific"),
    "AnB+": (5, 5, "transfer helps generalisation"),
}


def _sheet(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(8.0, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = list(grid.ravel())
    for ax in axes:
        ax.set_xticks([0, *DEPTHS])
        ax.grid(axis="y", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _sound(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The runs to draw, and a sentence on those that are not, so that none is left out silently."""
    table = comparable(table)
    diverged = table["status"].eq("diverged").sum()
    chance = table["status"].eq("chance").sum()
    notes = [f"{diverged} diverged, not drawn"] * bool(diverged) + [f"{chance} stuck at chance"] * bool(chance)
    first = table.iloc[0]
    name = f"{first.dataset}, {first.resolution} px, {first.network}, {first.epochs} epochs"
    return table[table["status"] != "diverged"], "; ".join([name, *notes])


def _points(ax: Axes, rows: pd.DataFrame, name: str, column: str, scale: float = 1.0) -> None:
    colour, marker = STYLE[name]
    x = rows["n"] + NUDGE.get(name, 0.0)
    ax.scatter(x, rows[column] * scale, color=colour, marker=marker, s=34, label=MEANING[name], zorder=3)


def _line(ax: Axes, rows: pd.DataFrame, name: str, column: str, **how: object) -> pd.Series:
    colour, marker = STYLE[name]
    means = rows.groupby("n")[column].mean()
    ax.plot(means.index, means, **({"color": colour, "marker": marker, "label": name} | how))
    return means


def _levels(table: pd.DataFrame) -> pd.DataFrame:
    """Add each run's ``level`` (%): the mean base plus its difference to its own base.

    So the means of families that were run for different pairs can be compared.
    """
    paired = with_differences(table)
    return paired.assign(level=100 * paired.loc[paired["kind"] == "base", "top1"].mean() + paired["difference"])


def figure_2(table: pd.DataFrame) -> Figure:
    """The paper's figure 2: top-1 of every run against n (top), and the means with their five effects (bottom).

    A mean is the mean base plus the mean difference to the own bases, since a family may lack runs of some pairs.

    Args:
        table: rows of ``Store.table``; of several studies the largest is drawn. Random splits only.

    Raises:
        TransferlibError: where there is no base, or no transfer run, on a random split.
    """
    comparable(table)  # an empty store is named as such
    table = table[table["split"].str.startswith("random")]
    families = set(family_names(table)) - {"RnB"}
    if "base" not in families or len(families) < 2:
        raise TransferlibError("figure 2 needs bases and transfer runs on a random split: run them first")
    table, note = _sound(table)
    table = table.assign(family=family_names(table), percent=100 * table["top1"])
    present = [name for name in STYLE if name != "RnB" and (table["family"] == name).any()]
    # a source's base has no transfer run beside it and would be compared with nothing
    targets = table[table["kind"] != "base"][["split", "target"]].drop_duplicates()
    table = table.merge(targets, on=["split", "target"])
    figure, (top, bottom) = _sheet(2, 1, 8.4)
    for name in present:
        _points(top, table[table["family"] == name], name, "percent")
    _mean_lines(bottom, _levels(table), present)
    for ax in (top, bottom):
        ax.set_ylabel("top-1 accuracy (%)")
    top.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    bottom.set_xlabel("n: layers copied; layers n + 1 to 8 start anew")
    top.set_title(note, fontsize=9, loc="left", parse_math=False)  # a folder may be called $1
    return figure


def _mean_lines(ax: Axes, table: pd.DataFrame, present: list[str]) -> None:
    base = table.loc[table["family"] == "base", "level"].mean()
    ax.axhline(base, color=STYLE["base"][0], linewidth=1, linestyle=":", zorder=1)
    ax.plot([0], [base], color=STYLE["base"][0], marker=STYLE["base"][1], markersize=10)
    ax.annotate("base", (0, base), xytext=(-4, 7), textcoords="offset points", fontsize=8)
    ax.margins(y=0.15)
    for name in present[1:]:
        number, n, words = EFFECTS[name]
        label = f"{name}  ({number}: the paper's \u201c{words}\u201d)"
        means = _line(ax, table[table["family"] == name], name, "level", label=label)
        if n in means.index:
            offset = -14 if name in ("BnB", "AnB") else 7
            place = {"xytext": (0, offset), "textcoords": "offset points", "ha": "center"}
            ax.annotate(str(number), (n, means[n]), color=STYLE[name][0], fontsize=10, weight="bold", **place)
    ax.legend(fontsize=8, framealpha=0.8, edgecolor="none")


def figure_3(table: pd.DataFrame) -> Figure:
    """The paper's figure 3: dissimilar halves and random filters (top), and all losses against the base (bottom).

    Args:
        table: rows of ``Store.table``; of several studies the largest is drawn.

    Raises:
        TransferlibError: where there are neither runs on natural and man-made halves nor random filters.
    """
    comparable(table)  # an empty store is named as such
    table = table[table["split"].str.startswith(("random", "natural-manmade"))]
    wanted = table["split"].str.startswith("natural-manmade") & family_names(table).eq("AnB") | table["kind"].eq("RnB")
    if not wanted.any():
        raise TransferlibError("figure 3 needs AnB on natural-manmade halves, or RnB: run one of them first")
    table, note = _sound(table)
    table = with_differences(table)
    table = table.assign(family=family_names(table), percent=100 * table["top1"])
    dissimilar, frozen = table["split"].str.startswith("natural-manmade"), table["family"].eq("AnB")
    figure, axes = _sheet(2, 2, 7.6)
    _dissimilar(axes[0], table[dissimilar])
    _random_filters(axes[1], table)
    bottom = _merged(figure, axes[2:])
    _losses(bottom, table, dissimilar, frozen)
    figure.suptitle(note, fontsize=9, x=0.01, ha="left", parse_math=False)
    return figure


def _merged(figure: Figure, axes: list[Axes]) -> Axes:
    grid = axes[0].get_gridspec()
    for ax in axes:
        ax.remove()
    wide = figure.add_subplot(grid[1, :])
    wide.set_xticks(list(DEPTHS))
    wide.grid(axis="y", alpha=0.3)
    wide.spines[["top", "right"]].set_visible(False)
    return wide


SIDES = {"A": ("natural", "-"), "B": ("man-made", "--")}


def _dissimilar(ax: Axes, table: pd.DataFrame) -> None:
    ax.set_title("natural and man-made halves, AnB", fontsize=9)
    _accuracy_axis(ax)
    for target, (name, dash) in SIDES.items():
        rows = table[(table["target"] == target) & table["family"].isin(["base", "AnB"])]
        if not rows.empty:
            _line(ax, rows, "AnB", "percent", linestyle=dash, label=f"target {name}")
    _legend_or_absence(ax, "no run on natural and man-made halves in the store")


def _random_filters(ax: Axes, table: pd.DataFrame) -> None:
    ax.set_title("random filters, RnB", fontsize=9)
    _accuracy_axis(ax)
    targets = table.loc[table["kind"] == "RnB", ["split", "target"]].drop_duplicates()
    rows = table.merge(targets, on=["split", "target"]) if len(targets) else table.iloc[:0]
    rows = rows[rows["kind"].isin(["base", "RnB"])]
    if not rows.empty:
        _line(ax, rows, "RnB", "percent", label="RnB; n = 0: base")
    _legend_or_absence(ax, "no random filters in the store")


def _accuracy_axis(ax: Axes) -> None:
    ax.set_xlabel("n")
    ax.set_ylabel("top-1 accuracy (%)")


def _legend_or_absence(ax: Axes, absence: str) -> None:
    if ax.lines:
        ax.legend(fontsize=8, frameon=False)
    else:
        ax.text(0.5, 0.5, absence, ha="center", va="center", transform=ax.transAxes, fontsize=8, wrap=True)


def _losses(ax: Axes, table: pd.DataFrame, dissimilar: pd.Series, frozen: pd.Series) -> None:
    random_split = table["split"].str.startswith("random")
    curves = {
        "random halves, AnB": (table[random_split & frozen], "AnB", "-"),
        "natural and man-made halves, AnB": (table[dissimilar & frozen], "AnB", "--"),
        "random filters, RnB": (table[table["kind"] == "RnB"], "RnB", ":"),
    }
    ax.axhline(0, color=STYLE["base"][0], linewidth=1, linestyle=":")
    for label, (rows, name, dash) in curves.items():
        if not rows.empty:
            open_marker = {"markerfacecolor": "none"} if dash == "--" else {}
            _line(ax, rows, name, "difference", linestyle=dash, label=label, **open_marker)
    ax.set_xlabel("n: layers copied and frozen")
    ax.set_ylabel("top-1 minus base (points)")
    ax.legend(fontsize=8, frameon=False)


# --- panels ---

Panel = Callable[[Axes, pd.DataFrame], None]
DASHES: Sequence[object] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))


def one_panel(panel: Panel, table: pd.DataFrame, height: float = 4.0) -> Figure:
    """A figure of one panel, with what it was made of as its title."""
    figure = Figure(figsize=(8.0, height), layout="constrained")
    _draw(figure.subplots(), panel, table, about(table))
    return figure


def beside_paper(panel: Panel, table: pd.DataFrame, height: float = 4.2) -> Figure:
    """The paper's own numbers (left) and ours (right), each on its own scale: data, network and length differ."""
    figure = Figure(figsize=(10.0, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw(left, panel, paper.table(), f"{paper.CITATION}: ImageNet, CaffeNet")
    _draw(right, panel, table, f"ours: {about(table)}")
    return figure


def side_by_side(panel: Panel, named: Mapping[str, pd.DataFrame], height: float = 4.2) -> Figure:
    """Our own runs of two kinds beside each other on one scale, such as a training and one twice as long."""
    figure = Figure(figsize=(10.0, height), layout="constrained")
    axes = figure.subplots(1, len(named), sharey=True)
    for ax, (name, table) in zip(axes, named.items(), strict=True):
        _draw(ax, panel, table, f"{name}: {about(table)}")
    return figure


def _draw(ax: Axes, panel: Panel, table: pd.DataFrame, title: str) -> None:
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(title, fontsize=9, loc="left", parse_math=False)
    panel(ax, table)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, framealpha=0.8, edgecolor="none", handlelength=3.0)  # long enough to show a dash
    else:  # whatever shows runs has a label; the base's line alone shows none
        ax.text(0.5, 0.5, "no such run yet", ha="center", va="center", transform=ax.transAxes)


def about(table: pd.DataFrame) -> str:
    """What a table's runs were made of, in a line, with those that failed."""
    return _sound(table)[1] if len(table) else "not in the store yet"


def random_splits(table: pd.DataFrame) -> pd.DataFrame:
    """The runs on random halves, without random filters, of the largest comparable set."""
    rows = table[table["split"].str.startswith("random") & (table["kind"] != "RnB")]
    return comparable(rows) if len(rows) else rows


def accuracies(*families: str) -> Panel:
    """Panel: the top-1 of every run on random halves against n; ``base`` is drawn at 0.

    The line is the mean difference to the own bases, on the level of the mean base, as in ``figure_2``.
    """

    def draw(ax: Axes, table: pd.DataFrame) -> None:
        table = _with_targets(random_splits(table))
        table = table.assign(family=family_names(table), percent=100 * table["top1"])
        means = _levels(table)
        for name in ("base", *families):
            rows = table[table["family"] == name]
            if len(rows):
                _points(ax, rows, name, "percent")
                if name != "base":
                    _line(ax, means[means["family"] == name], name, "level", marker="", label=None)
        base = means.loc[means["family"] == "base", "level"].mean()
        ax.axhline(base, color=STYLE["base"][0], linewidth=1, linestyle=":", zorder=1)
        _n_axis(ax, "top-1 accuracy (%)", zero=True)

    return draw


def _with_targets(table: pd.DataFrame) -> pd.DataFrame:
    """Without the bases of targets that have no transfer run: they would be compared with nothing."""
    targets = table.loc[table["kind"] != "base", ["split", "target"]].drop_duplicates()
    return table.merge(targets, on=["split", "target"])


def _n_axis(ax: Axes, label: str, zero: bool = False) -> None:
    ax.set_xticks([0, *DEPTHS] if zero else list(DEPTHS))
    ax.set_xlabel("n: layers copied")
    ax.set_ylabel(label)


def losses(*families: str) -> Panel:
    """Panel: families minus base on random halves, the mean over pairs at each n with its 95 % interval."""

    def draw(ax: Axes, table: pd.DataFrame) -> None:
        ax.axhline(0, color=STYLE["base"][0], linewidth=1, linestyle=":")
        for name in families:
            _interval_line(ax, curves(random_splits(table), name), *STYLE[name], MEANING[name], NUDGE.get(name, 0.0))
        _n_axis(ax, "top-1 minus base (points)")

    return draw


def _interval_line(
    ax: Axes, rows: pd.DataFrame, colour: str, marker: str, label: str, nudge: float = 0.0, dash: object = "-"
) -> None:
    if rows.empty:
        return
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


PARTS = {  # of the decomposition: the colour and marker of the treatment that brings it in
    "lost to broken co-adaptation": (STYLE["BnB"], "-"),
    "lost to specificity": (STYLE["AnB"], "-"),
    "gained by transfer": (STYLE["AnB+"], "--"),
}


def parts_of_the_loss(ax: Axes, table: pd.DataFrame) -> None:
    """Panel: the paper's decomposition against n, with 95 % intervals."""
    rows = decomposition(random_splits(table))
    ax.axhline(0, color=STYLE["base"][0], linewidth=1, linestyle=":")
    for name, ((colour, marker), dash) in PARTS.items():
        _interval_line(ax, rows[rows["part"] == name], colour, marker, name, dash=dash)
    _n_axis(ax, "points of top-1")


def distances(ax: Axes, table: pd.DataFrame) -> None:
    """Panel: AnB minus base on random and on dissimilar halves, and random filters, with 95 % intervals."""
    table = comparable(table) if len(table) else table
    _near_and_far(ax, table, "AnB")
    _interval_line(ax, curves(table, "RnB"), *STYLE["RnB"], "RnB, random filters", 0.12, ":")


def bridged(ax: Axes, table: pd.DataFrame) -> None:
    """Panel: AnB and AnB+ minus base on random and on dissimilar halves, with 95 % intervals."""
    table = comparable(table) if len(table) else table
    _near_and_far(ax, table, "AnB")
    _near_and_far(ax, table, "AnB+")


def _near_and_far(ax: Axes, table: pd.DataFrame, family: str) -> None:
    near, far = (table[table["split"].str.startswith(kind)] for kind in ("random", "natural-manmade"))
    at = NUDGE[family]
    ax.axhline(0, color=STYLE["base"][0], linewidth=1, linestyle=":")
    _interval_line(ax, curves(near, family), *STYLE[family], f"{family}, random halves", at - 0.04)
    _interval_line(ax, curves(far, family), *STYLE[family], f"{family}, natural and man-made", at + 0.04, "--")
    _n_axis(ax, "top-1 minus base (points)")


def both_sides(ax: Axes, table: pd.DataFrame) -> None:
    """Panel: the accuracy of AnB on natural and on man-made targets against n; n = 0 is the base."""
    table = table[table["split"].str.startswith("natural-manmade")]
    table = table.assign(family=family_names(table), percent=100 * table["top1"])
    for target, (name, dash) in SIDES.items():
        rows = table[(table["target"] == target) & table["family"].isin(["base", "AnB"])]
        if len(rows):
            _line(ax, rows, "AnB", "percent", linestyle=dash, label=f"target {name}")
    _n_axis(ax, "top-1 accuracy (%)", zero=True)


def similarity_of_rows(table: pd.DataFrame) -> pd.Series:
    """The dial's position of each row on a ``similarity:X`` split."""
    return table["split"].str.removeprefix("similarity:").astype(float)


def dial(*treatments: str) -> Panel:
    """Panel: treatments minus base against the similarity of the halves of ``shapes``, mean and range over seeds."""

    def draw(ax: Axes, table: pd.DataFrame) -> None:
        rows = with_differences(table[table["split"].str.startswith("similarity:")])
        rows = rows.assign(similarity=similarity_of_rows(rows))
        for i, name in enumerate(treatments):
            _range_line(ax, rows[rows["treatment"] == name].groupby("similarity")["difference"], name, i)
        ax.axhline(0, color=STYLE["base"][0], linewidth=1, linestyle=":")
        ax.invert_xaxis()
        ax.set_xlabel("similarity of the halves: from alike (1) to apart (0)")
        ax.set_ylabel("top-1 minus base (points)")

    return draw


MARKERS = ("o", "D", "s", "^", "v", "P", "X")


def _range_line(ax: Axes, groups: object, label: str, i: int) -> None:
    found = groups.agg(["mean", "min", "max"])  # type: ignore[attr-defined]
    if len(found):
        colour = matplotlib.colormaps["cividis"](i / 6 * 0.9)
        bars = [found["mean"] - found["min"], found["max"] - found["mean"]]
        ax.errorbar(
            found.index, found["mean"], bars, color=colour, marker=MARKERS[i % 7], linestyle=DASHES[i % 7],
            capsize=3, elinewidth=1, label=label,
        )  # fmt: skip


WHOLE = 500  # training images of each class of Tiny ImageNet, and of shapes


def few_images(*treatments: str) -> Panel:
    """Panel: treatments minus the base trained on as many images of each class, against that number.

    Only the pairs that were run with the most such numbers, so that a line is of the same pairs from end to end.
    """

    def draw(ax: Axes, table: pd.DataFrame) -> None:
        rows = with_differences(table).fillna({"images_per_class": WHOLE})
        rows = rows[rows["treatment"].isin(treatments)]
        numbers = rows.groupby(PLACE)["images_per_class"].transform("nunique")
        rows = rows[numbers == numbers.max()]
        if rows.empty:
            return
        for i, name in enumerate(treatments):
            _range_line(ax, rows[rows["treatment"] == name].groupby("images_per_class")["difference"], name, i)
        ax.axhline(0, color=STYLE["base"][0], linewidth=1, linestyle=":")
        ax.set_xscale("log")
        counts = sorted(rows["images_per_class"].unique())
        ax.set_xticks(counts, [f"{count:.0f}" for count in counts])
        ax.minorticks_off()
        ax.set_xlabel("training images of each class")
        ax.set_ylabel("top-1 minus base (points)")

    return draw


def learning(ax: Axes, named: Mapping[str, pd.DataFrame]) -> None:
    """Draw learning curves, accuracy against epoch; ``base`` in its own style, the others from dark to light.

    Args:
        ax: where to.
        named: by label, each with ``epoch`` and ``top1`` (fraction).
    """
    others = [name for name in named if not name.startswith("base")]
    for name, curve in named.items():
        if name.startswith("base"):
            style = {"color": STYLE["base"][0], "linestyle": ":", "linewidth": 2.0}
        else:
            i = others.index(name)
            colour = matplotlib.colormaps["cividis"](0.9 * i / max(len(others) - 1, 1))
            style = {"color": colour, "linestyle": DASHES[i % 7], "linewidth": 1.4}
        ax.plot(curve["epoch"], 100 * curve["top1"], label=name, **style)
    ax.set_xlabel("epoch")
    ax.set_ylabel("top-1 accuracy (%)")


def learning_figure(named: Mapping[str, pd.DataFrame], title: str, height: float = 4.0) -> Figure:
    """A figure of learning curves; see ``learning``."""
    figure = Figure(figsize=(8.0, height), layout="constrained")
    _draw(figure.subplots(), lambda ax, _: learning(ax, named), pd.DataFrame(), title)
    return figure


FIGURES = {2: figure_2, 3: figure_3}


def figure_width(paired: float, unpaired: float, images: int) -> Figure:
    """Half the width of the interval of a difference against the number of test images, by the square-root law.

    Args:
        paired, unpaired: half widths in points at ``images`` test images; see ``stats.half_widths``.
    """
    counts = np.geomspace(500, 100_000, 50)
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    ax = figure.subplots()
    for width, label, dash in ((unpaired, "unpaired", "--"), (paired, "paired: the same images", "-")):
        ax.loglog(counts, width * np.sqrt(images / counts), dash, color=STYLE["AnB"][0], label=label)
    ax.axhline(1, color=STYLE["base"][0], linewidth=1, linestyle=":")
    ax.set_xlabel("test images")
    ax.set_ylabel("± points (95 %)")
    ax.legend(fontsize=8, frameon=False)
    return figure


def show(figure: Figure, kind: str = "svg") -> None:
    """Show a figure on a chapter's page: ``svg`` for charts, ``png`` for pictures; same runs, same bytes."""
    from IPython.display import SVG, Image, display

    display(SVG(_rendered(figure, kind)) if kind == "svg" else Image(_rendered(figure, kind), width=_width(figure)))


def _width(figure: Figure) -> int:
    return round(figure.get_size_inches()[0] * 96)


def _rendered(figure: Figure, kind: str) -> bytes:
    """A figure as PNG or SVG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "transferlib"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a name in another script: its box is seen
        figure.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
    return buffer.getvalue()


def save_figure(table: pd.DataFrame, number: int, path: Path | str) -> None:
    """Draw the paper's figure 2 or 3 into a file.

    Args:
        table: rows of ``Store.table``.
        number: of the figure, 2 or 3.
        path: ends in ``.png`` or ``.svg``; the same table gives the same bytes.

    Raises:
        TransferlibError: for another number or ending, or a table that lacks what the figure shows.
    """
    if number not in FIGURES:
        raise TransferlibError(f"expected figure 2 or 3, got {number}")
    path = figure_path(path)
    write_figure(FIGURES[number](table), path)


def write_figure(figure: Figure, path: Path | str) -> None:
    """Write a figure into a PNG or SVG file.

    Raises:
        TransferlibError: for another ending.
    """
    path = figure_path(path)
    path.write_bytes(_rendered(figure, path.suffix[1:]))


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
    left.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    figure.suptitle(about, fontsize=9, x=0.01, ha="left", parse_math=False)
    return figure


def _measured(ax: Axes, table: pd.DataFrame, column: str, label: str) -> None:
    base = table.loc[table["family"] == "base"].iloc[0]
    ax.axhline(base[column], color=STYLE["base"][0], linewidth=1, linestyle=":", label=MEANING["base"])
    ax.axhspan(base[f"{column}_low"], base[f"{column}_high"], color=STYLE["base"][0], alpha=0.08, linewidth=0)
    for name in ("AnB", "AnB+"):
        rows, (colour, marker) = table[table["family"] == name], STYLE[name]
        bars = [rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column]]
        words = MEANING[name].replace("the other half's", "the source's")
        ax.errorbar(rows["n"] + NUDGE[name], rows[column], bars, color=colour, marker=marker, capsize=3, label=words)
    ax.set_xticks(list(DEPTHS))
    ax.set_xlabel("n: layers copied")
    ax.set_ylabel(label)
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
