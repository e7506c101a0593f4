"""Measure somebody else's network: which of its parts to freeze for your pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from transferlib.data import Dataset, input_folders, lookup
from transferlib.errors import TransferlibError
from transferlib.executors import Executor, Serial
from transferlib.measuring import checks
from transferlib.measuring.advice import BASE
from transferlib.measuring.budget import ORDER, PROBE, Budget, Costs, planned
from transferlib.measuring.inputs import changed, label, opened_at, runs_of, seeds_of
from transferlib.measuring.report import Measurement, counts
from transferlib.names import printable
from transferlib.nets.pretrained import Pretrained
from transferlib.paths import keep_apart
from transferlib.progress import clock
from transferlib.speed import images_per_second
from transferlib.study import FamilyPlan, Study
from transferlib.train import Recipe
from transferlib.trainer import Note, Trainer
from transferlib.treatments import Treatment

MINUTES = 20.0  # of a call that names none
SEEN = 4_000  # pictures that a training sees, if that is neither too few nor too many epochs
EPOCHS = (10, 20)


def measure_network(
    given: Pretrained,
    target: str,
    trainer: Trainer,
    how: Executor,
    *,
    minutes: float | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    head_first: bool = False,
    keep: bool = False,
) -> tuple[Measurement, Study]:
    """Train base, AnB and AnB+ on the target with a network's own layers, as far as they lack and time allows.

    Args:
        given: the network and its weights.
        target: a data set as ``transferlib.data.load`` names it.
        trainer: trains, reports and stops.
        how: who trains which family when.
        minutes: that this call may take, by an estimate; what is left out another call goes on with.
        seeds: how often everything is trained, once by default.
        epochs: length of every training; by default it depends on how many pictures there are.
        head_first: whether fine-tuning goes on from the frozen run of the same depth.
        keep: whether the weights of all runs are kept.

    Raises:
        TransferlibError: for data that can't be measured, or where there is no time for anything, in one line.
    """
    target = lookup(target).name
    inputs = input_folders(target)
    keep_apart(trainer.store.folder, inputs)
    wanted = given.spec.pictures
    taken, opened = opened_at(target, wanted.stored, wanted.interpolation)
    study = study_of(given, target, len(opened.train.labels), seeds, epochs, head_first)
    study = dataclasses.replace(study, snapshot=taken)
    about = "\n".join([_of_network(given), f"target  {counts(label(target), opened)}"])
    findings = [*checks.findings([label(target)], [opened]), *checks.few_tests(opened), *_untrained(given)]
    budget = _budget(study, opened, trainer, MINUTES if minutes is None else minutes)
    before = [*map(printable, findings), *_left_out(budget, minutes)]
    for line in (*about.splitlines(), *before, _plan(study, budget)):
        trainer.report(Note(line))
    trainer.kept |= study.run_keys if keep else set()
    for part in _parts(study, budget.treatments, how, trainer):
        how.run(trainer, part)
    runs = runs_of(trainer.store, study.run_keys)  # those of earlier calls too
    about, notes, tests = f"{about}\n{_how(study)}", (*before, *changed(study)), np.asarray(opened.val.labels)
    return Measurement(runs, runs.iloc[:0], about, notes, tuple(inputs), tests, given.spec.names), study


def study_of(
    given: Pretrained, target: str, images: int, seeds: int | None, epochs: int | None, head_first: bool
) -> Study:
    """The study of a network and a target with so many training pictures; it depends on nothing else."""
    return Study(
        dataset=target,
        resolution=given.spec.pictures.stored,
        network=given.network,
        splits=("whole:B",),
        targets=("B",),
        treatments=ORDER,
        recipe=recipe_for(given, images, epochs),
        seeds=seeds_of(1 if seeds is None else seeds),
        source=given,
        head_first=head_first,
    )


def recipe_for(given: Pretrained, images: int, epochs: int | None = None) -> Recipe:
    """The recipe of a training on so many pictures: copied layers that are fine-tuned move at a tenth of the rate."""
    batch = min(32, max(8, images // 8))
    by_size = min(max(round(SEEN / images), EPOCHS[0]), EPOCHS[1])
    uncropped = given.spec.pictures.stored == given.spec.resolution
    return Recipe(
        epochs=by_size if epochs is None else epochs,
        batch_size=batch,
        learning_rate=0.02,
        weight_decay=1e-4,
        dropout=0.2,
        crop_padding=given.spec.resolution // 16 if uncropped else 0,
        copied_rate=0.1,
    )


def _budget(study: Study, opened: Dataset, trainer: Trainer, minutes: float) -> Budget:
    finished = [t for t in ORDER if not any(trainer.missing(plan) for plan in _plans(study, t))]
    if len(finished) == len(ORDER):
        return Budget(ORDER, (), (), 0.0)
    speed = images_per_second(study, trainer.execution)
    costs = Costs.of(study, len(opened.train.labels), len(opened.val.labels), speed)
    budget = planned(costs, 60 * minutes, finished, study.head_first, len(study.seeds))
    if not budget.treatments:
        needed = len(study.seeds) * costs.seconds([PROBE]) / 60
        raise TransferlibError(
            f"{PROBE} alone takes about {needed:.1f} minutes here: give --minutes {needed + 1:.0f} or more, a smaller "
            "--resolution or fewer --epochs"
        )
    return budget


def _plans(study: Study, treatment: Treatment) -> list[FamilyPlan]:
    return dataclasses.replace(study, treatments=(treatment,)).families()


def _parts(study: Study, treatments: Sequence[Treatment], how: Executor, trainer: Trainer) -> Iterator[Study]:
    """The study in the order of its budget: all frozen runs in one pass, then each other run alone.

    Where such a pass was broken off, it is finished first: what was planned then need not be what is planned now.
    Several workers get all at once, and begin with what takes longest.
    """
    if not isinstance(how, Serial):
        yield dataclasses.replace(study, treatments=tuple(treatments))
        return
    frozen = tuple(t for t in treatments if t.frozen)
    plans = dataclasses.replace(study, treatments=frozen).families() if frozen else []
    held = {t for plan in plans if not plan.is_base for t in trainer.begun(plan)}
    begun, rest = (tuple(t for t in frozen if (t in held) is first) for first in (True, False))
    for some in (begun, rest, *((t,) for t in treatments if not t.frozen)):
        if some:
            yield dataclasses.replace(study, treatments=some)


# what is said


def _of_network(given: Pretrained) -> str:
    parts = ", ".join(given.spec.names)
    at = "" if "@" in given.network else f" at {given.spec.resolution} px"
    return printable(f"source  {given.network}{at}, weights {given.origin}: {parts}")


def _untrained(given: Pretrained) -> list[str]:
    if given.state is not None:
        return []
    return ["the network has no weights: its copied layers are random, and what follows is about these"]


def _plan(study: Study, budget: Budget) -> str:
    if not budget.missing:
        return "all that is measured is in the store"
    todo = ", ".join(_said(t) for t in budget.missing)
    times = f", {len(study.seeds)} times each" if len(study.seeds) > 1 else ""
    return f"trains {todo}: about {clock(budget.seconds)} here, {study.recipe.epochs} epochs each{times}"


def _said(treatment: Treatment) -> str:
    words = {PROBE: "A7B (the head alone)", BASE: "base (from scratch)"}
    return words.get(treatment, str(treatment))


def _left_out(budget: Budget, minutes: float | None) -> list[str]:
    if not budget.left_out:
        return []
    listed = ", ".join(map(str, budget.left_out))
    given = f"{MINUTES:.0f} minutes, for want of --minutes" if minutes is None else f"--minutes {minutes:g}"
    more = "the same command again goes on with them"
    if not budget.missing:  # nor would the same time be enough another time
        more = f"the next takes about {clock(budget.next_seconds)}: give --minutes {budget.next_seconds / 60 + 1:.0f}"
    return [f"left out for {given}: {listed}; {more}"]


def _how(study: Study) -> str:
    times = f"{len(study.seeds)} time{'s' * (len(study.seeds) > 1)}"
    first = ", heads first" if study.head_first else ""
    return f"trained {times} for {study.recipe.epochs} epochs{first}"
