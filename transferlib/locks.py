"""Locks of files, with words: who holds one that is waited for, and what to do where a file system has none."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from transferlib.errors import TransferlibError
from transferlib.names import printable
from transferlib.progress import say

try:
    import fcntl
except ImportError:  # Windows, whose file systems all have locks
    fcntl = None

TELL_SECONDS = 3.0
_locking: set[Path] = set()  # folders whose file system has shown that it locks


class Busy(Exception):
    """Another process holds the lock; the message says which."""


@contextmanager
def held(path: Path, wait: float | None = None, tell: Callable[[str], None] = say) -> Iterator[None]:
    """Hold the lock of a file; the system frees it when its holder dies.

    Args:
        path: of the lock file; its folder must be there.
        wait: seconds at most, without end by default.
        tell: told who holds the lock, once, when it has been waited for some seconds.

    Raises:
        Busy: where it is still held by another process after ``wait`` seconds.
        TransferlibError: where the file system has no locks.
    """
    _require_locks(path)
    lock = FileLock(path)
    first = TELL_SECONDS if wait is None else min(wait, TELL_SECONDS)
    if not _acquired(lock, first):
        if wait is not None and wait <= first:
            raise Busy(holder(path))
        tell(f"waiting for {path}, which {holder(path)} holds")
        if not _acquired(lock, -1 if wait is None else wait - first):
            raise Busy(holder(path))
    try:
        _sign(path)
        yield
    finally:
        with suppress(OSError):
            _signature(path).unlink(missing_ok=True)
        lock.release()


def holder(path: Path) -> str:
    """Who holds a lock, as it has signed itself."""
    with suppress(OSError), _plain(path, os.O_RDONLY) as file:
        if signed := printable(file.read(200).decode(errors="replace").strip()):
            return signed
    return "another process"


def _acquired(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


def _signature(path: Path) -> Path:
    return path.with_name(f"{path.name}.by")  # not in the lock itself, which whoever waits for it may empty


def _sign(path: Path) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    # a full disk is no reason to stop
    with suppress(OSError), _plain(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since},".encode())


def _plain(path: Path, how: int) -> BinaryIO:
    """Open a signature: no link that leads elsewhere, and no pipe, which would be waited for."""
    how |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    number = os.open(_signature(path), how, 0o644)
    return os.fdopen(number, "rb" if how & 3 == os.O_RDONLY else "wb")


def _require_locks(path: Path) -> None:
    """Try the file system first: filelock waits for ever, warns or raises, by its version, where there are no locks."""
    if fcntl is None or path.parent in _locking:
        return
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):  # these say that somebody holds it
            raise TransferlibError(
                f"the file system of {path.parent} has no locks ({error.strerror}): choose a folder on a local disk"
            ) from error
    finally:
        os.close(number)
    _locking.add(path.parent)
