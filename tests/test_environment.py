"""Terminals, logs, pipes, signals and what else surrounds the command line: one line each, and no training is lost."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_studies import invented, small_study, store_of, use_data_folder

import transferlib
from transferlib import progress as progress_module
from transferlib.cli import main
from transferlib.executors.serial import Serial
from transferlib.locks import held
from transferlib.progress import Log, counted
from transferlib.reporting import LineReporter, progress_line
from transferlib.store import Store
from transferlib.trainer import Progress, Trainer

ROOT = Path(transferlib.__file__).parents[1]
RUN = ["run", "--profile", "smoke", "--split", "random:0", "--target", "B", "--treatments", "base"]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | more


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "transferlib", *arguments]


def shell(line: str, **more: str) -> subprocess.CompletedProcess:
    line = line.replace("PROGRAM", f"{sys.executable} -m transferlib")
    return subprocess.run(["bash", "-c", line], env=environment(**more), capture_output=True, text=True, timeout=120)


@pytest.fixture
def data(monkeypatch) -> Path:
    return use_data_folder(monkeypatch)


@pytest.fixture
def many(tmp_path) -> Path:
    """A store whose table is larger than a pipe's buffer."""
    folder = tmp_path / "many"
    store_of(folder, *(invented("A3B", 0.5, seed=seed) for seed in range(700)))
    return folder


# --- imports ---


def test_the_command_line_loads_no_plotting_and_a_notebooks_backend_does_not_stop_it(tmp_path):
    script = "import sys, transferlib.cli; print(*(m for m in ('matplotlib', 'captum', 'IPython') if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"
    store_of(tmp_path / "s", invented("base", 0.5), invented("A3B", 0.4))
    line = f"PROGRAM plot --store {tmp_path}/s --figure 2 --out {tmp_path}/f.svg"
    done = shell(line, MPLBACKEND="module://no_such_package.backend_inline")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("room", "knows_nothing_of"),
    [("attribution", ("figures", "widgets", "matplotlib")), ("figures", ("widgets",))],
)
def test_what_a_layer_sees_is_numbers_and_figures_know_no_explorers(room, knows_nothing_of):
    for path in (Path(transferlib.__file__).parent / room).glob("*.py"):
        imported = re.findall(r"^ *(?:from|import) (?:transferlib\.)?(\w+)", path.read_text(encoding="utf-8"), re.M)
        assert not set(imported) & set(knows_nothing_of), path


@pytest.mark.parametrize("name", ["pyarrow", "matplotlib"])
def test_a_missing_package_is_one_line(tmp_path, monkeypatch, capsys, name):
    store_of(tmp_path, invented("base", 0.5), invented("A3B", 0.4))
    for module in [m for m in sys.modules if m.split(".")[0] == name or m.startswith("transferlib.figures")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    what = ["plot", "--figure", "2", "--out", str(tmp_path / "f.svg")]
    if name == "pyarrow":
        what = ["results", "--parquet", str(tmp_path / "t.parquet")]
    assert main([what[0], "--store", str(tmp_path), *what[1:]]) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(rf"transferlib: [^\n]*{name}[^\n]*\n", err)


# --- outputs that can't be written ---


@pytest.mark.parametrize("line", ["results --store {} | head -n 1", "results --store {} | true", "data list | true"])
def test_a_pipe_that_is_closed_is_no_error(many, line):
    done = shell(f"PROGRAM {line.format(many)}")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "line", ["results --store {} >/dev/full", "data list >/dev/full", "status --store {} >/dev/full"]
)
def test_a_full_output_is_one_line(many, line):
    done = shell(f"PROGRAM {line.format(many)}")
    assert done.returncode == 2
    assert re.fullmatch(r"transferlib: [^\n]*No space left on device\n", done.stderr)


