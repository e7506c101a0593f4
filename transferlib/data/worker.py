"""The program of one decoding process: squares of pixels out of picture files.

It is run by its path and imports NumPy and Pillow only, so it starts in a moment. ``multiprocessing``
would import the caller's script once more in every process, and hang one that has no main guard.
"""

from __future__ import annotations

import io
import json
import signal
import stat
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypedDict

import numpy as np
from PIL import Image, ImageOps

LANCZOS = "lanczos"  # how pictures are resized where nothing else is asked for
FULL = (0, 65535)  # black and white of pictures with more than 8 bits
PART = 32  # levels of 256: a picture that uses fewer has lost most of what it shows
METADATA = "have metadata that cannot be read; their pixels are taken"
FRAMES = "have several frames, of which the first is taken"
NARROW = f"use fewer than {PART} of 256 levels: they are nearly of one colour, or hold fewer bits than their files say"

HALF = "have 16 bits a channel, of which the upper 8 are read, and use less than half of them: save them in 8 bits"

Image.init()
# not all that Pillow knows: a file called .jpg may be PostScript, which it hands to another program
WANTED = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "JPEG2000", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "ICO")
FORMATS = [name for name in WANTED if name in Image.OPEN]

Remarks = dict[str, str]  # what is odd about a picture, and the decoder's word on it


class Found(TypedDict):
    """What decoding some files found, by their places among them."""

    failed: dict[int, str]  # those that could not be decoded, each with the reason
    remarks: dict[int, Remarks]  # what is odd about others
    spans: dict[int, tuple[int, int]]  # the values of those with more than 8 bits


def _open(file: Path, remarks: Remarks) -> Image.Image:
    """Open and decode a picture; where that fails, once more without its metadata."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("no regular file")  # a pipe would be waited for without end
    try:
        picture = Image.open(file, formats=FORMATS)
        deep = _has_16_bits_a_channel(picture)
        picture.load()
        _tell_frames(file, picture.format, remarks)
    except Image.DecompressionBombError as error:
        assert Image.MAX_IMAGE_PIXELS is not None  # without a limit nothing is a bomb
        limit = 2 * Image.MAX_IMAGE_PIXELS / 1e6
        raise ValueError(f"more than {limit:.0f} megapixels: make it smaller") from error
    except Exception as error:
        picture = _bare(file.read_bytes())
        if picture is None:
            raise
        remarks[METADATA] = _words(error)
        return picture
    if deep and max(high for _, high in np.atleast_2d(picture.getextrema())[:3].tolist()) < 128:
        remarks[HALF] = str(picture.getextrema())
    return picture


def _has_16_bits_a_channel(picture: Image.Image) -> bool:
    """Whether a picture that is not decoded yet loses half of its bits by that: in colour Pillow has 8 a channel."""
    ways = [way if isinstance(way, str) else str((way or [""])[0]) for *_, way in getattr(picture, "tile", ())]
    return not picture.mode.startswith("I") and any("16" in way for way in ways)


def _tell_frames(file: Path, kind: str | None, remarks: Remarks) -> None:
    """Films and stacks show their first frame only; a telephone's MPO holds a picture for each eye, or a preview."""
    if kind not in ("GIF", "TIFF", "WEBP", "PNG"):
        return
    try:
        with Image.open(file, formats=[kind]) as again:  # counting moves on from the first frame
            if again.is_animated:
                remarks[FRAMES] = f"{again.n_frames} frames"
    except Exception as error:  # of a later frame: the first is there
        remarks[FRAMES] = _words(error)


def _bare(content: bytes) -> Image.Image | None:
    """The picture without its metadata, but for its orientation if that is sound; None where that does not help."""
    walks = {b"\x89PNG\r\n\x1a\n": _png_pixels, b"\xff\xd8": _jpeg_pixels}
    walk = next((walk for start, walk in walks.items() if content.startswith(start)), None)
    if walk is None:
        return None
    for upright in (True, False):
        try:
            picture = Image.open(io.BytesIO(b"".join(walk(content, upright))), formats=FORMATS)
            picture.load()
            if upright:
                picture.getexif()
            return picture
        except Exception:  # a damaged file can raise nearly anything
            continue
    return None


def _png_pixels(content: bytes, upright: bool) -> Iterator[bytes]:
    """The signature, and the chunks that pixels are made of: the critical ones and transparency; and orientation."""
    yield content[:8]
    at = 8
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        name = content[at + 4 : at + 8]
        if name[:1].isupper() or name == b"tRNS" or (upright and name == b"eXIf"):
            yield content[at:end]
        at = end


