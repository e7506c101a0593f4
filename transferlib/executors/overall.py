"""How far a study is that several workers train."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager

from transferlib.executors.graph import Graph, Work
from transferlib.executors.messages import Told
from transferlib.trainer import Progress, Total, Trainer

TOLD = 0.01  # of a study, before which its speed tells nothing of its length


class Overall:
    """Passes on what workers tell, and sums it up by the costs of families.

    Args:
        graph: what is to be done.
        trainer: whose reporter is told.
    """

    def __init__(self, graph: Graph, trainer: Trainer) -> None:
        self.graph, self.report, self.started = graph, trainer.report, time.monotonic()

    def hear(self, work: Work, said: Told, worker: int) -> None:
        """How far a worker is with a family."""
        work.share = said.done / said.total
        self.report(Progress(work.plan, *dataclasses.astuple(said), worker=worker))

    def tell(self) -> None:
        """Report how far all is, and how long the rest takes at the speed so far."""
        share = 1 - self.graph.left / self.graph.total
        if share > TOLD:
            spent = time.monotonic() - self.started
            self.report(Total(share, spent * (1 - share) / share))


@contextmanager
def while_training(trainer: Trainer) -> Iterator[None]:
    """The first Ctrl-C is a wish from here on: workers have a step and a checkpoint to make."""
    trainer.stop.training = True
    try:
        yield
    finally:
        trainer.stop.training = False
