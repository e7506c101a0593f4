"""A measurement as people see it: its table, its listing, its figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from transferlib.data import Dataset
from transferlib.measuring.advice import BASE, COPIES, Advice, advise
from transferlib.measuring.scores import Scores
from transferlib.measuring.words import recommendation
from transferlib.paths import keep_out, resolved
from transferlib.study import Study
from transferlib.treatments import Treatment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROLES = ("source", "target")


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        runs: one row per run, as ``Store.table``, with ``correct``: which test images it gets right, bool (M,).
        longer: the same of the bases that were trained twice as long.
        about: the data, the network and the training, in lines.
        notes: what is wrong with the data, a line each.
        inputs: the folders of a user's own that were measured.
    """

    runs: pd.DataFrame = field(repr=False)
    longer: pd.DataFrame = field(repr=False)
    about: str
    notes: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per treatment: its accuracy (%) and its difference from the base (points), with 95 % intervals."""
        runs, scores = self.runs[self.runs["target"] == "B"], Scores.of(self.runs)
        at_chance = runs["status"].eq("chance").groupby(runs["treatment"]).sum()
        rows = [_row(scores, t) for t in (BASE, *COPIES) if t in scores.right]
        return pd.DataFrame(rows).assign(at_chance=lambda table: table["treatment"].map(at_chance))

    @cached_property
    def advice(self) -> Advice:
        """The recommendation as data: its verdict, its treatment, and the effects that it rests on."""
        return advise(self.runs, self.longer)

    @property
    def recommendation(self) -> str:
        """The recommendation in words."""
        return recommendation(self.advice)

    def figure(self) -> Figure:
        """Accuracy (left) and its difference from the base (right) against n, with 95 % intervals."""
        from transferlib.figures import figure_measured  # a measurement without a picture needs no plotting

        return figure_measured(self.table, self.about)

    def save_figure(self, path: Path | str) -> None:
        """Draw the figure into a PNG or SVG file; the same runs give the same bytes.

        Raises:
            TransferlibError: for a file of another ending, or one in a folder that was measured.
        """
        from transferlib.figures import write_figure

        keep_out(resolved(path), self.inputs)
        write_figure(self.figure(), path)

    def __str__(self) -> str:
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([self.about, *notes, "", _listing(self.table), "", self.recommendation])


def _row(scores: Scores, treatment: Treatment) -> dict[str, object]:
    right, effect = scores.accuracy(treatment), scores.difference(treatment, BASE)
    low, high = right.interval()
    below, above = (0.0, 0.0) if treatment == BASE else np.clip(effect.interval(), -100.0, 100.0)
    return {
        "treatment": str(treatment),
        "family": str(treatment.family),
        "n": treatment.n,
        "accuracy": right.mean,
        "accuracy_low": max(low, 0.0),
        "accuracy_high": min(high, 100.0),
        "difference": effect.mean,
        "difference_low": below,
        "difference_high": above,
        "seeds": right.pairs,
    }


def _listing(table: pd.DataFrame) -> str:
    lines = [f"{'':<6}{'accuracy, %':<22}minus base, points   (95 % intervals)"]
    for row in table.itertuples():
        right = f"{row.accuracy:.1f} [{row.accuracy_low:.1f}, {row.accuracy_high:.1f}]"
        effect = f"{row.difference:+.1f} [{row.difference_low:+.1f}, {row.difference_high:+.1f}]"
        chance = f"   at chance in {row.at_chance} of {row.seeds}" if row.at_chance else ""
        lines.append(f"{row.treatment:<6}{right:<22}{effect if row.family != 'base' else '':<22}{chance}".rstrip())
    return "\n".join(lines)


def described(called: Sequence[str], opened: Sequence[Dataset], study: Study) -> str:
    """The data, by what they are called, the network and the training, in lines."""
    counts = [f"{role:<8}{_counts(name, data)}" for role, name, data in zip(ROLES, called, opened, strict=True)]
    return "\n".join([*counts, _how(study)])


def _counts(label: str, data: Dataset) -> str:
    counts = f"{len(data.train.labels)} training and {len(data.val.labels)} test pictures"
    return f"{label}: {len(data.classes)} classes, {counts}"


def _how(study: Study) -> str:
    assert study.source is not None  # a measurement's layers come from somewhere
    epochs = " and ".join(f"{s.recipe.epochs} ({role})" for s, role in zip((study.source, study), ROLES, strict=True))
    times = f"{len(study.seeds)} time{'s' * (len(study.seeds) > 1)}"
    return f"network {study.network} at {study.resolution} px, trained {times} for {epochs} epochs"
