"""How a figure stands in a page: in the page's own ink, and its panels one above the other where the page is narrow.

A front end shows an SVG by itself as a picture that the page's colours don't reach, so a figure leaves as HTML.
"""

from __future__ import annotations

import hashlib
import io
import re
from copy import deepcopy

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter

from transferlib.figures.mosaic import Mosaic
from transferlib.figures.style import SMALL, beneath, broken, quietly

NARROW = 3.4  # inches, of a phone's column
INK = ("#000000", "#222222")  # what is black, or nearly so, on white
GROUND = "#ffffff"  # beneath a legend, and within a hollow marker
COLUMNS = 42  # small letters that a line has room for on a phone
HANDLE = 10  # of them those that a legend's marks take
ENTRY = 0.18  # inches, of a line of a legend
LETTERS = ["DejaVu Sans", "Verdana", "sans-serif"]  # Verdana is as wide as what the figure was laid out with

# The wide drawing needs as much room as it was drawn for: smaller, its letters would be too small to read.
CHOICE = (
    ".drawing{container-type:inline-size}.drawing svg{display:block;width:100%;height:auto;margin:0 auto;"
    "background:none}.drawing .wide{display:none}.drawing .narrow{max-width:460px}"
    "@container (min-width:650px){.drawing .wide{display:block}.drawing .narrow{display:none}}"
)


def show(figure: Figure | Mosaic) -> None:
    """Show a chart or pictures on a chapter's page; same runs, same bytes."""
    from IPython.display import HTML, display

    display(HTML(figure.html() if isinstance(figure, Mosaic) else as_html(figure)))


def as_html(figure: Figure) -> str:
    """A figure for a page, drawn for a wide and for a narrow one; the room that there is decides which is seen."""
    _write_out_scales(figure)
    drawings = _inline(figure, "wide") + _inline(stacked(figure), "narrow")
    return f'<div class="drawing"><style>{CHOICE}</style>{drawings}</div>'


def _write_out_scales(figure: Figure) -> None:
    """Write 0.001 along an axis, not a power of ten: exponents are smaller than letters may be."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatter):
                axis.set_major_formatter("{x:g}")


def stacked(figure: Figure) -> Figure:
    """A copy as wide as a phone, its panels one above the other."""
    copy = deepcopy(figure)
    panels = _panels(copy)
    count, rows = max(len(panels), 1), max([_rows(ax) for ax in panels], default=1)
    copy.set_size_inches(NARROW, 0.8 * figure.get_figheight() * count / rows)
    grid = copy.add_gridspec(count, 1)
    for row, ax in enumerate(panels):
        ax.set_subplotspec(grid[row, 0])
        ax.tick_params(labelleft=True, labelbottom=True)  # of a scale that panels shared
        if not ax.get_ylabel():
            ax.set_ylabel(panels[0].get_ylabel())
        if not ax.get_xlabel():
            ax.set_xlabel(panels[-1].get_xlabel())
    _fit_words(copy)
    _put_legends_beneath(copy)
    return copy


def _panels(figure: Figure) -> list[Axes]:
    """A figure's panels; places that stayed empty are taken out."""
    for ax in [ax for ax in figure.axes if not ax.axison]:
        ax.remove()
    return figure.axes


def _rows(ax: Axes) -> int:
    place = ax.get_subplotspec()
    return place.get_gridspec().nrows if place else 1


def _fit_words(figure: Figure) -> None:
    """Break lines that are longer than a phone is wide."""
    in_legends = {text for ax in figure.axes if (legend := ax.get_legend()) for text in legend.get_texts()}
    for text in figure.findobj(Text):
        columns = round(COLUMNS * SMALL / float(text.get_fontsize())) - HANDLE * (text in in_legends)
        text.set_text("\n".join(broken(line, columns) for line in text.get_text().splitlines()))


def _put_legends_beneath(figure: Figure) -> None:
    """A phone has no room for them beside or within the panels."""
    for legend in figure.legends:
        legend.set_loc("outside lower left")
    for ax in figure.axes:
        legend = ax.get_legend()
        if legend:
            beneath(ax, legend)
            lines = sum(1 + text.get_text().count("\n") for text in legend.get_texts())
            figure.set_figheight(figure.get_figheight() + ENTRY * lines)


def _inline(figure: Figure, name: str) -> str:
    """A figure as the text of an SVG that may stand in any page; the same figure gives the same text."""
    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "font.sans-serif": LETTERS, "svg.hashsalt": name}), quietly():
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = re.sub(r"\n *", " ", text.getvalue().partition("<svg ")[2])
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg)
    return _own_ids(f'<svg class="{name}" fill="currentColor" {_coloured(svg)}'.strip())


def _coloured(svg: str) -> str:
    """Ink in the colour of the page's letters, and pale grounds in the page's own, where it tells it."""
    for ink in INK:
        svg = svg.replace(ink, "currentColor")
    return svg.replace(GROUND, "var(--pst-color-background, none)")


def _own_ids(svg: str) -> str:
    """Ids that no other figure of a page has, and only those that something refers to."""
    own = f"f{hashlib.sha256(svg.encode()).hexdigest()[:8]}"
    used = set(re.findall(r"#([\w-]+)[\")]", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{own}{found[1]}"' if found[1] in used else "", svg)
    return re.sub(r'(href="|url\()#', rf"\1#{own}", svg)
