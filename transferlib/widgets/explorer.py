"""One definition of an interactive picture, two appearances: HTML for a page without a kernel, ipywidgets live."""

from __future__ import annotations

import hashlib
import html
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from transferlib.errors import TransferlibError
from transferlib.widgets.pictures import WIDTH, address, drawn

if TYPE_CHECKING:
    from ipywidgets import VBox

STATIC = "TRANSFERLIB_STATIC"  # set to 1 where a page is built that no kernel will stand behind
SCALES = (2.0, 1.5, 1.0)  # pixels of the picture per CSS pixel: the largest that fits is taken
LIMIT = 1_200_000  # bytes of one explorer in a static page

Labels = tuple[str, ...]

# The whole of the static page's script. A radio button's value is its share of the picture's number; the first
# picture lies beneath the others, which hold only what differs from it.
_CHOOSE = (
    "let i=0;this.querySelectorAll('input:checked').forEach(e=>i+=+e.value);"
    "this.querySelectorAll('img+img').forEach((e,k)=>e.style.display=k==i?'':'none');"
    "this.querySelector('[aria-live]').textContent=this.querySelectorAll('dd')[i].textContent"
)
_STACKED = "grid-area:1/1;width:100%;height:auto;margin:0;background:none"  # themes give pictures a ground when dark


@dataclass(frozen=True)
class Frame:
    """One picture of an explorer.

    Attributes:
        picture: a matplotlib figure, or uint8 (H, W, 3).
        text: says in words and numbers what the picture shows; it stands alone.
    """

    picture: Figure | np.ndarray
    text: str


