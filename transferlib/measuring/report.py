"""A measurement as people see it: its table, its listing, its figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from transferlib.data import Dataset
from transferlib.measuring.advice import BASE, COPIES, Advice, advise
from transferlib.measuring.scores import Scores, at_chance
from transferlib.measuring.words import recommendation
from transferlib.paths import keep_out, resolved
from transferlib.stats import Estimate
from transferlib.study import Study
from transferlib.treatments import Treatment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROLES = ("source", "target")
UNEQUAL = 1.5  # from here on, of test pictures of the largest class to one of the smallest, balanced accuracy counts


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        runs: one row per run, as ``Store.table``, with ``correct``: which test images it gets right, bool (M,).
        longer: the same of the bases that were trained twice as long.
        about: the data, the network and the training, in lines.
        notes: what is wrong with the data, a line each.
        inputs: the folders of a user's own that were measured.
        labels: int64 (M,), the classes of the test images.
        parts: what the eight layers are called, where the source is somebody else's network.
    """

    runs: pd.DataFrame = field(repr=False)
    longer: pd.DataFrame = field(repr=False)
    about: str
    notes: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    labels: np.ndarray | None = field(default=None, repr=False)
    parts: tuple[str, ...] = ()

    @property
    def unequal(self) -> np.ndarray | None:
        """The test images' classes where these are unequal: then differences are of balanced accuracy."""
        if self.labels is None:
            return None
        counts = np.bincount(self.labels)
        return self.labels if counts.max() >= UNEQUAL * counts.min() else None

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per treatment: its accuracy (%) and its difference from the base (points), with 95 % intervals.

        Where classes are unequal there is balanced accuracy, the mean over classes, too, and differences are of it.
        """
        runs, scores = self.runs[self.runs["target"] == "B"], Scores.of(self.runs)
        guessing = at_chance(runs, self.unequal).groupby(runs["treatment"]).sum()
        by_class = None if self.unequal is None else Scores.of(self.runs, self.unequal)
        rows = [_row(scores, by_class, t, self.parts) for t in (BASE, *COPIES) if t in scores.right]
        return pd.DataFrame(rows).assign(at_chance=lambda table: table["treatment"].map(guessing))

    @property
    def _diverged(self) -> list[str]:
        """What was trained and came to no number, in any seed."""
        kept = self.runs[self.runs["target"] == "B"].groupby("treatment")["status"]
        lost = [str(name) for name, status in kept if status.eq("diverged").all()]
        return [f"diverged, and are in no row below: {', '.join(lost)}"] if lost else []

    @cached_property
    def advice(self) -> Advice:
        """The recommendation as data: its verdict, its treatment, and the effects that it rests on."""
        return advise(self.runs, self.longer, self.unequal)

    @property
    def recommendation(self) -> str:
        """The recommendation in words."""
        return recommendation(self.advice, self.parts)

    def figure(self) -> Figure:
        """Accuracy (left) and its difference from the base (right) against n, with 95 % intervals."""
        from transferlib.figures import figure_measured  # a measurement without a picture needs no plotting

        return figure_measured(self.table, self.about, self.parts)

    def save_figure(self, path: Path | str) -> None:
        """Draw the figure into a PNG or SVG file; the same runs give the same bytes.

        Raises:
            TransferlibError: for a file of another ending, or one in a folder that was measured.
        """
        from transferlib.figures import write_figure

        keep_out(resolved(path), self.inputs)
        write_figure(self.figure(), path)

    def __str__(self) -> str:
        notes = [f"note: {note}" for note in (*self.notes, *self._diverged)]
        return "\n".join([self.about, *notes, "", _listing(self.table), "", self.recommendation])


def _row(scores: Scores, by_class: Scores | None, treatment: Treatment, parts: Sequence[str]) -> dict[str, object]:
    kind, count = str(treatment.family), scores.accuracy(treatment).pairs
    return {
        "treatment": str(treatment),
        "family": kind,
        "n": treatment.n,
        **({"up_to": parts[treatment.n - 1] if treatment.n else ""} if parts else {}),
        **_ends("accuracy", scores.accuracy(treatment), (0.0, 100.0)),
        **(_ends("balanced", by_class.accuracy(treatment), (0.0, 100.0)) if by_class else {}),
        **_difference(by_class or scores, treatment),
        "seeds": count,
    }


def _difference(scores: Scores, treatment: Treatment) -> dict[str, float]:
    if BASE not in scores.right:
        return dict.fromkeys(("difference", "difference_low", "difference_high"), math.nan)
    ends = _ends("difference", scores.difference(treatment, BASE), (-100.0, 100.0))
    return dict.fromkeys(ends, 0.0) if treatment == BASE else ends


def _ends(name: str, estimate: Estimate, within: tuple[float, float]) -> dict[str, float]:
    low, high = np.clip(estimate.interval(), *within).tolist()
    return {name: estimate.mean, f"{name}_low": low, f"{name}_high": high}


def _listing(table: pd.DataFrame) -> str:
    """The table for a terminal, with a column for each thing that it has."""
    columns: dict[str, list[str]] = {"": [*map(str, table["treatment"])]}
    if "up_to" in table:
        columns["up to"] = [*map(str, table["up_to"])]
    columns["accuracy, %"] = _with_intervals(table, "accuracy", ".1f")
    if "balanced" in table:
        columns["balanced, %"] = _with_intervals(table, "balanced", ".1f")
    effects = _with_intervals(table, "difference", "+.1f")
    shown = [f if row.family != "base" else "" for f, row in zip(effects, table.itertuples(), strict=True)]
    if table["difference"].notna().any():
        columns["minus base, points   (95 % intervals)"] = [
            f"{text:<22}   at chance in {row.at_chance} of {row.seeds}".rstrip() if row.at_chance else text
            for text, row in zip(shown, table.itertuples(), strict=True)
        ]
    return _laid_out(columns)


def _with_intervals(table: pd.DataFrame, name: str, form: str) -> list[str]:
    values = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return [f"{mean:{form}} [{low:{form}}, {high:{form}}]" for mean, low, high in values]


def _laid_out(columns: dict[str, list[str]]) -> str:
    widths = [max(map(len, [name, *cells])) + 2 for name, cells in columns.items()]
    rows = [columns.keys(), *zip(*columns.values(), strict=True)]
    return "\n".join("".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def described(called: Sequence[str], opened: Sequence[Dataset], study: Study) -> str:
    """The data, by what they are called, the network and the training, in lines."""
    lines = [f"{role:<8}{counts(name, data)}" for role, name, data in zip(ROLES, called, opened, strict=True)]
    return "\n".join([*lines, _how(study)])


def counts(label: str, data: Dataset) -> str:
    """How many classes and pictures there are, and of which sizes the classes are where they are unequal."""
    pictures = f"{len(data.train.labels)} training and {len(data.val.labels)} test pictures"
    sizes = np.bincount(data.train.labels)
    unequal = f", {sizes.min()} to {sizes.max()} a class" if sizes.max() >= UNEQUAL * sizes.min() else ""
    return f"{label}: {len(data.classes)} classes, {pictures}{unequal}"


def _how(study: Study) -> str:
    assert isinstance(study.source, Study)
    epochs = " and ".join(f"{s.recipe.epochs} ({role})" for s, role in zip((study.source, study), ROLES, strict=True))
    times = f"{len(study.seeds)} time{'s' * (len(study.seeds) > 1)}"
    return f"network {study.network} at {study.resolution} px, trained {times} for {epochs} epochs"
