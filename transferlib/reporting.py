"""What a person sees while a study trains: a live line per worker on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from transferlib.names import printable
from transferlib.progress import LOG_SECONDS, Log, clock
from transferlib.trainer import Event, Note, Progress, Total

LIVE_SECONDS = 0.5


def progress_line(progress: Progress, width: int | None = None) -> str:
    """One line: the family, how far it is, the time left, its speed; what a terminal has no room for is left out.

    Args:
        progress: of the family.
        width: of the terminal in characters; without end by default.
    """
    runs = len(progress.plan.treatments)
    parts = {
        **({"worker": f"worker {progress.worker:<3}"} if progress.worker else {}),
        "family": f"{progress.plan!s:<34}",
        "runs": f"{runs} run{'s' * (runs > 1):<1}",
        "steps": f"{progress.done:>6}/{progress.total} steps",
        "speed": f"{progress.images_per_second:>7,.0f} images/s",
        "left": f"{clock(progress.seconds_left):>7} left",
    }
    for dropped in ("runs", "speed", "family"):
        if width is not None and len("  ".join(parts.values())) > width:
            del parts[dropped]
    line = "  ".join(parts.values())
    return line if width is None or len(line) <= width else " ".join(line.split())[:width]


def total_line(total: Total) -> str:
    """One line: how much of the study is done, and the time left."""
    return f"{100 * total.share:.0f} % of the study, {clock(total.seconds_left)} left"


@dataclass
class LineReporter:
    """A reporter for ``run_study`` that writes to a log, the standard error by default."""

    log: Log = field(default_factory=Log)
    _last: dict[int | None, float] = field(default_factory=dict)
    _live: dict[int | None, str] = field(default_factory=dict)  # the lines that are written over, the study's last
    _drawn: int = 0  # how many of them stand on the terminal

    def __call__(self, event: Event) -> None:
        """Write an event, if it is time to."""
        if isinstance(event, Note):
            self._write(printable(event.text))
        elif isinstance(event, Progress):
            self._progress(event)
        elif self._due(0):
            self._show(0, total_line(event))

    def _progress(self, progress: Progress) -> None:
        finished = progress.done == progress.total
        if self._due(progress.worker) or finished:
            width = self.log.width() if self.log.isatty() else None
            self._show(progress.worker, progress_line(progress, width), finished)

    def _due(self, worker: int | None) -> bool:
        """Whether a line is old enough for another one; ``worker`` 0 is the study's."""
        now, every = time.monotonic(), LIVE_SECONDS if self.log.isatty() else LOG_SECONDS
        due = now - self._last.get(worker, -every) >= every
        if due:
            self._last[worker] = now
        return due

    def _show(self, worker: int | None, line: str, finished: bool = False) -> None:
        """A line that is written over by the next of its kind on a terminal, unless it is the last."""
        if not self.log.isatty() or finished:
            self._live.pop(worker, None)
            self._write(line)
            return
        self._live[worker] = line
        self._redraw("")

    def _write(self, line: str) -> None:
        if self.log.isatty():
            self._redraw(line + "\n")
        else:
            self.log.write(line + "\n")

    def _redraw(self, above: str) -> None:
        """Write something where the live lines stand, and these below it."""
        up = f"\x1b[{self._drawn - 1}A" if self._drawn > 1 else ""
        order = sorted(self._live, key=lambda worker: (worker == 0, worker or 0))
        self.log.write(f"\r{up}\x1b[J{above}" + "\n".join(self._live[worker] for worker in order))
        self._drawn = len(order)
