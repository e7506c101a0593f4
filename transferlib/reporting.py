"""What a person sees while a study trains: one live line per family on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from transferlib.names import printable
from transferlib.progress import LOG_SECONDS, Log, clock
from transferlib.trainer import Note, Progress

LIVE_SECONDS = 0.5


def progress_line(progress: Progress, width: int | None = None) -> str:
    """One line: the family, how far it is, the time left, its speed; what a terminal has no room for is left out.

    Args:
        progress: of the family.
        width: of the terminal in characters; without end by default.
    """
    runs = len(progress.plan.treatments)
    parts = {
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


@dataclass
class LineReporter:
    """A reporter for ``run_study`` that writes to a log, the standard error by default."""

    log: Log = field(default_factory=Log)
    _last: float = 0.0

    def __call__(self, event: Progress | Note) -> None:
        """Write an event, if it is time to."""
        if isinstance(event, Note):
            self._write(printable(event.text), live=False)
        else:
            self._progress(event)

    def _progress(self, progress: Progress) -> None:
        live, now = self.log.isatty(), time.monotonic()
        finished = progress.done == progress.total
        if finished or now - self._last >= (LIVE_SECONDS if live else LOG_SECONDS):
            self._last = now
            self._write(progress_line(progress, self.log.width() if live else None), live=live and not finished)

    def _write(self, line: str, live: bool) -> None:
        start = "\r\x1b[K" if self.log.isatty() else ""
        self.log.write(start + line + ("" if live else "\n"))
