"""Kill -9 at random moments, and two processes on one store: the result is as if nothing had happened.

Children are forked from one process that has torch imported and warm, so that each costs milliseconds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_studies import numbers, pictures, strays, weights

from transferlib.store import Store

TREATMENTS = "base,A1B,A3B,A7B,B2B,A2B+,A4B+,R3B"

PARENT = """
import json, os, random, select, signal, sys, time
import torch
from small_studies import small_study
from transferlib.execution import execution
from transferlib.store import Store
from transferlib.executors.serial import Serial
from transferlib.trainer import Note, Trainer

folder, out, treatments = sys.argv[1:]
torch.set_num_threads(1)
study = small_study(treatments, folder=folder, epochs=6)

def start(store, log, put=None):
    ready, say = os.pipe()
    child = os.fork()
    if child:
        os.close(say)
        return child, ready
    code = 1
    try:
        notes = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        def report(event):
            if isinstance(event, Note):
                os.write(notes, (event.text + "\\n").encode())
            elif event.done > 1:
                os.write(say, b".")
        trainer = Trainer(Store(store), execution("cpu", "fp32"), report, checkpoint_seconds=0.05)
        train = trainer._train
        def logged(plan):
            os.write(notes, f"train {plan.name}\\n".encode())
            train(plan)
        trainer._train = logged
        if put is not None:
            trainer.checkpoint_seconds, left, real = 0.0, [put], trainer.store.put
            def dying(record):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(record)
            trainer.store.put = dying
        Serial().run(trainer, study.opened())
        code = 0
    finally:
        os._exit(code)

def end(child, ready):
    os.close(ready)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

# what is imported and compiled at the first step is paid once, here; with one thread it is safe to fork after it
warm = small_study("R1B", folder=folder, epochs=1).opened()
Serial().run(Trainer(Store(f"{out}/warm"), execution("cpu", "fp32")), warm)
found = {}
began = time.monotonic()
found["alone"] = end(*start(f"{out}/alone", f"{out}/alone.log"))
work = time.monotonic() - began

# even where the machine is four times as fast now as it was for the one alone, 20 attempts can't reach the end
draw, kills, limit = random.Random(0), 0, work / 40
while True:
    child, ready = start(f"{out}/killed", f"{out}/killed.log")
    if draw.random() < 0.8:  # else it may die before its first step
        select.select([ready], [], [], 60)
    time.sleep(draw.uniform(0, limit))
    os.kill(child, signal.SIGKILL)  # nothing happens to one that has ended
    code = end(child, ready)
    if code != -signal.SIGKILL:
        break
    kills += 1
    if kills > 20:
        limit *= 2
found["killed"], found["kills"] = code, kills

pair = [start(f"{out}/pair", f"{out}/pair.log") for _ in range(2)]
found["pair"] = [end(*one) for one in pair]

puts = 4  # bases A and B, and 2 of the 3 of AnB
found["at_put"] = end(*start(f"{out}/put", f"{out}/put.log", put=puts))
found["after_put"] = end(*start(f"{out}/put", f"{out}/put.log"))
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """All attempts, played in one process of children; what it counted, and the folder of the stores."""
    out = tmp_path_factory.mktemp("kill")
    here = Path(__file__).parent
    env = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]),
        "TRANSFERLIB_DATA": str(pictures().parent / "data"),
    }
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(pictures()), str(out), TREATMENTS],
        env=env,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout), out


def same_as_alone(out: Path, name: str) -> None:
    alone, store = Store(out / "alone"), Store(out / name)
    assert len(numbers(alone)) == 9  # 7 transfer runs, 2 bases
    assert numbers(store) == numbers(alone)
    assert weights(store) == weights(alone)
    assert not (out / name / "damaged").exists()


def test_a_sweep_killed_20_times_gives_the_numbers_of_an_undisturbed_one(played):
    found, out = played
    assert (found["alone"], found["killed"]) == (0, 0)
    assert found["kills"] >= 20
    assert "goes on after step" in (out / "killed.log").read_text()
    same_as_alone(out, "killed")


def test_a_sweep_that_was_killed_leaves_no_checkpoint(played):
    assert Store(played[1] / "alone").checkpoints() == []
    assert Store(played[1] / "killed").checkpoints() == []


def test_a_sweep_that_was_killed_leaves_no_stray_file(played):
    assert strays(played[1] / "alone") == []
    assert strays(played[1] / "killed") == []


def test_two_processes_on_one_store_train_each_family_once(played):
    found, out = played
    assert found["pair"] == [0, 0]
    trained = [line for line in (out / "pair.log").read_text().splitlines() if line.startswith("train")]
    alone = [line for line in (out / "alone.log").read_text().splitlines() if line.startswith("train")]
    assert sorted(trained) == sorted(set(trained)) == sorted(alone)
    same_as_alone(out, "pair")


def test_a_kill_amid_a_familys_records_loses_none_and_leaves_no_checkpoint(played):
    found, out = played
    assert (found["at_put"], found["after_put"]) == (-9, 0)
    same_as_alone(out, "put")
    assert Store(out / "put").checkpoints() == []
