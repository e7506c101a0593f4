"""The store: a folder where finished runs lie, one small JSON each, and what is needed to go on after a kill.

``runs/KEY.json`` is a finished run, ``weights/KEY.safetensors`` a base's weights, ``shipped/`` some of them in half
precision, ``checkpoints/`` the training under way, ``locks/`` who trains what, ``damaged/`` files that could not be
read. Each file is written beside, flushed and renamed, so none is ever half there; no pickle is ever loaded.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from transferlib.errors import TransferlibError
from transferlib.treatments import FAMILIES, Treatment

COLUMNS = [
    *("key", "dataset", "resolution", "network", "split", "source", "target", "treatment", "kind", "n", "fine_tuned"),
    *("seed", "epochs", "images_per_class", "recipe", "top1", "best_top1", "status", "seconds", "device"),
]
RECORDED = ("top1", "best_top1", "status", "seconds", "device")  # of a record, beside its configuration
Config = dict[str, object]


def config_key(config: Config) -> str:
    """The hash of a run's configuration, 16 hexadecimal digits: its name in the store."""
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@contextmanager
def _named_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise TransferlibError(f"no permission to write in {folder}: choose another --store") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TransferlibError(
            f"no space left in {folder}: make room and start again; what is finished is kept"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either absent (or as before) or whole, whenever the process is killed.

    Raises:
        TransferlibError: where the disk is full or the folder may not be written.
    """
    with _named_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            with beside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


class Store:
    """A folder of finished runs.

    Args:
        folder: where it lies; made at the first write.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def lock(self, name: str) -> FileLock:
        """The lock of one family's training; the system frees it when its holder dies."""
        with _named_errors(self.folder):
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "locks" / f"{name}.lock")

    # finished runs

    def get(self, key: str) -> dict | None:
        """A finished run's record, or None; a damaged file is set aside, named in a warning, and counts as missing."""
        path = self.folder / "runs" / f"{key}.json"
        try:
            record = json.loads(path.read_bytes())
            if config_key(record["config"]) != key:
                raise ValueError("its name is not the hash of its configuration")
            if lacking := [name for name in RECORDED if name not in record]:
                raise ValueError(f"it lacks {', '.join(lacking)}")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            self._set_aside(path, error)
            return None
        return record

    def put(self, record: dict) -> str:
        """Keep a finished run; returns its key."""
        key = config_key(record["config"])
        write_whole(self.folder / "runs" / f"{key}.json", json.dumps(record, indent=1, allow_nan=False).encode())
        return key

    def records(self) -> list[dict]:
        """All finished runs."""
        self._must_exist()
        found = [self.get(path.stem) for path in sorted((self.folder / "runs").glob("[!.]*.json"))]
        return [record for record in found if record]

    def table(self) -> pd.DataFrame:
        """One row per finished run, with the columns ``COLUMNS``, ordered by study and treatment."""
        rows = [_row(record) for record in self.records()]
        order = ["dataset", "resolution", "network", "epochs", "split", "target", "seed", "kind", "fine_tuned", "n"]
        return pd.DataFrame(rows, columns=COLUMNS).sort_values(order, ignore_index=True, key=_rank)

    # tensors

    def put_weights(self, key: str, tensors: dict[str, Tensor]) -> None:
        """Keep a network's weights under its run's key."""
        self._put_tensors(self.folder / "weights" / f"{key}.safetensors", tensors, {})

    def get_weights(self, key: str) -> dict[str, Tensor] | None:
        """A run's weights on the CPU, or None where they are missing or damaged."""
        found = self._get_tensors(self.folder / "weights" / f"{key}.safetensors")
        return found and found[0]

    def ship(self, key: str, about: dict) -> Path:
        """Keep a run's weights in half precision too, to travel with the book; ``about`` goes with them."""
        weights = self.get_weights(key)
        if weights is None:
            raise TransferlibError(f"no weights of run {key} in {self.folder}")
        path = self.folder / "shipped" / f"{key}.safetensors"
        halves = {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}
        self._put_tensors(path, halves, about)
        return path

    def get_shipped(self, key: str) -> dict[str, Tensor] | None:
        """A run's weights in half precision on the CPU, or None where they do not ship."""
        found = self._get_tensors(self.folder / "shipped" / f"{key}.safetensors")
        return found and found[0]

    def put_checkpoint(self, name: str, tensors: dict[str, Tensor], rest: dict) -> None:
        """Keep the state of a training under way."""
        self._put_tensors(self._checkpoint(name), tensors, rest)

    def get_checkpoint(self, name: str) -> tuple[dict[str, Tensor], dict] | None:
        """The state of a training under way, or None."""
        return self._get_tensors(self._checkpoint(name))

    def drop_checkpoint(self, name: str) -> None:
        """Forget a training that is finished."""
        self._checkpoint(name).unlink(missing_ok=True)

    def clear_strays(self, names: Iterable[str]) -> None:
        """Delete what a kill in the midst of a write left beside the files of these names; call it under their lock."""
        for folder in ("runs", "weights", "checkpoints"):
            for name in names:
                for stray in (self.folder / folder).glob(f".{name}.*"):
                    stray.unlink(missing_ok=True)

    def checkpoints(self) -> list[str]:
        """The names of the trainings under way."""
        return sorted(path.stem for path in (self.folder / "checkpoints").glob("[!.]*.safetensors"))

    def _checkpoint(self, name: str) -> Path:
        return self.folder / "checkpoints" / f"{name}.safetensors"

    def _put_tensors(self, path: Path, tensors: dict[str, Tensor], rest: dict) -> None:
        plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        write_whole(path, save(plain, {"json": json.dumps(rest)}))

    def _get_tensors(self, path: Path) -> tuple[dict[str, Tensor], dict] | None:
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                rest = json.loads((file.metadata() or {}).get("json", "{}"))
                return {name: file.get_tensor(name) for name in file.keys()}, rest  # noqa: SIM118 (no mapping)
        except (SafetensorError, ValueError) as error:
            self._set_aside(path, error)
            return None

    def _set_aside(self, path: Path, error: Exception) -> None:
        aside = self.folder / "damaged" / path.name
        with _named_errors(self.folder):
            aside.parent.mkdir(exist_ok=True)
            path.replace(aside)
        warnings.warn(f"damaged file {path}: {error}; moved to {aside}, the run counts as missing", stacklevel=3)

    def _must_exist(self) -> None:
        if not any((self.folder / name).is_dir() for name in ("runs", "checkpoints")):
            raise TransferlibError(f"no store in {self.folder}: expected a folder that `transferlib run` has written")


def _rank(column: pd.Series) -> pd.Series:
    """Kinds in the order of ``FAMILIES``, bases first; other columns as they are."""
    return column.map(FAMILIES.index) if column.name == "kind" else column


def _row(record: dict) -> dict:
    config = record["config"]
    treatment = Treatment.parse(config["treatment"])
    return {
        "key": config_key(config),
        **{name: config[name] for name in ("split", "source", "target", "seed")},
        **{name: config["data"][name] for name in ("resolution", "images_per_class")},
        "dataset": _dataset(config["data"]),
        "network": config["network"]["name"],
        "treatment": str(treatment),
        "kind": treatment.kind,
        "n": treatment.n,
        "fine_tuned": treatment.fine_tuned,
        "epochs": config["recipe"]["epochs"],
        "recipe": config_key(config["recipe"])[:8],
        **{name: record[name] for name in RECORDED},
    }


def _dataset(data: Config) -> str:
    """A data set's name; pictures of a user's own go with the start of their hash, for a folder's content changes."""
    name, version = data["name"], data["version"]
    return f"{name}@{version[:6]}" if isinstance(version, str) else str(name)
