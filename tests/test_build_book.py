"""What is run again and what is not, how a failure is told, what a page shows of a run, and equations as MathML."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("yaml")
import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_notebook

TOOLS = Path(__file__).resolve().parent.parent / "tools"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The build, for a small repository of its own."""
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location("build_book_here", TOOLS / "build_book.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "build_book_here", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(module, "AT_ONCE", 3)
    write(tmp_path / "transferlib" / "__init__.py", "")
    write(tmp_path / "transferlib" / "results.py", "from transferlib.store import Store")
    write(tmp_path / "transferlib" / "store.py", "class Store: ...")
    write(tmp_path / "transferlib" / "nets.py", "")
    write(tmp_path / "transferlib" / "classes.csv", "cat")
    write(tmp_path / "book" / "results" / "runs" / "a.json", "{}")
    return module


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def chapter(tool, name, *code, profile="published"):
    page = Path("book") / f"{name}.ipynb"
    cells = [new_code_cell('PROFILE = "published"  # or another', metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(text) for text in code]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    (tool.ROOT / "book").mkdir(exist_ok=True)
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), tool.ROOT / page)
    return tool.Chapter(page, profile)


def keys(tool, **profile):
    """The keys of a chapter that reads runs and of one that does not, as they would be in a new process."""
    tool.digest.cache_clear()
    tool.published.cache_clear()
    reads = chapter(tool, "reads", "from transferlib.results import open_results", **profile)
    draws = chapter(tool, "draws", "import transferlib.nets", **profile)
    return reads.key, draws.key


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("transferlib/store.py", (True, False)),  # imported by what the chapter imports
        ("transferlib/nets.py", (False, True)),
        ("transferlib/__init__.py", (True, True)),
        ("transferlib/classes.csv", (True, True)),
        ("book/results/runs/b.json", (True, False)),
        ("book/results/locks/b.lock", (False, False)),
        ("README.md", (False, False)),
    ],
)
def test_a_change_runs_again_what_it_touches(tool, changed, again):
    before = keys(tool)
    write(tool.ROOT / changed, "changed = 1")
    assert tuple(old != new for old, new in zip(before, keys(tool), strict=True)) == again


def test_another_profile_or_another_cell_runs_again(tool):
    assert set(keys(tool)).isdisjoint(keys(tool, profile="smoke"))
    before = keys(tool)[0]
    assert keys(tool)[0] == before
    chapter(tool, "reads", "from transferlib.results import open_results", "1")
    tool.digest.cache_clear()
    assert tool.Chapter(Path("book/reads.ipynb"), "published").key != before


def test_imports_are_found_in_functions_and_through_packages(tool):
    write(tool.ROOT / "transferlib" / "inner" / "__init__.py", "from transferlib.inner.deep import thing")
    write(tool.ROOT / "transferlib" / "inner" / "deep.py", "def f():\n    from transferlib import nets")
    found = {path.relative_to(tool.ROOT).as_posix() for path in tool.imported("from transferlib.inner import thing")}
    names = {"__init__.py", "inner/__init__.py", "inner/deep.py", "nets.py"}
    assert found == {f"transferlib/{name}" for name in names}
    assert tool.imported("import numpy\nfrom math import pi") == set()


def test_a_failing_chapter_fails_the_build_and_names_its_cell(tool, monkeypatch, capsys):
    monkeypatch.setitem(tool.CELL_SECONDS, "published", 15)  # a good cell on a busy machine needs some
    good = chapter(tool, "good", "import os", "print(PROFILE, os.environ['TRANSFERLIB_STATIC'])")
    bad = chapter(tool, "bad", "1 + 1", "raise ValueError('no such layer')", "2 + 2")
    slow = chapter(tool, "slow", "import time; time.sleep(60)")
    with pytest.raises(tool.BuildError, match="2 of 3 chapters failed; nothing was rendered"):
        tool.execute([good, bad, slow])
    said = capsys.readouterr().out
    assert re.search(r"^ran +book/good.ipynb in \d+ s$", said, re.MULTILINE)
    assert re.search(r"^failed +book/bad.ipynb, cell 3: ValueError: no such layer$", said, re.MULTILINE)
    assert re.search(r"^failed +book/slow.ipynb, cell 2: longer than 15 seconds$", said, re.MULTILINE)
    outputs = nbformat.read(good.executed, 4).cells[-1].outputs
    assert [output.text for output in outputs] == ["published 1\n"]
    assert (bad.stamped, slow.stamped) == ({}, {})
    tool.execute([good])
    assert capsys.readouterr().out == "as before book/good.ipynb\n"


def test_kernels_are_apart_and_have_torch_before_they_begin(tool):
    begin = "import os, sys; begun = 'torch' in sys.modules, 'mine' in os.environ, 'mark' in vars(sys)"
    own = "os.environ['mine'] = sys.mark = '1'; print(begun, os.getcwd()[-5:], os.getsid(0) == os.getpid())"
    chapters = [chapter(tool, name, begin, own) for name in ("one", "two", "three")]
    tool.execute(chapters)
    for one in chapters:
        outputs = nbformat.read(one.executed, 4).cells[-1].outputs
        assert [output.text for output in outputs] == ["(True, False, False) /book True\n"]


