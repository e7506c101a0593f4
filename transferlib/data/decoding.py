"""Decode many pictures into one file, on all cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from tqdm import tqdm

from ..errors import TransferlibError
from . import worker

CHUNK = 128  # pictures a request: a few seconds for large ones, nothing lost on small ones
DIED = "a decoding process was ended from outside: make more memory free and try again"

Chunks = deque[tuple[int, list[str]]]  # number of the first file, files
Report = Callable[[int, list[str], dict[int, str]], None]  # first file, files, what failed


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decode(
    files: list[str], out: Path, resolution: int, *, offset: int = 0, title: str | None = None
) -> dict[int, str]:
    """Decode `files` to squares of `resolution`, as consecutive rows of the file `out` from `offset` on.

    Args:
        title: what the progress bar says; no bar without one.

    Returns:
        The numbers of the files that could not be decoded, ascending, each with the reason.

    Raises:
        TransferlibError: when a decoding process dies.
        OSError: when `out` cannot be written.
    """
    chunks: Chunks = deque((first, files[first : first + CHUNK]) for first in range(0, len(files), CHUNK))
    failed: dict[int, str] = {}
    lock = Lock()
    with tqdm(total=len(files), desc=title, unit=" images", disable=title is None) as bar:

        def report(first: int, done: list[str], bad: dict[int, str]) -> None:
            with lock:
                failed.update({first + int(place): reason for place, reason in bad.items()})
                bar.update(len(done))

        _share_out(chunks, out, resolution, offset, report)
    return dict(sorted(failed.items()))


def _share_out(chunks: Chunks, out: Path, resolution: int, offset: int, report: Report) -> None:
    workers = min(cores(), len(chunks))
    if workers < 2:  # not worth a process
        with out.open("r+b") as file:
            for first, files in chunks:
                at = offset + first * resolution**2 * 3
                report(first, files, worker.fill(file, at, files, resolution))
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            drives = [pool.submit(_drive, chunks, out, resolution, offset, report) for _ in range(workers)]
            for drive in drives:
                drive.result()
        finally:
            chunks.clear()  # interrupted: every process ends after the chunk in hand


def _drive(chunks: Chunks, out: Path, resolution: int, offset: int, report: Report) -> None:
    """Feed one process with chunks until none is left."""
    command = [sys.executable, worker.__file__, str(out), str(resolution)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin and process.stdout
        try:
            while chunk := _next(chunks):
                first, files = chunk
                request = json.dumps([offset + first * resolution**2 * 3, files])
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


def _answer(line: str) -> dict[int, str]:
    if not line:
        raise TransferlibError(DIED)
    answer = json.loads(line)
    if "error" in answer:
        raise OSError(*answer["error"])
    return answer["failed"]
