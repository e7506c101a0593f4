"""Trains the families that a store lacks, one at a time, and takes them up where a kill has left them."""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor

from transferlib.errors import TransferlibError
from transferlib.execution import Execution, versions
from transferlib.halves import OpenData
from transferlib.locks import Busy
from transferlib.names import printable
from transferlib.nets import NetworkSpec, Stack, network
from transferlib.nets.pretrained import Pretrained
from transferlib.records import Config, Made, config_key, result_of
from transferlib.store import Store, check_like
from transferlib.streams import generator
from transferlib.study import FamilyPlan
from transferlib.train import Family, Member, StreamName, fresh_network, graft
from transferlib.treatments import KINDS, Treatment

CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class Progress:
    """What a reporter is told while a family trains."""

    plan: FamilyPlan
    done: int  # steps
    total: int
    images_per_second: float
    seconds_left: float
    worker: int | None = None  # which of several trains it, from 1


@dataclass(frozen=True)
class Total:
    """How far a whole study is, where several workers train it."""

    share: float  # of what was lacking, by its cost
    seconds_left: float


@dataclass(frozen=True)
class Note:
    """What a person should know."""

    text: str

    def __str__(self) -> str:
        return self.text


Event = Progress | Total | Note
Reporter = Callable[[Event], None]


def silent(event: Event) -> None:
    """The reporter that says nothing."""


class Stop(threading.Event):
    """Set it and training stops after the step, with a checkpoint.

    ``training`` says whether a family is between its first step and its last record: else there is nothing to wait for.
    """

    training: bool = False


class Stopped(Exception):
    """Training was asked to stop, and did after a step; a checkpoint keeps what was done."""


