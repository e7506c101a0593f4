"""One family after another, in this process."""

from __future__ import annotations

from collections.abc import Sequence

from transferlib.execution import Execution
from transferlib.executors.executor import Offer
from transferlib.speed import speeds
from transferlib.study import Study
from transferlib.trainer import Trainer


class Serial:
    """The default."""

    name = "serial"
    about = "one family after another"

    def run(self, trainer: Trainer, study: Study) -> None:
        """Train every family that the store lacks; those that another process is training are waited for at the end."""
        for plan in [plan for plan in study.families() if not trainer.ensure(plan, wait=False)]:
            trainer.ensure(plan)

    def offer(self, studies: Sequence[Study], execution: Execution) -> Offer:
        """One worker, this process."""
        return Offer(speeds(studies, execution))
