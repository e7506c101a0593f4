"""A measurement that is kept beside its runs, so that it can be shown where neither pictures nor network are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from transferlib.errors import TransferlibError
from transferlib.measuring.inputs import runs_of
from transferlib.measuring.report import Measurement
from transferlib.store import Store, write_whole

NAME = "measurement.json"


def keep(measured: Measurement, store: Store | str | Path) -> Path:
    """Write what a measurement knows beyond its runs into the store that has these.

    Args:
        measured: of one training length; bases that were trained longer are not kept.
        store: that it was measured in.
    """
    folder = store.folder if isinstance(store, Store) else Store(store).folder
    about = {
        "about": measured.about,
        "notes": [_portable(note, measured.inputs) for note in measured.notes],
        "parts": [*measured.parts],
        "labels": None if measured.labels is None else np.asarray(measured.labels).tolist(),
        "runs": [*measured.runs["key"]],
    }
    write_whole(folder / NAME, json.dumps(about, ensure_ascii=False).encode())
    return folder / NAME


def _portable(note: str, folders: Sequence[Path]) -> str:
    """A note without where the folders lie on this machine."""
    for folder in folders:
        note = note.replace(str(folder), folder.name)
    return note


def kept(folder: str | Path) -> Measurement:
    """The measurement that is kept in a store.

    Raises:
        TransferlibError: where there is none, or runs of it are lacking.
    """
    store = Store(folder)
    try:
        about = json.loads((store.folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TransferlibError(f"no measurement is kept in {store.folder}") from error
    runs = runs_of(store, set(about["runs"]))
    if lacking := len(about["runs"]) - len(runs):
        raise TransferlibError(f"{store.folder} lacks {lacking} runs of its measurement")
    labels = None if about["labels"] is None else np.array(about["labels"], np.int64)
    return Measurement(runs, runs.iloc[:0], about["about"], tuple(about["notes"]), (), labels, tuple(about["parts"]))
