"""The one look of every figure: the treatments' colours and markers, axes, legends; and how a figure leaves."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.transforms import ScaledTranslation

from transferlib.paths import figure_path
from transferlib.treatments import FamilyName

if TYPE_CHECKING:
    from typing_extensions import Unpack


WIDE = 7.0  # inches, of a figure as wide as a page's text
SMALL = 8.5  # points, of the smallest letters: 11 pixels on a screen
LINE, AXIS = 96, 4  # such letters that a figure is wide, and of them those that stand left of an axis


class Styles(dict[str, tuple[str, str]]):
    """Colour and marker by family; a kind of treatment of your own has a colour and a marker that are left."""

    def __missing__(self, family: str) -> tuple[str, str]:
        return "#009E73", "P"


# Okabe and Ito's colours, told apart with any colour vision; the marker tells them apart without colour
STYLE = Styles(
    {
        "base": ("#222222", "*"),
        "BnB": ("#0072B2", "o"),
        "BnB+": ("#56B4E9", "s"),
        "AnB": ("#D55E00", "D"),
        "AnB+": ("#E69F00", "^"),
        "RnB": ("#777777", "X"),
    }
)
NUDGE = {"BnB": -0.12, "BnB+": -0.04, "AnB": 0.04, "AnB+": 0.12}  # of a family's points along n, so that none hide
SIDES = {"A": ("natural", "-"), "B": ("man-made", "--")}  # of a dissimilar split, by target

# of lines that go from dark to light, one for each depth
Dash = str | tuple[int, tuple[int, ...]]
DASHES: Sequence[Dash] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))
MARKERS = ("o", "D", "s", "^", "v", "P", "X")


class Look(TypedDict, total=False):
    """How a line is drawn, as matplotlib has it."""

    color: str
    marker: str
    markerfacecolor: str
    linestyle: Dash
    linewidth: float
    alpha: float
    zorder: float
    label: str | None


def meaning(family: str) -> str:
    """A family in a legend, such as ``AnB+: the other half's layers, fine-tuned``."""
    return FamilyName.parse(family).meaning


def shade(share: float) -> str:
    """The colour of a line among many, from dark (0) to light (1), that is seen on white and on black."""
    return to_hex(matplotlib.colormaps["viridis"](0.32 + 0.36 * share))


def clean(ax: Axes, grid: bool = True) -> None:
    """Take what tells nothing off an axis: no frame above and to the right, pale lines across to read values by.

    Args:
        ax: the axis.
        grid: whether there are such lines; an axis that has its own goes without.
    """
    if grid:
        ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def legend(ax: Axes, frame: bool = True, **how: object) -> None:
    """A legend in small print: on a pale ground where it may lie over points, else without a frame.

    Where panels stand side by side it has no room within, and stands beneath.

    Args:
        ax: the axis.
        frame: whether it has that ground.
        how: what is otherwise than in other legends, as ``Axes.legend`` has it.
    """
    ground = {"framealpha": 0.8, "edgecolor": "none"} if frame else {"frameon": False}
    drawn = ax.legend(**({"fontsize": SMALL} | ground | how))
    if across(ax) > 1:
        beneath(ax, drawn)


def beneath(ax: Axes, drawn: Legend) -> None:
    """Put a legend under an axis, and under what the axis is called."""
    lines = ax.get_xlabel().count("\n") + 1
    below = ScaledTranslation(0, -(22 + 13 * lines) / 72, ax.figure.dpi_scale_trans)
    drawn.set_loc("upper left")
    drawn.set_bbox_to_anchor((0, 0), transform=ax.transAxes + below)


def across(ax: Axes) -> int:
    """How many panels stand side by side where this one stands."""
    place = ax.get_subplotspec()
    return place.get_gridspec().ncols // len(place.colspan) if place else 1


def fitted(words: str, ax: Axes) -> str:
    """A title in lines as long as its axis is wide."""
    return broken(words, LINE // across(ax) - AXIS)


def broken(words: str, columns: int) -> str:
    """Words in lines of so many characters, a number beside its unit."""
    held = re.sub(r"(\d) (?=px|epochs)", "\\1\N{NO-BREAK SPACE}", words)
    return "\n".join(textwrap.wrap(held, columns))


def base_line(ax: Axes, level: float = 0.0, **how: Unpack[Look]) -> None:
    """The base, dotted across the axis, at its accuracy or at a difference of 0; ``how`` as ``Axes.axhline`` has it."""
    look: Look = {"color": STYLE["base"][0], "linewidth": 1, "linestyle": ":"}
    ax.axhline(level, **(look | how))


# --- how a figure leaves ---


@contextmanager
def quietly() -> Iterator[None]:
    """Draw without a warning of a name in another script: its box is seen."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield


def rendered(figure: Figure, kind: str) -> bytes:
    """A figure as ``png`` or ``svg``, black on white; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "transferlib"}), quietly():
        figure.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
    return buffer.getvalue()


def write_figure(figure: Figure, path: Path | str) -> None:
    """Write a figure into a file; the same figure gives the same bytes.

    Raises:
        TransferlibError: for a file that ends neither in ``.png`` nor in ``.svg``.
    """
    path = figure_path(path)
    path.write_bytes(rendered(figure, path.suffix[1:]))
