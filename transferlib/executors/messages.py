"""What is said between whoever hands out families and those that train them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transferlib.errors import TransferlibError
from transferlib.execution import Execution
from transferlib.executors.graph import Work
from transferlib.nets import NetworkSpec, network
from transferlib.nets.registry import NETWORKS
from transferlib.study import FamilyPlan, Study
from transferlib.trainer import Progress, Trainer
from transferlib.treatments import KINDS, Kind, Treatment


@dataclass(frozen=True)
class Given:
    """What a worker knows from its start.

    Attributes:
        study: without its data, which the worker opens itself.
        network: of the study: one that was registered elsewhere is none of those that this process knows.
        kinds: of its treatments, likewise.
        store: its folder.
        execution: the device and its number format.
        threads: that PyTorch may use.
        checkpoint_seconds: how much training a kill may cost.
        kept: the keys of runs whose weights are wanted.
    """

    study: Study
    network: NetworkSpec
    kinds: tuple[Kind, ...]
    store: Path
    execution: Execution
    threads: int
    checkpoint_seconds: float
    kept: frozenset[str]

    @classmethod
    def of(cls, trainer: Trainer, study: Study, threads: int) -> Given:
        """What a trainer here would do with a study, elsewhere."""
        return cls(
            study=_without_data(study),
            network=network(study.network),
            kinds=tuple(KINDS[name] for name in sorted({t.kind for t in study.treatments})),
            store=trainer.store.folder,
            execution=trainer.execution,
            threads=threads,
            checkpoint_seconds=trainer.checkpoint_seconds,
            kept=frozenset(trainer.kept),
        )

    def families(self) -> Sequence[FamilyPlan]:
        """The study's families, with the data that this machine has."""
        NETWORKS.setdefault(self.network.name, self.network)
        for kind in self.kinds:
            KINDS.setdefault(kind.name, kind)
        return self.study.opened().families()


def _without_data(study: Study) -> Study:
    source = _without_data(study.source) if isinstance(study.source, Study) else study.source
    return dataclasses.replace(study, source=source, snapshot=None)


@dataclass(frozen=True)
class Order:
    """Train these runs of the study's family at a place.

    Attributes:
        place: of the family among the study's.
        treatments: of the runs.
        keys: of the runs.
        alone: whether it is one run that is trained apart from its family.
    """

    place: int
    treatments: tuple[Treatment, ...]
    keys: tuple[str, ...]
    alone: bool

    @classmethod
    def of(cls, work: Work) -> Order:
        """For a family that is lacking."""
        return cls(work.place, work.plan.treatments, tuple(work.plan.run_keys), work.plan.alone)

    def among(self, families: Sequence[FamilyPlan]) -> FamilyPlan:
        """The runs that are meant, among a worker's own families.

        Raises:
            TransferlibError: where its data are others.
        """
        plan = dataclasses.replace(families[self.place], treatments=self.treatments, alone=self.alone)
        if tuple(plan.run_keys) != self.keys:
            raise TransferlibError(f"the data of {plan} are others here than where the study was opened")
        return plan


@dataclass(frozen=True)
class Told:
    """How far a worker is, as ``trainer.Progress``."""

    done: int
    total: int
    images_per_second: float
    seconds_left: float

    @classmethod
    def of(cls, progress: Progress) -> Told:
        """Without the plan, which both ends know."""
        return cls(progress.done, progress.total, progress.images_per_second, progress.seconds_left)


def why(error: BaseException) -> str:
    """An error in one line, with its kind where no user can mend it."""
    first = (str(error).strip().splitlines() or [""])[0]
    return first if isinstance(error, TransferlibError) else f"{type(error).__name__}: {first}"


@dataclass(frozen=True)
class Ended:
    """How an order ended: ``error`` says why it failed, None where it did not; ``stopped`` by request."""

    error: str | None = None
    stopped: bool = False
