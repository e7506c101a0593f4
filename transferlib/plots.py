"""The paper's figures 2 and 3 from a table of runs; one colour and one marker per treatment throughout the book."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.errors import TransferlibError
from transferlib.stats import comparable, with_differences
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


def family_names(table: pd.DataFrame) -> pd.Series:
    """The family of each row in the paper's notation, such as ``AnB+``."""
    return table["kind"] + table["fine_tuned"].map({True: "+", False: ""})


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


def figure_2(table: pd.DataFrame) -> Figure:
    """The paper's figure 2: top-1 of every run against n (top), and the means with their five effects (bottom).

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
    _mean_lines(bottom, table, present)
    for ax in (top, bottom):
        ax.set_ylabel("top-1 accuracy (%)")
    top.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    bottom.set_xlabel("n: layers copied; layers n + 1 to 8 start anew")
    top.set_title(note, fontsize=9, loc="left")
    return figure


def _mean_lines(ax: Axes, table: pd.DataFrame, present: list[str]) -> None:
    base = table.loc[table["family"] == "base", "percent"].mean()
    ax.axhline(base, color=STYLE["base"][0], linewidth=1, linestyle=":", zorder=1)
    ax.plot([0], [base], color=STYLE["base"][0], marker=STYLE["base"][1], markersize=10)
    ax.annotate("base", (0, base), xytext=(-4, 7), textcoords="offset points", fontsize=8)
    ax.margins(y=0.15)
    for name in present[1:]:
        number, n, words = EFFECTS[name]
        label = f"{name}  ({number}: the paper's \u201c{words}\u201d)"
        means = _line(ax, table[table["family"] == name], name, "percent", label=label)
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
    table, note = _sound(table)
    table = with_differences(table)
    table = table.assign(family=family_names(table), percent=100 * table["top1"])
    dissimilar = table["split"].str.startswith("natural-manmade")
    frozen = table["family"].eq("AnB")
    if not (dissimilar & frozen).any() and not table["kind"].eq("RnB").any():
        raise TransferlibError("figure 3 needs AnB on natural-manmade halves, or RnB: run one of them first")
    figure, axes = _sheet(2, 2, 7.6)
    _dissimilar(axes[0], table[dissimilar])
    _random_filters(axes[1], table[table["split"].str.startswith("random")])
    bottom = _merged(figure, axes[2:])
    _losses(bottom, table, dissimilar, frozen)
    figure.suptitle(note, fontsize=9, x=0.01, ha="left")
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


FIGURES = {2: figure_2, 3: figure_3}


def save_figure(table: pd.DataFrame, number: int, path: Path) -> None:
    """Draw figure 2 or 3 into a PNG or SVG file; the same runs give the same bytes.

    Raises:
        TransferlibError: for another number or kind of file.
    """
    if number not in FIGURES:
        raise TransferlibError(f"expected figure 2 or 3, got {number}")
    if path.suffix not in (".png", ".svg"):
        raise TransferlibError(f"expected a .png or .svg file, got {path.name}")
    figure = FIGURES[number](table)
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": "transferlib"}):
        figure.savefig(path, dpi=150, metadata=metadata)
