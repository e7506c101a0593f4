"""Hold the chapters to the book's rules; one line per fault.

python tools/lint_notebooks.py            # all chapters in book/
python tools/lint_notebooks.py PATH ...   # these
"""

from __future__ import annotations

import ast
import json
import re
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from nbformat.validator import iter_validate
from repository import ROOT, SETUP

LINES, CELLS, MEDIAN = 25, 25, 6  # of a code cell, of a chapter, of a chapter's code cells
WIDTH = 88  # characters of a line of code that the page shows: more are cut off
EXERCISES = 3
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.MULTILINE | re.DOTALL)
H1 = re.compile(r"^# ", re.MULTILINE)
BLOCK = re.compile(r"^(?P<fence>:{3,}|`{3,})\{(?P<kind>exercise|solution)\}(?P<body>.*?)^(?P=fence) *$", re.M | re.S)
ADDRESS = re.compile(re.escape(SETUP).replace(re.escape("{address}"), r"(?P<address>[^\"\n]*)"))

Cell = dict


class Chapter:
    """A notebook as the rules see it."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self.notebook = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # such as the marks of a merge
            self.notebook = {}
        self.cells: list[Cell] = [{"metadata": {}, "source": ""} | cell for cell in self.notebook.get("cells", [])]

    @property
    def code(self) -> list[tuple[int, Cell]]:
        """The code cells with their places, counted from 1 over all cells."""
        return [(i, cell) for i, cell in enumerate(self.cells, 1) if cell["cell_type"] == "code"]

    @property
    def prose(self) -> str:
        """The text of all Markdown cells."""
        return "\n\n".join(source(cell) for cell in self.cells if cell["cell_type"] == "markdown")

    def tagged(self, tag: str) -> list[Cell]:
        """The cells with a tag."""
        return [cell for cell in self.cells if tag in cell["metadata"].get("tags", [])]


def source(cell: Cell) -> str:
    """A cell's text, however it is kept."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def parsed(cell: Cell) -> ast.Module | SyntaxError:
    """A cell's code, or why it is none."""
    try:
        return ast.parse(source(cell))
    except SyntaxError as error:
        return error


def valid(chapter: Chapter) -> Iterator[str]:
    """The file is a notebook of format 4 whose cells have ids, for the kernel python3."""
    for error in iter_validate(chapter.notebook):
        yield f"no valid notebook: {error.message.splitlines()[0][:120]}"
    ids = [cell.get("id") for cell in chapter.cells]
    if None in ids or len(set(ids)) < len(ids):
        yield "expected an id of its own in every cell"
    if chapter.notebook.get("metadata", {}).get("kernelspec", {}).get("name") != "python3":
        yield "expected the kernel python3"


def unexecuted(chapter: Chapter) -> Iterator[str]:
    """No outputs and no execution counts."""
    for i, cell in chapter.code:
        if cell.get("outputs") or cell.get("execution_count"):
            yield f"cell {i}: has outputs or an execution count; sources carry none"


def titled(chapter: Chapter) -> Iterator[str]:
    """One H1, and it is what the chapter begins with."""
    titles = len(H1.findall(FENCE.sub("", chapter.prose)))
    if titles != 1:
        yield f"expected one H1, found {titles}"
    first = chapter.cells[0] if chapter.cells else None
    if not first or first["cell_type"] != "markdown" or not source(first).startswith("# "):
        yield "expected the first cell to begin with the H1"


def prepared(chapter: Chapter) -> Iterator[str]:
    """One cell of parameters, one set-up cell, and that is the book's."""
    for tag in ("parameters", "setup"):
        if len(chapter.tagged(tag)) != 1:
            yield f"expected one cell tagged {tag}, found {len(chapter.tagged(tag))}"
    for cell in chapter.tagged("setup"):
        if not ADDRESS.fullmatch(source(cell)):
            yield "the set-up cell is not the book's: write it with `python tools/repository.py --write`"


def short(chapter: Chapter) -> Iterator[str]:
    """Few and short code cells."""
    lengths = {i: len(source(cell).splitlines()) for i, cell in chapter.code}
    yield from (f"cell {i}: {lines} lines, expected at most {LINES}" for i, lines in lengths.items() if lines > LINES)
    if len(lengths) > CELLS:
        yield f"{len(lengths)} code cells, expected at most {CELLS}"
    if lengths and statistics.median(lengths.values()) > MEDIAN:
        yield f"its code cells have {statistics.median(lengths.values()):g} lines (median), expected at most {MEDIAN}"


