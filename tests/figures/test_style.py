"""The one look of every figure."""

import matplotlib.colors
import pytest

from transferlib.figures import STYLE
from transferlib.figures.style import shade


def test_each_treatment_has_a_colour_and_a_marker_of_its_own(table):
    assert len({colour for colour, _ in STYLE.values()}) == len({marker for _, marker in STYLE.values()}) == len(STYLE)


def light(colour):
    """A colour's luminance, as the contrast of letters and lines on a page is counted from."""
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
    return sum(part * weight for part, weight in zip(parts, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one, other):
    lighter, darker = sorted((light(one), light(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("ground", ["#ffffff", "#121212"])
def test_a_line_is_seen_in_the_light_and_in_the_dark(ground):
    others = [colour for name, (colour, _) in STYLE.items() if name != "base"]  # which takes the page's ink
    assert min(contrast(colour, ground) for colour in (*others, shade(0), shade(0.5), shade(1))) > 2.2


def test_lines_go_from_dark_to_light():
    assert light(shade(0)) < light(shade(0.5)) < light(shade(1))
