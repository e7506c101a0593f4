"""What a worker of a Ray cluster does: it trains one family in a small store of its own, which travels back."""

from __future__ import annotations

import dataclasses
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from transferlib.errors import TransferlibError
from transferlib.execution import Execution, execution, versions
from transferlib.executors.messages import Given, Order, Told
from transferlib.speed import speeds
from transferlib.store import Store
from transferlib.study import FamilyPlan, Study
from transferlib.trainer import Event, Note, Progress, Stop, Stopped, Trainer

TELL_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """What a worker is told for a whole study.

    Attributes:
        name: of the study on the cluster, another one each time.
        given: the study, without its data.
        made_with: the versions where it was begun.
        shared: whether the store's folder is the same here.
    """

    name: str
    given: Given
    made_with: dict[str, str]
    shared: bool


@dataclass(frozen=True)
class Begun:
    """A worker has begun a family, on a machine of this name."""

    host: str


Said = Told | Note | Begun


SAYINGS: dict[str, type] = {kind.__name__: kind for kind in (Told, Note, Begun)}


def board() -> type:
    """The class of an actor: workers write on it how far they are, and read whether to stop.

    It travels as it is, and its words are plain, so that its process begins without PyTorch.
    """

    class Board:
        def __init__(self) -> None:
            self.said: list[Any] = []
            self.stopped = False

        def tell(self, *words: Any) -> bool:
            """Write something of a family; True where the study is to stop."""
            self.said.append(words)
            return self.stopped

        def heard(self) -> list[Any]:
            """What was written since."""
            said, self.said = self.said, []
            return said

        def halt(self) -> None:
            """Let all stop at their next word."""
            self.stopped = True

    return Board


class _Teller:
    """A reporter that writes on the board, not too often, and stops its trainer where the board says so."""

    def __init__(self, tell: Callable[[Said], bool], stop: Stop) -> None:
        self.tell, self.stop, self.last = tell, stop, 0.0

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Note):
            self.say(event)
        elif isinstance(event, Progress) and (now - self.last > TELL_SECONDS or event.done == event.total):
            self.last = now
            self.say(Told.of(event))

    def say(self, said: Said) -> None:
        if self.tell(said):
            self.stop.set()


def train(task: Task, order: Order, name: str, board: Any, *files: dict[str, bytes]) -> dict[str, bytes]:
    """Train a family; what it has made, or where it was stopped.

    Args:
        task: the study.
        order: which of its runs.
        name: of what is trained, for lock and checkpoint.
        board: the actor.
        files: of a store: the weights that are copied from, and where the family was left; none where it is shared.
    """
    import ray

    stop = Stop()
    teller = _Teller(
        lambda said: ray.get(board.tell.remote(name, type(said).__name__, dataclasses.astuple(said))), stop
    )
    teller.say(Begun(socket.gethostname()))
    must_match(task.made_with, versions(), socket.gethostname())  # a machine that has joined since all were asked
    if stop.is_set():
        return {}
    torch.set_num_threads(task.given.threads)
    with tempfile.TemporaryDirectory(prefix="transferlib-") as folder:
        store = Store(task.given.store if task.shared else folder)
        for some in files:
            store.unpack(some)
        seconds, kept = task.given.checkpoint_seconds, set(task.given.kept)
        trainer = Trainer(store, here(task.given.execution, ray.get_gpu_ids()), teller, seconds, stop, kept=kept)
        plan = order.among(_families(task))
        with suppress(Stopped):
            trainer.ensure(plan)
        return {} if task.shared else store.packed([plan.name, *plan.run_keys])


_opened: dict[str, Sequence[FamilyPlan]] = {}  # of the last study: a worker process trains one family after another


def _families(task: Task) -> Sequence[FamilyPlan]:
    if task.name not in _opened:
        _opened.clear()
        _opened[task.name] = task.given.families()
    return _opened[task.name]


def must_match(made_with: dict[str, str], found: dict[str, str], host: str) -> None:
    """Refuse a machine with another transferlib.

    Raises:
        TransferlibError: which names it.
    """
    if found["transferlib"] != made_with["transferlib"]:
        raise TransferlibError(
            f"{host} has transferlib {found['transferlib']}, and here it is {made_with['transferlib']}: install the "
            "same on all machines"
        )


def here(chosen: Execution, gpus: Sequence[object]) -> Execution:
    """What a person has asked for, on this machine, with the GPUs that Ray has given a task."""
    device, precision = chosen.asked
    return execution(device or ("cuda" if gpus else "cpu"), precision, chosen.compiled)


def speeds_here(studies: Sequence[Study], chosen: Execution, threads: int) -> tuple[str, dict[str, float]]:
    """What a worker trains on, and how many images a second of each study's network."""
    import ray

    torch.set_num_threads(threads)
    execution = here(chosen, ray.get_gpu_ids())
    return execution.device_name, speeds(studies, execution)
