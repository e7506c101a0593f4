"""A study: which runs a figure needs; and how they are trained, one family at a time, into a store."""

from __future__ import annotations

import base64
import dataclasses
import math
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch
from scipy import stats as scipy_stats
from torch import Tensor

import transferlib
from transferlib.data import Dataset, Images, Snapshot, input_folders, load, lookup, snapshot
from transferlib.errors import TransferlibError
from transferlib.execution import Execution, device_name
from transferlib.execution import execution as choose_execution
from transferlib.locks import Busy
from transferlib.names import printable
from transferlib.nets import AlexNet, NetworkSpec, network
from transferlib.paths import keep_apart
from transferlib.records import Config, config_key
from transferlib.splits import Split, make_split, other, shuffled, similarity_of
from transferlib.store import Store
from transferlib.train import Family, Half, Member, Recipe, StreamName, fresh_network, graft
from transferlib.treatments import Treatment

CHECKPOINT_SECONDS = 120.0
FORMAT = 1  # of a run's configuration; another number is another key


@dataclass(frozen=True)
class Study:
    """Data set, splits, network, recipe, seeds and treatments: what a figure needs (the paper's section 3).

    Attributes:
        dataset: a name of ``transferlib.data.DATASETS``.
        resolution: side of the stored images, in pixels; the network's own or more.
        network: a name of ``transferlib.nets.NETWORKS``.
        splits: forms of ``transferlib.splits``.
        targets: the halves that networks are trained on, ``A``, ``B`` or both.
        treatments: what is run for each target; the bases that these need are trained too.
        recipe: how every one of them is trained.
        seeds: of the streams of random numbers; one whole set of runs each.
        images_per_class: how many training images of each class of the target are used; all by default.
        source: another data set's study, on the split ``whole:A``, whose base the target B copies from: then nothing
            is cut, and this study's own split is ``whole:B``.
        snapshot: of the data set, where the study has been ``opened``; it is no part of what the study is.
    """

    dataset: str
    resolution: int
    network: str
    splits: tuple[str, ...]
    targets: tuple[str, ...]
    treatments: tuple[Treatment, ...]
    recipe: Recipe
    seeds: tuple[int, ...] = (0,)
    images_per_class: int | None = None
    source: Study | None = None
    snapshot: Snapshot | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset", lookup(self.dataset).name)  # of a folder one, however it was written
        if self.snapshot and not self.snapshot.is_of(self.dataset, self.resolution):  # of the study this was made from
            object.__setattr__(self, "snapshot", None)
        if not set(self.targets) <= {"A", "B"} or not self.targets:
            raise TransferlibError(f"expected targets among A and B, got {', '.join(self.targets) or 'none'}")
        if self.recipe.crop_padding >= self.resolution:  # a picture is mirrored once
            raise TransferlibError(
                f"expected crop_padding below the images' {self.resolution} px, got {self.recipe.crop_padding}"
            )
        if network(self.network).resolution > self.resolution:
            raise TransferlibError(
                f"{self.network} needs images of {network(self.network).resolution} px, got {self.resolution}"
            )
        if self.source and self.source.network != self.network:
            raise TransferlibError(f"layers of {self.source.network} do not fit {self.network}: expected one network")

    def opened(self) -> Study:
        """The study with what names its runs settled, and its source's: a folder of pictures is opened for it, once.

        Raises:
            TransferlibError: for a folder that can't be used.
        """
        source = self.source and self.source.opened()
        return dataclasses.replace(
            self, source=source, snapshot=self.snapshot or snapshot(self.dataset, self.resolution)
        )

    @property
    def identity(self) -> Snapshot:
        """What names the study's runs.

        Raises:
            TransferlibError: for a folder of pictures, before the study is opened.
        """
        return self.snapshot or lookup(self.dataset).fixed()

    def changed(self) -> list[str]:
        """The recorded names of the data sets that have changed since the study was opened, its source's first."""
        return [study.identity.name for study in (self.source, self) if study and study.identity.changed()]

    def input_folders(self) -> list[Path]:
        """The folders of a user's own that the study reads, into which nothing may be written."""
        return input_folders(*(study.dataset for study in (self.source, self) if study))

    def families(self) -> list[FamilyPlan]:
        """The families of the study, bases first, one split, target and seed after another."""
        plans = []
        for split in self.splits:
            for seed in self.seeds:
                bases, rest = [], []
                for target in self.targets:
                    for plan in self._of_target(split, seed, target):
                        (bases if plan.is_base else rest).append(plan)
                plans += list(dict.fromkeys(bases)) + rest
        return plans

    def _of_target(self, split: str, seed: int, target: str) -> Iterator[FamilyPlan]:
        by_family: dict[str, list[Treatment]] = {}
        for treatment in self.treatments:
            by_family.setdefault(treatment.family, []).append(treatment)
        for members in by_family.values():
            plan = FamilyPlan(self, split, seed, target, tuple(members))
            if plan.source_base:
                yield plan.source_base
            yield plan


