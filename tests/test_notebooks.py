"""The rules for chapters: the book keeps them, and a chapter that breaks one is told so."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def tool(name):
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "tools"))
    return module


LINT, REPOSITORY = tool("lint_notebooks"), tool("repository")
SETUP = REPOSITORY.SETUP.format(address="https://github.com/someone/book")
FIGURE = {"figure": {"name": "fig-a", "caption": "What it shows."}, "image": {"alt": "A line that rises."}}


def exercise(label, words="Why?"):
    return f""":::{{exercise}}
:label: {label}
{words}
:::

:::{{solution}} {label}
:class: dropdown
Because.

```python
# not a title
```
:::"""


def markdown(text, **metadata):
    return {"cell_type": "markdown", "metadata": metadata, "source": text}


def code(text, **metadata):
    return {"cell_type": "code", "metadata": metadata, "source": text, "outputs": [], "execution_count": None}


def good():
    return [
        markdown("# What is asked?\n\nProse."),
        code(SETUP, tags=["setup", "hide-input"]),
        code('PROFILE = "published"', tags=["parameters"]),
        code("from transferlib.figures import show"),
        code("show(figure)", mystnb=json.loads(json.dumps(FIGURE))),
        markdown("\n\n".join([exercise("ex-1"), exercise("ex-2"), exercise("ex-3", "*To run.* Do it.")])),
        code("1 + 1"),
    ]


def chapter(folder, cells, name="01_toy.ipynb", kernel="python3"):
    cells = [{"id": f"cell-{i}"} | cell for i, cell in enumerate(cells)]
    metadata = {"kernelspec": {"name": kernel, "display_name": "Python 3"}}
    path = folder / name
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    return path


def faults(*paths):
    return [line.split(": ", 1)[1] for line in LINT.faults_of([LINT.Chapter(path) for path in paths])]


def test_the_books_chapters_keep_the_rules(capsys):
    assert LINT.main([]) == 0, capsys.readouterr().out


def test_a_good_chapter_has_no_fault(tmp_path):
    assert faults(chapter(tmp_path, good())) == []


def changed(place, **changes):
    cells = good()
    cells[place] |= changes
    return cells


OUTPUT = [{"output_type": "stream", "name": "stdout", "text": "2"}]
BROKEN = {
    "output": (changed(6, outputs=OUTPUT), "cell 7: has outputs or an execution count; sources carry none"),
    "count": (changed(6, execution_count=3), "cell 7: has outputs or an execution count; sources carry none"),
    "no title": (changed(0, source="## What?"), "expected one H1, found 0"),
    "two titles": (changed(0, source="# What?\n\n# And?"), "expected one H1, found 2"),
    "title late": ([markdown("Prose."), *good()], "expected the first cell to begin with the H1"),
    "no parameters": (changed(2, metadata={}), "expected one cell tagged parameters, found 0"),
    "two parameters": ([*good(), good()[2]], "expected one cell tagged parameters, found 2"),
    "no set-up": (changed(1, metadata={"tags": ["hide-input"]}), "expected one cell tagged setup, found 0"),
    "another set-up": (changed(1, source=SETUP + "\nimport os"), "the set-up cell is not the book's"),
    "long cell": (changed(6, source="x = 1\n" * 26), "cell 7: 26 lines, expected at most 25"),
    "wide line": (
        changed(6, source="x = 1" + "  # why" * 20),
        "cell 7: shows a line of 145 characters, expected at most 88",
    ),
    "many cells": ([*good(), *[code("1")] * 22], "27 code cells, expected at most 25"),
    "long median": ([*good(), *[code("x = 1\n" * 7)] * 6], "its code cells have 7 lines (median), expected at most 6"),
    "shell": (changed(6, source="!pip install x"), "cell 7: a magic, which only some front ends know: !pip install x"),
    "magic": (changed(6, source="x = 1\n%time x"), "cell 7: a magic, which only some front ends know: %time x"),
    "no Python": (changed(6, source="for"), "cell 7: no Python: for"),
    "class": (changed(6, source="class A:\n    pass"), "cell 7: has a class; it belongs in the package"),
    "bare figure": (
        changed(4, metadata={}),
        "cell 5: shows a figure without mystnb figure.caption, figure.name, image.alt",
    ),
    "no alt": (
        changed(4, metadata={"mystnb": {"figure": FIGURE["figure"]}}),
        "cell 5: shows a figure without mystnb image.alt",
    ),
    "two exercises": (
        changed(5, source=exercise("ex-1") + "\n\n" + exercise("ex-2", "*To run.*")),
        "2 exercises, expected at least 3",
    ),
    "none to run": (changed(5, source=good()[5]["source"].replace("*To run.*", "")), "no exercise is marked *To run.*"),
    "open solution": (
        changed(5, source=good()[5]["source"].replace(":class: dropdown\n", "", 1)),
        "exercise ex-1: no solution of class dropdown",
    ),
    "no solution": (
        changed(5, source=good()[5]["source"].replace("{solution} ex-2", "{solution} ex-9")),
        "exercise ex-2: no solution of class dropdown",
    ),
    "no label": (
        changed(5, source=good()[5]["source"].replace(":label: ex-1\n", "")),
        "an exercise without a label: Why?",
    ),
    "shared id": (changed(6, id="cell-0"), "expected an id of its own in every cell"),
    "not a cell": (changed(6, cell_type="sum"), "no valid notebook: "),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_is_named_and_no_other(tmp_path, name):
    cells, told = BROKEN[name]
    found = faults(chapter(tmp_path, cells))
    assert found[0].startswith(told)
    assert len(found) <= 2  # a title that is missing is also not first


def test_ids_and_the_kernel_are_asked_for(tmp_path):
    assert "expected the kernel python3" in faults(chapter(tmp_path, good(), kernel="conda"))
    path = chapter(tmp_path, good())
    path.write_text(path.read_text().replace('"id": "cell-3", ', ""))
    assert "expected an id of its own in every cell" in faults(path)


def test_a_file_that_is_no_json_is_a_fault(tmp_path):
    path = tmp_path / "01_toy.ipynb"
    path.write_text("<<<<<<< ours")
    assert faults(path)[0].startswith("no valid notebook: ")


def test_names_and_set_up_cells_are_compared_over_the_book(tmp_path):
    first, second = chapter(tmp_path, good()), chapter(tmp_path, good(), "02_toy.ipynb")
    assert "the name fig-a is taken by 01_toy.ipynb" in faults(first, second)
    assert "the name ex-1 is taken by 01_toy.ipynb" in faults(first, second)
    other = chapter(tmp_path, changed(1, source=REPOSITORY.SETUP.format(address="")), "03_toy.ipynb")
    (told,) = [line for line in LINT.faults_of([LINT.Chapter(first), LINT.Chapter(other)]) if "set-up" in line]
    assert told == "2 different set-up cells: write them all with `python tools/repository.py --write`"


@pytest.mark.parametrize("name", ["01_toy.ipynb", "09_toy.ipynb", "10_toy.ipynb", "23_toy.ipynb"])
def test_every_numbered_chapter_needs_exercises_and_no_other(tmp_path, name):
    cells = [*good()[:5], good()[6]]
    assert faults(chapter(tmp_path, cells, "index.ipynb")) == []
    lacking = ["0 exercises, expected at least 3", "no exercise is marked *To run.*"]
    assert faults(chapter(tmp_path, cells, name)) == lacking


def test_the_exit_status_and_a_line_for_each_fault(tmp_path, capsys):
    bad = chapter(tmp_path, changed(0, source="## What?"))
    assert LINT.main([str(bad)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "01_toy.ipynb: expected one H1, found 0",
        "01_toy.ipynb: expected the first cell to begin with the H1",
    ]


# --- the repository's address ---


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({"BOOK_REPOSITORY_URL": "https://github.com/a/b.git"}, "https://github.com/a/b"),
        ({"GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://github.com"}, "https://github.com/a/b"),
        ({"GITHUB_REPOSITORY": "a/b"}, "https://github.com/a/b"),
        ({"BOOK_REPOSITORY_URL": "https://github.com/c/d/", "GITHUB_REPOSITORY": "a/b"}, "https://github.com/c/d"),
        ({"BOOK_REPOSITORY_URL": "https://elsewhere.org/a/b"}, ""),
    ],
    ids=str,
)
def test_the_address_comes_from_the_environment(monkeypatch, environment, address):
    for name in ("BOOK_REPOSITORY_URL", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert REPOSITORY.address() == address


def test_writing_the_set_up_cell_changes_it_alone_and_twice_is_once(tmp_path):
    path = chapter(tmp_path, changed(1, source="# set-up"))
    assert REPOSITORY.write(path, "https://github.com/a/b")
    cells = json.loads(path.read_text())["cells"]
    assert "".join(cells[1]["source"]) == REPOSITORY.SETUP.format(address="https://github.com/a/b")
    assert [c["source"] for i, c in enumerate(cells) if i != 1] == [c["source"] for i, c in enumerate(good()) if i != 1]
    assert faults(path) == []
    assert not REPOSITORY.write(path, "https://github.com/a/b")


def test_the_set_up_cell_does_nothing_where_there_is_no_colab(capsys):
    before = list(sys.path)
    exec(compile(REPOSITORY.SETUP.format(address=""), "setup", "exec"), {})
    assert sys.path == before
