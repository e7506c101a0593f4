"""Clusters of Ray on this machine: the same store as one process makes, whoever dies, fails, leaves or is stopped."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
from small_studies import numbers, pictures, small_study, strays, trained_alone, use_data_folder, weights

from transferlib import doctor, treatments
from transferlib.cli import main
from transferlib.errors import TransferlibError
from transferlib.execution import execution
from transferlib.executors import Ray, Serial, run_study
from transferlib.executors import ray as of_ray
from transferlib.executors.graph import Graph, Incomplete
from transferlib.executors.messages import Told
from transferlib.measuring import OfNetwork, measure, network
from transferlib.measuring.budget import Budget
from transferlib.profiles import Profile
from transferlib.records import config_key
from transferlib.store import Store
from transferlib.trainer import Note, Progress, Stop, Stopped, Trainer

pytest.importorskip("ray", reason="Ray is not installed: pip install 'transferlib[ray]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's own files
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

HERE = Path(__file__).parent
TREATMENTS = "base,A1B,A4B,B2B,A3B+"
CPU = {"device": "cpu", "precision": "fp32"}
LONG = 15  # epochs: some seconds a family, in which something can happen


@pytest.fixture(scope="module", autouse=True)
def data():
    with pytest.MonkeyPatch.context() as patch:
        use_data_folder(patch)
        yield


@pytest.fixture(scope="module")
def cluster(data):
    """A head and another machine, of one core each, as far as Ray knows."""
    from ray.cluster_utils import Cluster

    ray = of_ray._imported()
    with of_ray._own_signals():  # Ray's own would go on into what later tests fork
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        made.add_node(num_cpus=1)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def short(data, tmp_path_factory):
    return trained_alone(tmp_path_factory.mktemp("short"), TREATMENTS)


@pytest.fixture(scope="module")
def long(data, tmp_path_factory):
    return trained_alone(tmp_path_factory.mktemp("long"), TREATMENTS, epochs=LONG)


def same(store, other):
    return numbers(store) == numbers(other) and weights(store) == weights(other) and not strays(store.folder)


class Listener:
    """Keeps the notes, and does something once at the progress of a family."""

    def __init__(self, at=None, act=print):
        self.at, self.act, self.notes = at, act, []

    def __call__(self, event):
        if isinstance(event, Note):
            self.notes.append(event.text)
        elif isinstance(event, Progress) and str(event.plan.family) == self.at and event.done < event.total:
            self.at = None
            self.act(event)


def workers_of(name):
    """The processes that train a family; Ray names them by their task."""
    return [p for p in psutil.process_iter(["cmdline"]) if name in " ".join(p.info["cmdline"] or [])]


def on(cluster, **options):
    return Ray(address=cluster.address, **options)


def test_two_machines_make_the_store_that_one_process_makes(cluster, short, tmp_path):
    store = Store(tmp_path)
    table = run_study(small_study(TREATMENTS), store, executor=on(cluster), **CPU)
    assert same(store, short) and not store.checkpoints()
    assert sorted(table["treatment"]) == ["A1B", "A3B+", "A4B", "B2B", "base", "base"]


@pytest.mark.parametrize("address", [None, "auto", "its own"])
def test_a_connection_that_is_there_is_used_and_kept(cluster, address):
    ray = of_ray._imported()
    asked = Ray(address=cluster.address if address == "its own" else address)
    with asked.cluster() as used:
        assert len(of_ray.machines(used)) == 2
    assert ray.is_initialized()


def test_a_process_is_in_one_cluster_at_a_time(cluster, monkeypatch):
    monkeypatch.setattr(of_ray, "_must_answer", lambda _: None)
    here = rf"connected to Ray at {cluster.address} already: call ray\.shutdown\(\) first"
    with pytest.raises(TransferlibError, match=here), Ray(address="127.0.0.1:9").cluster():
        pass


def test_what_a_study_leaves_behind_holds_no_place_of_the_cluster(cluster, tmp_path):
    stop, study = Stop(), small_study(TREATMENTS, epochs=LONG)
    with pytest.raises(Stopped):
        run_study(study, Store(tmp_path), executor=on(cluster), report=lambda _: stop.set(), stop=stop, **CPU)
    assert not workers_of("ray::Board")


def test_a_measurement_is_the_same_on_a_cluster(cluster, tmp_path, monkeypatch):
    asked = treatments.parse_treatments("A7B,A4B")
    monkeypatch.setattr(network, "_budget", lambda *_: Budget(asked, asked, (), 60.0))
    target = f"folder:{pictures()}"
    found = [
        measure(
            "torchvision:mobilenet_v3_small",
            target,
            tmp_path / str(k),
            epochs=1,
            device="cpu",
            network=OfNetwork(weights="none", resolution=32, minutes=600.0),
            executor=executor,
        )
        for k, executor in enumerate((Serial(), on(cluster)))
    ]
    pd.testing.assert_frame_equal(found[0].table, found[1].table)
    assert numbers(Store(tmp_path / "0")) == numbers(Store(tmp_path / "1")) != {}


@pytest.mark.parametrize("shared", [False, True])
def test_a_killed_worker_is_named_and_its_family_is_taken_up_again(cluster, long, tmp_path, shared):
    def kill(event):
        (victim,) = workers_of("ray::AnB  target B")
        victim.kill()

    listener, store = Listener("AnB", kill), Store(tmp_path)
    executor = on(cluster, shared_store=shared)
    run_study(small_study(TREATMENTS, epochs=LONG), store, executor=executor, report=listener, **CPU)
    assert same(store, long)
    (note,) = [note for note in listener.notes if "has died" in note]
    assert "the worker of AnB  target B" in note and "it is taken up again on" in note


def test_a_machine_that_leaves_takes_no_family_with_it(cluster, long, tmp_path):
    third = cluster.add_node(num_cpus=1, resources={"third": 1})
    store, listener = Store(tmp_path), Listener("AnB", lambda _: cluster.remove_node(third, allow_graceful=False))
    run_study(small_study(TREATMENTS, epochs=LONG), store, executor=on(cluster), report=listener, **CPU)
    assert same(store, long)


def test_a_stop_reaches_all_workers_and_the_study_goes_on_from_their_checkpoints(cluster, long, tmp_path):
    stop, store = Stop(), Store(tmp_path)
    listener, study = Listener("AnB", lambda _: stop.set()), small_study(TREATMENTS, epochs=LONG)
    with pytest.raises(Stopped):
        run_study(study, store, executor=on(cluster), report=listener, stop=stop, **CPU)
    assert store.checkpoints() and numbers(store).keys() < numbers(long).keys()
    again = Listener()
    run_study(study, store, executor=on(cluster), report=again, **CPU)
    assert same(store, long) and not store.checkpoints()
    assert [note for note in again.notes if "goes on after step" in note]


SCRIPT = f"""
import sys
from small_studies import small_study
from transferlib.executors import Ray, Serial, run_study
from transferlib.store import Store
study = small_study("{TREATMENTS}", folder=sys.argv[3], epochs={LONG})
run_study(study, Store(sys.argv[1]), executor=Ray(address=sys.argv[2]), device="cpu", precision="fp32",
          report=lambda event: print(event, flush=True))
