"""What is odd about the data of a measurement, a line each, and what can't be measured at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from transferlib.data import Dataset, lookup
from transferlib.errors import TransferlibError

FEW_TESTS = 200


def must_differ(source: str, target: str) -> None:
    """Refuse a data set as its own target.

    Raises:
        TransferlibError: where both names are of one data set, or of one folder.
    """
    if lookup(source).name == lookup(target).name:
        raise TransferlibError(f"source and target are both {source}: expected two different data sets")


def findings(called: Sequence[str], opened: Sequence[Dataset]) -> list[str]:
    """What is odd about the folders, or left out of them."""
    return [f"{name}: {finding}" for name, data in zip(called, opened, strict=True) for finding in data.findings]


def overlap(source: Dataset, target: Dataset) -> list[str]:
    """Notes where the source, or the target itself, is trained on test pictures of the target.

    Raises:
        TransferlibError: where the source has them all.
    """
    tests = len(target.val.labels)
    seen, own = (_shared(data.train.pixels, target.val.pixels) for data in (source, target))
    if seen == tests:
        raise TransferlibError("the source has every test picture of the target among its own: expected other pictures")
    notes = {
        f"the source is trained on {seen} of the target's {tests} test pictures, which flatters it: remove them": seen,
        f"{own} of the target's {tests} test pictures are among its own training pictures: remove the copies": own,
    }
    return [note for note, count in notes.items() if count]


def _shared(pictures: np.ndarray, others: np.ndarray) -> int:
    """How many of the others are among some pictures, pixel by pixel."""
    known = {hash(pixels.tobytes()) for pixels in pictures}
    return sum(hash(pixels.tobytes()) in known for pixels in others)


def few_tests(target: Dataset) -> list[str]:
    """A note where the target has so few test pictures that intervals are wide."""
    tests = len(target.val.labels)
    if tests >= FEW_TESTS:
        return []
    return [
        f"only {tests} test pictures in the target, so that intervals are wide: "
        f"{FEW_TESTS} or more in its val/ would tell more"
    ]


def know_nothing(runs: pd.DataFrame) -> list[str]:
    """A note where the source's own bases did no better than guessing."""
    bases = runs[runs["target"] == "A"]
    poor = int((bases["status"] != "ok").sum())
    if not poor:
        return []
    return [
        f"the source's base did no better than guessing in {poor} of {len(bases)} trainings (top-1 "
        f"{100 * bases['top1'].mean():.1f} %): what is copied from it is hardly more than random layers"
    ]
