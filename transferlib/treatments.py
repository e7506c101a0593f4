"""The paper's notation, ``base``, ``A3B``, ``B3B``, ``A3B+``, ``B3B+``, ``R3B``: one type that parses and prints it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from transferlib.errors import TransferlibError

Kind = Literal["base", "AnB", "BnB", "RnB"]
DEPTHS: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)  # layer 8 names the classes and can't be copied
FAMILIES: tuple[str, ...] = ("base", "BnB", "AnB", "BnB+", "AnB+", "RnB")


@dataclass(frozen=True, order=True)
class Treatment:
    """What was done to a network before it was trained on its target (the paper's section 2).

    ``kind`` says where the first ``n`` layers come from: the source's base (``AnB``), the target's own base
    (``BnB``, the selffer control), an untrained network (``RnB``), or nowhere (``base``, ``n`` = 0).
    ``fine_tuned`` is the paper's ``+``: the copied layers are trained too, instead of frozen.

    Raises:
        TransferlibError: for an ``n`` outside 1..7, or a ``+`` that has no meaning.

    >>> str(Treatment("AnB", 3, fine_tuned=True))
    'A3B+'
    """

    kind: Kind
    n: int = 0
    fine_tuned: bool = False

    def __post_init__(self) -> None:
        if self.kind == "base" and (self.n or self.fine_tuned):
            raise TransferlibError("a base copies nothing: expected n = 0 and no +")
        if self.kind != "base" and self.n not in DEPTHS:
            raise TransferlibError(f"expected n in 1..7, got {self.n}")
        if self.kind == "RnB" and self.fine_tuned:
            raise TransferlibError(f"R{self.n}B+ is a base: random layers that are trained are an ordinary start")

    @classmethod
    def parse(cls, text: str) -> Treatment:
        """Read the paper's notation of one run, such as ``base`` or ``A3B+``.

        >>> Treatment.parse("B5B")
        Treatment(kind='BnB', n=5, fine_tuned=False)
        """
        if text == "base":
            return cls("base")
        match = re.fullmatch(r"([ABR])(0|[1-9][0-9]{0,8})B(\+?)", text)
        if not match:
            raise TransferlibError(
                f"unknown treatment {text!r}: expected base, A3B, B3B, A3B+, B3B+ or R3B, with n in 1..7"
            )
        kinds: dict[str, Kind] = {"A": "AnB", "B": "BnB", "R": "RnB"}
        return cls(kinds[match[1]], int(match[2]), match[3] == "+")

    def __str__(self) -> str:
        if self.kind == "base":
            return "base"
        return self.kind.replace("n", str(self.n)) + "+" * self.fine_tuned

    @property
    def family(self) -> str:
        """The family's name in the paper's notation, such as ``AnB+``."""
        return self.kind + "+" * self.fine_tuned

    @property
    def frozen(self) -> int:
        """How many layers, counted from the image, keep every byte of their state while the rest is trained."""
        return 0 if self.fine_tuned else self.n


def family(name: str) -> tuple[Treatment, ...]:
    """All runs of a family, n = 1..7.

    >>> [str(treatment) for treatment in family("RnB")][:3]
    ['R1B', 'R2B', 'R3B']
    """
    if name not in FAMILIES:
        raise TransferlibError(f"unknown family {name!r}: expected one of {', '.join(FAMILIES)}")
    if name == "base":
        return (Treatment("base"),)
    return tuple(Treatment.parse(name.replace("n", str(n))) for n in DEPTHS)


def parse_treatments(text: str) -> tuple[Treatment, ...]:
    """Read a comma-separated list of families and single runs; each run stands in it once, in order of mention.

    >>> [str(treatment) for treatment in parse_treatments("base,A2B,A2B")]
    ['base', 'A2B']
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise TransferlibError("no treatment named: expected a list such as base,BnB,A3B+")
    found = [t for word in words for t in (family(word) if word in FAMILIES else (Treatment.parse(word),))]
    return tuple(dict.fromkeys(found))
