"""Locks: who holds one is told, and a file system without any is one line."""

from __future__ import annotations

import errno
import os
import signal
import time

import pytest
from small_studies import invented, small_study, store_of

from transferlib import locks
from transferlib.cli import main
from transferlib.data.cache import cached
from transferlib.data.wordnet import wordnet_groups
from transferlib.errors import TransferlibError
from transferlib.executors import run_study
from transferlib.locks import Busy, held, holder
from transferlib.store import Store


@pytest.fixture
def elsewhere(tmp_path):
    """A process that holds a lock, for as long as a test likes."""
    children = []

    def hold(path):
        ready, say = os.pipe()
        child = os.fork()
        if child == 0:
            with held(path):
                os.write(say, b"x")
                signal.pause()
        children.append(child)
        os.read(ready, 1)
        return child

    yield hold
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_who_holds_a_lock_is_told_once_after_a_while(tmp_path, elsewhere, monkeypatch):
    child = elsewhere(tmp_path / "x.lock")
    monkeypatch.setattr(locks, "TELL_SECONDS", 0.2)
    told, started = [], time.monotonic()
    with pytest.raises(Busy, match=f"process {child} on "), held(tmp_path / "x.lock", 1.0, told.append):
        pass
    assert 0.9 < time.monotonic() - started < 3
    (line,) = told
    assert f"process {child} on " in line and str(tmp_path / "x.lock") in line


def test_a_lock_that_is_waited_for_is_got_when_its_holder_dies(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr(locks, "TELL_SECONDS", 0.2)
    child = elsewhere(tmp_path / "x.lock")
    told = []

    def kill(line):
        told.append(line)
        os.kill(child, signal.SIGTERM)

    with held(tmp_path / "x.lock", tell=kill):
        assert holder(tmp_path / "x.lock").startswith(f"process {os.getpid()} on ")
    assert len(told) == 1
    assert holder(tmp_path / "x.lock") == "another process"


def test_a_family_that_another_process_trains_is_waited_for_with_its_name(tmp_path, elsewhere):
    study = small_study("base").opened()
    (plan,) = study.families()
    (tmp_path / "locks").mkdir()
    child = elsewhere(tmp_path / "locks" / f"{plan.name}.lock")
    notes = []

    def report(event):
        notes.append(str(event))
        os.kill(child, signal.SIGTERM)

    run_study(study, Store(tmp_path), report=report)
    assert f"process {child} on " in notes[0] and "is training it; waiting" in notes[0]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks_is_one_line_with_the_mend(tmp_path, monkeypatch, capsys, number):
    def none(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", none)
    with (
        pytest.raises(TransferlibError, match=f"{tmp_path} has no locks .*: choose a folder on a local disk"),
        held(tmp_path / "x.lock"),
    ):
        pass
    run = ["run", "--profile", "smoke", "--split", "random:0", "--target", "B", "--treatments", "base", "--epochs", "1"]
    assert main([*run, "--store", str(tmp_path / "s")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no locks" in line
    with pytest.raises(TransferlibError, match="has no locks"):
        cached("x", 8, tmp_path / "arrays/x", lambda folder: {}, wordnet_groups)


def test_reading_takes_no_lock(tmp_path, monkeypatch):
    store_of(tmp_path, invented("base", 0.5))
    monkeypatch.setattr(Store, "lock", lambda *_: pytest.fail("a lock was taken"))
    assert len(Store(tmp_path).table()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]