def narrow(chapter: Chapter) -> Iterator[str]:
    """No line of code that is shown is cut off on the page."""
    for i, cell in chapter.code:
        shown = not any(tag.startswith(("hide", "remove")) for tag in cell["metadata"].get("tags", []))
        longest = max(map(len, source(cell).splitlines()), default=0)
        if shown and longest > WIDTH:
            yield f"cell {i}: shows a line of {longest} characters, expected at most {WIDTH}"


def plain(chapter: Chapter) -> Iterator[str]:
    """Plain Python without magics and classes."""
    for i, cell in chapter.code:
        tree = parsed(cell)
        if isinstance(tree, SyntaxError):
            line = (tree.text or "").strip()
            what = "a magic, which only some front ends know" if line[:1] in "!%" and line else "no Python"
            yield f"cell {i}: {what}: {line[:60]}"
        elif any(isinstance(node, ast.ClassDef) for node in ast.walk(tree)):
            yield f"cell {i}: has a class; it belongs in the package"


def figures(chapter: Chapter) -> Iterator[tuple[int, Cell]]:
    """The cells that show a figure."""
    for i, cell in chapter.code:
        tree = parsed(cell)
        if not isinstance(tree, SyntaxError) and any(map(_shows, ast.walk(tree))):
            yield i, cell


def _shows(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "show"


def described(chapter: Chapter) -> Iterator[str]:
    """Every figure has a caption, a name to be referred to by, and a text for who does not see it."""
    for i, cell in figures(chapter):
        about = cell["metadata"].get("mystnb", {})
        found = {
            "figure.caption": about.get("figure", {}).get("caption"),
            "figure.name": about.get("figure", {}).get("name"),
            "image.alt": about.get("image", {}).get("alt"),
        }
        lacking = ", ".join(name for name, value in found.items() if not value)
        if lacking:
            yield f"cell {i}: shows a figure without mystnb {lacking}"


def exercised(chapter: Chapter) -> Iterator[str]:
    """A numbered chapter has exercises, one of them to run, each with a solution to be opened."""
    if not re.match(r"\d+_", chapter.name):
        return
    blocks = list(BLOCK.finditer(chapter.prose))
    asked = [block["body"] for block in blocks if block["kind"] == "exercise"]
    solved = {block["body"].split()[0]: block["body"] for block in blocks if block["kind"] == "solution"}
    if len(asked) < EXERCISES:
        yield f"{len(asked)} exercises, expected at least {EXERCISES}"
    if not any("*To run.*" in body for body in asked):
        yield "no exercise is marked *To run.*"
    for body in asked:
        label = re.search(r"^:label: *(\S+)", body, re.MULTILINE)
        if not label:
            yield f"an exercise without a label: {body.strip()[:40]}"
        elif ":class: dropdown" not in solved.get(label[1], ""):
            yield f"exercise {label[1]}: no solution of class dropdown"


RULES = (valid, unexecuted, titled, prepared, short, narrow, plain, described, exercised)


def faults_of(chapters: Sequence[Chapter]) -> Iterator[str]:
    """What is wrong with each chapter, and with all of them together."""
    for chapter in chapters:
        yield from (f"{chapter.name}: {fault}" for rule in RULES for fault in rule(chapter))
    yield from _shared_names(chapters)
    cells = {source(cell) for chapter in chapters for cell in chapter.tagged("setup")}
    if len(cells) > 1:
        yield f"{len(cells)} different set-up cells: write them all with `python tools/repository.py --write`"


def _shared_names(chapters: Sequence[Chapter]) -> Iterator[str]:
    owner: dict[str, str] = {}
    for chapter in chapters:
        names = [cell["metadata"].get("mystnb", {}).get("figure", {}).get("name") for _, cell in figures(chapter)]
        labels = [m[1] for m in re.finditer(r"^:label: *(\S+)", chapter.prose, re.MULTILINE)]
        for name in filter(None, [*names, *labels]):
            if name in owner:
                yield f"{chapter.name}: the name {name} is taken by {owner[name]}"
            owner[name] = chapter.name


def main(arguments: Sequence[str]) -> int:
    """Print the faults; 1 where there are any."""
    paths = [Path(argument) for argument in arguments] or sorted((ROOT / "book").glob("*.ipynb"))
    found = list(faults_of([Chapter(path) for path in paths]))
    print("\n".join(found) or f"{len(paths)} chapters keep the rules")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
