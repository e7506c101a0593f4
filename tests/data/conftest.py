"""Small data sets of the real forms, written by the tests; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _draw(path: Path, seed: int, size: tuple[int, int] = (64, 64), mode: str = "RGB") -> Path:
    """Write a smooth random picture, so that JPEG keeps it nearly as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)
    picture.save(path, quality=95) if path.suffix.lower() in (".jpg", ".jpeg") else picture.save(path)
    return path


@pytest.fixture
def draw():
    return _draw


@pytest.fixture
def class_folders():
    def write(folder: Path, classes=("cat", "dog"), count: int = 10, suffix: str = ".jpg") -> Path:
        first = 500 if folder.name == "val" else 0  # other pictures than in train
        for label, name in enumerate(classes):
            for number in range(count):
                _draw(folder / name / f"{number:03}{suffix}", 1000 * label + first + number)
        return folder

    return write


@pytest.fixture
def tiny(tmp_path):
    """Write the official layout of Tiny ImageNet with three classes, wnids.txt in an order of its own."""

    def write(root: Path = tmp_path) -> Path:
        folder = root / "tiny-imagenet-200"
        wnids = ["n01443537", "n04067472", "n02124075"]
        for label, wnid in enumerate(wnids):
            for number in range(4):
                _draw(folder / f"train/{wnid}/images/{wnid}_{number}.JPEG", 100 * label + number)
            (folder / f"train/{wnid}/{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t62\t63\n")
        lines = []
        for number, wnid in enumerate([wnids[2], wnids[0], wnids[1], wnids[0]]):
            _draw(folder / f"val/images/val_{number}.JPEG", 900 + number)
            lines.append(f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n")
        (folder / "val/val_annotations.txt").write_text("".join(lines))
        (folder / "wnids.txt").write_text("\n".join(wnids))
        (folder / "words.txt").write_text(
            "n01443537\tgoldfish, Carassius auratus\nn02124075\tEgyptian cat\nn00001740\tentity\n"
        )
        return folder

    return write
