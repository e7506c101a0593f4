"""How far a long piece of work is: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

from transferlib.names import printable

LOG_SECONDS = 30.0


def clock(seconds: float) -> str:
    """A duration as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Log:
    """A text stream that never stops the work: what can't be written, on a full disk or a lost line, is lost."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr  # None where the shell has closed it

    def write(self, text: str) -> None:
        """Write, or don't."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except (AttributeError, OSError, ValueError):  # no stream, a broken or a closed one
            return

    def flush(self) -> None:
        """Nothing is left to flush."""

    def isatty(self) -> bool:
        """Whether a person is likely to look on."""
        try:
            return self.stream.isatty()
        except (AttributeError, ValueError):
            return False

    def fileno(self) -> int:
        """The stream's descriptor, by which a bar finds the terminal's width."""
        return self.stream.fileno()

    def width(self) -> int:
        """How many characters fit on a line of the terminal; the last column would wrap."""
        try:
            columns = os.get_terminal_size(self.fileno()).columns or 80  # 0 where nobody has told it
            return max(columns - 1, 1)
        except (OSError, ValueError, AttributeError):
            return 79


def say(text: str, stream: TextIO | None = None) -> None:
    """A line for a person, whatever becomes of warnings; it stops nothing where it can't be written."""
    log = Log(stream)
    log.write(("\r\x1b[K" if log.isatty() else "") + f"{printable(text)}\n")  # over a live line, if there is one


@contextmanager
def counted(total: int | None, title: str | None, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Count pieces of work; yields what is to be called with the number of each few that are done.

    Args:
        total: how many there are, None where that is not known.
        title: what is done; None shows nothing.
        unit: what is counted, ``images`` or ``B``.
        done: how many were done before.
    """
    log = Log()
    if title is None or not log.isatty():
        yield _Lines(log, title, total, unit, done).add
        return
    how = {"unit": unit if unit == "B" else f" {unit}", "unit_scale": unit == "B", "dynamic_ncols": True}
    title, room = printable(title), log.width() // 3
    short = title if len(title) <= room else f"…{title[1 - room :]}"
    with tqdm(total=total, initial=done, desc=short, file=log, **how) as bar:

        def add(count: int) -> None:
            bar.update(count)

        yield add


class _Lines:
    def __init__(self, log: Log, title: str | None, total: int | None, unit: str, done: int) -> None:
        self.log, self.title, self.total, self.unit, self.done, self.before = log, title, total, unit, done, done
        self.started = self.last = time.monotonic()

    def add(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if self.title is not None and now - self.last >= LOG_SECONDS:
            self.last = now
            self.log.write(f"{printable(self.title)}: {self._how_far(now)}\n")

    def _how_far(self, now: float) -> str:
        if self.total is None:
            return f"{self.done:,} {self.unit}"
        left = (self.total - self.done) * (now - self.started) / max(self.done - self.before, 1)
        return f"{self.done:,} of {self.total:,} {self.unit}, {clock(left)} left"
