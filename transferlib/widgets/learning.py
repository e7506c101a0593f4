"""*Learning curves*: accuracy against epoch, beside the base's, with the epochs that reach what the base ends at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.errors import TransferlibError
from transferlib.figures.style import STYLE, clean, legend, meaning
from transferlib.splits import RANDOM, of_kind
from transferlib.stats import PAIR, comparable, family_names
from transferlib.treatments import DEPTHS, FAMILIES
from transferlib.widgets.explorer import Explorer, Frame

SHARES = (0.9, 1.0)  # of the base's final accuracy


def first_epoch(accuracy: pd.Series, wanted: float) -> int | None:
    """The first epoch at which an accuracy, indexed by epoch, reaches what is wanted; None where it never does."""
    reached = accuracy.index[accuracy >= wanted]
    return int(reached[0]) if len(reached) else None


def learning_curves(table: pd.DataFrame, curve: Callable[[str], pd.DataFrame]) -> Explorer:
    """Family and n → accuracy against epoch, the base's beside it, and how soon 90 % and 100 % of its end are reached.

    Args:
        table: rows of ``Store.table``; the random splits of the largest study are drawn. Curves are means over runs.
        curve: gives a run's learning curve by its key, as ``Results.curve``: epoch and top1 (fraction).

    Raises:
        TransferlibError: where there is no base, or no transfer run, on a random split.
    """
    table = comparable(of_kind(table, RANDOM))
    table = table[table["status"] != "diverged"]
    bases = table[table["kind"] == "base"].set_index(PAIR)["key"].rename("base_key")
    runs = table[table["kind"] != "base"].join(bases, on=PAIR, how="inner")
    runs = runs.assign(family=family_names(runs))
    if runs.empty:
        raise TransferlibError("no learning curves: needs bases and transfer runs on a random split, run them first")

    @cache
    def percent(key: str) -> pd.Series:
        return 100 * curve(key).set_index("epoch")["top1"]

    def frame(family: str, n: str) -> Frame:
        of_family = runs[runs["family"] == family]
        chosen = of_family[of_family["n"] == int(n)]
        base = _mean(percent(key) for key in (chosen if len(chosen) else of_family)["base_key"])
        keys = {depth: of_family.loc[of_family["n"] == depth, "key"] for depth in DEPTHS}
        own = {depth: _mean(percent(key) for key in found) for depth, found in keys.items() if len(found)}
        text = _words(family, int(n), own.get(int(n)), base, len(chosen))
        return Frame(_picture(family, int(n), own, base, top=108 * runs["best_top1"].max()), text)

    families = [name for name in FAMILIES if (runs["family"] == name).any()]
    depths = [str(n) for n in sorted(runs["n"].unique())]
    start = "AnB" if "AnB" in families else families[0], depths[len(depths) // 2]
    return Explorer("Learning curves", {"family": families, "n, layers copied": depths}, frame, start=start)


def _mean(accuracies: Iterable[pd.Series]) -> pd.Series:
    return pd.concat(list(accuracies), axis=1).mean(axis=1)


def _words(family: str, n: int, own: pd.Series | None, base: pd.Series, runs: int) -> str:
    name = family.replace("n", str(n))
    if own is None:
        return f"{name}: no such run is in the store."
    mean = f"mean of {runs} runs" if runs > 1 else "one run"
    reached = " and ".join(_when(own, base, share) for share in SHARES)
    return (
        f"{name}: {own.iloc[-1]:.1f} % top-1 after {own.index[-1]} epochs ({mean}); the base ends at "
        f"{base.iloc[-1]:.1f} %. Of that, {name} {reached}."
    )


def _percentage(share: float) -> str:
    return f"{100 * share:.0f} %"


def _when(own: pd.Series, base: pd.Series, share: float) -> str:
    mine, its = (first_epoch(accuracy, share * base.iloc[-1]) for accuracy in (own, base))
    when = f"reaches {_percentage(share)} after epoch {mine}" if mine else f"never reaches {_percentage(share)}"
    return f"{when} (the base after epoch {its})"


def _picture(family: str, n: int, own: dict[int, pd.Series], base: pd.Series, top: float) -> Figure:
    figure = Figure(figsize=(6.4, 4.4))
    ax = figure.add_axes((0.1, 0.12, 0.73, 0.73))
    colour, marker = STYLE[family]
    ax.plot(base, color=STYLE["base"][0], linewidth=1.8, label="base")
    _reaches(ax, base, base, STYLE["base"], above=True)
    for depth, accuracy in own.items():
        if depth == n:
            ax.plot(accuracy, color=colour, linewidth=2.2, zorder=3, label=family.replace("n", str(n)))
        else:
            ax.plot(accuracy, color=colour, linewidth=0.9, alpha=0.35)
    if n in own:
        _reaches(ax, own[n], base, (colour, marker), above=False)
    ax.plot([], [], color=colour, linewidth=0.9, alpha=0.5, label=f"{family} at other n")
    for share in SHARES:
        wanted = share * base.iloc[-1]
        ax.axhline(wanted, color="#666666", linewidth=0.9, linestyle=":")
        ax.text(
            1.02, wanted, f"{_percentage(share)} of base", transform=ax.get_yaxis_transform(), va="center", fontsize=9
        )
    ax.set_ylim(0, top)  # the same in every picture
    ax.set_xlabel("epoch", fontsize=10)
    ax.set_ylabel("top-1 accuracy (%)", fontsize=10)
    clean(ax, grid=False)
    legend(ax, frame=False, fontsize=10, ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 0.99))
    figure.text(0.1, 0.95, meaning(family), fontsize=11, weight="bold")
    return figure


def _reaches(ax: Axes, accuracy: pd.Series, base: pd.Series, style: tuple[str, str], above: bool) -> None:
    """Mark the epochs at which a curve first reaches each share of the base's final accuracy."""
    for share in SHARES:
        epoch = first_epoch(accuracy, share * base.iloc[-1])
        if epoch is not None:
            colour, marker = style
            how = {"color": colour, "marker": marker, "markersize": 10, "markeredgecolor": "white", "zorder": 5}
            ax.plot(epoch, accuracy[epoch], **how)
            place = {"xytext": (0, 8 if above else -18), "textcoords": "offset points", "ha": "center"}
            ax.annotate(str(epoch), (epoch, accuracy[epoch]), color=colour, weight="bold", **place)
