"""A chapter runs alone, with an empty store; and every chapter runs twice in one kernel and says the same twice."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
ALONE = "01_layers"  # trains two bases and a family


def twice(name: str) -> nbformat.NotebookNode:
    """The chapter's code, and the same code once more, with the smoke profile."""
    notebook = nbformat.read(BOOK / f"{name}.ipynb", 4)
    first = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in first:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = re.sub('"published"', '"smoke"', cell.source, count=1)
    again = copy.deepcopy(first)
    for cell in again:
        cell["id"] += "-again"
    notebook.cells = first + again
    return notebook


def told(cells: list[nbformat.NotebookNode]) -> list[dict]:
    """What the sentences tell, in order; times differ from run to run."""
    return [
        out.metadata["transferlib"]
        for cell in cells
        for out in cell.outputs
        if "transferlib" in out.get("metadata", {})
    ]


def run_twice(name: str, store: Path, monkeypatch) -> list[dict]:
    monkeypatch.setenv("TRANSFERLIB_STORE", str(store))
    monkeypatch.delenv("TRANSFERLIB_STATIC", raising=False)  # live explorers, as a reader has them
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = twice(name)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": BOOK}}).execute()
    half = len(notebook.cells) // 2
    first, second = told(notebook.cells[:half]), told(notebook.cells[half:])
    assert first == second
    return first


def test_a_chapter_runs_alone_with_an_empty_store(executed, tmp_path, monkeypatch):
    sentences = run_twice(ALONE, tmp_path / "store", monkeypatch)
    numbers = {name: value for sentence in sentences for name, value in sentence.items()}
    assert numbers == pytest.approx(executed(ALONE).told)
    assert len(list((tmp_path / "store" / "runs").glob("*.json"))) == 2 + 7


@pytest.mark.parametrize("name", [path.stem for path in sorted(BOOK.glob("*.ipynb")) if path.stem != ALONE])
def test_a_chapter_runs_twice_in_one_kernel(executed, name, monkeypatch):
    assert run_twice(name, ROOT / "_build" / "smoke" / "store", monkeypatch)
    executed(name)
