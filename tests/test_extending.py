"""The examples of the appendix on extending, each as it stands there, with the commands below it."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import matplotlib.image
import nbformat
import pytest
import torch
from small_studies import use_data_folder

from transferlib.data import DATASETS
from transferlib.execution import DEVICES
from transferlib.executors import EXECUTORS
from transferlib.nets import NETWORKS
from transferlib.store import Store
from transferlib.treatments import FAMILIES, KINDS

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "book" / "extending.md").read_text(encoding="utf-8")
FILES = {match[1]: match[0] for match in re.finditer(r"(?<=```python\n)# (\w+\.py)\n.*?(?=```)", TEXT, re.S)}
SHELL = "".join(re.findall(r"```sh\n(.*?)```", TEXT, re.S))
COMMANDS = SHELL.replace("\\\n", " ").splitlines()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the examples in it; what they register is forgotten afterwards."""
    use_data_folder(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    tables = (NETWORKS, DATASETS, EXECUTORS, DEVICES, KINDS)
    before, families, threads = [dict(table) for table in tables], list(FAMILIES), torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    FAMILIES[:] = families
    for table, was in zip(tables, before, strict=True):
        table.clear()
        table.update(was)


def play(name, monkeypatch):
    """Run the commands that the appendix gives for a file; their exit codes."""
    codes = []
    for command in [command for command in COMMANDS if command.startswith(f"python {name}")]:
        monkeypatch.setattr(sys, "argv", shlex.split(command)[1:])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(name, run_name="__main__")
        codes.append(ended.value.code)
    return codes


def test_the_appendix_has_an_example_of_each_and_a_command_for_each():
    assert list(FILES) == ["deeper.py", "stripes.py", "shuffled.py", "aloud.py", "xpu.py", "interlude.py"]
    assert {command.split()[1] for command in COMMANDS} == {*FILES, "tools/lint_notebooks.py"}


def test_a_network_that_is_two_layers_deeper_is_trained_and_drawn(here, monkeypatch):
    assert play("deeper.py", monkeypatch) == [0, 0]
    table = Store("deeper-runs").table()
    assert set(table["network"]) == {"deeper"} and len(table) == 9
    net = NETWORKS["deeper"].build(10)
    assert sum(isinstance(module, torch.nn.Conv2d) for module in net.modules()) == 7  # two more than an AlexNet
    assert matplotlib.image.imread("deeper.png").shape[2] == 4


def test_a_data_set_of_ones_own_is_checked_trained_on_and_listed(here, monkeypatch, capsys):
    assert play("stripes.py", monkeypatch) == [0, 0, 0]
    said = capsys.readouterr().out
    assert "stripes: 6 classes, 360 training and 120 validation images, 0 damaged" in said
    table = Store("stripes-runs").table()
    assert set(table["dataset"]) == {"stripes"} and set(table["treatment"]) == {"base", "A3B"}
    assert "stripes" in said.splitlines()[-1]


def test_a_treatment_of_ones_own_is_trained_and_drawn(here, monkeypatch):
    assert play("shuffled.py", monkeypatch) == [0, 0]
    table = Store("shuffled-runs").table()
    assert [name for name in table["treatment"] if name[0] == "S"] == [f"S{n}B" for n in range(1, 8)]
    assert set(table.loc[table["kind"] == "SnB", "source"]) == {"A"}
    assert "SnB: the other half's weights, shuffled, frozen" in drawn("shuffled.svg")
    copied, shuffled = (Store("shuffled-runs").get(key_of(table, name)) for name in ("A3B", "S3B"))
    assert copied["curve"] != shuffled["curve"]  # they differ by what was done to the source alone


def drawn(path):
    """The legend's words; matplotlib writes them as comments beside the outlines of their letters."""
    return Path(path).read_text(encoding="utf-8")


def key_of(table, treatment):
    (key,) = table.loc[table["treatment"] == treatment, "key"]
    return key


def test_an_executor_of_ones_own_trains_and_speaks(here, monkeypatch, capsys):
    assert play("aloud.py", monkeypatch) == [0]
    said = capsys.readouterr().out
    assert re.search(r"^base target A  random:0: 1 of 1 runs to train$", said, re.M)
    assert re.search(r"^AnB  target B  random:0: 1 of 1 runs to train$", said, re.M)
    assert len(Store("aloud-runs").table()) == 3


@pytest.mark.skipif(torch.xpu.is_available(), reason="there is such a GPU here")
def test_a_device_of_ones_own_is_asked_for_by_name(here, monkeypatch, capsys):
    assert play("xpu.py", monkeypatch) == [2]
    assert "no XPU device on this machine" in capsys.readouterr().err


def test_a_chapter_keeps_the_rules_and_runs(here, monkeypatch):
    for name in ("book", "tools"):
        (here / name).symlink_to(ROOT / name)
    monkeypatch.setattr(sys, "argv", ["interlude.py", "."])
    runpy.run_path("interlude.py", run_name="__main__")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import lint_notebooks

    assert lint_notebooks.main(["interlude.ipynb"]) == 0
    names = {"PROFILE": "published"}
    for cell in nbformat.read("interlude.ipynb", 4).cells:
        if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", []):
            exec(compile(cell.source, "interlude", "exec"), names)
    assert len(names["results"].table) > 0