"""


def test_a_base_whose_weights_did_not_come_with_it_is_made_once_and_kept(cluster, short, tmp_path):
    store = Store(tmp_path)
    for record in short.records():
        if record["config"]["treatment"] == "base":
            store.put(record)
    run_study(small_study(TREATMENTS), store, executor=on(cluster), **CPU)
    assert same(store, short)


def test_heads_that_fine_tuning_goes_on_from_travel_too(cluster, tmp_path):
    study, here = small_study("base,A1B,A3B,A1B+,A3B+", head_first=True), Store(tmp_path / "here")
    run_study(study, here, **CPU)
    store = Store(tmp_path / "there")
    run_study(study, store, executor=on(cluster), **CPU)
    assert numbers(store) == numbers(here)


def test_a_driver_that_was_killed_is_simply_started_again(cluster, long, tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), cluster.address, str(pictures())]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path])}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        assert any("FamilyName(kind='AnB'" in line for line in driver.stdout)  # the bases are there
        driver.send_signal(signal.SIGKILL)
    store = Store(tmp_path)
    assert numbers(store).keys() < numbers(long).keys()
    missing = next(key for key in numbers(long) if key not in numbers(store))
    (tmp_path / "weights" / f".{missing}.safetensors.0").touch()  # had it been killed while it wrote
    run_study(small_study(TREATMENTS, epochs=LONG), store, executor=on(cluster), **CPU)
    assert same(store, long)


def test_what_fails_inside_a_family_is_told_with_its_name_and_the_others_are_made(cluster, tmp_path, monkeypatch):
    def breaks(net, draw):
        raise RuntimeError("this can't be prepared")

    broken = treatments.Kind("XnB", source="other", layers="broken", prepare=breaks)
    monkeypatch.setitem(treatments.KINDS, "XnB", broken)
    listener, store = Listener(), Store(tmp_path)
    with pytest.raises(Incomplete, match=r"1 family is missing.*XnB  target B.*RuntimeError: this can't be prepared"):
        run_study(small_study("base,X2B,A1B"), store, executor=on(cluster), report=listener, **CPU)
    assert {r["config"]["treatment"] for r in store.records()} == {"base", "A1B"}
    assert [note for note in listener.notes if note.startswith("XnB  target B")]


def test_a_machine_without_the_data_is_named_before_anything_is_trained(cluster, tmp_path):
    study, store = small_study(TREATMENTS, dataset="tiny-imagenet"), Store(tmp_path)
    with pytest.raises(TransferlibError, match=r"^\S+: .*tiny-imagenet"):
        run_study(study, store, executor=on(cluster), **CPU)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("package", ["torch", "transferlib"])
def test_a_machine_with_other_versions_is_warned_of_or_refused(cluster, short, tmp_path, monkeypatch, package):
    ours = of_ray.versions() | {package: "0.0.1"}
    monkeypatch.setattr(of_ray, "versions", lambda: ours)
    listener, store = Listener(), Store(tmp_path)
    if package == "transferlib":
        with pytest.raises(TransferlibError, match=r"has transferlib .*, and here it is 0\.0\.1: install the same"):
            run_study(small_study("base"), store, executor=on(cluster), **CPU)
        assert not (tmp_path / "runs").exists()
        return
    run_study(small_study("base"), store, executor=on(cluster), report=listener, **CPU)
    assert [note for note in listener.notes if "and here it is 0.0.1: numbers may differ" in note]
    assert numbers(store).items() <= numbers(short).items()


def test_two_hundred_tiny_families_cost_little_to_hand_out(cluster, tmp_path, monkeypatch):
    def nothing(task, order, name, board, *files):
        return {}

    monkeypatch.setattr(of_ray, "train", nothing)
    study = small_study("base", seeds=tuple(range(200)), targets=("B",)).opened()
    started = time.monotonic()
    on(cluster).run(Trainer(Store(tmp_path), execution("cpu", "fp32")), study)  # with the workers' start
    assert (time.monotonic() - started) / 200 < 0.2


# --- what can not be ---


def test_more_gpus_than_any_machine_has_are_refused_before_anything_is_trained(cluster, tmp_path):
    with pytest.raises(TransferlibError, match=r"no machine of the cluster has 4 GPUs, 1 CPUs for a family: at most 0"):
        run_study(small_study("base"), Store(tmp_path), executor=on(cluster, gpus=4), **CPU)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpus", "-1"], "expected 0 GPUs a family or more, got -1"),
        (["--cpus", "0"], "a family needs CPUs or GPUs, got none of either"),
        (["--cpus", "nan"], "expected 0 CPUs a family or more, got nan"),
        (["--address", "somewhere"], "expected auto or HOST:PORT as the address of a cluster, got 'somewhere'"),
        (["--address", "127.0.0.1:9"], "no head of a Ray cluster answers at 127.0.0.1:9"),
        (["--workers", "2"], "--workers is for --executor processes, not ray"),
    ],
)
def test_options_that_can_not_be_are_refused_in_a_line_and_soon(options, words, tmp_path, capsys):
    started = time.monotonic()
    command = ["run", "--profile", "smoke", "--store", str(tmp_path), "--executor", "ray", *options]
    assert main(command) == 2
    assert capsys.readouterr().err == f"transferlib: {words}\n"
    assert time.monotonic() - started < 15
    assert not list(tmp_path.iterdir())


def test_options_of_ray_are_for_ray_alone(tmp_path, capsys):
    assert main(["run", "--profile", "smoke", "--store", str(tmp_path), "--shared-store"]) == 2
    assert capsys.readouterr().err == "transferlib: --shared-store is for --executor ray, not serial\n"
    assert main(["run", "--profile", "smoke", "--store", str(tmp_path), "--gpus", "0"]) == 2
    assert capsys.readouterr().err == "transferlib: --gpus is for --executor ray, not serial\n"


def test_without_ray_the_command_that_installs_it_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["run", "--profile", "smoke", "--store", str(tmp_path), "--executor", "ray"]) == 2
    assert capsys.readouterr().err == "transferlib: --executor ray needs Ray: pip install 'transferlib[ray]'\n"


def test_the_doctor_tells_what_the_cluster_has_and_how_long_a_profile_takes_there(cluster, monkeypatch, capsys):
    study = small_study(TREATMENTS, dataset="shapes")
    monkeypatch.setattr(doctor, "PROFILES", {"tiny": Profile("tiny", "for tests", {"all": (study,)})})
    assert main(["doctor", "--device", "cpu", "--executor", "ray", "--address", cluster.address]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^cluster    2 machines of 1 CPUs, 0 GPUs, (\d+ to )?\d+ GiB for families$", said, re.M)
    assert re.search(r"^           room for 2 families at once on ", said, re.M)
    assert re.search(r"^tiny       0:\d\d          for tests$", said, re.M) and "about, there" in said


def test_machines_that_differ_in_memory_alone_are_of_one_kind():
    small, large, other = ({"CPU": cpus, "memory": gib * 2**30} for cpus, gib in ((2.0, 9), (2.0, 10), (4.0, 9)))
    assert of_ray._described({"a": large, "b": small, "c": other}) == [
        "2 machines of 2 CPUs, 0 GPUs, 9 to 10 GiB for families",
        "1 machine of 4 CPUs, 0 GPUs, 9 GiB for families",
    ]


def test_the_doctor_measures_on_every_place_of_the_cluster(cluster):
    offer = on(cluster, cpus=0.5).offer([small_study("base")], execution("cpu", "fp32"))
    assert offer.workers == 4 and offer.speeds["alexnet32-tiny"] > 0


def test_when_the_last_machine_with_room_leaves_it_is_said_and_a_stop_is_not_waited_for(cluster, tmp_path):
    large = cluster.add_node(num_cpus=2)
    stop, store = Stop(), Store(tmp_path)
    leave = Listener("base", lambda _: cluster.remove_node(large, allow_graceful=False))

    def listener(event):
        leave(event)
        if isinstance(event, Note) and "no machine of the cluster has room" in event.text:
            stop.set()

    study = small_study(TREATMENTS, epochs=LONG)
    with pytest.raises(Stopped, match="has a checkpoint, but for 1 that did not answer"):
        run_study(study, store, executor=on(cluster, cpus=2), report=listener, stop=stop, **CPU)


def test_a_board_that_dies_is_made_anew(cluster, long, tmp_path):
    def kill(_):
        (board,) = workers_of("ray::Board")
        board.kill()

    store = Store(tmp_path)
    run_study(small_study(TREATMENTS, epochs=LONG), store, executor=on(cluster), report=Listener("AnB", kill), **CPU)
    assert same(store, long)


def test_a_family_whose_beginning_was_lost_with_a_board_is_heard():
    study, heard = small_study(TREATMENTS, dataset="shapes"), []
    (work, *_) = Graph.whole(study).waiting
    told = Told(done=3, total=9, images_per_second=1.0, seconds_left=2.0)
    left = SimpleNamespace(heard=SimpleNamespace(remote=lambda: [(work.name, "Told", dataclasses.astuple(told))]))
    driver = SimpleNamespace(
        ray=SimpleNamespace(get=lambda answer: answer),
        board=left,
        graph=SimpleNamespace(under_way={work.name: work}),
        hosts={"another": "here"},
        overall=SimpleNamespace(hear=lambda work, said, worker: heard.append((work, said, worker))),
    )
    of_ray._Driver._read_board(driver)
    assert heard == [(work, told, 2)]


HOLD = """
import sys
from pathlib import Path
from transferlib.locks import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_what_another_command_trains_is_waited_for(cluster, short, tmp_path):
    store, study = Store(tmp_path), small_study(TREATMENTS).opened()
    (frozen,) = [plan for plan in study.families() if str(plan.family) == "AnB"]
    (tmp_path / "locks").mkdir()
    command = [sys.executable, "-c", HOLD, str(tmp_path / "locks" / f"{frozen.name}.lock")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=env, text=True, **pipes) as other:
        assert other.stdout and other.stdout.readline() == "held\n"

        def listener(event):
            if isinstance(event, Note) and "is training it; waiting" in event.text:
                notes.append(event.text)
                other.stdin.close()  # and it ends

        notes = []
        run_study(study, store, executor=on(cluster), report=listener, **CPU)
    assert same(store, short)
    (note,) = notes
    assert note.startswith(f"{frozen}: process {other.pid}")


