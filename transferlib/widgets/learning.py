"""*Learning curves*: accuracy against epoch, beside the base's, with the epochs that reach what the base ends at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import pandas as pd

from transferlib.errors import TransferlibError
from transferlib.figures.panels import learning_figure
from transferlib.figures.runs import about
from transferlib.splits import RANDOM, of_kind
from transferlib.stats import PAIR, comparable, family_names
from transferlib.treatments import FAMILIES
from transferlib.widgets.drawing import Drawing, number

SHARES = (0.9, 1.0)  # of the base's final accuracy


def first_epoch(accuracy: pd.Series, wanted: float) -> int | None:
    """The first epoch at which an accuracy, indexed by epoch, reaches what is wanted; None where it never does."""
    reached = accuracy.index[accuracy >= wanted]
    return int(reached[0]) if len(reached) else None


def learning_curves(table: pd.DataFrame, curve: Callable[[str], pd.DataFrame]) -> Drawing:
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

    families = [name for name in FAMILIES if (runs["family"] == name).any()]
    depths = [int(n) for n in sorted(runs["n"].unique())]
    drawn = {name: _of_family(runs[runs["family"] == name], percent) for name in families}
    words = {name.replace("n", str(n)): _words(name, n, drawn[name].get(n)) for name in families for n in depths}
    data = {"families": {name: {n: run.drawn() for n, run in own.items()} for name, own in drawn.items()}}
    family = "AnB" if "AnB" in families else families[0]
    n = [*drawn[family]][len(drawn[family]) // 2]  # one that was run
    data |= {"depths": depths, "words": words, "start": (family, n), "top": number(108 * runs["best_top1"].max())}
    name, first = family.replace("n", str(n)), drawn[family][n]
    still = learning_figure({"base": _as_curve(first.base), name: _as_curve(first.own)}, about(table))
    return Drawing("Learning curves", "learning", data, still, words[name])


def _as_curve(percent: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"epoch": percent.index, "top1": percent / 100})


@dataclass(frozen=True)
class _Learned:
    """The mean curves of a treatment's runs and of their bases (%), indexed by epoch."""

    own: pd.Series
    base: pd.Series
    runs: int

    def drawn(self) -> dict[str, object]:
        """As the script draws it."""
        base = {"accuracies": _numbers(self.base), "shares": self._shares(self.base)}
        return {"accuracies": _numbers(self.own), "shares": self._shares(self.own), "base": base}

    def _shares(self, accuracy: pd.Series) -> list[dict[str, object]]:
        """When it first reaches each share of what the base ends at."""
        levels = {share: share * self.base.iloc[-1] for share in SHARES}
        return [
            {"percent": round(100 * share), "level": number(level), "epochs": first_epoch(accuracy, level)}
            for share, level in levels.items()
        ]


def _of_family(runs: pd.DataFrame, percent: Callable[[str], pd.Series]) -> dict[int, _Learned]:
    found = {}
    for n, chosen in runs.groupby("n"):
        own, base = (_mean(percent(key) for key in chosen[name]) for name in ("key", "base_key"))
        found[int(str(n))] = _Learned(own, base, len(chosen))
    return found


def _numbers(accuracy: pd.Series) -> list[float | None]:
    return [number(value, 2) for value in accuracy]


def _mean(accuracies: Iterable[pd.Series]) -> pd.Series:
    return pd.concat(list(accuracies), axis=1).mean(axis=1)


def _words(family: str, n: int, found: _Learned | None) -> str:
    name = family.replace("n", str(n))
    if found is None:
        return f"{name}: no such run is in the store."
    own, base = found.own, found.base
    mean = f"mean of {found.runs} runs" if found.runs > 1 else "one run"
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
