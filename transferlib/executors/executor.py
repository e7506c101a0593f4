"""Who trains which family when: what an executor is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from transferlib.study import Study
from transferlib.trainer import Trainer


@dataclass(frozen=True)
class Offer:
    """What an executor has to train with; some have a method ``offer`` that finds it out for ``doctor``.

    Attributes:
        speeds: training images per second of a base on one worker, by the network's name.
        workers: families under way at once.
        about: lines to tell of it.
        where: this is, in a word.
    """

    speeds: Mapping[str, float]
    workers: int = 1
    about: tuple[str, ...] = ()
    where: str = "here"


class Executor(Protocol):
    """A way to get a study trained. Families are independent of one another once their bases are there."""

    name: str
    about: str  # for --help

    def run(self, trainer: Trainer, study: Study) -> None:
        """Train every family of an opened study that the trainer's store lacks."""
