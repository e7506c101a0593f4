"""A finished run as JSON and as a row: what a record must hold, and what can be seen to be wrong with one."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NoReturn, TypedDict, cast

import numpy as np
import pandas as pd
import torch
from scipy import stats as scipy_stats

from transferlib.errors import TransferlibError
from transferlib.names import printable
from transferlib.train import Family, Half, Member, Point
from transferlib.treatments import FAMILIES, Treatment

if TYPE_CHECKING:
    from typing_extensions import NotRequired

COLUMNS = [
    *("key", "dataset", "resolution", "network", "split", "source", "target", "treatment", "kind", "n", "fine_tuned"),
    *(
        "seed",
        "epochs",
        "images_per_class",
        "recipe",
        "top1",
        "best_top1",
        "train_loss",
        "loss",
        "status",
        "seconds",
        "device",
    ),
]
NEEDED = ("config", "top1", "best_top1", "status", "seconds", "device", "curve", "correct", "val_images")
# what the records hold that were written before there was a digest, all of it and nothing else
FIRST = {*NEEDED, "family_of", "execution", "versions", "finished"}
STATUSES = ("ok", "chance", "diverged")


class Data(TypedDict):
    """The images of a run, in its configuration."""

    name: str
    version: int | str  # of a user's own pictures their hash
    resolution: int
    images_per_class: int | None


class Config(TypedDict):
    """Everything that a run's numbers depend on, as ``FamilyPlan.config`` gives it."""

    format: int
    data: Data
    split: str
    target: str
    source: str | None
    source_key: str | None
    network: dict[str, object]
    treatment: str
    recipe: dict[str, object]
    seed: int
    head_key: NotRequired[str]  # of the frozen run that fine-tuning goes on from


class CurvePoint(TypedDict):
    """A point of a learning curve; the losses of a run that diverged are None."""

    epoch: int
    train_loss: float | None
    loss: float | None
    top1: float


class Result(TypedDict):
    """What came of a run: accuracies are fractions, ``correct`` has one bit for each validation image."""

    top1: float
    best_top1: float
    status: str
    val_images: int
    family_of: int
    curve: list[CurvePoint]
    correct: str


class Made(TypedDict):
    """By what, when and in how many seconds a run was made."""

    seconds: float
    device: str
    execution: str
    threads: int
    versions: dict[str, str]
    finished: str


class Record(Result, Made):
    """A finished run."""

    config: Config


def result_of(member: Member, family: Family) -> Result:
    """A finished run's numbers."""
    top1 = member.curve[-1].top1
    return {
        "top1": top1,
        "best_top1": max(point.top1 for point in member.curve),
        "status": _status(member, family.val),
        "val_images": len(family.val),
        "family_of": len(family.members),
        "curve": [_recorded(point) for point in member.curve],
        "correct": base64.b64encode(np.packbits(member.correct.numpy()).tobytes()).decode(),
    }


def _recorded(point: Point) -> CurvePoint:
    """JSON has no NaN: a diverged run's loss is null."""
    train_loss, loss = (value if math.isfinite(value) else None for value in (point.train_loss, point.loss))
    return {"epoch": point.epoch, "train_loss": train_loss, "loss": loss, "top1": point.top1}


def _status(member: Member, val: Half) -> str:
    """``ok``, ``diverged`` (its loss was no number), or ``chance``: no better than guessing would be 1 time in 1000.

    Who guesses names the largest class.
    """
    if member.diverged:
        return "diverged"
    largest = int(torch.bincount(val.labels).max())
    guessed = scipy_stats.binom.ppf(0.999, len(val), largest / len(val))
    return "chance" if member.curve[-1].top1 * len(val) <= guessed else "ok"


def canonical(value: object) -> bytes:
    """The one way in which a value is written as JSON to be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def config_key(config: Mapping[str, object]) -> str:
    """The hash of a run's configuration, 16 hexadecimal digits: its name in the store."""
    return hashlib.sha256(canonical(config)).hexdigest()[:16]


def as_json(record: Record) -> bytes:
    """A record with its digest, by which a changed byte shows."""
    whole = {**record, "digest": hashlib.sha256(canonical(record)).hexdigest()}
    return json.dumps(whole, indent=1, allow_nan=False).encode()


