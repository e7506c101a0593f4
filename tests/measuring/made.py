"""Runs with made accuracies, and small folders of pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from PIL import Image

from transferlib.measuring.advice import BASE, COPIES

IMAGES = 1000


def invented(percent: dict[str, float], default: float, seeds: int = 3, images: int = IMAGES, **status: str):
    """Runs with made accuracies: a fixed share of the images is right, every run's errors elsewhere at random."""
    rows = []
    for number, treatment in enumerate((BASE, *COPIES)):
        for seed in range(seeds):
            right = np.zeros(images, bool)
            right[: round(images * percent.get(str(treatment), default) / 100)] = True
            np.random.default_rng([number, seed]).shuffle(right)
            rows.append(_row(treatment, seed, right, status.get(str(treatment.family).replace("+", "_plus"), "ok")))
    return pd.DataFrame(rows)


def _row(treatment, seed, right, status="ok"):
    named = {"dataset": "folder:x", "resolution": 32, "network": "net", "recipe": "r", "images_per_class": None}
    about = {"treatment": str(treatment), "kind": treatment.kind, "n": treatment.n, "fine_tuned": treatment.fine_tuned}
    place = {"split": "whole:B", "target": "B", "seed": seed}
    return named | about | place | {"top1": right.mean(), "correct": right, "status": status}


def names(folders):
    return f"folder:{folders / 'source'}", f"folder:{folders / 'target'}"


def picture_folder(folder, classes, count, seed=9):
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 255, (12, 12, 3)).astype("uint8")).save(folder / name / f"{i}.png")
    return f"folder:{folder}"
