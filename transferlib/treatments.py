"""The paper's notation, ``base``, ``A3B``, ``B3B``, ``A3B+``, ``B3B+``, ``R3B``: one type that parses and prints it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from transferlib.errors import TransferlibError

if TYPE_CHECKING:
    import torch

    from transferlib.nets import Stack

SOURCES = ("other", "own", "random")
DEPTHS: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)  # layer 8 names the classes and can't be copied


@dataclass(frozen=True)
class Kind:
    """Where the first n layers come from: a row of ``KINDS``.

    Attributes:
        name: in the paper's notation, such as ``AnB``; its first letter stands for the source.
        source: the base of the ``other`` half, the target's ``own``, a ``random`` network, or none.
        layers: whose layers these are, in words.
        untunable: why its ``+`` would be no treatment of its own; empty where it is one.
        prepare: what is done to the source, drawing from a stream of its own, before its layers are copied.
    """

    name: str
    source: Literal["other", "own", "random"] | None
    layers: str
    untunable: str = ""
    prepare: Callable[[Stack, torch.Generator], None] | None = None


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("base", None, "trained from scratch", untunable="nothing is copied"),
        Kind("AnB", "other", "the other half's layers"),
        Kind("BnB", "own", "own layers"),
        Kind("RnB", "random", "random layers", untunable="random layers that are trained are an ordinary start"),
    )
}
PAPERS = tuple(KINDS)
FAMILIES: list[str] = ["base", "BnB", "AnB", "BnB+", "AnB+", "RnB"]  # in the order of the paper's figures


def register(kind: Kind) -> None:
    """Let studies name a kind of treatment of your own, such as ``SnB``; read again, it takes its former self's place.

    Raises:
        TransferlibError: for a name of the paper's, or not of that form; for an unknown source.
    """
    if kind.name in PAPERS or not re.fullmatch("[A-Z]nB", kind.name):
        raise TransferlibError(f"expected a kind named by a free letter, such as SnB, got {kind.name}")
    if kind.source not in SOURCES:
        raise TransferlibError(f"{kind.name}: expected a source among {', '.join(SOURCES)}, got {kind.source}")
    KINDS[kind.name] = kind
    names = [kind.name] if kind.untunable else [kind.name, f"{kind.name}+"]
    FAMILIES[:] = [*(name for name in FAMILIES if name.removesuffix("+") != kind.name), *names]


@dataclass(frozen=True, order=True)
class FamilyName:
    """The runs of one kind, frozen or fine-tuned, n = 1..7: a curve of the paper's figure 2.

    >>> str(FamilyName("AnB", fine_tuned=True)), FamilyName("RnB").freezes
    ('AnB+', True)
    """

    kind: str
    fine_tuned: bool = False

    @classmethod
    def parse(cls, text: str) -> FamilyName:
        """Read a family's name, such as ``AnB+``.

        Raises:
            TransferlibError: for an unknown one.
        """
        if text not in FAMILIES:
            raise TransferlibError(f"unknown family {text!r}: expected one of {', '.join(FAMILIES)}")
        return cls(text.removesuffix("+"), text.endswith("+"))

    def __str__(self) -> str:
        return self.kind + "+" * self.fine_tuned

    @property
    def is_base(self) -> bool:
        """Whether it copies nothing."""
        return KINDS[self.kind].source is None

    @property
    def freezes(self) -> bool:
        """Whether what is copied stays as it is."""
        return not (self.is_base or self.fine_tuned)

    @property
    def treatments(self) -> tuple[Treatment, ...]:
        """All of its runs.

        >>> [str(treatment) for treatment in FamilyName("RnB").treatments][:3]
        ['R1B', 'R2B', 'R3B']
        """
        depths = (0,) if self.is_base else DEPTHS
        return tuple(Treatment(self.kind, n, self.fine_tuned) for n in depths)

    @property
    def meaning(self) -> str:
        """For a legend, such as ``AnB+: the other half's layers, fine-tuned``."""
        fate = "" if self.is_base else ", fine-tuned" if self.fine_tuned else ", frozen"
        return f"{self}: {KINDS[self.kind].layers}{fate}"


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

    kind: str
    n: int = 0
    fine_tuned: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TransferlibError(f"unknown kind {self.kind!r}: expected one of {', '.join(KINDS)}")
        if self.family.is_base and (self.n or self.fine_tuned):
            raise TransferlibError("a base copies nothing: expected n = 0 and no +")
        if not self.family.is_base and self.n not in DEPTHS:
            raise TransferlibError(f"expected n in 1..7, got {self.n}")
        if self.fine_tuned and KINDS[self.kind].untunable:
            raise TransferlibError(f"{self} is a base: {KINDS[self.kind].untunable}")

    @classmethod
    def parse(cls, text: str) -> Treatment:
        """Read the paper's notation of one run, such as ``base`` or ``A3B+``.

        >>> Treatment.parse("B5B")
        Treatment(kind='BnB', n=5, fine_tuned=False)
        """
        if text == "base":
            return cls("base")
        match = re.fullmatch(r"([A-Z])(0|[1-9][0-9]{0,8})B(\+?)", text)
        if not match or f"{match[1]}nB" not in KINDS:
            raise TransferlibError(
                f"unknown treatment {text!r}: expected base, A3B, B3B, A3B+, B3B+ or R3B, with n in 1..7"
            )
        return cls(f"{match[1]}nB", int(match[2]), match[3] == "+")

    def __str__(self) -> str:
        return str(self.family).replace("n", str(self.n))

    @property
    def family(self) -> FamilyName:
        """The family that it is a run of."""
        return FamilyName(self.kind, self.fine_tuned)

    @property
    def frozen(self) -> int:
        """How many layers, counted from the image, keep every byte of their state while the rest is trained."""
        return 0 if self.fine_tuned else self.n


def parse_treatments(text: str) -> tuple[Treatment, ...]:
    """Read a comma-separated list of families and single runs; each run stands in it once, in order of mention.

    >>> [str(treatment) for treatment in parse_treatments("base,A2B,A2B")]
    ['base', 'A2B']
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise TransferlibError("no treatment named: expected a list such as base,BnB,A3B+")
    return tuple(dict.fromkeys(treatment for word in words for treatment in _named(word)))


def _named(word: str) -> tuple[Treatment, ...]:
    return FamilyName.parse(word).treatments if word in FAMILIES else (Treatment.parse(word),)