@pytest.fixture
def temporary(monkeypatch):
    """Where the kernels' files lie: a short path, pytest's are too long for a socket's."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)


def test_a_kernel_that_dies_fails_its_chapter_alone(tool, capsys, temporary):
    dead = chapter(tool, "dead", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    good = chapter(tool, "good", "1 + 1")
    with pytest.raises(tool.BuildError, match="1 of 2 chapters failed"):
        tool.execute([dead, good])
    said = capsys.readouterr().out
    assert re.search(r"^failed +book/dead.ipynb, cell 2: Kernel died$", said, re.MULTILINE)
    assert re.search(r"^ran +book/good.ipynb in \d+ s$", said, re.MULTILINE)
    assert list(temporary.glob("kernel-*")) == []


def building(tool, toc="root: book/one"):
    """A process that builds what a table of contents names, one chapter after the other, begun in another folder."""
    write(tool.ROOT / "_toc.yml", toc)
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); import build_book as b; from pathlib import Path; "
    script += "b.ROOT = Path(sys.argv.pop(1)); b.BUILD = b.ROOT / '_build'; b.AT_ONCE = 1; sys.exit(b.main())"
    return subprocess.Popen(
        [sys.executable, "-c", script, str(TOOLS), str(tool.ROOT), "--no-html"],
        cwd="/",
        env=os.environ | {"OMP_NUM_THREADS": "7", "PYTHONPATH": str(TOOLS.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def printed(tool, name):
    """What the last cell of a chapter that was built has printed."""
    (output,) = nbformat.read(tool.BUILD / "published" / "book" / f"{name}.ipynb", 4).cells[-1].outputs
    return output.text


def test_torch_has_the_cores_that_a_chapter_has(tool):
    shutil.rmtree(tool.ROOT / "transferlib")  # so that the package itself is imported before, and torch with it
    chapter(
        tool, "one", "import sys; begun = 'torch' in sys.modules", "print(begun, __import__('torch').get_num_threads())"
    )
    said = building(tool).communicate(timeout=120)[0]
    assert said.startswith("ran       book/one.ipynb in "), said
    assert printed(tool, "one") == f"True {os.cpu_count()}\n"


def test_a_chapter_imports_the_package_that_it_lies_beside(tool):
    chapter(tool, "one", "import transferlib; print(transferlib.__file__)")
    said = building(tool).communicate(timeout=120)[0]
    assert said.startswith("ran       book/one.ipynb in "), said
    assert printed(tool, "one") == f"{tool.ROOT / 'transferlib' / '__init__.py'}\n"


@pytest.mark.parametrize(("code", "well"), [(0, True), (3, False)])
def test_a_program_has_its_folder_its_arguments_and_an_end(tool, code, well):
    tell = "import os, sys; open('told', 'w').write(f'{sys.argv[1:]} {os.environ}')"
    write(tool.ROOT / "program.py", f"{tell}; sys.exit({code})")
    assert tool.forks.program(tool.ROOT / "program.py", ["a", "b"], tool.ROOT, {"only": "this"}) == well
    assert (tool.ROOT / "told").read_text() == "['a', 'b'] environ({'only': 'this'})"


def test_a_chapter_may_start_processes(tool):
    code = "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, 2]))"
    tool.execute([chapter(tool, "one", code)])
    assert printed(tool, "one") == "[1, 2]\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped_leaves_no_process(tool, number, temporary):
    here = tool.ROOT / "pids"
    start = "import os, subprocess; child = subprocess.Popen(['sleep', '100'])"
    tell = f"open({str(here)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')"
    chapter(tool, "one", f"{start}; {tell}", "import time; time.sleep(100)")
    chapter(tool, "two")
    with building(tool, "root: book/one\nchapters: [{file: book/two}]") as build:
        until(lambda: here.exists() and here.read_text().endswith("\n"))
        build.send_signal(number)
        said = build.communicate(timeout=20)[0]
    assert build.returncode == -9 or (build.returncode, said[-8:]) == (130, "stopped\n")
    until(lambda: not any(map(alive, here.read_text().split())))
    assert number == signal.SIGKILL or list(temporary.glob("kernel-*")) == []


def alive(pid):
    return psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE


def until(holds, seconds=60):
    for _ in range(10 * seconds):
        if holds():
            return
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} seconds")


def test_a_page_shows_the_profile_that_was_run_and_nothing_of_papermill(tool):
    cells = [
        new_code_cell("set up", metadata={"tags": ["setup", "hide-input"]}),
        new_code_cell('PROFILE = "published"  # or another', metadata={"tags": ["parameters"]}),
        new_code_cell('PROFILE = "smoke"', metadata={"tags": ["injected-parameters"]}),
        new_code_cell("1", metadata={"papermill": {"duration": 1}, "execution": {}, "mystnb": {"image": {"alt": "a"}}}),
    ]
    notebook = tool.tidy(new_notebook(cells=cells, metadata={"papermill": {"input_path": "x"}}), "smoke")
    assert [cell.source for cell in notebook.cells] == ["set up", 'PROFILE = "smoke"  # or another', "1"]
    assert "remove-cell" in notebook.cells[0].metadata.tags
    assert notebook.cells[2].metadata == {"mystnb": {"image": {"alt": "a"}}}
    assert "papermill" not in notebook.metadata


def test_pages_that_do_not_exist_are_all_named(tool):
    write(tool.ROOT / "book" / "index.md", "# Book")
    write(tool.ROOT / "_toc.yml", "root: book/index\nparts: [{chapters: [{file: book/one}, {file: book/two}]}]")
    with pytest.raises(tool.BuildError, match=r"^_toc\.yml names pages that do not exist .*: book/one, book/two$"):
        tool.contents(tool.ROOT / "_toc.yml")
    write(tool.ROOT / "book" / "one.md", "# One")
    chapter(tool, "two")
    names = ["book/index.md", "book/one.md", "book/two.ipynb"]
    assert [page.as_posix() for page in tool.contents(tool.ROOT / "_toc.yml")] == names


def test_the_status_page_has_the_line_that_the_build_replaces(tool):
    assert tool.STATUS in (TOOLS.parent / "book" / "status.md").read_text(encoding="utf-8").splitlines()
    measured = SimpleNamespace(page=Path("book/05_freezing.ipynb"), stamped={"seconds": 12.4})
    text = tool.measured([measured])
    assert "| 05_freezing | 12 |" in text
    assert f"| torch | {tool.version('torch')} |" in text


def test_equations_become_mathml(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(TOOLS))
    import bookext

    drawn = bookext.mathml(r"\underbrace{\text{base} - x_n}_{\text{lost}}", "block", None)
    assert re.match(r'<math [^>]*display="block"', drawn)
    words = re.findall(r"<mi>(\w\w+)</mi>", drawn)  # no <mtext>, beside which an operator has no space
    assert words == ["base", "lost"]
    assert "<munder>" in drawn and "<msub>" in drawn
    warned = []
    monkeypatch.setattr(bookext.LOG, "warning", lambda *what, **_: warned.append(what))
    bookext.mathml(r"\nothing{x}", "inline", None)
    bookext.mathml("x^", "inline", None)
    assert len(warned) == 2


@pytest.mark.parametrize("name", ["Results", "Results.table", "Results._trained", "open_results"])
def test_a_name_leads_to_its_lines_in_the_repository(monkeypatch, name):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(TOOLS))
    import bookext

    monkeypatch.setattr(bookext, "BRANCH", "main")
    led = bookext.source("https://github.com/some/one", "py", {"module": "transferlib.results", "fullname": name})
    file, first, last = re.fullmatch(r"https://github.com/some/one/blob/main/(\S+)#L(\d+)-L(\d+)", led).groups()
    lines = (TOOLS.parent / file).read_text(encoding="utf-8").splitlines()[int(first) - 1 : int(last)]
    assert re.search(rf"(def|class) {name.split('.')[-1]}\b", "\n".join(lines[:2]))
    assert (
        bookext.source("https://github.com/some/one", "py", {"module": "transferlib.results", "fullname": "PUBLISHED"})
        is None
    )


@pytest.mark.parametrize(
    ("signature", "shown"),
    [
        ("(a: ~b.C = <factory>, d: str = <function say>)", "(a: ~b.C = ..., d: str = say)"),
        ("(a: int = 1)", "(a: int = 1)"),
    ],
)
def test_defaults_without_words_are_written_as_code(monkeypatch, signature, shown):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(TOOLS))
    import bookext

    assert bookext.plain("app", "class", "name", object, {}, signature, "int") == (shown, "int")
    assert bookext.plain("app", "module", "name", object, {}, None, None) is None


def test_a_chapter_depends_on_what_is_imported_relatively(tool):
    write(tool.ROOT / "transferlib" / "errors.py", "")
    write(tool.ROOT / "transferlib" / "data" / "__init__.py", "from . import folders\nfrom .cache import cached")
    write(tool.ROOT / "transferlib" / "data" / "folders.py", "from ..errors import Error")
    write(tool.ROOT / "transferlib" / "data" / "cache.py", "")
    write(tool.ROOT / "transferlib" / "data" / "unused.py", "")
    found = {path.name for path in tool.imported("from transferlib.data import load")}
    assert found == {"__init__.py", "folders.py", "cache.py", "errors.py"}


def test_a_stamp_that_was_half_written_is_none(tool):
    one = tool.Chapter(Path("book/one.ipynb"), "published")
    write(one.executed, "")
    write(one.stamp, '{"key"')
    assert one.stamped == {}
