"""Who trains which family when: what an executor is."""

from __future__ import annotations

from typing import Protocol

from transferlib.study import Study
from transferlib.trainer import Trainer


class Executor(Protocol):
    """A way to get a study trained. Families are independent of one another once their bases are there."""

    name: str
    about: str  # for --help

    def run(self, trainer: Trainer, study: Study) -> None:
        """Train every family of an opened study that the trainer's store lacks."""