@pytest.mark.parametrize("streams", ["2>&-", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"])
def test_a_full_or_closed_log_stops_no_training_and_reaches_no_file_of_the_store(tmp_path, data, streams):
    line = f"PROGRAM {' '.join(RUN)} --dataset folder:{data} --epochs 1 --store {tmp_path}/s {streams}"
    shell(line)
    assert Store(tmp_path / "s").table()["treatment"].tolist() == ["base"]
    (key,) = Store(tmp_path / "s").table()["key"]
    assert Store(tmp_path / "s").get_weights(key)


def test_a_log_that_breaks_under_way_stops_no_training(tmp_path, data):
    class Broken:
        def write(self, text):
            raise OSError(5, "Input/output error")

        def isatty(self):
            return True

    Serial().run(Trainer(Store(tmp_path), _cpu(), LineReporter(Log(Broken()))), small_study("base").opened())
    assert len(Store(tmp_path).table()) == 1


def _cpu():
    from transferlib.execution import execution

    return execution("cpu")


@pytest.mark.parametrize("what", ["missing folder", "a folder", "read-only"])
def test_an_output_that_can_not_be_written_is_found_before_the_training(tmp_path, data, capsys, what):
    out = {"missing folder": tmp_path / "no/f.png", "a folder": tmp_path, "read-only": Path("/proc/f.png")}[what]
    names = ["--source", "shapes", "--target", f"folder:{data}", "--store", str(tmp_path / "s")]
    for option in ("--out", "--csv"):
        if what == "read-only" or (what == "a folder" and option == "--out"):
            continue  # found when it is written; a folder ends in no .png
        assert main(["measure", *names, option, str(out)]) == 2
        assert re.fullmatch(r"transferlib: [^\n]+\n", capsys.readouterr().err)
        assert not (tmp_path / "s").exists()


def test_a_table_is_written_and_printed_before_a_figure_that_fails(tmp_path, data, capsys, monkeypatch):
    from transferlib.measuring import Measurement, example_folders

    source, target = example_folders(tmp_path / "example")
    monkeypatch.setattr(Measurement, "figure", lambda self: (_ for _ in ()).throw(OSError(28, "No space left")))
    names = ["--source", source, "--target", target, "--store", str(tmp_path / "s"), "--epochs", "1", "--seeds", "1"]
    assert main(["measure", *names, "--out", str(tmp_path / "f.png"), "--csv", str(tmp_path / "t.csv")]) == 2
    assert (tmp_path / "t.csv").read_text().count("\n") == 16
    assert "minus base, points" in capsys.readouterr().out


# --- terminals and logs ---


class Screen:
    """A pseudo-terminal of some width: what a command writes to it, line by line as it stands."""

    def __init__(self, columns: int, arguments: list[str]) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen(arguments, stdin=slave, stdout=slave, stderr=slave, env=environment())
        os.close(slave)
        self.raw = b""
        while True:
            if not select.select([master], [], [], 60)[0]:
                break
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            self.raw += piece
        os.close(master)
        self.code = self.process.wait()

    def longest(self) -> int:
        lines = re.split(r"\r\x1b\[K|[\r\n]+", self.raw.decode())
        return max(len(line) for line in lines if line.endswith(" left") or "|" in line)


@pytest.mark.parametrize("columns", [30, 80])
def test_the_live_line_is_never_wider_than_the_terminal(tmp_path, data, columns):
    screen = Screen(columns, command(*RUN, "--epochs", "3", "--store", str(tmp_path)))
    assert screen.code == 0
    assert b"left" in screen.raw
    assert screen.longest() < columns


@pytest.mark.parametrize("width", [*range(20, 130, 7)])
def test_a_line_keeps_what_matters_most(width):
    plan = small_study("A3B,A5B").families()[-1]
    line = progress_line(Progress(plan, 123456, 1234567, 12345.6, 3725.0), width)
    assert len(line) <= width
    if width >= 35:
        assert line.endswith("1:02:05 left") and "123456/1234567 steps" in line


@pytest.mark.parametrize("columns", [40])
def test_a_bar_on_a_terminal_fits_it_and_a_log_has_none(tmp_path, columns):
    folder = tmp_path / ("long-" * 20)
    for k in range(300):
        file = folder / "ab"[k % 2] / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(file)
    check = command("data", "check", f"folder:{folder}")
    screen = Screen(columns, check)
    assert b"%|" in screen.raw
    assert screen.longest() <= columns
    done = subprocess.run(check, env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_log_has_a_plain_line_every_half_minute_with_the_time_left(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    with counted(600, "check x\n", "images") as done:
        for _ in range(10):
            now[0] += 10.0
            done(60)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        r"check x\n: 180 of 600 images, 1:10 left",
        r"check x\n: 360 of 600 images, 0:40 left",
        r"check x\n: 540 of 600 images, 0:10 left",
    ]
    with counted(None, "file.zip", "B", done=5) as done:
        now[0] += 31
        done(10)
    assert capsys.readouterr().err == "file.zip: 15 B\n"
    with counted(600, None, "images") as done:
        now[0] += 31
        done(10)
    assert capsys.readouterr().err == ""


# --- signals ---


def started(store: Path, *before: str) -> subprocess.Popen:
    arguments = command(*RUN, "--epochs", "1000", "--store", str(store))
    how = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*before, *arguments], **how)
    while "steps" not in process.stderr.readline():
        assert process.poll() is None
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_after_the_step_with_a_checkpoint(tmp_path, data, number):
    process = started(tmp_path / "s")
    try:
        time.sleep(0.5)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "the same command goes on from here" in err and "Traceback" not in err
    (name,) = Store(tmp_path / "s").checkpoints()
    assert Store(tmp_path / "s").get_checkpoint(name)[1]["done_steps"] > 1


def test_a_second_signal_stops_at_once(tmp_path, data, monkeypatch):
    process = started(tmp_path / "s")
    try:
        process.send_signal(signal.SIGSTOP)  # so that both arrive in the midst of a step
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM


def test_nohup_is_obeyed(tmp_path, data):
    process = started(tmp_path / "s", "nohup")
    try:
        process.send_signal(signal.SIGHUP)
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM


# --- what else can be missing ---


def test_a_compiler_that_is_missing_is_one_line(tmp_path, data):
    (tmp_path / "bin").mkdir()
    line = f"PATH={tmp_path}/bin exec PROGRAM {' '.join(RUN)} --dataset folder:{data} --epochs 1 --compile"
    done = shell(f"{line} --store {tmp_path}/s", CXX="", TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 2
    assert re.fullmatch(r"transferlib: torch.compile fails here [^\n]+leave --compile out\n", done.stderr)


def test_too_little_memory_is_one_line(tmp_path, data, capsys, monkeypatch):
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 TB")):

        def none(*_, error=error):
            raise error

        monkeypatch.setattr(Serial, "run", none)
        assert main([*RUN, "--dataset", f"folder:{data}", "--store", str(tmp_path / "s")]) == 2
        assert re.fullmatch(r"transferlib: run: not enough memory[^\n]+\n", capsys.readouterr().err)


@pytest.mark.parametrize("network", [False, True])
def test_the_readmes_measurements_run_as_they_stand(tmp_path, network):
    """In a folder that holds `theirs` and `mine`, but for the program's place, the epochs, and any download."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"^    \.venv/bin/transferlib (measure [^\n]+)$", text, re.M)
    (example,) = [e for e in examples if ("torchvision:" in e) == network]
    example += " --weights none --resolution 32 --minutes 5" if network else ""
    for role, classes in (("theirs", "ab"), ("mine", "cd")):
        for k in range(20):
            file = tmp_path / role / classes[k % 2] / f"{k}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([k, len(role)]).integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file)
    before = sorted((tmp_path / "mine").rglob("*"))
    for _ in range(2):  # and goes on
        done = shell(
            f"cd {tmp_path} && PROGRAM {example} --epochs 1 --seeds 1", TRANSFERLIB_DATA=str(tmp_path / "data")
        )
        assert done.returncode == 0, done.stderr
        assert "top-1" in done.stdout or "accuracy" in done.stdout
    assert sorted((tmp_path / "mine").rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "measured", "mine", "theirs"]


# --- what an attack found ---


def test_a_signal_is_obeyed_at_once_where_nothing_trains(tmp_path, data):
    """Here it waits for another process that decodes the same pictures."""
    folder = tmp_path / "mine"
    shutil.copytree(data / "train", folder)
    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    place = tmp_path / "cache/arrays" / f"folder-{key}"
    place.mkdir(parents=True)
    arguments = ["measure", "--source", "shapes", "--target", f"folder:{folder}", "--store", str(tmp_path / "s")]
    with held(place / "32.lock"):
        how = {"env": environment(TRANSFERLIB_DATA=str(tmp_path / "cache")), "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command(*arguments), **how)
        try:
            assert f"process {os.getpid()} on " in process.stderr.readline()  # who holds what it waits for
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in err and "goes on from here" in err


def test_ctrl_c_while_the_package_is_imported_is_no_traceback(tmp_path):
    (tmp_path / "torch.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n")
    env = environment() | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(command("doctor"), env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "stopped\n")


def test_one_file_for_two_outputs_is_refused(tmp_path, data, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store_of(tmp_path / "s", invented("base", 0.5))
    assert main(["results", "--store", "s", "--csv", "a.csv", "--parquet", "./a.csv"]) == 2
    names = ["--source", "shapes", "--target", f"folder:{data}", "--store", "t"]
    assert main(["measure", *names, "--csv", "a.svg", "--out", str(tmp_path / "a.svg")]) == 2
    assert capsys.readouterr().err.count("is asked for twice") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


@pytest.mark.parametrize("kind", ["runs", "weights", "locks", "damaged", "checkpoints", "shipped"])
def test_no_output_lands_among_a_stores_own_files(tmp_path, data, capsys, kind):
    store = store_of(tmp_path / "s", invented("base", 0.5))
    (store.folder / kind).mkdir(exist_ok=True)
    before = sorted(store.folder.rglob("*"))
    out = str(store.folder / kind / "x.csv")
    names = ["--source", "shapes", "--target", f"folder:{data}", "--store", str(store.folder)]
    assert main(["results", "--store", str(store.folder), "--csv", out]) == 2
    assert main(["measure", *names, "--csv", out]) == 2
    assert capsys.readouterr().err.count("which is read") == 2
    assert sorted(store.folder.rglob("*")) == before


def test_what_commands_print_of_paths_and_notes_has_no_control_characters(tmp_path, data, capsys, monkeypatch):
    folder = tmp_path / "mine\x1b[31m\nX"
    shutil.copytree(data / "train", folder)
    (folder / "class0/a\u202e\nb.jpg_large").write_bytes(b"x")
    store = str(tmp_path / "s\x1b[2J")
    names = ["--source", "shapes", "--target", f"folder:{folder}", "--store", store, "--epochs", "1"]
    assert main(["data", "fetch", f"folder:{folder}"]) == 0
    assert main(["data", "check", f"folder:{folder}"]) == 0
    assert main(["measure", *names, "--seeds", "1", "--out", f"{tmp_path}/f\x1b.svg"]) == 0
    for line in (["status"], ["results"], ["plot", "--figure", "2", "--out", f"{tmp_path}/g\x1b.svg"]):
        main([*line, "--store", store])
    out, err = capsys.readouterr()
    assert r"mine\x1b[31m\nX" in out
    assert not re.search("[^\\S\n ]|[\x00-\x09\x0b-\x1f\u202e]", out + err)


def test_an_empty_store_is_said_to_be_empty(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    assert main(["results", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no finished runs in {tmp_path}\n"


@pytest.mark.parametrize("spec", ["random:007", "random:1_0", "random: 7", "random:٣", "natural-manmade:01"])
def test_a_split_has_one_name(tmp_path, capsys, spec):
    assert main(["run", "--profile", "smoke", "--split", spec, "--store", str(tmp_path / "s")]) == 2
    assert re.fullmatch(r"transferlib: unknown split [^\n]+\n", capsys.readouterr().err)