@dataclass(frozen=True)
class FamilyPlan:
    """The runs of one treatment and one source that are trained together."""

    study: Study
    split: str
    seed: int
    target: str
    treatments: tuple[Treatment, ...]

    @property
    def is_base(self) -> bool:
        """Whether this is a base, which copies nothing."""
        return self.treatments[0].kind == "base"

    @property
    def source(self) -> str | None:
        """The half that the copied layers come from, ``random`` for untrained ones, None for a base."""
        kinds = {"base": None, "AnB": other(self.target), "BnB": self.target, "RnB": "random"}
        return kinds[self.treatments[0].kind]

    @property
    def source_base(self) -> FamilyPlan | None:
        """The base that the copied layers come from; the other half's is trained on all of its images."""
        if self.source not in ("A", "B"):
            return None
        study, split = self.study, self.split
        if self.source != self.target and study.source:
            study, split = study.source, f"whole:{self.source}"
        elif self.source != self.target:
            study = dataclasses.replace(study, images_per_class=None)
        return FamilyPlan(study, split, self.seed, self.source, (Treatment("base"),))

    def config(self, treatment: Treatment) -> Config:
        """Everything that the run's numbers depend on, as plain values; its hash is the run's key."""
        study, base = self.study, self.source_base
        return {
            "format": FORMAT,
            "data": {
                "name": study.identity.name,
                "version": study.identity.version,
                "resolution": study.resolution,
                "images_per_class": study.images_per_class,
            },
            "split": self.split,
            "target": self.target,
            "source": self.source,
            "source_key": base.run_keys[0] if base else None,
            "network": _plain(network(study.network)),
            "treatment": str(treatment),
            "recipe": _plain(study.recipe),
            "seed": self.seed,
        }

    @property
    def run_keys(self) -> list[str]:
        """The keys of the runs, in order."""
        return [config_key(self.config(treatment)) for treatment in self.treatments]

    @property
    def stream(self) -> StreamName:
        """The name of the family's random numbers: bases have their own, all transfer treatments share theirs."""
        return (self.seed, self.split, self.target, "base" if self.is_base else "transfer")

    @property
    def name(self) -> str:
        """The family's name in the store, for lock and checkpoint: the same whichever of its runs are asked for."""
        return config_key(self.config(self.treatments[0]) | {"treatment": self.treatments[0].family})

    def only(self, treatments: Iterable[Treatment]) -> FamilyPlan:
        """The same family with fewer runs."""
        return dataclasses.replace(self, treatments=tuple(treatments))

    def __str__(self) -> str:
        return f"{self.treatments[0].family:<4} target {self.target}  {self.split}"


def _plain(value: NetworkSpec | Recipe) -> dict:
    """A dataclass as JSON would give it back: tuples as lists."""
    return {name: _listed(item) for name, item in dataclasses.asdict(value).items()}


