"""Any number of machines, by Ray: a task for each family; this process alone writes the store.

No folder is shared. What a family needs travels to its worker as the files of a small store, with its base's weights
and where it was left the last time; what it has made travels back. Ray retries a family whose worker or machine dies.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from transferlib.errors import TransferlibError
from transferlib.execution import Execution, versions
from transferlib.executors.executor import Offer
from transferlib.executors.graph import Graph, Incomplete, Work, lacking
from transferlib.executors.messages import Given, Order, Told, why
from transferlib.executors.overall import Overall, while_training
from transferlib.executors.ray_worker import SAYINGS, Begun, Task, board, must_match, speeds_here, train
from transferlib.locks import Busy
from transferlib.study import Study
from transferlib.trainer import Note, Stopped, Trainer

ANSWER_SECONDS = 12.0  # that an address has
LISTEN_SECONDS = 0.5
STOP_SECONDS = 60.0  # that workers have for a step and a checkpoint
RETRIES = 2  # of a family whose worker or machine dies
INSTALL = "--executor ray needs Ray: pip install 'transferlib[ray]'"


@dataclass(frozen=True)
class Ray:
    """A cluster of Ray, or one of this machine's own that ends with the study.

    Attributes:
        address: HOST:PORT of the cluster's head, or ``auto`` for the one that this machine is in; by default the one
            that this process is connected to (``ray.init``), else this machine alone.
        gpus: that a family gets, a fraction where several share one; one where the cluster has any by default.
        cpus: that a family gets, one by default; PyTorch has as many threads.
        shared_store: whether the store's folder is the same on all machines: then workers write checkpoints into it.
    """

    address: str | None = None
    gpus: float | None = None
    cpus: float | None = None
    shared_store: bool = False
    name = "ray"
    about = "any number of machines, by Ray"

    def __post_init__(self) -> None:
        for what, count in (("GPUs", self.gpus), ("CPUs", self.cpus)):
            if count is not None and not 0 <= count < float("inf"):
                raise TransferlibError(f"expected 0 {what} a family or more, got {count:g}")
        if self.cpus == 0 and not self.gpus:
            raise TransferlibError("a family needs CPUs or GPUs, got none of either")

    def run(self, trainer: Trainer, study: Study) -> None:
        """Train every family that the store lacks."""
        graph = Graph.of(study, trainer)
        if not graph.open:
            return
        with self.cluster() as ray, while_training(trainer):
            share = self.share(ray, trainer.execution)
            driver = _Driver(ray, self, share, graph, trainer, study)
            datasets = [one.dataset for one in (study.source, study) if isinstance(one, Study)]
            for note in _check_machines(ray, share, datasets):
                trainer.report(Note(note))
            try:
                driver.direct()
            except ray.exceptions.RayError as error:
                lost = f"the cluster has gone away ({type(error).__name__}): the same command goes on once it is back"
                raise Incomplete(lost) from error
            finally:
                driver.let_go()
        graph.check()

    def offer(self, studies: Sequence[Study], execution: Execution) -> Offer:
        """What the cluster has, and how fast its workers are, all at once.

        Raises:
            TransferlibError: as a study would.
        """
        with self.cluster() as ray:
            share = self.share(ray, execution)
            about = [*_described(machines(ray)), *_check_machines(ray, share, [])]
            measure = ray.remote(num_cpus=share["CPU"], num_gpus=share["GPU"])(speeds_here)
            given = ray.put(studies)
            asked = [measure.remote(given, execution, _threads(share)) for _ in range(places(ray, share))]
            found = [_got(ray, answer) for answer in asked]
        workers = Counter(device for device, _ in found)
        about += [f"room for {count} families at once on {device}" for device, count in workers.items()]
        mean = {network: fmean(speeds[network] for _, speeds in found) for network in found[0][1]}
        return Offer(mean, len(found), tuple(map("{:<10} {}".format, ["cluster", *[""] * len(about)], about)), "there")

    @contextmanager
    def cluster(self) -> Iterator[Any]:
        """Ray, by the connection that this process has already, or by one of our own that ends here.

        Raises:
            TransferlibError: where Ray is not installed, nobody answers, or the process is in another cluster.
        """
        ray = _imported()
        with ExitStack() as until_here:
            if not self._connected(ray):
                until_here.enter_context(self._connection(ray))
            yield ray

    def _connected(self, ray: Any) -> bool:
        """Whether this process is connected to the cluster that is asked for.

        Raises:
            TransferlibError: where nobody answers there, or the process is in another cluster.
        """
        here = ray.get_runtime_context().gcs_address if ray.is_initialized() else None
        if here and self.address in (None, "auto", here):
            return True
        if self.address not in (None, "auto"):
            _must_answer(str(self.address))
        if here:
            raise TransferlibError(f"this process is connected to Ray at {here} already: call ray.shutdown() first")
        return False

    @contextmanager
    def _connection(self, ray: Any) -> Iterator[None]:
        own = self.address is None
        with _own_signals(), _quiet(ray):
            try:
                ray.init(
                    address="local" if own else self.address,
                    log_to_driver=False,
                    logging_level="ERROR",
                    **({"include_dashboard": False} if own else {}),
                )
            except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
                raise TransferlibError(self._unconnected(error)) from error
        try:
            yield
        finally:
            ray.shutdown()

    def _unconnected(self, error: Exception) -> str:
        if self.address == "auto":
            return "this machine is in no cluster of Ray: begin one by `ray start --head`, or leave --address out"
        return f"can't connect to {self.address or 'a Ray of our own'} ({why(error)}): is this machine in its cluster?"

    def share(self, ray: Any, execution: Execution) -> dict[str, float]:
        """What a family gets of a machine, as Ray calls it.

        Raises:
            TransferlibError: where no machine has as much.
        """
        most = {kind: max(machine.get(kind, 0.0) for machine in machines(ray).values()) for kind in ("GPU", "CPU")}
        wants_gpu = most["GPU"] and execution.asked[0] != "cpu"
        gpus = float(bool(wants_gpu)) if self.gpus is None else self.gpus
        share = {"GPU": gpus, "CPU": 1.0 if self.cpus is None else self.cpus}
        if not places(ray, share):
            asked = ", ".join(f"{count:g} {kind}s" for kind, count in share.items() if count)
            raise TransferlibError(
                f"no machine of the cluster has {asked} for a family: at most {most['GPU']:g} GPUs and "
                f"{most['CPU']:g} CPUs"
            )
        return share


def machines(ray: Any) -> dict[str, dict[str, float]]:
    """What each machine of a cluster has, by its name in the cluster."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def places(ray: Any, share: dict[str, float]) -> int:
    """How many families a cluster has room for at once."""
    return sum(_room(machine, share) for machine in machines(ray).values())


