"""Pictures in rows and columns: every tile is there, bit by bit, in its place, and words can't break out."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

from transferlib.figures.mosaic import Mosaic

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)


def tiles(page: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    return [np.array(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


def test_each_picture_stands_in_its_place_bit_by_bit():
    mosaic = Mosaic([PICTURES[:2], [PICTURES[2], None]], ["one", "two"], titles=["a", "b"], notes=["c", "d"])
    page = mosaic.html()
    assert mosaic.columns == 2 and "repeat(2," in page
    np.testing.assert_array_equal(tiles(page), PICTURES[:3])
    order = re.findall(r">([a-z]+)</span>|<(img)|<(span)></span>", page)
    words = [next(filter(None, one)) for one in order]
    assert words == ["span", "a", "b", "one", "img", "img", "two", "img", "span", "span", "c", "d"]


def test_a_large_picture_is_kept_well_and_in_fewer_bytes():
    ramp = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    grain = np.random.default_rng(1).integers(-20, 20, ramp.shape)
    picture = np.clip(ramp + grain, 0, 255).astype(np.uint8)
    page = Mosaic([[picture]], ["one"]).html()
    (shown,) = tiles(page)
    assert np.abs(shown.astype(int) - picture).mean() < 8 and len(page) < picture.size


def test_titles_and_notes_may_be_left_out():
    assert Mosaic([PICTURES], ["all"]).html().count("<span") == 1


def test_the_same_pictures_give_the_same_text():
    assert Mosaic([PICTURES], ["all"]).html() == Mosaic([PICTURES.copy()], ["all"]).html()


def test_a_name_is_text():
    assert "&lt;b&gt; &amp; more" in Mosaic([PICTURES], ["<b> & more"]).html()
