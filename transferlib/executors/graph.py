"""A study as what it is to whoever has several workers: families, and the bases that they wait for."""

from __future__ import annotations

import dataclasses
import heapq
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
        resumes: whether a checkpoint of it waits.
        name: the plan's.
        attempts: how often it has been begun.
        share: how far it is, 0 to 1.
    """

    place: int
    plan: FamilyPlan
    cost: float
    waits_for: frozenset[str]
    resumes: bool = False
    attempts: int = 0
    share: float = 0.0

    def __post_init__(self) -> None:
        self.name = self.plan.name  # once: it is a hash of all that the family is

    @property
    def parts(self) -> int:
        """Into how many it can be divided at no cost: fine-tuned runs share nothing but their images."""
        begun = self.resumes or self.attempts
        return len(self.plan.treatments) if self.plan.family.fine_tuned and not begun else 1

    def apart(self) -> list[Work]:
        """Its runs, each on its own."""
        cost = self.cost / len(self.plan.treatments)
        return [dataclasses.replace(self, plan=plan, cost=cost) for plan in self.plan.singly()]


@dataclass
class Graph:
    """What a store lacks of a study; the dearest family that can be trained comes first (list scheduling).

    Attributes:
        waiting: families that nobody trains yet.
        under_way: those that are handed out, by name.
        failed: those that are given up, with the reason.
        total: the cost of all that was lacking.
    """

    waiting: list[Work]
    under_way: dict[str, Work] = field(default_factory=dict)
    failed: list[tuple[Work, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.total = sum(work.cost for work in self.waiting)

    @classmethod
    def of(cls, study: Study, trainer: Trainer) -> Graph:
        """What a trainer's store lacks of an opened study."""
        return cls([*_lacking(study.families(), trainer)])

    @classmethod
    def whole(cls, study: Study) -> Graph:
        """All of a study, as a store sees it that has nothing of it."""
        return cls([_work(place, plan) for place, plan in enumerate(study.families())])

    @property
    def open(self) -> bool:
        """Whether anything is left to do, or being done."""
        return bool(self.waiting or self.under_way)

    @property
    def width(self) -> int:
        """How many trainings can be under way at once, at most."""
        return max(sum(work.parts for work in self.waiting if bool(work.waits_for) is late) for late in (False, True))

    @property
    def left(self) -> float:
        """The cost of what is still to be trained."""
        return sum(work.cost * (1 - work.share) for work in (*self.waiting, *self.under_way.values()))

    def take(self, workers: int) -> Work | None:
        """The dearest family that waits for nothing; None where all that is left waits.

        Where the workers would wait for it, having nothing else to do, one run of it, and the others are taken apart.
        """
        unfinished = {work.name for work in self.waiting} | self.under_way.keys()
        ready = [work for work in self.waiting if not work.waits_for & unfinished]
        if not ready:
            return None
        chosen = max(ready, key=lambda work: work.cost)
        alone = chosen.parts > 1 and chosen.cost > self.left / workers
        self.waiting.remove(chosen)
        if alone:
            chosen, *others = chosen.apart()
            self.waiting += others
        self.under_way[chosen.name] = chosen
        chosen.attempts += 1
        return chosen

    def finish(self, work: Work) -> None:
        """A family is in the store."""
        del self.under_way[work.name]

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


def _lacking(plans: Sequence[FamilyPlan], trainer: Trainer) -> Iterator[Work]:
    begun, bases = trainer.store.checkpoints(), _without_weights(plans, trainer)
    for place, plan in enumerate(plans):
        if missing := trainer.missing(plan) or [*plan.treatments] * (plan.name in bases):
            alone = [one for one in plan.only(missing).singly() if one.name in begun]
            together = plan.only(t for t in missing if t not in [one.treatments[0] for one in alone])
            for part in (*alone, *([together] if together.treatments else [])):
                yield _work(place, part, resumes=part.name in begun)


def _work(place: int, plan: FamilyPlan, resumes: bool = False) -> Work:
    needed = frozenset(other.name for other in (plan.source_base, plan.heads) if other)
    return Work(place, plan, images_of(plan.study) * base_equivalents(plan), needed, resumes)


def lacking(plan: FamilyPlan, trainer: Trainer) -> bool:
    """Whether a store lacks runs of a family, or a base's weights."""
    return bool(trainer.missing(plan)) or (plan.is_base and not trainer.has_weights(plan))


def _without_weights(plans: Sequence[FamilyPlan], trainer: Trainer) -> set[str]:
    """The names of bases whose results came without their weights, which a lacking family copies."""
    wanted = {plan.source_base for plan in plans if plan.source_base and trainer.missing(plan)}
    return {base.name for base in wanted if not trainer.has_weights(base)}


def makespan(graph: Graph, workers: int) -> tuple[float, Work | None]:
    """How long a graph takes, in the unit of its costs, and which training ends last (list scheduling)."""
    now, ends, last = 0.0, [], None
    while graph.open:
        for end, name in ends:
            work = graph.under_way[name]
            work.share = 1 - (end - now) / work.cost
        while len(ends) < workers and (chosen := graph.take(workers)):
            heapq.heappush(ends, (now + chosen.cost, chosen.name))
        now, name = heapq.heappop(ends)
        last = graph.under_way[name]
        graph.finish(last)
    return now, last
