"""Measure: train what the experiment on a source and a target needs, as far as the store lacks it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from transferlib.data import Snapshot, fetch, lookup
from transferlib.errors import TransferlibError
from transferlib.execution import execution
from transferlib.executors import Executor
from transferlib.executors import named as executor_of
from transferlib.measuring import checks
from transferlib.measuring.advice import BASE, COPIES
from transferlib.measuring.export import export, export_path
from transferlib.measuring.inputs import changed, folders_of, labels, opened_at, runs_of, seeds_of
from transferlib.measuring.network import measure_network
from transferlib.measuring.report import Measurement, described
from transferlib.names import printable
from transferlib.nets import network as network_of
from transferlib.nets import register
from transferlib.nets.pretrained import Pretrained, is_named, pretrained
from transferlib.paths import keep_apart, keep_out
from transferlib.store import Store
from transferlib.study import Study
from transferlib.train import Recipe
from transferlib.trainer import Note, Reporter, Stop, Trainer, silent
from transferlib.treatments import Treatment

RESOLUTION = 32  # pixels: of the networks that are trained here
MANY = 10_000  # pictures: from here on the larger network is trained, and a target as large once only by default
SEEN = 40_000  # pictures that a training sees, if that is neither too few nor too many epochs
EPOCHS = (20, 100)


@dataclass(frozen=True)
class OfNetwork:
    """What can be asked of a measurement whose source is somebody else's network.

    Attributes:
        weights: a file of them, or ``none``; the library's own by default.
        resolution: side of its input in pixels; its weights' own by default.
        minutes: that a call may take, by an estimate.
        head_first: whether fine-tuning goes on from the frozen run of the same depth.
        export: a .safetensors file for the recommended network's weights.
    """

    weights: str | Path | None = None
    resolution: int | None = None
    minutes: float | None = None
    head_first: bool = False
    export: Path | None = None


def measure(
    source: str | Pretrained,
    target: str,
    store: Store | str | Path,
    *,
    seeds: int | None = None,
    epochs: int | None = None,
    device: str | None = None,
    report: Reporter = silent,
    stop: Stop | None = None,
    network: OfNetwork | None = None,
    executor: str | Executor = "serial",
) -> Measurement:
    """Train base, AnB and AnB+ on the target, with layers from the source, as far as the store lacks them.

    Args:
        source: a data set as ``transferlib.data.load`` names it, such as ``folder:PATH``, on which a base is trained;
            or a network that somebody else trained, such as ``torchvision:resnet18``.
        target: a data set.
        store: where the runs lie; a measurement that was stopped goes on from there.
        seeds: how often everything is trained; by default 3 times, once where the data sets are large, and once for
            somebody else's network.
        epochs: length of every training; by default it depends on how many pictures there are.
        device: as for ``run_study``.
        report: told the progress, and notes, as for ``run_study``.
        stop: set it and training stops after the step, with a checkpoint.
        network: what else is asked for, where the source is a network.
        executor: as for ``run_study``.

    Raises:
        TransferlibError: for data that can't be measured, in one line.
        Stopped: after ``stop`` was set.
    """
    store = store if isinstance(store, Store) else Store(store)
    trainer, how = Trainer(store, execution(device), report, stop=stop or Stop()), executor_of(executor)
    if isinstance(source, Pretrained) or is_named(source):
        return _of_network(source, target, trainer, how, seeds, epochs, network or OfNetwork())
    inputs = folders_of(source, target)
    if network is not None and network != OfNetwork():
        raise TransferlibError(
            f"weights, resolution, minutes, head_first and export are for a network as the source, and {source} is a "
            "data set"
        )
    source, target = lookup(source).name, lookup(target).name
    checks.must_differ(source, target)
    keep_apart(store.folder, inputs)
    snapshots, opened = zip(*(opened_at(name, RESOLUTION) for name in (source, target)), strict=True)
    called = labels(source, target)
    study = study_of((source, target), [len(data.train.labels) for data in opened], seeds, epochs)
    study = _as_opened(study, *snapshots)
    before = _said(report, [*checks.findings(called, opened), *checks.overlap(*opened), *checks.few_tests(opened[1])])
    runs, longer = (_trained(trainer, how, part) for part in (study, twice_as_long(study)))
    after = _said(report, [*checks.know_nothing(runs), *changed(study)])
    about, tests = described(called, opened, study), np.asarray(opened[1].val.labels)
    return Measurement(runs, longer, about, (*before, *after), tuple(inputs), tests)


def _of_network(
    source: str | Pretrained,
    target: str,
    trainer: Trainer,
    how: Executor,
    seeds: int | None,
    epochs: int | None,
    asked: OfNetwork,
) -> Measurement:
    """Measure somebody else's network, and write the recommended one where that is asked for."""
    if asked.minutes is not None and not asked.minutes > 0:
        raise TransferlibError(f"expected more than 0 minutes, got {asked.minutes:g}")
    fetch(target)  # before weights, which may have to be downloaded
    given = _given(source, asked)
    out = None if asked.export is None else export_path(asked.export)
    if out:
        keep_out(out, folders_of(target))
    measured, study = measure_network(
        given,
        target,
        trainer,
        how,
        minutes=asked.minutes,
        seeds=seeds,
        epochs=epochs,
        head_first=asked.head_first,
        keep=out is not None,
    )
    for path in _written(out, trainer, study, measured.advice.treatment) if out else ():
        trainer.report(Note(path))
    return measured


