"""Decode many pictures into one file, on all cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

from transferlib.data import worker
from transferlib.errors import TransferlibError
from transferlib.progress import counted

CHUNK = 128  # pictures a request: a few seconds for large ones, nothing lost on small ones
DIED = "a decoding process was ended from outside: make more memory free and try again"

Chunks = deque[tuple[int, list[str]]]  # number of the first file, files
Said = TypeVar("Said")
Report = Callable[[int, list[str], worker.Found], None]  # first file, files, what ``worker.fill`` found


@dataclass
class Decoded:
    """What decoding found, by the numbers of the files, ascending.

    Attributes:
        failed: those that could not be decoded, each with the reason.
        remarks: what is odd about others, each with the decoder's word on it.
        spans: the range of each picture with more than 8 bits, but for a few extreme dots.
    """

    failed: dict[int, str] = field(default_factory=dict)
    remarks: dict[int, dict[str, str]] = field(default_factory=dict)
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, first: int, found: worker.Found) -> None:
        """Add what ``worker.fill`` found in the files from number ``first`` on."""
        self.failed |= {first + place: why for place, why in found["failed"].items()}
        self.remarks |= {first + place: words for place, words in found["remarks"].items()}
        self.spans |= {first + place: span for place, span in found["spans"].items()}

    def sorted(self) -> Decoded:
        """The same in the order of the files."""
        return Decoded(_ascending(self.failed), _ascending(self.remarks), _ascending(self.spans))


def _ascending(part: dict[int, Said]) -> dict[int, Said]:
    return dict(sorted(part.items()))


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decode(
    files: list[str],
    out: Path,
    resolution: int,
    *,
    offset: int = 0,
    title: str | None = None,
    span: tuple[int, int] = worker.FULL,
    interpolation: str = worker.LANCZOS,
) -> Decoded:
    """Decode ``files`` to squares of ``resolution``, as consecutive rows of the file ``out`` from ``offset`` on.

    Args:
        title: what is said of it on the standard error; nothing without one.
        span: black and white of pictures with more than 8 bits.
        interpolation: by which pictures are resized.

    Raises:
        TransferlibError: when a decoding process dies.
        OSError: when ``out`` cannot be written.
    """
    chunks: Chunks = deque((first, files[first : first + CHUNK]) for first in range(0, len(files), CHUNK))
    found, lock = Decoded(), Lock()
    with counted(len(files), title, "images") as done:

        def report(first: int, some: list[str], said: worker.Found) -> None:
            with lock:
                found.add(first, said)
                done(len(some))

        _share_out(chunks, out, _Way(resolution, offset, span, interpolation), report)
    return found.sorted()


class _Way(NamedTuple):
    """How pictures become rows of a file."""

    resolution: int
    offset: int
    span: tuple[int, int]
    interpolation: str

    def at(self, first: int) -> int:
        """The byte at which the row of a picture begins."""
        return self.offset + first * self.resolution**2 * 3


def _share_out(chunks: Chunks, out: Path, way: _Way, report: Report) -> None:
    workers = min(cores(), len(chunks))
    if workers < 2:  # not worth a process
        with out.open("r+b") as file:
            for first, files in chunks:
                found = worker.fill(file, way.at(first), files, way.resolution, way.span, way.interpolation)
                report(first, files, found)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            drives = [pool.submit(_drive, chunks, out, way, report) for _ in range(workers)]
            for drive in drives:
                drive.result()
        finally:
            chunks.clear()  # interrupted: every process ends after the chunk in hand


def _drive(chunks: Chunks, out: Path, way: _Way, report: Report) -> None:
    """Feed one process with chunks until none is left."""
    command = [sys.executable, worker.__file__, str(out), str(way.resolution)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin and process.stdout
        try:
            while chunk := _next(chunks):
                first, files = chunk
                request = json.dumps([way.at(first), files, way.span, way.interpolation])
                print(request, file=process.stdin, flush=True)
                report(first, files, _answer(process.stdout.readline()))
        except BaseException as error:
            chunks.clear()  # the others need not go on
            process.kill()
            if isinstance(error, BrokenPipeError):
                raise TransferlibError(DIED) from error
            raise


def _next(chunks: Chunks) -> tuple[int, list[str]] | None:
    try:
        return chunks.popleft()
    except IndexError:
        return None


def _answer(line: str) -> worker.Found:
    """What a process has found, out of its line: JSON has no numbers as names."""
    if not line:
        raise TransferlibError(DIED)
    answer = json.loads(line)
    if "error" in answer:
        raise OSError(*answer["error"])
    parts = ({int(place): said for place, said in answer[name].items()} for name in ("failed", "remarks", "spans"))
    failed, remarks, spans = parts
    return {"failed": failed, "remarks": remarks, "spans": spans}