class Explorer:
    """An interactive picture: one picture and one text for each combination of its controls' choices.

    Shown in a notebook it is made of ipywidgets and draws a picture when it is chosen. With the environment variable
    ``TRANSFERLIB_STATIC=1`` it is HTML with all pictures drawn beforehand, which needs no kernel and no network.

    Args:
        title: what can be explored, as the caption.
        controls: the choices' labels by the control's name, such as ``{"n": ("1", "2")}``.
        frame: draws the picture for one label per control, in the order of the controls.
        start: the labels shown first; each control's first by default.

    Raises:
        TransferlibError: for a control without choices, a choice that stands twice, or a start that is no choice.
    """

    def __init__(
        self,
        title: str,
        controls: Mapping[str, Sequence[str]],
        frame: Callable[..., Frame],
        *,
        start: Sequence[str] | None = None,
    ) -> None:
        self.title = title
        self.controls = {name: tuple(choices) for name, choices in controls.items()}
        _check_controls(title, self.controls)
        self.start: Labels = tuple(start or (choices[0] for choices in self.controls.values()))
        _check_start(self.start, self.controls)
        self._frame = cache(lambda labels: frame(*labels))
        self._shown = cache(self._show)

    @property
    def combinations(self) -> list[Labels]:
        """All combinations of choices; the last control turns fastest."""
        return list(itertools.product(*self.controls.values()))

    def html(self) -> str:
        """The static appearance: every picture drawn, at the largest scale at which all of them fit.

        Raises:
            TransferlibError: where they do not fit at any scale.
        """
        size = 0
        for scale in SCALES:
            page = self._page(scale)
            size = len(page.encode())
            if size <= LIMIT:
                return page
        raise TransferlibError(
            f"explorer {self.title!r}: {len(self.combinations)} pictures take {size:,} bytes, expected "
            f"at most {LIMIT:,}: offer fewer choices, or draw simpler pictures"
        )

    def widget(self) -> VBox:
        """The live appearance, of ipywidgets: a picture is drawn when it is first chosen.

        Raises:
            TransferlibError: where ipywidgets is not installed.
        """
        try:
            import ipywidgets as widgets
        except ImportError:
            raise TransferlibError("interactive pictures need ipywidgets: pip install ipywidgets") from None
        choices = [
            widgets.Dropdown(options=values, value=value, description=name, style={"description_width": "initial"})
            for (name, values), value in zip(self.controls.items(), self.start, strict=True)
        ]
        picture = widgets.HTML(self._shown(self.start))

        def show(_: object) -> None:
            picture.value = self._shown(tuple(choice.value for choice in choices))

        for choice in choices:
            choice.observe(show, names="value")
        title = widgets.HTML(f"<b>{html.escape(self.title)}</b>")
        return widgets.VBox([title, widgets.HBox(choices, layout={"flex_flow": "row wrap"}), picture])

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if os.environ.get(STATIC) == "1":
            display({"text/html": self.html(), "text/plain": self._frame(self.start).text}, raw=True)
        else:
            display(self.widget())

    def _show(self, labels: Labels) -> str:
        """One picture with its text, for the live appearance; what a user can mend is said in its place."""
        try:
            frame = self._frame(labels)
        except TransferlibError as error:
            return f"<p>{html.escape(str(error))}</p>"
        style = f"display:block;width:{WIDTH}px;max-width:100%;height:auto"
        picture = self._img(labels, address(drawn(frame.picture, SCALES[0])), style)
        return f"{picture}<p>{html.escape(frame.text)}</p>"

    def _page(self, scale: float) -> str:
        texts = [html.escape(self._frame(labels).text) for labels in self.combinations]
        words = "".join(
            f"<dt>{self._named(labels)}</dt><dd>{text}</dd>"
            for labels, text in zip(self.combinations, texts, strict=True)
        )
        return (
            f'<figure class="explorer" style="max-width:{WIDTH}px;margin:1.5em auto" onchange="{_CHOOSE}">'
            f"<figcaption>{html.escape(self.title)}</figcaption>"
            # a form keeps these radio buttons to themselves; Firefox would restore choices but not their picture
            f'<form onsubmit="return false" autocomplete="off" style="display:flex;flex-wrap:wrap;gap:0 .75em">'
            f'{self._fieldsets()}</form><div style="display:grid;background:#fff">{self._pictures(scale)}</div>'
            f'<p aria-live="polite">{texts[self.combinations.index(self.start)]}</p>'
            f"<details><summary>All {len(texts)} pictures in words</summary><dl>{words}</dl></details></figure>"
        )

    def _pictures(self, scale: float) -> str:
        first = drawn(self._frame(self.start).picture, scale)
        pictures = [f'<img alt="" style="{_STACKED}" src="{address(first)}">']
        for labels in self.combinations:
            image = drawn(self._frame(labels).picture, scale)
            if image.size != first.size:
                raise TransferlibError(
                    f"explorer {self.title!r}: expected pictures of one size, got {first.size} and {image.size}"
                )
            style = _STACKED + ";display:none" * (labels != self.start)
            pictures.append(self._img(labels, address(image, beneath=first), style))
        return "".join(pictures)

    def _img(self, labels: Labels, source: str, style: str) -> str:
        return f'<img alt="{self._named(labels)}; in words below" style="{style}" src="{source}">'

    def _fieldsets(self) -> str:
        group = hashlib.sha256(repr((self.title, self.controls)).encode()).hexdigest()[:8]
        sets, share = [], len(self.combinations)
        for number, (name, choices) in enumerate(self.controls.items()):
            share //= len(choices)
            radios = "".join(
                f'<label style="display:inline-block;margin-right:.75em;white-space:nowrap"><input type="radio" '
                f'name="explorer-{group}-{number}" value="{at * share}"{" checked" * (choice == self.start[number])}> '
                f"{html.escape(choice)}</label>"
                for at, choice in enumerate(choices)
            )
            sets.append(
                '<fieldset style="min-width:0;margin:0 0 .5em;padding:.1em .75em .3em;border:1px solid #888;'
                f'border-radius:4px"><legend style="float:none;width:auto;margin:0;padding:0 .3em;font-size:.9em">'
                f"{html.escape(name)}</legend>{radios}</fieldset>"
            )
        return "".join(sets)

    def _named(self, labels: Labels) -> str:
        pairs = zip(self.controls, labels, strict=True)
        return html.escape(", ".join(f"{name}: {label}" for name, label in pairs))


def _check_controls(title: str, controls: dict[str, Labels]) -> None:
    if not controls:
        raise TransferlibError(f"explorer {title!r}: expected at least one control")
    for name, choices in controls.items():
        if not choices or len(set(choices)) < len(choices):
            raise TransferlibError(f"control {name!r}: expected distinct choices, got {', '.join(choices) or 'none'}")


def _check_start(start: Labels, controls: dict[str, Labels]) -> None:
    if len(start) != len(controls):
        raise TransferlibError(f"expected a start with one label per control, got {', '.join(start)}")
    for label, (name, choices) in zip(start, controls.items(), strict=True):
        if label not in choices:
            raise TransferlibError(f"control {name!r}: expected one of {', '.join(choices)} to start with, got {label}")