def _written(out: Path, trainer: Trainer, study: Study, treatment: Treatment | None) -> list[str]:
    if treatment is None:
        return ["nothing is recommended, and nothing written"]
    return [f"wrote {path}" for path in export(out, trainer, study, treatment)]


def _given(source: str | Pretrained, asked: OfNetwork) -> Pretrained:
    if isinstance(source, str):
        name = source if asked.resolution is None else f"{source.partition('@')[0]}@{asked.resolution}"
        return pretrained(name, asked.weights)
    if asked.weights is not None or asked.resolution is not None:
        raise TransferlibError(f"{source.network} comes with its weights and its resolution: name none")
    if not is_named(source.network):
        register(source.spec)
    return source


def _said(report: Reporter, notes: list[str]) -> list[str]:
    notes = [printable(note) for note in notes]
    for note in notes:
        report(Note(note))
    return notes


def _as_opened(study: Study, source: Snapshot, target: Snapshot) -> Study:
    """A study of a source and a target that have been opened already."""
    assert isinstance(study.source, Study)  # of ``study_of``
    return dataclasses.replace(study, snapshot=target, source=dataclasses.replace(study.source, snapshot=source))


def _trained(trainer: Trainer, how: Executor, study: Study) -> pd.DataFrame:
    how.run(trainer, study)
    return runs_of(trainer.store, study.run_keys)


def study_of(names: tuple[str, str], images: Sequence[int], seeds: int | None, epochs: int | None) -> Study:
    """The study of a source and a target with so many training pictures; it depends on nothing else."""
    large = max(images) > MANY
    net = "alexnet32-small" if large else "alexnet32-tiny"
    source, target = (
        Study(name, network_of(net).resolution, net, (f"whole:{half}",), (half,), treatments, recipe_for(count, epochs))
        for name, half, treatments, count in zip(names, "AB", ((BASE,), (BASE, *COPIES)), images, strict=True)
    )
    count = (1 if images[1] > MANY else 3) if seeds is None else seeds
    return dataclasses.replace(target, source=source, seeds=seeds_of(count))


def twice_as_long(study: Study) -> Study:
    """The study's base alone, trained for twice as many epochs."""
    recipe = dataclasses.replace(study.recipe, epochs=2 * study.recipe.epochs)
    return dataclasses.replace(study, recipe=recipe, treatments=(BASE,), source=None)


def recipe_for(images: int, epochs: int | None = None) -> Recipe:
    """The recipe of a training on so many pictures: the fewer they are, the more epochs and the smaller the batches."""
    batch = min(128, max(16, images // 16))
    by_size = min(max(round(SEEN / images), EPOCHS[0]), EPOCHS[1])
    return Recipe(
        epochs=by_size if epochs is None else epochs,
        batch_size=batch,
        learning_rate=round(0.05 * math.sqrt(batch / 128), 4),
        dropout=0.1,
        crop_padding=2,
    )
