"""Where data sets lie, and what a user can mend about folders and disks, in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from transferlib.errors import TransferlibError
from transferlib.paths import resolved


def data_root() -> Path:
    """Tell where data sets lie: TRANSFERLIB_DATA, else the user's cache folder."""
    chosen = os.environ.get("TRANSFERLIB_DATA")
    return resolved(chosen) if chosen else platformdirs.user_cache_path("transferlib")


@contextmanager
def data_folder(root: Path | None) -> Iterator[Path]:
    """Work in a data folder, ``data_root()`` by default; what the system says of it comes as one line.

    Raises:
        TransferlibError: for a folder without permission or a full disk, with the mend.
    """
    root = root or data_root()
    try:
        yield root
    except OSError as error:
        place, why = error.filename or root, error.strerror or error
        if error.errno in (errno.EACCES, errno.EPERM):
            words = f"no permission for {place}: change its rights, or set TRANSFERLIB_DATA to a folder of your own"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            words = f"no space left in {root}: make room, or set TRANSFERLIB_DATA to a folder on a larger disk"
        else:
            words = f"{place}: {why}: mend that, or set TRANSFERLIB_DATA to another folder"
        raise TransferlibError(words) from error
