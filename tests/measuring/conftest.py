"""Two small folders of pictures to measure."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Source: 3 classes of 40 pictures; target: 2 classes of 20, of unequal sizes, grey and see-through among them."""
    top, rng = tmp_path_factory.mktemp("folders"), np.random.default_rng(0)
    for role, classes, count in (("source", "abc", 40), ("target", "xy", 20)):
        for label, name in enumerate(classes):
            (top / role / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 120, (20 + i, 30, 3))
                pixels[: 10 * (label + 1)] += 130
                mode = ("RGB", "L", "RGBA")[i % 3]
                Image.fromarray(pixels.astype("uint8")).convert(mode).save(top / role / name / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSFERLIB_DATA", str(top / "data"))
        yield top
