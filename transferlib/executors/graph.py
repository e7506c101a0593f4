"""A study as what it is to whoever has several workers: families, and the bases that they wait for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from transferlib.costs import base_equivalents, images_of
from transferlib.errors import TransferlibError
from transferlib.study import FamilyPlan, Study
from transferlib.trainer import Trainer

ATTEMPTS = 3  # of a family whose workers die


class Incomplete(TransferlibError):
    """Some families could not be trained; the others are in the store."""

    exit_code = 1


@dataclass
class Work:
    """A family that the store lacks.

    Attributes:
        place: of the family among the study's.
        plan: the runs of it that are lacking.
        cost: training images that a base of the same cost would see.
        waits_for: the names of families that must be there first.
        attempts: how often it has been begun.
    """

    place: int
    plan: FamilyPlan
    cost: float
    waits_for: frozenset[str]
    attempts: int = 0

    @property
    def name(self) -> str:
        """The family's."""
        return self.plan.name


@dataclass
class Graph:
    """What a store lacks of a study; the dearest family that can be trained comes first (list scheduling).

    Attributes:
        waiting: families that nobody trains yet.
        under_way: those that are handed out, by name.
        failed: those that are given up, with the reason.
        done: the cost of what was finished since the beginning.
        total: the cost of all that was lacking.
    """

    waiting: list[Work]
    under_way: dict[str, Work] = field(default_factory=dict)
    failed: list[tuple[Work, str]] = field(default_factory=list)
    done: float = 0.0

    def __post_init__(self) -> None:
        self.total = sum(work.cost for work in self.waiting)

    @classmethod
    def of(cls, study: Study, trainer: Trainer) -> Graph:
        """What a trainer's store lacks of an opened study."""
        return cls([*_lacking(study.families(), trainer)])

    @property
    def open(self) -> bool:
        """Whether anything is left to do, or being done."""
        return bool(self.waiting or self.under_way)

    @property
    def width(self) -> int:
        """How many families can be trained at once, at most."""
        return max(sum(not work.waits_for for work in self.waiting), sum(bool(work.waits_for) for work in self.waiting))

    def take(self) -> Work | None:
        """The dearest family that waits for nothing; None where all that is left waits."""
        ready = [work for work in self.waiting if not work.waits_for & self._unfinished]
        if not ready:
            return None
        chosen = max(ready, key=lambda work: work.cost)
        self.waiting.remove(chosen)
        self.under_way[chosen.name] = chosen
        chosen.attempts += 1
        return chosen

    def finish(self, work: Work) -> None:
        """A family is in the store."""
        del self.under_way[work.name]
        self.done += work.cost

    def again(self, work: Work) -> bool:
        """Take a family up again whose worker died; False where that has happened too often."""
        if work.attempts >= ATTEMPTS:
            return False
        self.waiting.append(self.under_way.pop(work.name))
        return True

    def give_up(self, work: Work, reason: str) -> None:
        """Go on without a family, and without those that wait for it."""
        self.under_way.pop(work.name, None)
        self.failed.append((work, reason))
        for other in [other for other in self.waiting if work.name in other.waits_for]:
            self.waiting.remove(other)
            self.give_up(other, f"{work.plan} is lacking")

    def check(self) -> None:
        """Say what is missing.

        Raises:
            Incomplete: where families were given up.
        """
        if self.failed:
            lines = "; ".join(f"{work.plan} ({reason})" for work, reason in self.failed)
            count = "1 family is" if len(self.failed) == 1 else f"{len(self.failed)} families are"
            raise Incomplete(f"{count} missing, the others are in the store: {lines}")

    @property
    def _unfinished(self) -> set[str]:
        return {work.name for work in self.waiting} | self.under_way.keys()


def _lacking(plans: Sequence[FamilyPlan], trainer: Trainer) -> Iterator[Work]:
    for place, plan in enumerate(plans):
        if missing := trainer.missing(plan):
            needed = frozenset(other.name for other in (plan.source_base, plan.heads) if other)
            part = plan.only(missing)
            yield Work(place, part, images_of(plan.study) * base_equivalents(part), needed)