def _room(machine: dict[str, float], share: dict[str, float]) -> int:
    return int(min(machine.get(kind, 0.0) / count + 1e-9 for kind, count in share.items() if count))


def _threads(share: dict[str, float]) -> int:
    return max(1, int(share["CPU"]))


def _described(found: dict[str, dict[str, float]]) -> list[str]:
    """A line for each kind of machine; those that differ in memory alone are of one."""
    memory = defaultdict(list)
    for has in found.values():
        kind = f"{has.get('CPU', 0):g} CPUs, {has.get('GPU', 0):g} GPUs"
        memory[kind].append(f"{has.get('memory', 0) / 2**30:.0f}")
    return [
        f"{len(each)} machine{'s' * (len(each) > 1)} of {kind}, {_from_to(each)} GiB for families"
        for kind, each in memory.items()
    ]


def _from_to(numbers: list[str]) -> str:
    ends = dict.fromkeys((min(numbers, key=float), max(numbers, key=float)))
    return " to ".join(ends)


def _imported() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as it will be; else it warns
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
    except ImportError as error:
        raise TransferlibError(INSTALL) from error
    return ray


def _must_answer(address: str) -> None:
    """Ask the head for a sign of life; ``ray.init`` alone would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit()):
        raise TransferlibError(f"expected auto or HOST:PORT as the address of a cluster, got {address!r}")
    command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "health-check", "--address"]
    try:
        asked = subprocess.run([*command, address], capture_output=True, timeout=ANSWER_SECONDS)
        # a head that wants a token has answered: `ray.init` finds ours, where this command does not
        answered = asked.returncode == 0 or b"AuthToken" in asked.stderr
    except subprocess.TimeoutExpired:
        answered = False
    if not answered:
        raise TransferlibError(f"no head of a Ray cluster answers at {address}")


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals, which Ray replaces by its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, how in before.items():
            signal.signal(number, how)


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Without Ray's own advertisements and warnings: what matters here is told as an error."""
    logging.getLogger(ray.__name__).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# before anything is trained


