"""An interactive drawing: one small script that draws a page's own numbers as SVG, with a kernel and without one."""

from __future__ import annotations

import hashlib
import html
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from transferlib.widgets.pictures import WIDTH, address, drawn

SCRIPTS = Path(__file__).parent / "js"


@dataclass(frozen=True)
class Drawing:
    """An explorer that a reader takes in hand: its script draws its data, and answers pointer, touch and keyboard.

    It is HTML, with its script and its data in it, in a live notebook and on a page that no kernel stands behind: every
    number that it can show is there already, so nothing has to be asked for. Without script, it is its still picture.

    Attributes:
        title: what can be explored, as the caption.
        script: which of the package's scripts draws it.
        data: what it draws, as JSON has it.
        still: the picture that stands in its place without script.
        words: what the still picture shows, in words and numbers.
    """

    title: str
    script: str
    data: Mapping[str, object]
    still: Figure
    words: str

    @cached_property
    def _picture(self) -> str:
        return address(drawn(self.still, 1.0))  # once: a layout may shift when it is drawn again

    def html(self) -> str:
        """The figure as it stands in a page."""
        data = json.dumps({"title": self.title, **self.data}, ensure_ascii=False, separators=(",", ":"))
        data = data.replace("<", "\\u003c")  # nothing in it may end the element that it stands in
        name = hashlib.sha256(data.encode()).hexdigest()[:12]
        style = f"width:{WIDTH}px;max-width:100%;height:auto"
        return (
            f'<figure class="explorer" data-explorer="{name}"><figcaption>{html.escape(self.title)}</figcaption>'
            f'<div class="still"><img alt="{html.escape(self.words)}" style="{style}" src="{self._picture}"></div>'
            f'<script class="data" type="application/json">{data}</script></figure>'
            f'<script type="module">{_source("draw.js")}\n{_source(f"{self.script}.js")}\n'
            f"const found = document.querySelectorAll('[data-explorer=\"{name}\"]:not(.live)');\n"
            f"for (const figure of found) explorer(figure, `{_source('explorer.css')}`, {self.script});</script>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": f"{self.title}: {self.words}"}


@cache
def _source(name: str) -> str:
    return (SCRIPTS / name).read_text(encoding="utf-8")


def number(value: float, digits: int = 3) -> float | None:
    """A number as JSON has it: none for what is no number."""
    return None if math.isnan(value) else round(float(value), digits)


def points(rows: pd.DataFrame) -> list[list[float | None]]:
    """The rows of ``stats.curves`` as a script draws them: n, mean, and the ends of the interval, or none."""
    return [[number(row[name]) for name in ("n", "mean", "low", "high")] for _, row in rows.iterrows()]
