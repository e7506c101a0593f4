"""The chapters as ``make smoke`` has executed them, and the store that they trained, read without the package."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
from functools import cache
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "_build" / "smoke"


@cache
def build_book():
    """The tool that executes the chapters."""
    sys.path.insert(0, str(ROOT / "tools"))
    spec = importlib.util.spec_from_file_location("build_book", ROOT / "tools" / "build_book.py")
    sys.modules["build_book"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sources() -> list[Path]:
    return sorted((ROOT / "book").glob("*.ipynb"))


class Executed:
    """One executed chapter.

    Attributes:
        name: of the file, without its end.
        notebook: with outputs.
        told: the numbers of its sentences by their names; the last where a name stands twice.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.notebook = nbformat.read(SMOKE / "book" / f"{name}.ipynb", 4)
        self.told: dict[str, object] = {}
        for output in self.outputs:
            self.told |= output.get("metadata", {}).get("transferlib", {})

    @property
    def code(self) -> list[nbformat.NotebookNode]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def outputs(self) -> list[nbformat.NotebookNode]:
        return [output for cell in self.code for output in cell.outputs]

    def __getitem__(self, name: str) -> object:
        return self.told[name]


@pytest.fixture(scope="session")
def executed():
    """Gives a chapter by its name; all of them must be there, and be made of what is in the repository now."""
    lacking = [path.stem for path in sources() if not (SMOKE / "book" / path.name).exists()]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} not executed with the smoke profile: run `make smoke`")
    chapters = [build_book().Chapter(path.relative_to(ROOT), "smoke") for path in sources()]
    old = [str(chapter.page) for chapter in chapters if chapter.stamped.get("key") != chapter.key]
    if old:
        pytest.skip(f"{', '.join(old)} changed since, or what they depend on: run `make smoke`")
    return cache(Executed)


@pytest.fixture(scope="session")
def runs(executed) -> pd.DataFrame:
    """The runs of the smoke store by plain JSON: what the chapters' numbers are held against."""
    rows = []
    for path in sorted((SMOKE / "store" / "runs").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        config = record["config"]
        bits = np.unpackbits(np.frombuffer(base64.b64decode(record["correct"]), np.uint8))
        rows.append(
            {
                "key": path.stem,
                "network": config["network"]["name"],
                "images_per_class": config["data"]["images_per_class"],
                "restarted": not config["recipe"]["nesterov"],  # chapter 6's: other rates, by plain momentum
                **{name: config[name] for name in ("split", "target", "treatment")},
                **{name: record[name] for name in ("top1", "status", "seconds", "val_images", "device")},
                "correct": bits[: record["val_images"]].astype(bool),
                "curve": [point["top1"] for point in record["curve"]],
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def chains(runs) -> pd.DataFrame:
    """Those of the AlexNet by the main recipe."""
    return runs[(runs["network"] == "alexnet32-tiny") & ~runs["restarted"]]


@pytest.fixture(scope="session")
def accuracy(runs):
    """The accuracy (%) of one run of the main part, or of another split, target, number of images or network."""

    def find(
        treatment: str,
        split: str = "random:0",
        target: str = "B",
        images: int | None = None,
        network: str = "alexnet32-tiny",
    ) -> float:
        same = (runs["treatment"] == treatment) & (runs["split"] == split) & (runs["target"] == target)
        same &= (runs["network"] == network) & ~runs["restarted"]
        same &= runs["images_per_class"].isna() if images is None else runs["images_per_class"] == images
        return 100 * runs.loc[same, "top1"].item()

    return find
