"""The paper's figures 2 and 3, of our runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.errors import TransferlibError
from transferlib.figures.marks import line, points, sides
from transferlib.figures.runs import in_percent, levels, sound, with_targets
from transferlib.figures.style import SMALL, STYLE, WIDE, Look, base_line, clean, legend, write_figure
from transferlib.paths import figure_path
from transferlib.splits import DISSIMILAR, RANDOM, of_kind
from transferlib.stats import comparable, family_names, with_differences
from transferlib.treatments import DEPTHS, FAMILIES

# where the paper reads the effects of its figure 2: its number, the n, its words
EFFECTS = {
    "BnB": (2, 5, "fragile co-adaptation"),
    "BnB+": (3, 3, "fine-tuning recovers it"),
    "AnB": (4, 7, "features too specific"),
    "AnB+": (5, 5, "transfer helps generalisation"),
}


def _sheet(layout: str, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of axes against n, laid out as ``Figure.subplot_mosaic`` reads it."""
    figure = Figure(figsize=(WIDE, height), layout="constrained")
    axes = list(figure.subplot_mosaic(layout).values())
    for ax in axes:
        ax.set_xticks([0, *DEPTHS])
        clean(ax)
    return figure, axes


# --- figure 2 ---


def figure_2(table: pd.DataFrame) -> Figure:
    """The paper's figure 2: top-1 of every run against n (top), and the means with their five effects (bottom).

    A mean is the mean base plus the mean difference to the own bases, since a family may lack runs of some pairs.

    Args:
        table: rows of ``Store.table``; of several studies the largest is drawn. Random splits only.

    Raises:
        TransferlibError: where there is no base, or no transfer run, on a random split.
    """
    comparable(table)  # an empty store is named as such
    table = of_kind(table, RANDOM)
    families = set(family_names(table)) - {"RnB"}
    if "base" not in families or len(families) < 2:
        raise TransferlibError("figure 2 needs bases and transfer runs on a random split: run them first")
    table, note = sound(table)
    table = in_percent(table)
    here = set(table["family"]) - {"RnB"}
    present = [name for name in dict.fromkeys((*STYLE, *FAMILIES)) if name in here]
    table = with_targets(table)
    figure, (top, bottom) = _sheet("A;B", 8.4)
    for name in present:
        points(top, table[table["family"] == name], name, "percent")
    _mean_lines(bottom, levels(table), present)
    for ax in (top, bottom):
        ax.set_ylabel("top-1 accuracy (%)")
    legend(top)
    bottom.set_xlabel("n: layers copied; layers n + 1 to 8 start anew")
    top.set_title(note, fontsize=SMALL, loc="left", parse_math=False)  # a folder may be called $1
    return figure


def _mean_lines(ax: Axes, table: pd.DataFrame, present: list[str]) -> None:
    base = table.loc[table["family"] == "base", "level"].mean()
    colour, marker = STYLE["base"]
    base_line(ax, base, zorder=1)
    ax.plot([0], [base], color=colour, marker=marker, markersize=10)
    ax.annotate("base", (0, base), xytext=(-4, 7), textcoords="offset points", fontsize=SMALL)
    ax.margins(y=0.15)
    for name in present[1:]:
        means = line(ax, table[table["family"] == name], name, "level", label=_label(name))
        if name in EFFECTS and EFFECTS[name][1] in means.index:
            _number(ax, means, name)
    legend(ax)


def _label(name: str) -> str:
    if name not in EFFECTS:
        return name
    number, _, words = EFFECTS[name]
    return f"{name}  ({number}: the paper's \u201c{words}\u201d)"


def _number(ax: Axes, means: pd.Series, name: str) -> None:
    """The effect's number, where the paper has it."""
    number, n, _ = EFFECTS[name]
    offset = -14 if name in ("BnB", "AnB") else 7
    place = {"xytext": (0, offset), "textcoords": "offset points", "ha": "center"}
    ax.annotate(str(number), (n, means[n]), fontsize=10, weight="bold", **place)


# --- figure 3 ---


def figure_3(table: pd.DataFrame) -> Figure:
    """The paper's figure 3: dissimilar halves and random filters (top), and all losses against the base (bottom).

    Args:
        table: rows of ``Store.table``; of several studies the largest is drawn.

    Raises:
        TransferlibError: where there are neither runs on natural and man-made halves nor random filters.
    """
    comparable(table)  # an empty store is named as such
    table = of_kind(table, RANDOM, DISSIMILAR)
    frozen = table[family_names(table) == "AnB"]
    if of_kind(frozen, DISSIMILAR).empty and not table["kind"].eq("RnB").any():
        raise TransferlibError("figure 3 needs AnB on natural-manmade halves, or RnB: run one of them first")
    table, note = sound(table)
    table = in_percent(with_differences(table))
    figure, (left, right, bottom) = _sheet("AB;CC", 7.6)
    _dissimilar(left, of_kind(table, DISSIMILAR))
    _random_filters(right, table)
    _losses(bottom, table)
    figure.suptitle(note, fontsize=SMALL, x=0.01, ha="left", parse_math=False)
    return figure


def _dissimilar(ax: Axes, table: pd.DataFrame) -> None:
    _accuracy_axis(ax, "natural and man-made halves, AnB")
    sides(ax, table)
    _legend_or_absence(ax, "no run on natural and man-made halves in the store")


def _random_filters(ax: Axes, table: pd.DataFrame) -> None:
    _accuracy_axis(ax, "random filters, RnB")
    targets = table.loc[table["kind"] == "RnB", ["split", "target"]].drop_duplicates()
    rows = table.merge(targets, on=["split", "target"])
    rows = rows[rows["kind"].isin(["base", "RnB"])]
    if not rows.empty:
        line(ax, rows, "RnB", "percent", label="RnB; n = 0: base")
    _legend_or_absence(ax, "no random filters in the store")


def _accuracy_axis(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=SMALL)
    ax.set_xlabel("n")
    ax.set_ylabel("top-1 accuracy (%)")


def _legend_or_absence(ax: Axes, absence: str) -> None:
    if ax.lines:
        legend(ax, frame=False)
    else:
        ax.text(0.5, 0.5, absence, ha="center", va="center", transform=ax.transAxes, fontsize=SMALL, wrap=True)


def _losses(ax: Axes, table: pd.DataFrame) -> None:
    frozen = table[table["family"] == "AnB"]
    lines = {
        "random halves, AnB": (of_kind(frozen, RANDOM), "AnB", "-"),
        "natural and man-made halves, AnB": (of_kind(frozen, DISSIMILAR), "AnB", "--"),
        "random filters, RnB": (table[table["kind"] == "RnB"], "RnB", ":"),
    }
    base_line(ax)
    for label, (rows, name, dash) in lines.items():
        if not rows.empty:
            look: Look = {"linestyle": dash, "label": label}
            if dash == "--":
                look["markerfacecolor"] = "none"
            line(ax, rows, name, "difference", **look)
    ax.set_xticks(list(DEPTHS))
    ax.set_xlabel("n: layers copied and frozen")
    ax.set_ylabel("top-1 minus base (points)")
    legend(ax, frame=False)


# --- into a file ---

FIGURES = {2: figure_2, 3: figure_3}


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
    path = figure_path(path)  # before anything is drawn
    write_figure(FIGURES[number](table), path)