def _listed(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return {k: _listed(v) for k, v in value.items()} if isinstance(value, dict) else value


# --- images on the device ---


def class_rows(labels: np.ndarray, members: list[int], per_class: int | None, seed: object) -> np.ndarray:
    """Which images belong to some classes, in their order; cut to a number per class by a seed.

    Args:
        labels: int64 (N,), of all images.
        members: labels of the wanted classes.
        per_class: how many of each, None for all.
        seed: names the draw; a larger number keeps the images of a smaller one.

    Raises:
        TransferlibError: where a class has fewer images.
    """
    rows = []
    for label in members:
        found = np.flatnonzero(labels == label)
        if per_class is not None:
            if len(found) < per_class:
                raise TransferlibError(f"expected {per_class} images of each class, one has {len(found)}")
            found = np.sort([int(row) for row in shuffled([str(row) for row in found], seed)[:per_class]])
        rows.append(found)
    return np.sort(np.concatenate(rows))


def half_of(images: Images, members: list[int], rows: np.ndarray, device: torch.device) -> Half:
    """Move one half's images to the device, once; where they don't fit, they stay memory-mapped on the disk."""
    relabel = np.full(int(images.labels.max()) + 1, -1)
    relabel[members] = np.arange(len(members))
    labels = torch.from_numpy(relabel[images.labels[rows]]).to(device)
    if len(rows) * images.pixels[0].nbytes < 0.8 * _free_bytes(device):
        pixels = torch.from_numpy(images.pixels[rows]).to(device)
        return Half(pixels, torch.arange(len(rows), device=device), labels, len(members))
    return Half(_mapped(images.pixels), torch.from_numpy(rows), labels, len(members))


def _mapped(pixels: np.ndarray) -> Tensor:
    # torch warns that the map is read-only; nothing here writes to it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(pixels)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


# --- training into a store ---


@dataclass(frozen=True)
class Progress:
    """What a reporter is told while a family trains."""

    plan: FamilyPlan
    done: int  # steps
    total: int
    images_per_second: float
    seconds_left: float


Reporter = Callable[[str, object], None]


class Stop(threading.Event):
    """Set it and training stops after the step, with a checkpoint.

    ``training`` says whether a family is between its first step and its last record: else there is nothing to wait for.
    """

    training: bool = False


class Stopped(Exception):
    """Training was asked to stop, and did after a step; a checkpoint keeps what was done."""


@dataclass
class OpenData:
    """The data sets and halves in use, so that each is opened and moved to the device once.

    Attributes:
        opened: data sets by name, resolution and the dial's position.
        halves: what the last target's training and validation images are of, and these.
    """

    opened: dict[tuple[str, int, float | None], Dataset] = field(default_factory=dict)
    halves: tuple[tuple[object, ...], tuple[Half, Half]] | None = None

    def dataset(self, plan: FamilyPlan) -> Dataset:
        """The plan's data set; of a folder what it held when the study was opened."""
        study, similarity = plan.study, similarity_of(plan.split)
        if study.identity.dataset:
            return study.identity.dataset
        asked = study.dataset, study.resolution, similarity
        if asked not in self.opened:
            self.opened[asked] = load(study.dataset, study.resolution, similarity=similarity)
        return self.opened[asked]

    def split(self, plan: FamilyPlan) -> Split:
        """The plan's split."""
        return make_split(self.dataset(plan), plan.split)

    def halves_of(self, plan: FamilyPlan, device: torch.device) -> tuple[Half, Half]:
        """The target's training and validation images; only those of the last target stay on the device."""
        study = plan.study
        data = study.dataset, study.identity.version, study.resolution, study.images_per_class
        asked = (*data, plan.split, plan.target, plan.seed)
        if self.halves is None or self.halves[0] != asked:
            self.halves = None  # let go of before others come
            self.halves = asked, self._open(plan, device)
        return self.halves[1]

    def _open(self, plan: FamilyPlan, device: torch.device) -> tuple[Half, Half]:
        dataset = self.dataset(plan)
        members = [dataset.classes.index(name) for name in self.split(plan).half(plan.target)]
        draw = f"images/{plan.seed}/{plan.split}"
        train = class_rows(dataset.train.labels, members, plan.study.images_per_class, draw)
        val = class_rows(dataset.val.labels, members, None, draw)
        return half_of(dataset.train, members, train, device), half_of(dataset.val, members, val, device)


@dataclass
class Trainer:
    """Trains what a store lacks of a study, one family after another, on one device.

    Attributes:
        store: where finished runs are looked up and kept.
        execution: the device and its number format.
        report: told ``("progress", Progress)`` after each step and ``("note", text)`` of what a person should know.
        checkpoint_seconds: how much training a kill may cost.
        stop: set it, from a signal's handler say, and training stops after the step, with a checkpoint.
    """

    store: Store
    execution: Execution
    report: Reporter = lambda event, detail: None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    stop: Stop = field(default_factory=Stop)
    data: OpenData = field(default_factory=OpenData)

    def run(self, study: Study) -> None:
        """Train every family of an opened study that the store lacks; for those in another process's hands it waits."""
        for plan in [plan for plan in study.families() if not self.ensure(plan, wait=False)]:
            self.ensure(plan)

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
                    self.report("note", f"{plan}: {busy} is training it; waiting")
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
        self.report("note", f"{plan}: not enough GPU memory for {len(plan.treatments)} runs; in two halves")
        self._forget()
        for part in (plan.treatments[:middle], plan.treatments[middle:]):
            self.train(plan.only(part))

    def _fits(self, plan: FamilyPlan) -> bool:
        # the exception holds the family's tensors by its frames: it must be gone before another attempt
        try:
            with self.execution.compile_errors():
                self._train(plan)
        except torch.OutOfMemoryError:
            return False
        return True

    def _forget(self) -> None:
        self.data.halves = None
        if self.execution.device.type == "cuda":
            torch.cuda.empty_cache()

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
            self.report("progress", _progress(plan, family, done - first, now - started))
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
            self.report("note", f"{plan}: its checkpoint is damaged ({error}); it starts anew")
            self.store.set_aside("checkpoints", plan.name)
            return self.build(plan), 0.0
        self.report("note", f"{plan}: goes on after step {family.done_steps} of {family.total_steps}")
        return family, seconds

    def _checkpoint(self, plan: FamilyPlan, family: Family, seconds: float) -> None:
        tensors, rest = family.state()
        about = {"plan": str(plan), "runs": plan.run_keys, "total_steps": family.total_steps, "seconds": seconds}
        self.store.put_checkpoint(plan.name, tensors, rest | about)

    def build(self, plan: FamilyPlan) -> Family:
        """The family, untrained: its images, its networks with the copied layers in place."""
        study, execution = plan.study, self.execution
        spec, (train, val) = network(study.network), self.data.halves_of(plan, execution.device)
        source = self.source_network(plan, spec)
        members = []
        for treatment in plan.treatments:
            net = fresh_network(spec, train.classes, plan.stream, execution.device)
            if source:
                net = graft(treatment, source, net)
            members.append(Member(treatment, net, study.recipe, execution))
        prefix = source if plan.treatments[0].frozen else None
        return Family(members, prefix, study.recipe, plan.stream, train, val, execution)

    def source_network(self, plan: FamilyPlan, spec: NetworkSpec) -> AlexNet | None:
        """The network that the family's first layers are copied from; its base is trained now where it is lacking."""
        if plan.is_base:
            return None
        base = plan.source_base or plan  # random layers come from a network of the target's size
        classes = len(self.data.split(base).half(base.target))
        stream = (plan.seed, plan.split, plan.target, plan.source)
        net = fresh_network(spec, classes, stream, self.execution.device)
        if plan.source_base:
            net.load_state_dict(self._base_weights(plan.source_base, net.state_dict()))
        return net.requires_grad_(False).eval()

    def _base_weights(self, base: FamilyPlan, like: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A base's weights; where only those in half precision came with its result, these: they are the same base."""
        key = base.run_keys[0]
        self.ensure(base)
        weights = self._kept_weights(base, key, like)
        if weights is None:
            self.report("note", f"{base}: its result is in the store but not its weights; it is trained again")
            with self.store.lock(base.name, tell=lambda text: self.report("note", text)):
                weights = self._kept_weights(base, key, like)
                if weights is None:
                    self.store.set_aside("weights", key)
                    self.train(base)
                    weights = self.store.get_weights(key, like)
        if weights is None:
            raise TransferlibError(f"cannot read back {self.store.path('weights', key)}: is the disk sound?")
        return weights

    def _kept_weights(self, base: FamilyPlan, key: str, like: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
        weights = self.store.get_weights(key, like)
        if weights is None and (weights := self.store.get_shipped(key, like)):
            self.report("note", f"{base}: copied from its weights in half precision")
        return weights

    def _finish(self, plan: FamilyPlan, family: Family, configs: list[Config], seconds: float) -> None:
        for member, config in zip(family.members, configs, strict=True):
            if plan.is_base:  # before the record: a base that is in the store has its weights
                self.store.put_weights(config_key(config), dict(member.net.state_dict()))
            record = {"config": config, **_result(member, family)}
            self.store.put(record | {"seconds": round(seconds / len(family.members), 2)} | self._made_by())
        self._drop_checkpoint(plan)

    def _made_by(self) -> dict[str, object]:
        return {
            "device": device_name(self.execution.device),
            "execution": str(self.execution),
            "threads": torch.get_num_threads(),
            "versions": versions(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }


def _progress(plan: FamilyPlan, family: Family, steps: int, seconds: float) -> Progress:
    rate = steps / max(seconds, 1e-9)
    left = (family.total_steps - family.done_steps) / rate
    return Progress(plan, family.done_steps, family.total_steps, rate * family.batch_size, left)


def _result(member: Member, family: Family) -> dict[str, object]:
    """A finished run's numbers: accuracies are fractions, ``correct`` has one bit for each validation image."""
    top1 = member.curve[-1].top1
    return {
        "top1": top1,
        "best_top1": max(point.top1 for point in member.curve),
        "status": _status(member, family.val),
        "val_images": len(family.val),
        "family_of": len(family.members),
        "curve": [_finite(dataclasses.asdict(point)) for point in member.curve],
        "correct": base64.b64encode(np.packbits(member.correct.numpy()).tobytes()).decode(),
    }


def _finite(point: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: a diverged run's loss is null."""
    return {name: value if math.isfinite(value) else None for name, value in point.items()}


def _status(member: Member, val: Half) -> str:
    """``ok``, ``diverged`` (its loss was no number), or ``chance``: no better than guessing would be 1 time in 1000.

    Who guesses names the largest class.
    """
    if member.diverged:
        return "diverged"
    largest = int(torch.bincount(val.labels).max())
    guessed = scipy_stats.binom.ppf(0.999, len(val), largest / len(val))
    return "chance" if member.curve[-1].top1 * len(val) <= guessed else "ok"


def runs_of(rest: dict) -> list[str]:
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


def versions() -> dict[str, str]:
    """What a run was made with."""
    return {
        "transferlib": transferlib.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def run_study(
    study: Study,
    store: Store,
    *,
    device: str | None = None,
    precision: str = "auto",
    compiled: bool = False,
    report: Reporter = lambda event, detail: None,
    stop: Stop | None = None,
) -> pd.DataFrame:
    """Train what the store lacks of a study, and return its runs.

    Args:
        study: what to run.
        store: where the runs lie.
        device: ``cpu`` or ``cuda``; a GPU where there is one by default.
        precision: ``auto`` (what the device is good at), ``bf16``, ``fp16`` or ``fp32``.
        compiled: whether to pass networks through ``torch.compile``.
        report: called with an event's name and its detail.
        stop: set it and training stops after the step, with a checkpoint.

    Returns:
        The study's rows of ``Store.table``.

    Raises:
        TransferlibError: for what a user can mend, in one line.
        Stopped: after ``stop`` was set.
    """
    keep_apart(store.folder, study.input_folders())
    chosen = choose_execution(device, precision, compiled)
    study = study.opened()
    Trainer(store, chosen, report, stop=stop or Stop()).run(study)
    for name in study.changed():
        report("note", f"{name} has changed since it was read: these runs are of what it held before")
    return study_table(study, store)


def study_table(study: Study, store: Store) -> pd.DataFrame:
    """An opened study's finished runs, as rows of ``Store.table``."""
    keys = {key for plan in study.families() for key in plan.run_keys}
    table = store.table()
    return table[table["key"].isin(keys)].reset_index(drop=True)
