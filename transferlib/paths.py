"""Where a path comes in, it is expanded and resolved, once; where one goes out, it leads into nothing that is read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from transferlib.errors import TransferlibError

DRAWN = (".png", ".svg")  # the endings of figures


def resolved(name: str | Path) -> Path:
    """The path that a user names, in full: home and variables expanded, links followed.

    A name may hold a ``$``: variables are expanded only where nothing lies under the name as it is written.

    Raises:
        TransferlibError: for the home of a user who does not exist, and for links that lead round in a circle.
    """
    try:
        path = Path(name).expanduser()
        written = path if os.path.lexists(path) else Path(os.path.expandvars(path)).expanduser()
        return written.resolve()
    except (RuntimeError, ValueError, OSError) as error:
        raise TransferlibError(f"no folder {name}: {error}") from error


def figure_path(name: str | Path) -> Path:
    """The path of a figure, if it ends as a figure's must.

    Raises:
        TransferlibError: for another ending.
    """
    path = resolved(name)
    if path.suffix not in DRAWN:
        raise TransferlibError(f"expected a .png or .svg file, got {path.name}")
    return path


def keep_out(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that lies in an input folder, before a byte is written.

    Raises:
        TransferlibError: which names both.
    """
    for folder in inputs:
        if _inside(output, folder):
            raise TransferlibError(
                f"{output} lies in {folder}, which is read, and nothing may be written there: choose another place"
            )


def keep_apart(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output folder that lies in an input folder, or around one.

    Raises:
        TransferlibError: which names both.
    """
    inputs = list(inputs)
    keep_out(output, inputs)
    for folder in inputs:
        if _inside(folder, output):
            raise TransferlibError(f"{output} is a folder around {folder}, which is read: choose one beside it")


def _inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, by what the names lead to: upper and lower case may be one."""
    return any(_same(above, folder) for above in (path, *path.parents))


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return one == other
