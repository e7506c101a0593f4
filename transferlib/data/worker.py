"""The program of one decoding process: squares of pixels out of picture files.

It is run by its path and imports NumPy and Pillow only, so it starts in a moment. `multiprocessing`
would import the caller's script once more in every process, and hang one that has no main guard.
"""

from __future__ import annotations

import json
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    if picture.mode == "F":  # convert() would take 1.0 for nearly black
        raise ValueError("a picture in floating point, whose white is not known: save it in 8 or 16 bits")
    if picture.mode.startswith("I"):  # 16-bit grey, which convert() would clip to white
        picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
    if picture.mode.lower() in ("rgba", "la", "pa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")  # what lies under full transparency is not meant to be seen
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def square(file: str | Path, resolution: int) -> np.ndarray:
    """Decode a picture, upright, in RGB, its central square resized with antialiasing.

    Returns:
        uint8 (resolution, resolution, 3).

    Raises:
        Exception: whatever Pillow raises for a file that is missing, cut short or no picture.
    """
    with Image.open(file) as picture:
        upright = _rgb(ImageOps.exif_transpose(picture))
        return np.asarray(ImageOps.fit(upright, (resolution, resolution), Image.Resampling.LANCZOS))


def fill(out: BinaryIO, at: int, files: Sequence[str], resolution: int) -> dict[int, str]:
    """Write the squares of `files` one after another into `out`, from byte `at` on.

    Returns:
        The places in `files` of those that could not be decoded (left black), each with the reason.
    """
    squares = np.zeros((len(files), resolution, resolution, 3), np.uint8)
    failed = {}
    for place, file in enumerate(files):
        try:
            squares[place] = square(file, resolution)
        except Exception as error:  # a damaged file can raise nearly anything
            failed[place] = " ".join(str(error).split()) or type(error).__name__
    out.seek(at)
    out.write(squares.data)
    out.flush()
    return failed


def serve(array: str, resolution: int) -> None:
    """Answer each line `[at, files]` on the standard input with one line: what failed, as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends us by closing the pipe
    warnings.simplefilter("ignore")  # odd metadata is not news to anyone
    with Path(array).open("r+b") as out:
        for line in sys.stdin:
            at, files = json.loads(line)
            try:
                answer = {"failed": fill(out, at, files, resolution)}
            except OSError as error:  # of writing: the disk is full, say
                answer = {"error": [error.errno, error.strerror, array]}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
