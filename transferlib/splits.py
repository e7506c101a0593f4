"""The classes of a data set in two halves, A and B: at random, by kind, or by the dial of ``shapes``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from transferlib.data import DATASETS, Catalogue, Dataset
from transferlib.data.registry import with_dial
from transferlib.errors import TransferlibError

# the kinds of splits: what their names begin with
RANDOM, DISSIMILAR, DIAL, WHOLE = "random", "natural-manmade", "similarity", "whole"
SMALL = "random-small"  # random halves with as few classes as those by kind
FORMS = "random:SEED, random-small:SEED, natural-manmade, natural-manmade:SEED, similarity:X, whole:A or whole:B"


@dataclass(frozen=True)
class Split:
    """Two halves of a data set's classes that share none (the paper's section 3).

    Attributes:
        spec: how it was made, such as ``random:0``.
        A, B: the ids of the classes of each half; the order gives the labels. Of ``whole:A`` and ``whole:B`` the
            other half is empty: it is another data set.

    Raises:
        TransferlibError: where a class stands in both halves, or a half has fewer than two.
    """

    spec: str
    A: tuple[str, ...]
    B: tuple[str, ...]

    def __post_init__(self) -> None:
        shared = sorted(set(self.A) & set(self.B))
        if shared:
            raise TransferlibError(f"split {self.spec}: {shared[0]} stands in both halves")
        if len(set(self.A)) != len(self.A) or len(set(self.B)) != len(self.B):
            raise TransferlibError(f"split {self.spec}: a class stands twice in a half")
        needed = max if _parts(self.spec)[0] == WHOLE else min  # of a whole, the other half is another data set
        if needed(len(self.A), len(self.B)) < 2:
            raise TransferlibError(
                f"split {self.spec}: expected at least 2 classes a half, got {len(self.A)} and {len(self.B)}"
            )

    def half(self, name: str) -> tuple[str, ...]:
        """The classes of half ``A`` or ``B``.

        Raises:
            TransferlibError: for the half that a whole data set does not have.
        """
        classes = {"A": self.A, "B": self.B}[name]
        if not classes:
            raise TransferlibError(f"split {self.spec} has no half {name}: another data set must be the source")
        return classes

    def save(self, path: Path) -> None:
        """Write the split as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Split:
        """Read a split that ``save`` wrote; checked as any other."""
        saved = json.loads(path.read_text(encoding="utf-8"))
        return cls(saved["spec"], tuple(saved["A"]), tuple(saved["B"]))

    def __str__(self) -> str:
        halves = (f"{name} ({len(half)}): {', '.join(half)}" for name, half in (("A", self.A), ("B", self.B)))
        return "\n".join([f"split {self.spec}", *halves])


def other(half: str) -> str:
    """The half that is not this one."""
    return {"A": "B", "B": "A"}[half]


def shuffled(items: Sequence[str], seed: object) -> list[str]:
    """The items in an order drawn from a seed: by SHA-256, so that no version of a library can change it."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{seed}/{item}".encode()).digest())


def _number(spec: str, text: str, kind: type[int] | type[float]) -> int | float:
    try:
        number = kind(text)
        if kind is int and str(number) != text:  # a split has one name: random:7 and not random:007
            raise ValueError
        return number
    except ValueError:
        raise TransferlibError(f"unknown split {spec!r}: expected {FORMS}") from None


def _parts(spec: str) -> tuple[str, str]:
    """A split's kind, and what stands after the colon: nothing where there is none."""
    kind, _, rest = spec.partition(":")
    return kind, rest


def of_kind(table: pd.DataFrame, *kinds: str) -> pd.DataFrame:
    """The rows of a table of runs whose split is of one of these kinds, such as ``of_kind(table, RANDOM)``.

    Args:
        table: with a column ``split``.
        kinds: ``RANDOM``, ``DISSIMILAR`` (natural and man-made things), ``DIAL`` (of ``shapes``) or ``WHOLE``.
    """
    return table[table["split"].map(lambda spec: _parts(str(spec))[0]).isin(kinds)]


def similarity_of(spec: str) -> float | None:
    """The dial's position that a split asks for, None for other splits."""
    kind, position = _parts(spec)
    return float(_number(spec, position, float)) if kind == DIAL else None


def make_split(dataset: Dataset | Catalogue, spec: str) -> Split:
    """Cut a data set's classes in two.

    Args:
        dataset: the data set.
        spec: ``random:SEED`` (halves of equal size), ``random-small:SEED`` (the same, cut to the size of those of
            ``natural-manmade:SEED``, so that the two differ in kind alone), ``natural-manmade`` (A natural, B man-made,
            as they fall), ``natural-manmade:SEED`` (the larger side cut to the smaller's size), ``similarity:X``
            (``shapes``), or ``whole:A`` and ``whole:B`` (all classes in one half; the other is another data set).

    Raises:
        TransferlibError: for another form, or a data set that it can't be made of.
    """
    kind, rest = _parts(spec)
    if kind in (RANDOM, SMALL) and rest:
        order = shuffled(dataset.classes, f"random/{_number(spec, rest, int)}")
        half = len(order) // 2
        size = half if kind == RANDOM else min(map(len, _sides(dataset)))
        return Split(spec, tuple(sorted(order[:half][:size])), tuple(sorted(order[half : 2 * half][:size])))
    if kind == DISSIMILAR:
        return _by_kind(dataset, spec, _number(spec, rest, int) if rest else None)
    if kind == DIAL and rest:
        return _by_dial(dataset, spec)
    if kind == WHOLE and rest in ("A", "B"):
        return Split(spec, **{"A": (), "B": (), rest: dataset.classes})
    raise TransferlibError(f"unknown split {spec!r}: expected {FORMS}")


def _by_kind(dataset: Dataset | Catalogue, spec: str, seed: int | float | None) -> Split:
    natural, manmade = _sides(dataset)
    if seed is not None:
        size = min(len(natural), len(manmade))
        natural, manmade = (shuffled(side, f"{spec}")[:size] for side in (natural, manmade))
    return Split(spec, tuple(sorted(natural)), tuple(sorted(manmade)))


def _sides(dataset: Dataset | Catalogue) -> tuple[list[str], list[str]]:
    """The classes of natural and of man-made things."""
    pairs = list(zip(dataset.classes, dataset.groups, strict=True))
    natural, manmade = ([c for c, group in pairs if group == kind] for kind in ("natural", "man-made"))
    if not natural or not manmade:
        raise TransferlibError(
            f"{dataset.name} does not say which classes are natural and which man-made: use random:SEED"
        )
    return natural, manmade


def _by_dial(dataset: Dataset | Catalogue, spec: str) -> Split:
    similarity_of(spec)
    halves = DATASETS[dataset.name].halves() if dataset.name in DATASETS else None
    if halves is None:
        raise TransferlibError(f"only {with_dial()} has a similarity dial, not {dataset.name}: use random:SEED")
    return Split(spec, *halves)