def from_json(content: bytes, key: str) -> Record:
    """The record that stands under a key.

    Raises:
        ValueError: for what is no sound record of that run, in one line.
    """
    try:
        whole = json.loads(content, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deep for a record") from None
    if not isinstance(whole, dict):
        raise ValueError("it is no record")
    digest = whole.pop("digest", None)
    if digest is None and set(whole) - FIRST:  # a damaged name of the digest itself is among these
        raise ValueError(f"it has the unknown field {printable(min(set(whole) - FIRST))!s:.40}")
    if digest is not None and digest != hashlib.sha256(canonical(whole)).hexdigest():
        raise ValueError("its content is not what its digest says")
    record = cast(Record, whole)  # as far as what follows can tell
    try:
        _check(record, key)
    except (KeyError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        raise ValueError(f"it lacks a field or has one of another kind ({error})") from error
    except TransferlibError as error:  # of the treatment
        raise ValueError(str(error)) from error
    return record


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _check(record: Record, key: str) -> None:
    """Compare what can be compared: a record holds most of its numbers twice."""
    if lacking := [name for name in NEEDED if name not in record]:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    if config_key(record["config"]) != key:
        raise ValueError("its name is not the hash of its configuration")
    row = as_row(record)
    _check_row(row)
    top1, points = record["top1"], record["curve"]
    right = correct_images(record)
    tops = [_within(point["top1"], 0, 1) for point in points]
    _demand(record["status"] in STATUSES, "its status is none")
    _demand(math.isclose(right.mean(), top1, abs_tol=1e-6), "its top1 is not the share of images that it gets right")
    _demand(tops[-1] == top1 and max(tops) == record["best_top1"], "its top1 or best_top1 is not that of its curve")
    ended = record["status"] == "diverged" or len(points) == row["epochs"]  # who diverges ends early
    counted = [point["epoch"] for point in points] == [*range(1, len(points) + 1)]
    _demand(ended and counted, "its curve has not one point an epoch")
    for point in points:
        for loss in (point["train_loss"], point["loss"]):
            _demand(loss is None or _within(loss, 0, math.inf) >= 0, "a loss is none")
    _within(record["seconds"], 0, math.inf)


def _check_row(row: dict[str, object]) -> None:
    """A row of other kinds of values could not be sorted among the others."""
    kinds = {int: ("resolution", "seed", "epochs"), str: ("network", "split", "target", "device")}
    optional = {int: ("images_per_class",), str: ("source",)}
    for kind, names in kinds.items():
        _demand(all(type(row[name]) is kind for name in names), f"one of {', '.join(names)} is no {kind.__name__}")
    for kind, names in optional.items():
        _demand(all(type(row[name]) in (kind, type(None)) for name in names), f"{', '.join(names)} is none")


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _within(value: float, low: float, high: float) -> float:
    if isinstance(value, bool) or not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"a number is out of range: {value!s:.40}")
    return value


def correct_images(record: Record) -> np.ndarray:
    """Which validation images a run got right, bool (M,), in the order of the half.

    Raises:
        ValueError: where there is not one bit for each image.
    """
    images = record["val_images"]
    packed = np.frombuffer(base64.b64decode(record["correct"], validate=True), dtype=np.uint8)
    bits = np.unpackbits(packed)
    if images < 1 or len(packed) != math.ceil(images / 8) or bits[images:].any():
        raise ValueError(f"it has not one bit for each of {images!s:.20} images")
    return bits[:images].astype(bool)


def with_correct(table: pd.DataFrame, records: Mapping[str, Record]) -> pd.DataFrame:
    """Rows of ``as_table`` with ``correct``: which validation images each run got right, bool (M,)."""
    correct = [correct_images(records[key]) for key in table["key"]]
    return table.assign(correct=pd.Series(correct, table.index, dtype=object))


def as_row(record: Record) -> dict[str, object]:
    """A record as a row of the store's table, ``COLUMNS``."""
    config = record["config"]
    treatment = Treatment.parse(config["treatment"])
    row = {
        "key": config_key(config),
        "dataset": _dataset(config["data"]),
        "resolution": config["data"]["resolution"],
        "network": config["network"]["name"],
        "split": config["split"],
        "source": config["source"],
        "target": config["target"],
        "treatment": str(treatment),
        "kind": treatment.kind,
        "n": treatment.n,
        "fine_tuned": treatment.fine_tuned,
        "seed": config["seed"],
        "epochs": config["recipe"].get("until", config["recipe"]["epochs"]),
        "images_per_class": config["data"]["images_per_class"],
        "recipe": config_key(config["recipe"])[:8],
        "top1": record["top1"],
        "best_top1": record["best_top1"],
        **{name: record["curve"][-1][name] for name in ("train_loss", "loss")},
        "status": record["status"],
        "seconds": record["seconds"],
        "device": record["device"],
    }
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


def as_table(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record, with the columns ``COLUMNS``, ordered by study and treatment."""
    rows = pd.DataFrame([as_row(record) for record in records], columns=COLUMNS)
    rows = rows.astype({"images_per_class": float})  # NaN for all of them, also where no run has fewer
    order = ["dataset", "resolution", "network", "epochs", "split", "target", "seed", "kind", "fine_tuned", "n"]
    return rows.sort_values(order, ignore_index=True, key=_rank)


def _rank(column: pd.Series) -> pd.Series:
    """Kinds in the order of ``FAMILIES``, bases first; other columns as they are."""
    return column.map(FAMILIES.index) if column.name == "kind" else column


def _dataset(data: Data) -> str:
    """A data set's name; pictures of a user's own go with the start of their hash, for a folder's content changes."""
    name, version = str(data["name"]), data["version"]
    return f"{name}@{version[:6]}" if isinstance(version, str) else name
