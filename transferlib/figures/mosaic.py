"""Pictures in rows and columns, as a page lays them out: its own letters, and tiles as wide as there is room."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

LARGEST = 116  # pixels, of a tile
LOSSLESS = 32  # pixels: pictures of at most so many a side are kept bit by bit, larger ones as WebP of quality 90
Row = Sequence[np.ndarray | None] | np.ndarray  # of pictures, uint8 (H, W, 3) each

# themes put a light ground and a frame around pictures in the dark, and dim them: these are to be compared
LOOK = (
    ".drawing{container-type:inline-size}.mosaic{display:grid;gap:3px;align-items:center;font-size:13px;line-height:1.2}"
    ".mosaic img{width:100%;image-rendering:pixelated}.mosaic.mosaic img"
    "{margin:0!important;padding:0!important;border-radius:0!important;background:none!important;filter:none!important}"
    ".mosaic span{text-align:center}.mosaic .name{text-align:right;white-space:pre-line;padding-right:4px}"
    "@container (max-width:480px){.mosaic{font-size:11px;gap:1px}.mosaic .name{padding-right:2px}}"
)


@dataclass(frozen=True)
class Mosaic:
    """Rows of pictures with a name for each row.

    Attributes:
        rows: of pictures, None for a place that stays empty; as many in one row as in another.
        names: of the rows.
        titles: above the columns, if any.
        notes: below the last row, one a column, if any.
    """

    rows: Sequence[Row]
    names: Sequence[str]
    titles: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def columns(self) -> int:
        """How many tiles lie side by side."""
        return max(map(len, self.rows))

    def html(self) -> str:
        """The pictures as a part of any page; the same pictures give the same text."""
        grid = f"grid-template-columns:auto repeat({self.columns},minmax(0,{LARGEST}px))"
        return (
            f'<div class="drawing"><style>{LOOK}</style>'
            f'<div class="mosaic" style="{grid}">{"".join(self._cells())}</div></div>'
        )

    def _cells(self) -> Iterator[str]:
        yield from _words(self.titles)
        for row, name in zip(self.rows, self.names, strict=True):
            yield f'<span class="name">{html.escape(name)}</span>'
            yield from map(_tile, row)
        yield from _words(self.notes)


def _words(words: Sequence[str]) -> Iterator[str]:
    """A line of words over the columns, nothing over the names."""
    if words:
        yield from (f"<span>{html.escape(word)}</span>" for word in ("", *words))


def _tile(picture: np.ndarray | None) -> str:
    if picture is None:
        return "<span></span>"
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "WEBP", lossless=len(picture) <= LOSSLESS, quality=90)
    return f'<img alt="" src="data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}">'
