"""What a person sees while a study trains: one live line per family on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

from transferlib.study import Progress

LIVE_SECONDS = 0.5
LOG_SECONDS = 30.0


def clock(seconds: float) -> str:
    """A duration as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def progress_line(progress: Progress) -> str:
    """One line: the family, how far it is, its speed and the time left."""
    runs = len(progress.plan.treatments)
    return (
        f"{progress.plan!s:<34} {runs} run{'s' * (runs > 1):<1}  {progress.done:>6}/{progress.total} steps  "
        f"{progress.images_per_second:>7,.0f} images/s  {clock(progress.seconds_left):>7} left"
    )


@dataclass
class LineReporter:
    """A reporter for ``run_study`` that writes to a stream, the standard error by default."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _last: float = 0.0

    def __call__(self, event: str, detail: object) -> None:
        """Write an event, if it is time to."""
        if event == "note":
            self._write(str(detail), live=False)
        elif isinstance(detail, Progress):
            self._progress(detail)

    def _progress(self, progress: Progress) -> None:
        live, now = self.stream.isatty(), time.monotonic()
        finished = progress.done == progress.total
        if finished or now - self._last >= (LIVE_SECONDS if live else LOG_SECONDS):
            self._last = now
            self._write(progress_line(progress), live=live and not finished)

    def _write(self, line: str, live: bool) -> None:
        start = "\r\x1b[K" if self.stream.isatty() else ""
        self.stream.write(start + line + ("" if live else "\n"))
        self.stream.flush()