def test_damaged_weights_of_a_base_are_mended_once(cluster, short, tmp_path):
    store = Store(tmp_path)
    store.unpack(short.packed(config_key(record["config"]) for record in short.records()))
    for path in (tmp_path / "weights").iterdir():
        path.write_bytes(path.read_bytes()[:-9] + b"different")
    for record in store.records():
        if record["config"]["treatment"] not in ("base", "B2B"):
            store.path("runs", config_key(record["config"])).unlink()
    with pytest.warns(UserWarning, match="damaged file"):
        run_study(small_study(TREATMENTS), store, executor=on(cluster), **CPU)
    assert numbers(store) == numbers(short) and len(weights(store)) == 2
    wanted = config_key(next(r["config"] for r in short.records() if r["config"]["target"] == "A"))
    assert weights(store)[f"{wanted}.safetensors"] == weights(short)[f"{wanted}.safetensors"]


def test_a_head_that_wants_a_token_has_answered(monkeypatch):
    says = subprocess.CompletedProcess([], 1, b"", b"AuthenticationError: InvalidAuthToken")
    monkeypatch.setattr(of_ray.subprocess, "run", lambda *_, **__: says)
    of_ray._must_answer("10.0.0.1:6379")
    says.stderr = b"connection refused"
    with pytest.raises(TransferlibError, match="no head of a Ray cluster answers at"):
        of_ray._must_answer("10.0.0.1:6379")
