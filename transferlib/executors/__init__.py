"""Who trains which family when: ``serial``, ``processes``, ``ray``; others can be added to ``EXECUTORS``."""

from __future__ import annotations

import pandas as pd

from transferlib.errors import TransferlibError
from transferlib.execution import execution
from transferlib.executors.executor import Executor
from transferlib.executors.processes import Processes
from transferlib.executors.ray import Ray
from transferlib.executors.serial import Serial
from transferlib.paths import keep_apart
from transferlib.store import Store
from transferlib.study import Study
from transferlib.trainer import Note, Reporter, Stop, Trainer, silent

SERIAL = Serial()
EXECUTORS: dict[str, Executor] = {executor.name: executor for executor in (SERIAL, Processes(), Ray())}


def named(name: str | Executor) -> Executor:
    """The named executor; one that has options of its own is given as it is.

    Raises:
        TransferlibError: for an unknown name.
    """
    if not isinstance(name, str):
        return name
    if name not in EXECUTORS:
        raise TransferlibError(f"unknown executor {name!r}: expected one of {', '.join(EXECUTORS)}")
    return EXECUTORS[name]


def run_study(
    study: Study,
    store: Store,
    *,
    executor: str | Executor = "serial",
    device: str | None = None,
    precision: str = "auto",
    compiled: bool = False,
    report: Reporter = silent,
    stop: Stop | None = None,
) -> pd.DataFrame:
    """Train what the store lacks of a study, and return its runs.

    Args:
        study: what to run.
        store: where the runs lie.
        executor: among ``EXECUTORS``, or one with options, such as ``Processes(workers=4)``.
        device: ``cpu``, ``cuda`` or ``mps``; a GPU where there is one by default.
        precision: ``auto`` (what the device is good at), ``bf16``, ``fp16`` or ``fp32``.
        compiled: whether to pass networks through ``torch.compile``.
        report: told the progress, and notes.
        stop: set it and training stops after the step, with a checkpoint.

    Returns:
        The study's rows of ``Store.table``.

    Raises:
        TransferlibError: for what a user can mend, in one line.
        Stopped: after ``stop`` was set.
    """
    keep_apart(store.folder, study.input_folders())
    chosen = execution(device, precision, compiled)
    study = study.opened()
    named(executor).run(Trainer(store, chosen, report, stop=stop or Stop()), study)
    for name in study.changed():
        report(Note(f"{name} has changed since it was read: these runs are of what it held before"))
    return store.table(study.run_keys)
