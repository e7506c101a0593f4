"""The command line, as a person meets it: what each command prints, and one line for each mistake."""

import dataclasses
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from small_studies import Unprivileged, invented, numbers, pictures, small_study, store_of, use_data_folder

import transferlib
from transferlib import cli, reporting, speed
from transferlib.cli import main
from transferlib.errors import TransferlibError
from transferlib.profiles import PROFILES, profile
from transferlib.progress import Log, clock
from transferlib.records import COLUMNS
from transferlib.reporting import LineReporter
from transferlib.store import Store
from transferlib.trainer import Note, Progress, Trainer


@pytest.fixture(autouse=True)
def one_thread_our_pictures_and_the_old_handler(monkeypatch):
    use_data_folder(monkeypatch)
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, handler)


def run_arguments(store: Path, *more: str) -> list[str]:
    small = ["--dataset", f"folder:{pictures()}", "--split", "random:0", "--target", "B", "--epochs", "1"]
    quick = ["--device", "cpu", "--precision", "fp32"]
    return ["run", "--profile", "smoke", "--store", str(store), *small, *quick, *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store that ``run`` has written, and what it printed."""
    store = tmp_path_factory.mktemp("cli") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        use_data_folder(patch)
        out, err = io.StringIO(), io.StringIO()
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        handler = signal.getsignal(signal.SIGINT)
        code = main(run_arguments(store, "--treatments", "base,A3B,A5B"))
        signal.signal(signal.SIGINT, handler)
    assert code == 0
    return store, out.getvalue(), err.getvalue()


def test_run_trains_what_was_asked_and_says_how_to_go_on(finished):
    store, out, err = finished
    assert sorted(Store(store).table()["treatment"]) == ["A3B", "A5B", "base", "base"]
    assert set(Store(store).table()["epochs"]) == {1}
    assert "random:0: " in out
    assert "4 runs in the store" in out or "3 runs in the store" in out
    assert f"transferlib results --store {store}" in out
    assert "AnB  target B" in err
    assert re.search(r"2 runs +1/1 steps", err)


def test_run_again_trains_nothing(finished, capsys):
    before = numbers(Store(finished[0]))
    assert main(run_arguments(finished[0], "--treatments", "base,A3B")) == 0
    assert "steps" not in capsys.readouterr().err
    assert numbers(Store(finished[0])) == before


def test_status_lists_what_is_finished_and_what_is_under_way(finished, tmp_path, capsys):
    store = Store(shutil.copytree(finished[0], tmp_path / "copy"))
    store.put_checkpoint("c" * 16, {}, {"plan": "BnB  target A", "done_steps": 3, "total_steps": 9})
    assert main(["status", "--store", str(store.folder)]) == 0
    out = capsys.readouterr().out
    assert "4 finished runs" in out
    assert "1 epochs, random:0, target B: AnB n = 3,5" in out
    assert "target A: base" in out
    assert "under way: BnB  target A, 3 of 9 steps" in out


def test_status_says_which_runs_are_unsound(tmp_path, capsys):
    store_of(tmp_path, invented("A3B", 0.1, status="diverged", images_per_class=7), invented("base", 0.5))
    assert main(["status", "--store", str(tmp_path)]) == 0
    assert "7 images a class, random:0, target B: AnB n = 3 (diverged)" in capsys.readouterr().out


def test_results_prints_and_writes_the_table(finished, tmp_path, capsys):
    store, csv, parquet = str(finished[0]), tmp_path / "r.csv", tmp_path / "r.parquet"
    assert main(["results", "--store", store]) == 0
    out = capsys.readouterr().out
    assert [line.split()[7] for line in out.splitlines()[1:]].count("A3B") == 1
    assert main(["results", "--store", store, "--csv", str(csv), "--parquet", str(parquet)]) == 0
    table = Store(finished[0]).table()
    read = pd.read_csv(csv)
    for name in ("key", "recipe"):  # so that none can be taken for a number
        read[name] = read[name].str.removeprefix(f"{name}-")
    for again in (read, pd.read_parquet(parquet)):
        assert list(again.columns) == COLUMNS
        pd.testing.assert_frame_equal(again, table, check_dtype=False, check_exact=True)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot_draws_a_file(finished, tmp_path, capsys, suffix):
    out = tmp_path / f"f.{suffix}"
    assert main(["plot", "--store", str(finished[0]), "--figure", "2", "--out", str(out)]) == 0
    assert out.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml"}[suffix])
    assert capsys.readouterr().out.strip() == str(out)


def test_data_lists_and_checks(capsys):
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("shapes", "tiny-imagenet", "cifar100", "imagenet", "folder:PATH"))
    assert main(["data", "check", f"folder:{pictures()}"]) == 0
    assert "4 classes, 96 training and 84 validation images, 0 damaged" in capsys.readouterr().out


def test_doctor_says_what_the_machine_will_do(monkeypatch, capsys):
    monkeypatch.setattr(speed, "images_per_second", lambda *_: 1000.0)
    assert main(["doctor", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for word in ("device", "precision  cpu", "memory", "GiB free", "versions", f"torch {torch.__version__}", *PROFILES):
        assert word in out
    assert os.environ["TRANSFERLIB_DATA"] in out


def test_part_asks_for_one_part_of_the_profile_and_the_other_options_change_it(monkeypatch, capsys):
    asked = []
    table = pd.DataFrame({"status": []})
    monkeypatch.setattr(cli, "run_study", lambda study, *_, **__: asked.append(study) or table)
    run = ["run", "--profile", "published", "--store", "nowhere"]
    assert main([*run, "--part", "batch-norm", "--target", "A", "--treatments", "BnB"]) == 0
    assert main([*run, "--part", "few-images", "--epochs", "1"]) == 0
    assert main([*run, "--split", "random:7"]) == 0
    assert [(s.network, s.splits, s.targets, len(s.treatments)) for s in asked[:1]] == [
        ("alexnet32-small-bn", ("random:0",), ("A",), 7)
    ]
    assert [(s.images_per_class, s.recipe.epochs) for s in asked[1:-1]] == [(n, 1) for n in (25, 50, 100, 250, None)]
    assert asked[-1] == dataclasses.replace(profile("published").part("random")[0], splits=("random:7",))


def test_help_and_version(capsys):
    for arguments, words in {
        ("--help",): ["A3B+", "B3B+", "R3B", "fine-tuned", "examples:"],
        ("run", "--help"): ["--treatments", "base,BnB,A3B+", "smoke", "goes on where it stopped"],
        ("--version",): [f"transferlib {transferlib.__version__}"],
    }.items():
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        out = " ".join(capsys.readouterr().out.split())
        assert [word for word in words if word not in out] == []


# --- mistakes ---


@pytest.fixture
def bad(tmp_path):
    """Paths that the mistakes name."""
    (tmp_path / "one" / "cat").mkdir(parents=True)
    (tmp_path / "file").write_text("not a folder")
    return tmp_path


RUN = ("run", "--profile", "smoke", "--store", "{bad}/store")
PLOT = ("plot", "--store", "{store}", "--figure")
MISTAKES = {
    "profile": (("run", "--profile", "smok", "--store", "{bad}/s"), "unknown profile 'smok': expected one of smoke"),
    "part": ((*RUN, "--part", "few"), "profile smoke has no part 'few': it has random, dissimilar, random-filters"),
    "empty part": ((*RUN, "--part", ""), "profile smoke has no part '': it has random"),
    "data set": ((*RUN, "--dataset", "imagnet"), "unknown data set 'imagnet': expected one of shapes"),
    "treatment": ((*RUN, "--treatments", "base,C3B"), "unknown treatment 'C3B': expected base, A3B"),
    "no treatment": ((*RUN, "--treatments", ","), "no treatment named: expected a list"),
    "n": ((*RUN, "--treatments", "A9B"), "expected n in 1..7, got 9"),
    "R3B+": ((*RUN, "--treatments", "R3B+"), r"R3B\+ is a base"),
    "classes": ((*RUN, "--dataset", "folder:{bad}/one"), "expected at least two class folders in .*one, got 1"),
    "no folder": ((*RUN, "--dataset", "folder:{bad}/none"), "no folder .*none: expected a folder of class folders"),
    "split": ((*RUN, "--dataset", "folder:{pics}", "--split", "rand"), "unknown split 'rand': expected random:SEED"),
    "groups": ((*RUN, "--dataset", "folder:{pics}", "--split", "natural-manmade"), "use random:SEED"),
    "no epochs": ((*RUN, "--epochs", "0"), "expected at least 1 epoch .*got 0"),
    "fewer epochs": ((*RUN, "--epochs", "-3"), "expected at least 1 epoch .*got -3"),
    "precision": ((*RUN, "--precision", "fp8"), "unknown precision 'fp8': expected auto, bf16, fp16 or fp32"),
    "store is a file": (("run", "--profile", "smoke", "--store", "{bad}/file"), "{bad}/file"),
    "no store": (("status", "--store", "{bad}/none"), "no store in .*none: expected a folder that"),
    "no results": (("results", "--store", "{bad}/none"), "no store in .*none"),
    "no plot": (("plot", "--store", "{bad}/none", "--figure", "2", "--out", "{bad}/f.png"), "no store in .*none"),
    "suffix": ((*PLOT, "2", "--out", "{bad}/f.pdf"), "expected a .png or .svg file, got f.pdf"),
    "no runs for figure 3": ((*PLOT, "3", "--out", "{bad}/f.png"), "figure 3 needs .*: run one of"),
    "no folder for a figure": (("plot", "--store", "{store}", "--figure", "2", "--out", "{bad}/no/f.png"), "{bad}/no"),
    "no folder for a table": (("results", "--store", "{store}", "--csv", "{bad}/no/t.csv"), "{bad}/no|no'"),
    "data without a name": (("data", "check"), "needs a name: shapes"),
    "unknown data": (("data", "fetch", "nothing"), "unknown data set 'nothing'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_thing_and_the_mend(name, bad, finished, capsys):
    arguments, message = MISTAKES[name]
    places = {"bad": bad, "store": finished[0], "pics": pictures()}
    arguments = [a.format(**places) for a in arguments]
    before = numbers(Store(finished[0]))
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(r"transferlib: [^\n]+\n", err), err
    assert re.search(message.format(**places), err)
    assert "Traceback" not in out + err
    assert numbers(Store(finished[0])) == before
    with pytest.raises((TransferlibError, OSError)):
        main(["--debug", *arguments])
    with pytest.raises((TransferlibError, OSError)):
        main([*arguments, "--debug"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("command", [RUN, ("doctor",)])
def test_a_gpu_where_there_is_none_is_named(command, bad, capsys):
    assert main([a.format(bad=bad) for a in command] + ["--device", "cuda"]) == 2
    assert re.fullmatch("transferlib: no CUDA device on this machine: [^\n]*--device cpu\n", capsys.readouterr().err)


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_store_without_permission_is_named_and_keeps_what_it_has(mode, tmp_path, finished, capsys):
    store = shutil.copytree(finished[0], tmp_path / "store")
    for part in (tmp_path, *tmp_path.parents[:2]):
        part.chmod(part.stat().st_mode | 0o055)
    for folder in (store / "locks", store / "runs", store):
        folder.chmod(mode)
    with Unprivileged():
        code = main(run_arguments(store, "--treatments", "B2B"))
    for folder in (store, store / "locks", store / "runs"):
        folder.chmod(0o755)
    err = capsys.readouterr().err
    assert code == 2
    assert str(store) in err
    assert "ermission" in err
    assert len([line for line in err.splitlines() if line.startswith("transferlib: ")]) == 1
    assert len(numbers(Store(store))) == 4


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(tmp_path, finished, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transferlib.store.os.fsync", full)
        assert main(run_arguments(tmp_path, "--treatments", "base")) == 2
    assert "no space left in" in capsys.readouterr().err
    assert main(run_arguments(tmp_path, "--treatments", "base")) == 0
    assert Store(tmp_path).table()["treatment"].tolist() == ["base"]


# --- processes ---


def python(*arguments: str, **how: object) -> subprocess.Popen:
    root = str(Path(transferlib.__file__).parents[1])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    command = [sys.executable, "-m", "transferlib", *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def test_a_mistake_ends_a_process_with_2_and_one_line(tmp_path):
    process = python("run", "--profile", "smok", "--store", str(tmp_path / "s"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert re.fullmatch(r"transferlib: unknown profile 'smok': expected [^\n]+\n", err)
    assert not (tmp_path / "s").exists()


def test_ctrl_c_ends_with_130_a_checkpoint_and_the_same_command_finishes(tmp_path, capsys):
    arguments = [*run_arguments(tmp_path / "stopped", "--treatments", "base"), "--epochs", "40"]
    process = python(*arguments)
    try:
        while "steps" not in process.stderr.readline():  # it trains
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "the same command goes on from here" in err
    assert re.search(r"stopped in base target B  random:0, after step \d+ of 40", err)
    assert "Traceback" not in err
    store = Store(tmp_path / "stopped")
    assert len(store.checkpoints()) == 1
    assert main(arguments) == 0
    assert "goes on after step" in capsys.readouterr().err
    assert store.checkpoints() == []
    assert store.table()["treatment"].tolist() == ["base"]


def test_the_first_ctrl_c_stops_a_run_in_this_process_too(tmp_path, capsys, monkeypatch):
    real = Trainer._train

    def interrupted(self, plan):
        os.kill(os.getpid(), signal.SIGINT)
        real(self, plan)

    monkeypatch.setattr(Trainer, "_train", interrupted)
    assert main(run_arguments(tmp_path, "--treatments", "base")) == 130
    assert "the same command goes on" in capsys.readouterr().err


# --- the live line ---


class Terminal(io.StringIO):
    def isatty(self):
        return True


def progress(done: int) -> Progress:
    plan = small_study("A3B,A5B").families()[-1]
    return Progress(plan, done, 10, 1234.5, 3725.0)


def test_a_terminal_has_one_live_line_that_ends_with_the_family(monkeypatch):
    moments = iter([10.0, 10.1, 11.0, 11.1, 11.2])
    monkeypatch.setattr(reporting.time, "monotonic", lambda: next(moments))
    stream = Terminal()
    report = LineReporter(Log(stream))
    for done in (1, 2, 3):
        report(progress(done))
    assert stream.getvalue().count("\r") == 2  # not the one 0.1 s after another
    assert "\n" not in stream.getvalue()
    assert "2/10" not in stream.getvalue()
    report(progress(10))
    assert stream.getvalue().endswith("left\n")
    report(Note("a note"))
    assert stream.getvalue().endswith("\r\x1b[Ja note\n")


def test_a_log_has_plain_lines_at_times(monkeypatch):
    moments = iter([100.0, 110.0, 131.0, 132.0])
    monkeypatch.setattr(reporting.time, "monotonic", lambda: next(moments))
    stream = io.StringIO()
    report = LineReporter(Log(stream))
    for done in (1, 2, 3, 10):
        report(progress(done))
    report(Note("a note"))
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert [re.search(r"(\d+)/10", line)[1] for line in lines[:-1]] == ["1", "3", "10"]
    assert re.search(r"AnB  target B  random:0 +2 runs +1/10 steps +1,23[45] images/s +1:02:05 left", lines[0])
    assert lines[-1] == "a note"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3725, "1:02:05")])
def test_a_clock(seconds, text):
    assert clock(seconds) == text
