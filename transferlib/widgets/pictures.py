"""Pictures as a page embeds them: drawn at a scale, reduced to what differs from the one beneath, as small WebP."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

WIDTH = 720  # of a picture, in CSS pixels
_TILE = 16  # pixels; and one tile more all around, so that no seam shows where a browser shrinks the picture
_COLOURS = 64
_FAITHFUL = 2.0  # root mean square error in levels of 255, below which so few colours are enough


def drawn(picture: Figure | np.ndarray, scale: float) -> Image.Image:
    """A picture of at most ``scale`` pixels per CSS pixel; figures are drawn, arrays only ever shrunk."""
    wide = round(WIDTH * scale)
    if isinstance(picture, Figure):
        picture.set_dpi(wide / picture.get_figwidth())
        canvas = FigureCanvasAgg(picture)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image = Image.fromarray(picture)
    if image.width <= wide:
        return image
    return image.resize((wide, round(image.height * wide / image.width)), Image.Resampling.LANCZOS)


def address(image: Image.Image, beneath: Image.Image | None = None) -> str:
    """The picture as a data address; where it equals the picture ``beneath``, it is transparent.

    Drawings are kept to a few colours and then stored without loss, photographs as WebP of quality 80.
    """
    few = image.quantize(_COLOURS, dither=Image.Dither.NONE).convert("RGB")
    drawing = _error(few, image) < _FAITHFUL
    shown = few if drawing else image.copy()
    if beneath:
        shown.putalpha(Image.fromarray(_differing(image, beneath) * np.uint8(255)))
    data = io.BytesIO()
    shown.save(data, "WEBP", **({"lossless": True, "quality": 60} if drawing else {"quality": 80}), method=4)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"


def _error(one: Image.Image, other: Image.Image) -> float:
    return float(np.sqrt(np.square(np.asarray(one, dtype=np.float32) - np.asarray(other)).mean()))


def _differing(one: Image.Image, other: Image.Image) -> np.ndarray:
    """The tiles in which two pictures of the same size differ, and their neighbours; bool (H, W)."""
    differ = (np.asarray(one) != np.asarray(other)).any(-1)
    height, width = differ.shape
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    whole = np.pad(differ, ((0, -height % _TILE), (0, -width % _TILE)))
    edged = np.pad(whole.reshape(rows, _TILE, columns, _TILE).any((1, 3)), 1)
    near = [edged[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.any(near, axis=0).repeat(_TILE, 0).repeat(_TILE, 1)[:height, :width]