@dataclass
class Trainer:
    """Trains what a store lacks of a study, one family after another, on one device.

    Attributes:
        store: where finished runs are looked up and kept.
        execution: the device and its number format.
        report: told the progress after each step, and notes.
        checkpoint_seconds: how much training a kill may cost.
        stop: set it, from a signal's handler say, and training stops after the step, with a checkpoint.
        kept: the keys of runs whose weights are wanted, beside those of bases.
    """

    store: Store
    execution: Execution
    report: Reporter = silent
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    stop: Stop = field(default_factory=Stop)
    data: OpenData = field(default_factory=OpenData)
    kept: set[str] = field(default_factory=set)

    def _note(self, text: str) -> None:
        self.report(Note(text))

    def ensure(self, plan: FamilyPlan, wait: bool = True) -> bool:
        """Train the family unless it is there; False where another process is at it and we don't wait."""
        told = False
        while self.missing(plan):
            if self.stop.is_set():
                raise Stopped(f"stopped before {plan}")
            try:
                with self.store.lock(plan.name, wait=1.0 if wait else 0.0):
                    missing = self.missing(plan)  # again: the other process may have finished it
                    if missing:
                        self.train(plan.only(missing))
            except Busy as busy:
                if not wait:
                    return False
                if not told:
                    self._note(f"{plan}: {busy} is training it; waiting")
                told = True
        self._drop_left(plan)
        return True

    def _drop_left(self, plan: FamilyPlan) -> None:
        """Drop what a kill between a family's last record and the end of its training has left."""
        if self.store.get_checkpoint(plan.name) is None:
            return
        # it is in use, or the store can only be read, or it is none, which who needs it will see: no harm
        with suppress(Busy, TransferlibError, ValueError), self.store.lock(plan.name, wait=0.0):
            self._drop_checkpoint(plan)

    def _drop_checkpoint(self, plan: FamilyPlan) -> None:
        """Drop the family's checkpoint once every run in it is finished; others may still be wanted; under its lock."""
        found = self.store.get_checkpoint(plan.name)
        if found and all(self.store.get(key) for key in runs_of(found[1])):
            self.store.drop_checkpoint(plan.name)

    def missing(self, plan: FamilyPlan) -> list[Treatment]:
        """The runs of a family that the store lacks."""
        return [t for t in plan.treatments if self.store.get(config_key(plan.config(t))) is None]

    def train(self, plan: FamilyPlan) -> None:
        """Train a family; where the GPU's memory is too small, in two halves, and so on."""
        if self._fits(plan):
            return
        if len(plan.treatments) == 1:
            raise TransferlibError(
                f"{plan}: not enough GPU memory for a single run: choose a smaller network or --device cpu"
            )
        middle = len(plan.treatments) // 2
        self._note(f"{plan}: not enough GPU memory for {len(plan.treatments)} runs; in two halves")
        self._forget()
        for part in (plan.treatments[:middle], plan.treatments[middle:]):
            self.train(plan.only(part))

    def _fits(self, plan: FamilyPlan) -> bool:
        # the exception holds the family's tensors by its frames: it must be gone before another attempt
        try:
            with self.execution.compile_errors():
                self._train(plan)
        except RuntimeError as error:
            if not self.execution.on.is_out_of_memory(error):
                raise
            return False
        return True

    def _forget(self) -> None:
        self.data.halves = None
        self.execution.on.empty_cache()

    def _train(self, plan: FamilyPlan) -> None:
        configs = self._configs(plan)
        family, before = self._begin(plan)
        self.stop.training = True
        try:
            self._train_on(plan, family, configs, before)
        finally:
            self.stop.training = False

    def _train_on(self, plan: FamilyPlan, family: Family, configs: list[Config], before: float) -> None:
        """Train a family from where it is to its end, and keep its runs; ``before`` are the seconds spent so far."""
        started, first = time.monotonic(), family.done_steps
        saved = started
        for done in family.run():
            now = time.monotonic()
            self.report(_progress(plan, family, done - first, now - started))
            if now - saved > self.checkpoint_seconds or self.stop.is_set():
                self._checkpoint(plan, family, before + now - started)
                saved = now
            if self.stop.is_set():
                raise Stopped(f"stopped in {plan}, after step {done} of {family.total_steps}")
        self._finish(plan, family, configs, before + time.monotonic() - started)

    @staticmethod
    def _configs(plan: FamilyPlan) -> list[Config]:
        return [plan.config(treatment) for treatment in plan.treatments]

    def _begin(self, plan: FamilyPlan) -> tuple[Family, float]:
        """Build the family, and take it up where a checkpoint left it; with the seconds that it has cost so far."""
        self.store.clear_strays([plan.name, *plan.run_keys])
        for key in plan.run_keys:
            if self.store.get(key) is None:
                self.store.set_aside("runs", key)
        found = self.store.get_checkpoint(plan.name)
        if found is None:
            self.store.set_aside("checkpoints", plan.name)
            return self.build(plan), 0.0
        return self._resumed(plan, *found)

    def begun(self, plan: FamilyPlan) -> list[Treatment]:
        """The runs of a family that the store lacks and that a checkpoint has taken some way; none of a damaged one."""
        found = self.store.get_checkpoint(plan.name)
        try:
            held = runs_of(found[1]) if found else []
        except ValueError:  # whoever takes it up says so
            return []
        return [t for t in self.missing(plan) if config_key(plan.config(t)) in held]

    def _resumed(self, plan: FamilyPlan, tensors: dict[str, Tensor], rest: dict) -> tuple[Family, float]:
        family = self.build(plan)
        try:
            places = [runs_of(rest).index(key) for key in plan.run_keys if key in runs_of(rest)]
            if len(places) < len(plan.run_keys):  # of other runs of the family
                return family, 0.0
            family.restore(tensors, rest, places)
            seconds = float(rest["seconds"])
            if not 0 <= seconds < math.inf:
                raise ValueError("its seconds are no number")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            self._note(f"{plan}: its checkpoint is damaged ({error}); it starts anew")
            self.store.set_aside("checkpoints", plan.name)
            return self.build(plan), 0.0
        self._note(f"{plan}: goes on after step {family.done_steps} of {family.total_steps}")
        return family, seconds

    def _checkpoint(self, plan: FamilyPlan, family: Family, seconds: float) -> None:
        tensors, rest = family.state()
        about = {"plan": str(plan), "runs": plan.run_keys, "total_steps": family.total_steps, "seconds": seconds}
        self.store.put_checkpoint(plan.name, tensors, rest | about)

    def build(self, plan: FamilyPlan) -> Family:
        """The family, untrained: its images, its networks with the copied layers in place."""
        study, execution = plan.study, self.execution
        spec, (train, val) = network(study.network), self.data.halves_of(plan, execution)
        source = self.source_network(plan, spec)
        fresh = fresh_network(spec, train.classes, plan.stream, execution.device)
        members = []
        for treatment in plan.treatments:
            net = copy.deepcopy(fresh)  # somebody else's network takes seconds to draw
            if source:
                net = graft(treatment, source, net)
            if plan.heads:
                net.load_state_dict(self._head(plan.heads, treatment, net), strict=False)
            members.append(Member(treatment, net, study.recipe, execution))
        prefix = source if plan.family.freezes else None
        return Family(members, prefix, study.recipe, plan.stream, train, val, execution)

    def source_network(self, plan: FamilyPlan, spec: NetworkSpec) -> Stack | None:
        """The network that the family's first layers are copied from; its base is trained now where it is lacking."""
        if plan.is_base:
            return None
        stream = (plan.seed, plan.split, plan.target, plan.source)
        net = self._given(plan) or self._of_base(plan, spec, stream)
        if prepare := KINDS[plan.family.kind].prepare:
            _prepare(plan, net, prepare, generator(*stream, "prepare"))
        return net.requires_grad_(False).eval()

    def _given(self, plan: FamilyPlan) -> Stack | None:
        """The network that somebody else trained, where that is the source and has weights."""
        given = plan.study.source
        if plan.source != "pretrained" or not isinstance(given, Pretrained) or given.state is None:
            return None
        return given.stack().to(self.execution.device)

    def _of_base(self, plan: FamilyPlan, spec: NetworkSpec, stream: StreamName) -> Stack:
        """A base's network with its weights, or an untrained one."""
        base = plan.source_base or plan  # random layers come from a network of the target's size
        classes = len(self.data.split(base).half(base.target))
        net = fresh_network(spec, classes, stream, self.execution.device)
        if plan.source_base:
            net.load_state_dict(self.weights(plan.source_base, net.state_dict()))
        return net

    def _head(self, heads: FamilyPlan, treatment: Treatment, net: Stack) -> Mapping[str, Tensor]:
        """What a frozen run has trained above its cut, from where the fine-tuned one goes on."""
        return self.weights(heads.only([Treatment(treatment.kind, treatment.n)]), net.above(treatment.n))

    def weights(self, plan: FamilyPlan, like: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What one run has trained, made now where it is lacking.

        Of a base all of its weights; where only those in half precision came with its result, these: they are the same
        base. Of a run with frozen layers those above the cut.

        Args:
            plan: of one run.
            like: tensors of the same names, shapes and kinds of number.

        Raises:
            TransferlibError: where they can't be read back.
        """
        (key,) = plan.run_keys
        self.kept.add(key)
        self.ensure(plan)
        weights = self._kept_weights(plan, key, like)
        if weights is None:
            self._note(f"{plan}: its result is in the store but not its weights; it is trained again")
            with self.store.lock(plan.name, tell=self._note):
                weights = self._kept_weights(plan, key, like)
                if weights is None:
                    self.store.set_aside("weights", key)
                    self.train(plan)
                    weights = self.store.get_weights(key, like)
        if weights is None:
            raise TransferlibError(f"cannot read back {self.store.path('weights', key)}: is the disk sound?")
        return weights

    def has_weights(self, base: FamilyPlan) -> bool:
        """Whether a base's weights lie in the store and can be read, those in half precision too."""
        (key,) = base.run_keys
        return any(read(key) is not None for read in (self.store.get_weights, self.store.get_shipped))

    def _kept_weights(self, plan: FamilyPlan, key: str, like: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
        weights = self.store.get_weights(key, like)
        if weights is None and (weights := self.store.get_shipped(key, like)):
            self._note(f"{plan}: copied from its weights in half precision")
        return weights

    def _keeps(self, plan: FamilyPlan, key: str) -> bool:
        """Whether a run's weights are kept: bases', from which others copy, and those that somebody waits for."""
        return plan.is_base or key in self.kept or (plan.study.head_first and plan.family.freezes)

    def _finish(self, plan: FamilyPlan, family: Family, configs: list[Config], seconds: float) -> None:
        for member, config in zip(family.members, configs, strict=True):
            if self._keeps(plan, config_key(config)):  # before the record: what is in the store has its weights
                self.store.put_weights(config_key(config), member.net.above(member.frozen))
            made = self._made_by(seconds / len(family.members))
            self.store.put({"config": config, **result_of(member, family), **made})
            self.store.drop_checkpoint(config_key(config))  # of the run alone, where that was begun
        self._drop_checkpoint(plan)

    def _made_by(self, seconds: float) -> Made:
        return {
            "seconds": round(seconds, 2),
            "device": self.execution.device_name,
            "execution": str(self.execution),
            "threads": torch.get_num_threads(),
            "versions": versions(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }


def _prepare(
    plan: FamilyPlan, net: Stack, prepare: Callable[[Stack, torch.Generator], None], draw: torch.Generator
) -> None:
    """Do to a source what its kind of treatment asks for: it may change weights, and nothing else."""
    before = net.state_dict()
    with torch.no_grad():
        prepare(net, draw)
    try:
        check_like(net.state_dict(), before)
    except ValueError as error:
        raise TransferlibError(f"{plan.family}: after its prepare the source is another network, {error}") from error


def _progress(plan: FamilyPlan, family: Family, steps: int, seconds: float) -> Progress:
    rate = steps / max(seconds, 1e-9)
    left = (family.total_steps - family.done_steps) / rate
    return Progress(plan, family.done_steps, family.total_steps, rate * family.batch_size, left)


def runs_of(rest: Mapping[str, object]) -> list[str]:
    """The keys of the runs that a checkpoint holds, in order.

    Raises:
        ValueError: where it names none.
    """
    runs = rest.get("runs")
    if not isinstance(runs, list) or not all(isinstance(key, str) for key in runs):
        raise ValueError("it does not name its runs")
    return runs


def under_way(store: Store) -> Iterator[str]:
    """The trainings that a store has checkpoints of, a line each."""
    for name in store.checkpoints():
        if found := store.get_checkpoint(name):
            rest = found[1]
            if {"plan", "done_steps", "total_steps"} <= rest.keys():
                yield f"{printable(str(rest['plan']))}, {rest['done_steps']} of {rest['total_steps']} steps"
            else:
                yield f"{name}: its checkpoint is damaged"
