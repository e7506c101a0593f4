"""All cores or all GPUs of this machine: a process for each, which trains one family after another."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler

import psutil
import torch

from transferlib.errors import TransferlibError
from transferlib.execution import Execution
from transferlib.executors.executor import Offer
from transferlib.executors.graph import Graph, Work
from transferlib.executors.messages import Ended, Given, Order, Told
from transferlib.executors.overall import Overall, while_training
from transferlib.executors.worker import work
from transferlib.speed import speeds
from transferlib.study import Study
from transferlib.trainer import Note, Stopped, Trainer

LISTEN_SECONDS = 0.5
STOP_SECONDS = 60.0  # that a worker has for its step and its checkpoint


@dataclass(frozen=True)
class Processes:
    """As many worker processes as there are GPUs, or else cores; each with its share of the threads.

    Attributes:
        workers: how many; as many as can be of use by default.
    """

    workers: int | None = None
    name = "processes"
    about = "all cores or GPUs of this machine"

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise TransferlibError(f"expected at least 1 worker, got {self.workers}")

    def run(self, trainer: Trainer, study: Study) -> None:
        """Train every family that the store lacks."""
        graph = Graph.of(study, trainer)
        if not graph.open:
            return
        asked = self._asked(trainer.execution)
        # as many threads however few families are left: a run's numbers depend on them
        given = Given.of(trainer, study, threads=_threads(asked))
        _must_travel(given)
        with _begun(min(asked, graph.width), given) as workers, while_training(trainer):
            _direct(workers, graph, trainer)
        graph.check()

    def _asked(self, execution: Execution) -> int:
        return self.workers or _places(execution)

    def offer(self, studies: Sequence[Study], execution: Execution) -> Offer:
        """As many workers as one asks for, each as fast as one with its share of the threads is alone."""
        asked, before = self._asked(execution), torch.get_num_threads()
        torch.set_num_threads(_threads(asked))
        found = speeds(studies, execution)
        torch.set_num_threads(before)
        return Offer(found, asked, (f"workers    {asked}, {_threads(asked)} threads each",))


def _threads(workers: int) -> int:
    return max(1, _cores() // workers)


def _cores() -> int:
    """The physical cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def _places(execution: Execution) -> int:
    return torch.cuda.device_count() if execution.device.type == "cuda" else _cores()


def _must_travel(given: Given) -> None:
    """Find out whether the study can be sent to another process, before one is begun."""
    try:
        ForkingPickler.dumps(given)
    except Exception as error:  # of whatever kind: it depends on the version of Python
        raise TransferlibError(
            f"the study can't be sent to another process ({error}): define what it is made of at the top level of a "
            "module, or take --executor serial"
        ) from error


# workers


class _Worker:
    """A process, as it is seen from here.

    Attributes:
        number: from 1, which stays when it dies and another takes its place.
        work: what it trains.
    """

    def __init__(self, number: int, given: Given) -> None:
        self.number, self.given, self.work = number, given, None
        self.begin()

    def begin(self) -> None:
        """Start the process."""
        self.work: Work | None = None
        self.stopping = False
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        self.link, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self._own()), name=f"worker {self.number}")
        self.process.start()
        theirs.close()

    def _own(self) -> Given:
        execution, device = self.given.execution, self.given.execution.device
        if device.type == "cuda":
            one = torch.device("cuda", (self.number - 1) % torch.cuda.device_count())
            execution = dataclasses.replace(execution, device=one)
        return dataclasses.replace(self.given, execution=execution)

    def give(self, work: Work) -> None:
        """Let it train a family."""
        self.work = work
        with suppress(OSError):  # it has died: that is seen as for any other
            self.link.send(Order.of(work))

    def stop(self) -> None:
        """Ask it to stop after its step, with a checkpoint."""
        self.stopping = True
        with suppress(OSError):
            self.link.send(None)

    def heard(self) -> Iterator[object]:
        """What it has said since; ends with ``EOFError`` where it has died."""
        while self.link.poll():
            yield self.link.recv()

    def __str__(self) -> str:
        return f"worker {self.number} (process {self.process.pid})"


@contextmanager
def _begun(count: int, given: Given) -> Iterator[list[_Worker]]:
    """Some workers; afterwards none of them is left, whatever happened."""
    workers: list[_Worker] = []
    try:
        for number in range(1, count + 1):
            workers.append(_Worker(number, given))
        yield workers
    finally:
        for worker in workers:
            worker.link.close()  # which an idle worker ends by, and a busy one after its step
        for worker in workers:
            worker.process.join(0.0 if worker.work else STOP_SECONDS)
            worker.process.kill()
            worker.process.join()


# who trains what


def _direct(workers: list[_Worker], graph: Graph, trainer: Trainer) -> None:
    """Give families to workers and hear what these say, until all is done or somebody asks to stop."""
    overall = Overall(graph, trainer)
    while graph.open:
        if trainer.stop.is_set():
            _stop(workers)
        else:
            _give(workers, graph)
        busy = [worker for worker in workers if worker.work]
        if not busy:
            break
        for worker in _talking(busy):
            _hear(worker, graph, trainer, overall)
        overall.tell()
    if trainer.stop.is_set():
        raise Stopped("stopped; what was under way has a checkpoint")


def _give(workers: list[_Worker], graph: Graph) -> None:
    for worker in workers:
        if worker.work is None and (chosen := graph.take(len(workers))):
            worker.give(chosen)


def _stop(workers: Iterable[_Worker]) -> None:
    for worker in workers:
        if not worker.stopping:
            worker.stop()


def _talking(workers: list[_Worker]) -> list[_Worker]:
    """Those that have said something, or died."""
    ready = wait([end for worker in workers for end in (worker.link, worker.process.sentinel)], LISTEN_SECONDS)
    return [worker for worker in workers if worker.link in ready or worker.process.sentinel in ready]


def _hear(worker: _Worker, graph: Graph, trainer: Trainer, overall: Overall) -> None:
    try:
        for said in worker.heard():
            if isinstance(said, Note):
                trainer.report(said)
            elif isinstance(said, Told) and worker.work:
                overall.hear(worker.work, said, worker.number)
            elif isinstance(said, Ended):
                _end(worker, said, graph, trainer)
    except (EOFError, OSError):
        pass
    if not worker.process.is_alive():
        _bury(worker, graph, trainer)


def _end(worker: _Worker, said: Ended, graph: Graph, trainer: Trainer) -> None:
    assert worker.work
    done, worker.work = worker.work, None
    if said.error:
        trainer.report(Note(f"{done.plan}: {said.error}"))
        graph.give_up(done, said.error.splitlines()[0])
    elif said.stopped:
        graph.again(done)
    else:
        graph.finish(done)


def _bury(worker: _Worker, graph: Graph, trainer: Trainer) -> None:
    """Name a worker that has died, and put another into its place."""
    lost = worker.work
    if lost is None or worker.stopping:
        worker.work = None
        return
    how = f"{worker} has died ({_cause(worker.process.exitcode)})"
    if graph.again(lost):
        trainer.report(Note(f"{how}: {lost.plan} is taken up again, attempt {lost.attempts + 1}"))
    else:
        trainer.report(Note(f"{how}: {lost.plan} is given up after {lost.attempts} attempts, the study goes on"))
        graph.give_up(lost, f"its worker died {lost.attempts} times")
    worker.link.close()
    worker.begin()


def _cause(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