def _check_machines(ray: Any, share: dict[str, float], datasets: Sequence[str]) -> list[str]:
    """Ask every machine that may get a family for its versions, and whether it has the data or can fetch them.

    Returns:
        What a person should know of them.

    Raises:
        TransferlibError: which names a machine that lacks something.
    """
    ask, notes = ray.remote(num_cpus=0, max_retries=0)(_asking()), []
    able = [name for name, machine in machines(ray).items() if _room(machine, share)]
    on = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    answers = [ask.options(scheduling_strategy=on(name, soft=False)).remote(datasets) for name in able]
    for answer in answers:
        with suppress(ray.exceptions.RayError):  # it has left just now
            notes.append(_checked(*ray.get(answer)))
    return [*filter(None, notes)]


def _checked(host: str, found: dict[str, str], lacking: str) -> str | None:
    """What a person should know of a machine that answered."""
    made_with = versions()
    if "transferlib" not in found:
        raise TransferlibError(f"{host} can't import transferlib ({lacking}): install it on all machines")
    must_match(made_with, found, host)
    if lacking:
        raise TransferlibError(f"{host}: {lacking}")
    if found["torch"] != made_with["torch"]:
        return f"{host} has torch {found['torch']}, and here it is {made_with['torch']}: numbers may differ"
    return None


def _asking() -> Any:
    """A function that travels as it is: a machine's own transferlib may be another one, or none."""

    def ask(datasets: list[str]) -> tuple[str, dict[str, str], str]:
        import socket

        host = socket.gethostname()
        try:
            import transferlib.data
            import transferlib.execution
        except Exception as error:
            return host, {}, f"{type(error).__name__}: {error}"
        try:
            for name in datasets:
                transferlib.data.fetch(name, progress=False)
        except Exception as error:
            return host, transferlib.execution.versions(), str(error)
        return host, transferlib.execution.versions(), ""

    return ask


def _got(ray: Any, answer: Any) -> Any:
    try:
        return ray.get(answer)
    except ray.exceptions.RayError as error:
        raise TransferlibError(f"a worker of the cluster failed ({why(getattr(error, 'cause', error))})") from error


# who trains what


