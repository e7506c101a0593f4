"""A study: which runs a figure needs, family by family, and what each of them is called in the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from transferlib.data import Snapshot, input_folders, lookup, snapshot
from transferlib.errors import TransferlibError
from transferlib.nets import network
from transferlib.nets.pretrained import Pretrained
from transferlib.records import Config, config_key
from transferlib.splits import other
from transferlib.train import Recipe, StreamName
from transferlib.treatments import KINDS, FamilyName, Treatment

FORMAT = 1  # of a run's configuration; another number is another key
BASE = FamilyName("base")


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
        source: another data set's study, on the split ``whole:A``, whose base the target B copies from, or a network
            that somebody else trained: then nothing is cut, and this study's own split is ``whole:B``.
        head_first: whether fine-tuning goes on from the frozen run of the same depth, so that copied layers never meet
            fresh ones (linear probing, then fine-tuning: Kumar et al., 2022); else the upper layers start anew.
        base_recipe: how the bases are trained, where not by ``recipe``: what is copied is finished, and what is fresh
            may start at another rate.
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
    source: Study | Pretrained | None = None
    head_first: bool = False
    base_recipe: Recipe | None = None
    snapshot: Snapshot | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset", lookup(self.dataset).name)  # of a folder one, however it was written
        if self.snapshot and not self.snapshot.is_of(self.dataset, self.resolution):  # of the study this was made from
            object.__setattr__(self, "snapshot", None)
        if not set(self.targets) <= {"A", "B"} or not self.targets:
            raise TransferlibError(f"expected targets among A and B, got {', '.join(self.targets) or 'none'}")
        for recipe in filter(None, (self.recipe, self.base_recipe)):
            if recipe.crop_padding >= self.resolution:  # a picture is mirrored once
                raise TransferlibError(
                    f"expected crop_padding below the images' {self.resolution} px, got {recipe.crop_padding}"
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
        source = self.source.opened() if isinstance(self.source, Study) else self.source
        wanted = (source.spec.pictures.interpolation,) if isinstance(source, Pretrained) else ()
        taken = self.snapshot or snapshot(self.dataset, self.resolution, *wanted)
        return dataclasses.replace(self, source=source, snapshot=taken)

    @property
    def of_bases(self) -> Study:
        """The study by which the bases are trained: this one, but for their own recipe."""
        return dataclasses.replace(self, recipe=self.base_recipe or self.recipe, base_recipe=None)

    @property
    def identity(self) -> Snapshot:
        """What names the study's runs.

        Raises:
            TransferlibError: for a folder of pictures, before the study is opened.
        """
        return self.snapshot or lookup(self.dataset).fixed()

    def changed(self) -> list[str]:
        """The recorded names of the data sets that have changed since the study was opened, its source's first."""
        return [study.identity.name for study in self._studies() if study.identity.changed()]

    def input_folders(self) -> list[Path]:
        """The folders of a user's own that the study reads, into which nothing may be written."""
        return input_folders(*(study.dataset for study in self._studies()))

    def _studies(self) -> list[Study]:
        """The source's, where it is one, and this."""
        return [study for study in (self.source, self) if isinstance(study, Study)]

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

    @cached_property
    def run_keys(self) -> set[str]:
        """The keys of all its runs."""
        return {key for plan in self.families() for key in plan.run_keys}

    def _of_target(self, split: str, seed: int, target: str) -> Iterator[FamilyPlan]:
        for family in dict.fromkeys(treatment.family for treatment in self.treatments):
            members = tuple(treatment for treatment in self.treatments if treatment.family == family)
            plan = FamilyPlan(self.of_bases if family.is_base else self, split, seed, target, family, members)
            if plan.source_base:
                yield plan.source_base
            yield plan


@dataclass(frozen=True)
class FamilyPlan:
    """The runs of one family and one source that are trained together.

    Attributes:
        study: what they are of.
        split: the form of the split.
        seed: of their streams of random numbers.
        target: the half that they are trained on.
        family: what they are runs of.
        treatments: those runs of it that are asked for.
        alone: whether it is one run that is trained apart from its family, under a lock and a checkpoint of its own.
    """

    study: Study
    split: str
    seed: int
    target: str
    family: FamilyName
    treatments: tuple[Treatment, ...]
    alone: bool = False

    @classmethod
    def base(cls, study: Study, split: str, seed: int, target: str) -> FamilyPlan:
        """The plan of a base."""
        return cls(study, split, seed, target, BASE, BASE.treatments)

    @property
    def is_base(self) -> bool:
        """Whether this is a base, which copies nothing."""
        return self.family.is_base

    @property
    def source(self) -> str | None:
        """The half that the copied layers come from; ``pretrained`` or ``random`` ones; None for a base."""
        foreign = "pretrained" if isinstance(self.study.source, Pretrained) else other(self.target)
        halves = {None: None, "other": foreign, "own": self.target, "random": "random"}
        return halves[KINDS[self.family.kind].source]

    @property
    def source_base(self) -> FamilyPlan | None:
        """The base that the copied layers come from; the other half's is trained on all of its images."""
        if self.source not in ("A", "B"):
            return None
        study, split = self.study.of_bases, self.split
        if self.source != self.target and isinstance(study.source, Study):
            study, split = study.source.of_bases, f"whole:{self.source}"
        elif self.source != self.target:
            study = dataclasses.replace(study, images_per_class=None)
        return FamilyPlan.base(study, split, self.seed, self.source)

    @property
    def heads(self) -> FamilyPlan | None:
        """The frozen family whose upper layers this one goes on with, where the study trains heads first."""
        if not (self.study.head_first and self.family.fine_tuned):
            return None
        frozen = FamilyName(self.family.kind)
        return dataclasses.replace(
            self, family=frozen, treatments=tuple(Treatment(t.kind, t.n) for t in self.treatments), alone=False
        )

    @cached_property
    def _source_key(self) -> str | None:
        if self.source == "pretrained":
            assert isinstance(self.study.source, Pretrained)
            return self.study.source.digest
        base = self.source_base
        return base.run_keys[0] if base else None

    def config(self, treatment: Treatment) -> Config:
        """Everything that the run's numbers depend on, as plain values; its hash is the run's key."""
        config = self._config(str(treatment))
        if self.heads:
            config["head_key"] = config_key(self.heads.config(Treatment(treatment.kind, treatment.n)))
        return config

    def _config(self, treatment: str) -> Config:
        study = self.study
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
            "source_key": self._source_key,
            "network": network(study.network).recorded(),
            "treatment": treatment,
            "recipe": study.recipe.recorded(),
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
        """Its name in the store, for lock and checkpoint: the same whichever of its runs are asked for.

        That of a run which is trained alone is its key.
        """
        if self.alone:
            return self.run_keys[0]
        heads = {"heads": self.heads.name} if self.heads else {}
        return config_key({**self._config(str(self.family)), **heads})

    def only(self, treatments: Iterable[Treatment]) -> FamilyPlan:
        """The same family with fewer runs."""
        return dataclasses.replace(self, treatments=tuple(treatments))

    def singly(self) -> list[FamilyPlan]:
        """Its runs, each to be trained alone."""
        return [dataclasses.replace(self, treatments=(treatment,), alone=True) for treatment in self.treatments]

    def __str__(self) -> str:
        return f"{self.treatments[0] if self.alone else self.family!s:<4} target {self.target}  {self.split}"
