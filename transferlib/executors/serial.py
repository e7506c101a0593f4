"""One family after another, in this process."""

from __future__ import annotations

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
