"""Two folders to try a measurement on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from transferlib.data import shapes


def example_folders(path: str | Path) -> tuple[str, str]:
    """Write two small folders of drawn shapes: five natural classes as a source, five man-made ones as a target.

    Returns:
        The names of the source (200 training pictures a class) and of the target (15), for ``measure``.
    """
    path = Path(path)
    for role, kind, train in (("source", "natural", 200), ("target", "man-made", 15)):
        classes, _, groups, *arrays = shapes.draw(train_per_class=train, val_per_class=40)
        chosen = [label for label, group in enumerate(groups) if group == kind][:5]
        for part, pixels, labels in (("train", *arrays[:2]), ("val", *arrays[2:])):
            for label in chosen:
                _write(path / role / part / classes[label], pixels[labels == label])
    return f"folder:{path / 'source'}", f"folder:{path / 'target'}"


def _write(folder: Path, pictures: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