def _jpeg_pixels(content: bytes, upright: bool) -> Iterator[bytes]:
    """The segments up to the scan but for comments and applications' own, save Adobe's, which names the colours."""
    yield content[:2]
    at = 2
    while content[at + 1] != 0xDA:  # start of scan
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        marker = content[at + 1]
        exif = upright and content[at + 4 : at + 10] == b"Exif\0\0"
        if exif or marker == 0xEE or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            yield content[at:end]
        at = end
    yield content[at:]


def _upright(picture: Image.Image, remarks: Remarks) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception as error:  # of the metadata: the pixels are there
        remarks[METADATA] = _words(error)
        return picture


def _rgb(picture: Image.Image, span: tuple[int, int]) -> Image.Image:
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode == "F":  # convert() would take 1.0 for nearly black
        raise ValueError("a picture in floating point, whose white is not known: save it in 8 or 16 bits")
    if picture.mode.startswith("I"):  # 16-bit grey, which convert() would clip to white
        black, white = span
        values = np.asarray(picture).astype(np.int64)
        levels = (values - black) * 256 // (white - black + 1)
        levels[values == picture.info.get("transparency")] = 255
        picture = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    if picture.mode.lower() in ("rgba", "la", "pa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")  # what lies under full transparency is not meant to be seen
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def square(
    file: str | Path,
    resolution: int,
    span: tuple[int, int] = FULL,
    remarks: Remarks | None = None,
    spans: list[tuple[int, int]] | None = None,
    interpolation: str = LANCZOS,
) -> np.ndarray:
    """Decode a picture, upright, in RGB, its central square resized with antialiasing.

    Args:
        file: of the picture.
        resolution: side of the square, in pixels.
        span: black and white of a picture with more than 8 bits.
        remarks: what is odd about the picture is added to them.
        spans: the range of a picture with more than 8 bits is added to them.
        interpolation: ``lanczos``, ``bicubic`` or ``bilinear``.

    Returns:
        uint8 (resolution, resolution, 3).

    Raises:
        Exception: whatever Pillow raises for a file that is missing, cut short or no picture.
    """
    remarks = {} if remarks is None else remarks
    with _open(Path(file), remarks) as picture:
        if picture.mode.startswith("I") and spans is not None:
            spans.append(_range(np.asarray(picture)))
        upright = _rgb(_upright(picture, remarks), span)
        way = Image.Resampling[interpolation.upper()]
        pixels = np.asarray(ImageOps.fit(upright, (resolution, resolution), way))
    if int(pixels.max()) - int(pixels.min()) < PART:
        remarks[NARROW] = f"{pixels.min()} to {pixels.max()}"
    return pixels


def _range(values: np.ndarray) -> tuple[int, int]:
    """The least and the largest value, but for a camera's dead and hot dots: few and far from all others."""
    low = int(np.percentile(values, 0.1, method="lower"))
    high = int(np.percentile(values, 99.9, method="higher"))
    room = (high - low) / 4
    least, largest = int(values.min()), int(values.max())
    return least if least >= low - room else low, largest if largest <= high + room else high


def _words(error: BaseException | str) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def fill(
    out: BinaryIO,
    at: int,
    files: Sequence[str],
    resolution: int,
    span: tuple[int, int],
    interpolation: str = LANCZOS,
) -> Found:
    """Write the squares of ``files`` one after another into ``out``, from byte ``at`` on.

    Returns:
        What was found; the squares of files that could not be decoded are left black.
    """
    squares = np.zeros((len(files), resolution, resolution, 3), np.uint8)
    found: Found = {"failed": {}, "remarks": {}, "spans": {}}
    for place, file in enumerate(files):
        remarks: Remarks = {}
        spans: list[tuple[int, int]] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # large, and decoded all the same
            try:
                squares[place] = square(file, resolution, span, remarks, spans, interpolation)
            except Exception as error:  # a damaged file can raise nearly anything
                found["failed"][place] = _words(error)
                continue
        if caught:
            remarks.setdefault(METADATA, _words(caught[0].message))
        found["remarks"] |= {place: remarks} if remarks else {}
        found["spans"] |= {place: spans[0]} if spans else {}
    out.seek(at)
    out.write(squares.data)
    out.flush()
    return found


def serve(array: str, resolution: int) -> None:
    """Answer each line ``[at, files, span, interpolation]`` on the standard input with one: what ``fill`` found."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the caller ends us by closing the pipe
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with Path(array).open("r+b") as out:
        for line in sys.stdin:
            at, files, span, interpolation = json.loads(line)
            try:
                answer = fill(out, at, files, resolution, span, interpolation)
            except OSError as error:  # of writing: the disk is full, say
                answer = {"error": [error.errno, error.strerror, array]}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