@dataclass
class _Driver:
    """Hands out a study's families, and keeps what comes back."""

    ray: Any
    asked: Ray
    share: dict[str, float]
    graph: Graph
    trainer: Trainer
    study: Study
    refs: dict[Any, Work] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)  # where each family was begun
    locks: dict[str, ExitStack] = field(default_factory=dict)  # of what is under way
    elsewhere: dict[str, Work] = field(default_factory=dict)  # what other commands are training
    had_room: bool = True

    def __post_init__(self) -> None:
        ray = self.ray
        self.train = ray.remote(num_cpus=self.share["CPU"], num_gpus=self.share["GPU"], max_retries=RETRIES)(train)
        # beside this process: no other machine that leaves takes it away
        stay = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        # one that dies is made anew, and what was said to it is said again
        lasting = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(board())
        self.board = lasting.options(scheduling_strategy=stay).remote()
        self.overall = Overall(self.graph, self.trainer)
        given = Given.of(self.trainer, self.study, threads=_threads(self.share))
        self.task = ray.put(Task(uuid.uuid4().hex, given, versions(), self.asked.shared_store))
        self.sent: dict[str, Any] = {}  # files of runs that are copied from, by their keys, where Ray has them

    def direct(self) -> None:
        """Until all is done, or somebody asks to stop."""
        while self.graph.open:
            if self.trainer.stop.is_set():
                raise Stopped(self._halt())
            room = self._room()
            # all that can be trained, so that a cluster which grows by need sees it
            while chosen := self.graph.take(max(1, room)):
                self._begin(chosen)
            self._take_over()
            self._hear()

    def _room(self) -> int:
        """How many families the cluster has room for; the first time that it has none, this is said."""
        room = places(self.ray, self.share)
        if not room and self.had_room:
            self.trainer.report(Note("no machine of the cluster has room for a family now: waiting for one"))
        self.had_room = bool(room)
        return room

    def _begin(self, work: Work) -> None:
        """Hand a family out, under its lock; one that another command trains is waited for."""
        if not self.asked.shared_store:  # where it is shared, workers lock
            try:
                self.locks[work.name] = self._locked(work)
            except Busy as busy:
                if work.name not in self.elsewhere:
                    self.trainer.report(Note(f"{work.plan}: {busy} is training it; waiting"))
                self.elsewhere[work.name] = work
                return
        self.elsewhere.pop(work.name, None)
        if not lacking(work.plan, self.trainer):  # the other command has made it
            self._finish(work)
            return
        files = [] if self.asked.shared_store else [*self._needed(work)]
        task = self.train.options(name=str(work.plan))
        self.refs[task.remote(self.task, Order.of(work), work.name, self.board, *files)] = work

    def _locked(self, work: Work) -> ExitStack:
        with ExitStack() as held:
            held.enter_context(self.trainer.store.lock(work.name, wait=0.0))
            self.trainer.store.clear_strays([work.name, *work.plan.run_keys])  # what a killed driver left
            return held.pop_all()

    def _take_over(self) -> None:
        for work in [*self.elsewhere.values()]:
            self._begin(work)

    def _finish(self, work: Work) -> None:
        self.graph.finish(work)
        self._unlock(work.name)

    def _unlock(self, name: str) -> None:
        self.locks.pop(name, ExitStack()).close()

    def let_go(self) -> None:
        """Let others have what this study holds: workers' places, and the families that it has not finished."""
        with suppress(self.ray.exceptions.RayError):  # where the cluster has gone, so have they
            for ref in self.refs:
                self.ray.cancel(ref, force=True)
            self.ray.kill(self.board)
        for name in [*self.locks]:
            self._unlock(name)

    def _needed(self, work: Work) -> Iterator[Any]:
        yield self.trainer.store.packed([work.name], ["checkpoints"])  # no record: a base may lack but its weights
        for plan in filter(None, (work.plan.source_base, work.plan.heads)):
            for key in plan.run_keys:
                if key not in self.sent:
                    self.sent[key] = self.ray.put(self.trainer.store.packed([key]))
                yield self.sent[key]

    def _hear(self) -> None:
        ended = self._ended()
        self._read_board()
        for ref in ended:
            self._end(ref, self.refs.pop(ref))
        self.overall.tell()

    def _ended(self) -> list[Any]:
        if not self.refs:  # all that is left is trained elsewhere
            self.trainer.stop.wait(LISTEN_SECONDS)
            return []
        return self.ray.wait([*self.refs], num_returns=1, timeout=LISTEN_SECONDS)[0]

    def _read_board(self) -> None:
        for name, kind, fields in self.ray.get(self.board.heard.remote()):
            work, said = self.graph.under_way.get(name), SAYINGS[kind](*fields)
            if isinstance(said, Note):
                self.trainer.report(said)
            elif work and isinstance(said, Told):
                self.hosts.setdefault(name, "a machine")  # a board that died took the word of its beginning with it
                self.overall.hear(work, said, worker=[*self.hosts].index(name) + 1)
            elif work and isinstance(said, Begun):
                if name in self.hosts:
                    lost = f"the worker of {work.plan} on {self.hosts[name]} has died"
                    self.trainer.report(Note(f"{lost}; it is taken up again on {said.host}"))
                self.hosts[name] = said.host

    def _end(self, ref: Any, work: Work) -> None:
        try:
            self._keep(self.ray.get(ref), work)
        except self.ray.exceptions.RayTaskError as error:
            self._give_up(work, why(error.cause))
        except self.ray.exceptions.RayError as error:  # the worker or its machine died too often
            self._give_up(work, f"its worker died {RETRIES + 1} times ({type(error).__name__})")
        else:
            self._finish(work)

    def _keep(self, files: dict[str, bytes], work: Work) -> None:
        """Write what has come back; of a family that is finished no checkpoint is left."""
        self.trainer.store.unpack(files)
        if not self.trainer.missing(work.plan):
            self.trainer.store.drop_checkpoint(work.name)

    def _give_up(self, work: Work, reason: str) -> None:
        where = f" on {self.hosts[work.name]}" if work.name in self.hosts else ""
        self.trainer.report(Note(f"{work.plan}{where}: {reason}; the study goes on without it"))
        self.graph.give_up(work, reason)
        self._unlock(work.name)

    def _halt(self) -> str:
        """Ask all to stop, and keep where they were; in words, what has come of it."""
        self.ray.get(self.board.halt.remote())
        begun = [ref for ref, work in self.refs.items() if work.name in self.hosts]
        for ref in self.refs.keys() - {*begun}:
            self.ray.cancel(ref)
        seconds = STOP_SECONDS if places(self.ray, self.share) else 0.0  # without a machine nobody answers
        ended = self.ray.wait(begun, num_returns=len(begun), timeout=seconds)[0] if begun else []
        for ref in ended:
            with suppress(self.ray.exceptions.RayError):
                self._keep(self.ray.get(ref), self.refs[ref])
        lost = len(begun) - len(ended)
        return "stopped; what was under way has a checkpoint" + f", but for {lost} that did not answer" * bool(lost)
