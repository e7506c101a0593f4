"""Worker processes: the same store as one process makes, whoever dies, fails or is stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from small_studies import numbers, pictures, small_study, strays, trained_alone, use_data_folder, weights

from transferlib.cli import main
from transferlib.errors import TransferlibError
from transferlib.executors import Processes, run_study
from transferlib.executors.graph import Incomplete
from transferlib.nets.registry import NETWORKS
from transferlib.store import Store
from transferlib.trainer import Note, Progress, Stop, Stopped

HERE = Path(__file__).parent
TREATMENTS = "base,A1B,A4B,B2B,A3B+"
CPU = {"device": "cpu", "precision": "fp32"}
LONG = 20  # epochs: no family ends while a stop is on its way


@pytest.fixture(autouse=True)
def data(monkeypatch):
    use_data_folder(monkeypatch)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        use_data_folder(patch)
        return trained_alone(tmp_path_factory.mktemp("alone"), TREATMENTS)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        use_data_folder(patch)
        return trained_alone(tmp_path_factory.mktemp("long"), TREATMENTS, epochs=LONG)


def same(store, alone):
    return numbers(store) == numbers(alone) and weights(store) == weights(alone) and not strays(store.folder)


class Listener:
    """Keeps the notes, and does something at the progress of a family."""

    def __init__(self, at, act, steps=3, times=1):
        self.at, self.act, self.steps, self.times, self.notes = at, act, steps, times, []

    def __call__(self, event):
        if isinstance(event, Note):
            self.notes.append(event.text)
        elif isinstance(event, Progress) and self.times and self.is_now(event):
            self.times -= 1
            self.act(event)

    def is_now(self, event):
        return str(event.plan.family) == self.at and event.done >= self.steps


def kill(event):
    (victim,) = [p for p in multiprocessing.active_children() if p.name == f"worker {event.worker}"]
    os.kill(victim.pid, signal.SIGKILL)


def test_two_workers_make_the_store_that_one_process_makes(alone, tmp_path):
    store = Store(tmp_path)
    table = run_study(small_study(TREATMENTS), store, executor=Processes(2), **CPU)
    assert same(store, alone)
    assert sorted(table["treatment"]) == ["A1B", "A3B+", "A4B", "B2B", "base", "base"]
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_named_and_its_family_is_taken_up_by_another(long, tmp_path):
    study, listener = small_study(TREATMENTS, epochs=LONG), Listener("AnB", kill, steps=1)
    store = Store(tmp_path)
    run_study(study, store, executor=Processes(2), report=listener, **CPU)
    assert same(store, long)
    (note,) = [note for note in listener.notes if "has died" in note]
    assert "(signal 9)" in note and "AnB  target B" in note and note.startswith("worker ")


def test_after_three_deaths_the_study_goes_on_without_the_family(long, tmp_path):
    study, store = small_study(TREATMENTS, epochs=LONG), Store(tmp_path)
    listener = Listener("AnB", kill, steps=1, times=3)
    with pytest.raises(Incomplete, match=r"1 family is missing.*AnB  target B.*its worker died 3 times"):
        run_study(study, store, executor=Processes(2), report=listener, **CPU)
    assert numbers(store).keys() < numbers(long).keys() and len(numbers(store)) == 4
    run_study(study, store, executor=Processes(2), **CPU)
    assert same(store, long)


def test_a_stop_reaches_all_workers_and_the_study_goes_on_from_their_checkpoints(long, tmp_path):
    study, stop, store = small_study(TREATMENTS, epochs=LONG), Stop(), Store(tmp_path)
    listener = Listener("AnB", lambda _: stop.set(), steps=1)
    with pytest.raises(Stopped):
        run_study(study, store, executor=Processes(2), report=listener, stop=stop, **CPU)
    assert not multiprocessing.active_children() and not stop.training
    assert numbers(store).keys() < numbers(long).keys()
    again = Listener("none", print)
    run_study(study, store, executor=Processes(2), report=again, **CPU)
    assert same(store, long)
    assert [note for note in again.notes if "goes on after step" in note]


SCRIPT = """
import os, sys
from small_studies import pictures, small_study
from transferlib.executors import Processes, run_study
from transferlib.store import Store
from transferlib.trainer import Note
from transferlib import treatments

def breaks(net, draw):
    raise RuntimeError("this can't be prepared")

treatments.register(treatments.Kind("XnB", source="other", layers="broken", prepare=breaks))

def told(event):
    print(event.text if isinstance(event, Note) else event, flush=True)

if __name__ == "__main__":
    study = small_study(sys.argv[2], folder=sys.argv[3], epochs=int(sys.argv[4]))
    run_study(study, Store(sys.argv[1]), executor=Processes(2), device="cpu", precision="fp32", report=told)
"""


@pytest.fixture
def script(tmp_path):
    """Starts a study in a process of its own, which can be killed with all that it has begun."""
    file = tmp_path / "study.py"
    file.write_text(SCRIPT)
    begun = []

    def start(store, treatments, epochs=2):
        command = [sys.executable, str(file), str(store), treatments, str(pictures()), str(epochs)]
        path = os.pathsep.join([str(HERE.parent), *sys.path])
        told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        begun.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, start_new_session=True, **told))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()
        process.stdout.close()


def test_workers_end_with_a_checkpoint_when_who_began_them_is_killed(script, alone, tmp_path):
    driver, store = script(tmp_path / "s", "base,A1B", epochs=2000), Store(tmp_path / "s")
    for line in driver.stdout:
        if line.startswith("Progress"):
            break
    workers = [
        child for child in psutil.Process(driver.pid).children(recursive=True) if "spawn_main" in str(child.cmdline())
    ]
    assert workers
    driver.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    assert list(store.checkpoints())


def test_what_fails_inside_a_family_is_told_with_its_name_and_the_others_are_made(script, tmp_path):
    failed = script(tmp_path / "s", "base,X2B,A1B")
    said = failed.communicate(timeout=300)[0]
    assert failed.returncode == 1
    last = said.strip().splitlines()[-1]
    assert "Incomplete" in last and "XnB  target B" in last and "RuntimeError: this can't be prepared" in last
    assert {r["config"]["treatment"] for r in Store(tmp_path / "s").records()} == {"base", "A1B"}


def test_what_can_not_be_sent_is_said_in_a_line(tmp_path):
    study = small_study("base")

    class Local(type(NETWORKS[study.network])):
        pass

    with pytest.MonkeyPatch.context() as patch:
        spec = NETWORKS[study.network]
        patch.setitem(
            NETWORKS, study.network, Local(**{name: getattr(spec, name) for name in spec.__dataclass_fields__})
        )
        with pytest.raises(TransferlibError, match="can't be sent to another process"):
            run_study(study, Store(tmp_path), executor=Processes(1), **CPU)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--executor", "processes", "--workers", "0"], "expected at least 1 worker, got 0"),
        (["--workers", "2"], "--workers is for --executor processes, not serial"),
    ],
)
def test_options_that_can_not_be_are_refused_in_a_line(options, words, tmp_path, capsys):
    assert main(["run", "--profile", "smoke", "--store", str(tmp_path), *options]) == 2
    assert capsys.readouterr().err == f"transferlib: {words}\n"
    assert not list(tmp_path.iterdir())
