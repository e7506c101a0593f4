"""The published runs by plain JSON, without the package: what the chapters' sentences are held against."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "book" / "results"
DEPTHS = range(1, 8)
NUMBER = r"[-−+]?\d+(?:\.\d+)?"


def numbers(text: str) -> list[float]:
    """The numbers in a text such as ``-1.2 [-2.0, -0.4]``."""
    return [float(found.replace("−", "-")) for found in re.findall(NUMBER, text)]


@cache
def records() -> dict[str, dict]:
    """Every published run by its key."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (RESULTS / "runs").glob("*.json")}


@cache
def runs(
    epochs: int = 24, network: str = "alexnet32-small", kind: str = "random:", images: int | None = None
) -> dict[tuple[str, str, str], dict]:
    """Those of Tiny ImageNet by the main recipe, by split, target and treatment; ``kind`` begins the split's name."""
    found = {}
    for record in records().values():
        config, recipe = record["config"], record["config"]["recipe"]
        asked = (config["data"]["name"], config["network"]["name"], recipe["epochs"], recipe["nesterov"])
        plain = recipe["learning_rate"] == 0.05 and not recipe.get("until") and config["seed"] == 0
        same = config["data"]["images_per_class"] == images and config["split"].startswith(kind)
        if asked == ("tiny-imagenet", network, epochs, True) and plain and same:
            found[config["split"], config["target"], config["treatment"]] = record
    return found


def gaps(first: str, second: str, outcome: str = "top1", **of: object) -> list[float]:
    """One treatment minus another in every pair that has both, in points (of a loss in hundredths)."""
    found = runs(**of)
    pairs = {place[:2] for place in found}
    both = [(found.get((*pair, first)), found.get((*pair, second))) for pair in sorted(pairs)]
    return [100 * (one[outcome] - other[outcome]) for one, other in both if one and other]
