"""Run every notebook that _toc.yml names with papermill, then render the executed copies with jupyter-book.

python tools/build_book.py                            # the book, from the published runs, into _build/html
python tools/build_book.py --profile smoke --no-html  # only run the chapters, into _build/smoke

A chapter that has not changed, nor anything that it depends on, is not run again. One that fails ends the build.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import html
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from multiprocessing import forkserver
from pathlib import Path

import forks
import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
STATUS = "*The build puts its versions, its device and the seconds that each chapter took in place of this line.*"
VERSIONED = (
    *("torch", "torchvision", "captum", "numpy", "pandas", "scipy", "matplotlib", "scikit-learn", "scikit-image"),
    *("ipywidgets", "ipython", "ipykernel", "papermill", "jupyter-book"),
)
DRAWING = '<div class="drawing">'  # as transferlib.figures.page begins a figure
CELL_SECONDS = {"published": 300, "smoke": 900}  # what a cell may take; other profiles train for hours
AT_ONCE = min(4, os.cpu_count() or 1)  # chapters


def main() -> int:
    """Run the chapters and render them; 1 where either failed."""
    parser = argparse.ArgumentParser(description="Run every chapter of the book, and render it.")
    parser.add_argument("--profile", default="published", help="the profile that the chapters are run with")
    parser.add_argument("--no-html", action="store_true", help="only run the chapters")
    arguments = parser.parse_args()
    try:
        pages = contents(ROOT / "_toc.yml")
        prepare()
        chapters = [Chapter(page, arguments.profile) for page in pages if page.suffix == ".ipynb"]
        execute(chapters)
        if not arguments.no_html:
            render(pages, chapters)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


class BuildError(Exception):
    """What went wrong, in lines for the person who builds."""


def contents(toc: Path) -> list[Path]:
    """The pages that a table of contents names, below its folder, in its order.

    Raises:
        BuildError: for pages that do not exist.
    """
    names = list(_named(yaml.safe_load(toc.read_text(encoding="utf-8"))))
    found = {
        name: [Path(name + end) for end in (".ipynb", ".md") if (toc.parent / (name + end)).exists()] for name in names
    }
    lacking = [name for name, paths in found.items() if not paths]
    if lacking:
        raise BuildError(f"{toc.name} names pages that do not exist as .ipynb or .md: {', '.join(lacking)}")
    return [paths[0] for paths in found.values()]


def _named(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (node[key] for key in ("root", "file") if key in node)
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _named(item)


# running the chapters


def prepare() -> None:
    """Start what kernels and Sphinx are forked from: it imports this repository's package while we go on."""
    path = os.pathsep.join(filter(None, [str(ROOT), str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    cores = (os.cpu_count() or 1) // AT_ONCE  # torch reads the number once, when it is imported
    os.environ.update(PYTHONPATH=path, OMP_NUM_THREADS=str(cores), PYDEVD_DISABLE_FILE_VALIDATION="1")
    os.chdir(ROOT)  # which comes first where it looks
    forkserver.ensure_running()


@dataclass(frozen=True)
class Chapter:
    """A notebook, run with a profile.

    Attributes:
        page: its path below the repository.
        profile: of the runs that it shows.
    """

    page: Path
    profile: str

    @property
    def executed(self) -> Path:
        """The copy with outputs."""
        return BUILD / self.profile / self.page

    @property
    def stamp(self) -> Path:
        """What the copy was made from, and in how many seconds."""
        return self.executed.with_suffix(".json")

    @cached_property
    def key(self) -> str:
        """The hash of all that the outputs depend on."""
        notebook = nbformat.read(ROOT / self.page, 4)
        sources = imported("\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code"))
        data = [path for path in (ROOT / "transferlib").rglob("*") if path.suffix in (".csv", ".txt")]
        store = published() if ROOT / "transferlib" / "results.py" in sources else []
        files = [ROOT / self.page, *sources, *data, *store]
        parts = [self.profile, sys.version, *(f"{name} {version(name)}" for name in VERSIONED)]
        parts += [f"{path.relative_to(ROOT)} {digest(path)}" for path in sorted(files)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def stamped(self) -> dict:
        """What is known of the copy; nothing where there is none."""
        try:
            return json.loads(self.stamp.read_text(encoding="utf-8")) if self.executed.exists() else {}
        except (FileNotFoundError, json.JSONDecodeError):  # the latter where a build was killed
            return {}


@cache
def digest(path: Path) -> str:
    """The hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def published() -> list[Path]:
    """The files of the store that ships with the book."""
    store = ROOT / "book" / "results"
    return [path for end in ("json", "safetensors") for path in store.rglob(f"[!.]*.{end}")]


def imported(code: str) -> set[Path]:
    """The package's files that some code imports, at once or through others."""
    found: set[Path] = set()
    queue = [(code, "")]
    while queue:
        new = {path for name in _imports(*queue.pop()) for path in _files(name)} - found
        found |= new
        queue += [(path.read_text(encoding="utf-8"), ".".join(path.relative_to(ROOT).parent.parts)) for path in new]
    return found


def _imports(code: str, package: str) -> Iterator[str]:
    """The names that a module of a package imports, those of relative imports in full."""
    try:
        tree = ast.parse(code)
    except SyntaxError:  # the chapter will fail, and say so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _files(name: str) -> Iterator[Path]:
    parts = name.split(".")
    if parts[0] == "transferlib":
        for end in range(1, len(parts) + 1):
            place = ROOT.joinpath(*parts[:end])
            yield from (path for path in (place / "__init__.py", place.with_suffix(".py")) if path.exists())


def execute(chapters: Iterable[Chapter]) -> None:
    """Run the chapters that are not up to date, several at once.

    Raises:
        BuildError: where some failed, with the cell and the error of each.
    """
    failures = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs: list[Future[str]] = []
        try:
            runs += (pool.submit(run, chapter) for chapter in chapters)
            for done in as_completed(runs):
                line = done.result()
                failed = line.startswith("failed")
                failures += [line] * failed
                print(line, flush=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            while any(one.running() for one in runs):
                forks.kill()  # again and again, since one may have been about to start
                time.sleep(0.1)
            raise
    if failures:
        raise BuildError(f"{len(failures)} of {len(runs)} chapters failed; nothing was rendered")


def run(chapter: Chapter) -> str:
    """Run one chapter unless it is up to date; a line that tells how it went."""
    if chapter.stamped.get("key") == chapter.key:
        return f"as before {chapter.page}"
    chapter.executed.parent.mkdir(parents=True, exist_ok=True)
    chapter.executed.unlink(missing_ok=True)
    chapter.stamp.unlink(missing_ok=True)
    started = time.perf_counter()
    how = {"PROFILE": chapter.profile}, _environment(chapter), CELL_SECONDS.get(chapter.profile)
    said = forks.execute(ROOT / chapter.page, chapter.executed, *how)
    seconds = time.perf_counter() - started
    if said:
        return f"failed    {chapter.page}{failure(chapter, said)}"
    chapter.stamp.write_text(json.dumps({"key": chapter.key, "seconds": round(seconds, 1)}), encoding="utf-8")
    return f"ran       {chapter.page} in {seconds:.0f} s"


def _environment(chapter: Chapter) -> dict[str, str]:
    """The kernel's: explorers without a kernel, one store for all chapters."""
    added = {"TRANSFERLIB_STATIC": "1", "TRANSFERLIB_STORE": str(BUILD / chapter.profile / "store")}
    return os.environ | added


def failure(chapter: Chapter, said: str) -> str:
    """In which cell a run ended, counted from 1 as in the source, and with what error."""
    numbers = {cell.id: i for i, cell in enumerate(nbformat.read(ROOT / chapter.page, 4).cells, 1)}
    cells = nbformat.read(chapter.executed, 4).cells if chapter.executed.exists() else []
    begun = [cell for cell in cells if cell.id in numbers and cell.metadata.get("papermill", {}).get("start_time")]
    if not begun:
        return f": {said}"
    errors = [output for output in begun[-1].get("outputs", []) if output.output_type == "error"]
    if errors and not said.startswith("longer than "):  # which ends in an error too
        said = f"{errors[0].ename}: {errors[0].evalue}"
    return f", cell {numbers[begun[-1].id]}: {said}"


def tidy(notebook: nbformat.NotebookNode, profile: str) -> nbformat.NotebookNode:
    """Without papermill's marks and the set-up cell, which is Colab's; the parameters as they were run."""
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in (notebook, *notebook.cells):
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = re.sub(r'PROFILE = "\w+"', f'PROFILE = "{profile}"', cell.source)
        if "setup" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-cell")
        for output in cell.get("outputs", []):
            name_drawing(output, cell.metadata.get("mystnb", {}).get("image", {}).get("alt", ""))
    return notebook


def name_drawing(output: nbformat.NotebookNode, words: str) -> None:
    """Give a figure that is part of the page the words that an image would have as its alternative text."""
    drawn = output.get("data", {}).get("text/html", "")
    if drawn.startswith(DRAWING):
        named = f'{DRAWING[:-1]} role="img" aria-label="{html.escape(words)}">'
        output.data["text/html"] = named + drawn.removeprefix(DRAWING)


# rendering


def render(pages: Iterable[Path], chapters: list[Chapter]) -> None:
    """Make the HTML from a folder that holds the executed copies and the other pages, and nothing else.

    Raises:
        BuildError: where a page has so much as a warning.
    """
    stage = BUILD / "stage"
    for old in (stage, BUILD / "html", BUILD / ".doctrees"):
        shutil.rmtree(old, ignore_errors=True)
    others = [path.relative_to(ROOT) for path in (*ROOT.glob("_static/**/*.*"), *ROOT.glob("book/*.bib"))]
    for page in (*pages, *others):
        (stage / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / page, stage / page)
    for chapter in chapters:
        nbformat.write(tidy(nbformat.read(chapter.executed, 4), chapter.profile), stage / chapter.page)
    status = stage / "book" / "status.md"
    if status.exists():
        status.write_text(status.read_text(encoding="utf-8").replace(STATUS, measured(chapters)), encoding="utf-8")
    arguments = ["build", str(stage), "--path-output", str(ROOT), "--config", str(ROOT / "_config.yml")]
    arguments += ["--toc", str(ROOT / "_toc.yml"), "-W", "-n", "--keep-going", "--all", "-q"]
    program = Path(sys.executable).with_name("jupyter-book")
    if not forks.program(program, arguments, ROOT, dict(os.environ)):
        raise BuildError("the pages have warnings or errors, see above")
    print(f"the book: {BUILD / 'html' / 'index.html'}")


def measured(chapters: Iterable[Chapter]) -> str:
    """The tables of the status page: device, versions, seconds."""
    from transferlib.execution import execution

    used = {"device": execution().device_name, "Python": sys.version.split()[0]}
    used |= {name: version(name) for name in VERSIONED}
    lines = ["| | in this build |", "|---|---|", *(f"| {name} | {value} |" for name, value in used.items())]
    lines += ["", f"| chapter | seconds, {AT_ONCE} at a time |", "|---|---|"]
    lines += [f"| {chapter.page.stem} | {chapter.stamped['seconds']:.0f} |" for chapter in chapters]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
