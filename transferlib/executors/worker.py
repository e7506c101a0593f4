"""What a worker process does: it trains the families that it is told to, and says how far it is."""

from __future__ import annotations

import queue
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection

import torch

from transferlib.errors import TransferlibError
from transferlib.executors.messages import Ended, Given, Order, Told, why
from transferlib.store import Store
from transferlib.study import FamilyPlan
from transferlib.trainer import Event, Note, Progress, Stop, Stopped, Trainer

TELL_SECONDS = 0.5


def work(link: Connection, given: Given) -> None:
    """Train what is ordered through a pipe, until it is closed: then what is being trained stops with a checkpoint."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # a terminal's Ctrl-C reaches all: whoever began this stops it
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(given.threads)
    if given.execution.device.index is not None:
        torch.cuda.set_device(given.execution.device)
    orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
    stop = Stop()
    threading.Thread(target=_listen, args=(link, orders, stop), daemon=True).start()
    seconds, kept = given.checkpoint_seconds, set(given.kept)
    trainer = Trainer(Store(given.store), given.execution, _Teller(link), seconds, stop, kept=kept)
    families: Sequence[FamilyPlan] = ()
    while order := orders.get():
        families, ended = _obey(trainer, given, families, order)
        link.send(ended)


def _obey(
    trainer: Trainer, given: Given, families: Sequence[FamilyPlan], order: Order
) -> tuple[Sequence[FamilyPlan], Ended]:
    """Train what is ordered; the study is opened at the first order."""
    try:
        families = families or given.families()
        trainer.ensure(order.among(families))
    except Stopped:
        return families, Ended(stopped=True)
    except TransferlibError as error:
        return families, Ended(why(error))
    except Exception as error:
        return families, Ended(f"{why(error)}\n{traceback.format_exc()}")
    return families, Ended()


def _listen(link: Connection, orders: queue.SimpleQueue[Order | None], stop: Stop) -> None:
    """Pass orders on, beside the training; without an order, or without anybody at the other end, stop."""
    try:
        while order := link.recv():
            orders.put(order)
    except (EOFError, OSError):
        pass
    stop.set()
    orders.put(None)


class _Teller:
    """A reporter that writes into a pipe, not too often."""

    def __init__(self, link: Connection) -> None:
        self.link, self.last = link, 0.0

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Note):
            self.link.send(event)
        elif isinstance(event, Progress) and (now - self.last > TELL_SECONDS or event.done == event.total):
            self.last = now
            self.link.send(Told.of(event))
