"""The store: a folder where finished runs lie, one small JSON each, and what is needed to go on after a kill.

``runs/KEY.json`` is a finished run, ``weights/KEY.safetensors`` a base's weights, ``shipped/`` some of them in half
precision, ``checkpoints/`` the training under way, ``locks/`` who trains what, ``damaged/`` files that could not be
read. Each file is written beside, flushed and renamed, so none is ever half there; each has a digest of its content;
no pickle is ever loaded. Reading writes nothing: a damaged file is named, counts as missing, and is set aside by the
training that makes it anew.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import uuid
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from transferlib import locks
from transferlib.errors import TransferlibError
from transferlib.names import printable
from transferlib.paths import resolved
from transferlib.progress import say
from transferlib.records import Record, as_json, as_table, canonical, config_key, from_json

Kind = Literal["runs", "weights", "shipped", "checkpoints"]
ENDINGS: dict[Kind, str] = {
    "runs": ".json",
    "weights": ".safetensors",
    "shipped": ".safetensors",
    "checkpoints": ".safetensors",
}
DIGESTED = "sha256 and json"  # the entry of a tensor file's metadata
LARGEST = {".json": 64 << 20, ".safetensors": 64 << 30}  # bytes that a file of ours may have
KEY = re.compile("[0-9a-f]{16}")
MENDS = {
    errno.ENOSPC: "no space left in {folder}: make room and start again; what is finished is kept",
    errno.EDQUOT: "no space left in {folder}: make room and start again; what is finished is kept",
    errno.EACCES: "no permission to write in {folder}: choose another --store",
    errno.EPERM: "no permission to write in {folder}: choose another --store",
    errno.EROFS: "{folder} can only be read: choose another --store",
}
Found = TypeVar("Found")


@contextmanager
def _named_errors(folder: Path) -> Iterator[None]:
    """Say of an error while writing in which folder it was, and what to do."""
    try:
        yield
    except OSError as error:
        otherwise = "cannot write in {folder} ({why}): mend that and start again; what is finished is kept"
        why = error.strerror or str(error)
        raise TransferlibError(MENDS.get(error.errno or 0, otherwise).format(folder=folder, why=why)) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either absent (or as before) or whole, whenever the process is killed.

    Raises:
        TransferlibError: where the disk is full, fails, or the folder may not be written.
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
            _flush_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


def _flush_folder(folder: Path) -> None:
    """Make a rename last: it is written with its folder."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows flushes no folders
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems flush no folders either
            raise
    finally:
        os.close(number)


def read_file(path: Path, at_most: int) -> bytes | None:
    """The bytes of a file, at most so many, read at once, or None where there is none.

    Raises:
        ValueError: where something else lies there, such as a folder or a pipe.
        TransferlibError: where the disk fails or does not permit it.
    """
    try:
        # a pipe is opened at once, and not waited for
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(number, "rb") as file:
            about = os.fstat(number)
            if not stat.S_ISREG(about.st_mode):
                raise ValueError("it is no file")
            if about.st_size > at_most:
                raise ValueError(f"it has {about.st_size:,} bytes, far more than such a file")
            return file.read()
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise ValueError("it is no file") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # links in a circle, a socket
            raise ValueError(f"it is no file ({error.strerror})") from error
        raise TransferlibError(f"cannot read {path} ({error.strerror}): mend that and start again") from error


class Store:
    """A folder of finished runs.

    Args:
        folder: where it lies; made at the first write.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = resolved(folder)
        self._told: set[str] = set()

    @contextmanager
    def lock(self, name: str, wait: float | None = None, tell: Callable[[str], None] = say) -> Iterator[None]:
        """Hold the lock of one family's training; see ``locks.held``."""
        with ExitStack() as held:
            with _named_errors(self.folder):
                (self.folder / "locks").mkdir(parents=True, exist_ok=True)
                held.enter_context(locks.held(self.folder / "locks" / f"{_checked(name)}.lock", wait, tell))
            yield

    # finished runs

    def get(self, key: str) -> Record | None:
        """A finished run's record, or None; a damaged one is named in a warning, and counts as missing."""
        return self._read("runs", key, lambda content: from_json(content, key))

    def put(self, record: Record) -> str:
        """Keep a finished run; returns its key."""
        key, content = config_key(record["config"]), as_json(record)
        try:
            from_json(content, key)  # what can't be read again is no result, and would be trained for ever
        except ValueError as error:
            raise TransferlibError(f"run {key} has no sound record: {error}") from error
        write_whole(self.path("runs", key), content)
        return key

    def records(self, keys: Container[str] | None = None) -> list[Record]:
        """All finished runs, or those of some keys; what can't be read is named in a warning."""
        self._must_exist()
        found = [self._get_or_tell(name) for name in self._names("runs") if keys is None or name in keys]
        return [record for record in found if record]

    def _get_or_tell(self, key: str) -> Record | None:
        try:
            return self.get(key)
        except TransferlibError as error:  # of the disk: the others are not blocked by it
            self._tell(str(error))
            return None

    def table(self, keys: Container[str] | None = None) -> pd.DataFrame:
        """One row per finished run, all or some, ordered by study and treatment; see ``records.as_table``."""
        return as_table(self.records(keys))

    # tensors

    def put_weights(self, key: str, tensors: dict[str, Tensor]) -> None:
        """Keep a network's weights under its run's key."""
        self._put_tensors(self.path("weights", key), tensors, {"key": key})

    def get_weights(self, key: str, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor] | None:
        """A run's weights on the CPU, or None where they are missing or damaged.

        Args:
            like: the state of the network that they are for; weights of another one count as damaged.
        """
        return self._weights("weights", key, like)

    def ship(self, key: str, about: Mapping[str, object]) -> Path:
        """Keep a run's weights in half precision too, to travel with the book; ``about`` goes with them."""
        weights = self.get_weights(key)
        if weights is None:
            raise TransferlibError(f"no weights of run {key} in {self.folder}")
        path = self.path("shipped", key)
        self._put_tensors(path, in_half_precision(weights), {"key": key, **about})
        return path

    def get_shipped(self, key: str, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor] | None:
        """A run's weights in half precision on the CPU, or None where they do not ship; ``like`` as for weights."""
        return self._weights("shipped", key, like)

    def _weights(self, kind: Kind, key: str, like: Mapping[str, Tensor] | None) -> dict[str, Tensor] | None:
        def parse(content: bytes) -> dict[str, Tensor]:
            tensors, rest = from_safetensors(content)
            if rest.get("key", key) != key:
                raise ValueError(f"it is that of run {rest['key']}")
            if like is not None:
                check_like(tensors, like if kind == "weights" else in_half_precision(like))
            return tensors

        return self._read(kind, key, parse)

    def put_checkpoint(self, name: str, tensors: dict[str, Tensor], rest: Mapping[str, object]) -> None:
        """Keep the state of a training under way."""
        self._put_tensors(self.path("checkpoints", name), tensors, rest)

    def get_checkpoint(self, name: str) -> tuple[dict[str, Tensor], dict] | None:
        """The state of a training under way, or None."""
        return self._read("checkpoints", name, from_safetensors)

    def drop_checkpoint(self, name: str) -> None:
        """Forget a training that is finished."""
        with _named_errors(self.folder):
            self.path("checkpoints", name).unlink(missing_ok=True)

    def checkpoints(self) -> list[str]:
        """The names of the trainings under way."""
        return self._names("checkpoints")

    # files

    def path(self, kind: Kind, name: str) -> Path:
        """Where a file of a name lies.

        Raises:
            TransferlibError: for a name that is no key.
        """
        return self.folder / kind / f"{_checked(name)}{ENDINGS[kind]}"

    def packed(self, names: Iterable[str], kinds: Sequence[Kind] = tuple(ENDINGS)) -> dict[str, bytes]:
        """The files of some names, runs and weights by keys and checkpoints by families, to be sent elsewhere."""
        paths = [self.path(kind, name) for name in names for kind in kinds]
        found = {path: read_file(path, LARGEST[path.suffix]) for path in paths}
        return {path.relative_to(self.folder).as_posix(): content for path, content in found.items() if content}

    def unpack(self, files: Mapping[str, bytes]) -> None:
        """Write files that another store has packed; weights before the runs that they are of.

        Raises:
            TransferlibError: for a file that is none of a store's.
        """
        for place, content in sorted(files.items(), reverse=True):  # "weights" > "runs"
            folder, _, file = place.partition("/")
            kinds: list[Kind] = [kind for kind, end in ENDINGS.items() if kind == folder and file.endswith(end)]
            if not kinds:
                raise TransferlibError(f"expected a file of a store, got {printable(place)}")
            write_whole(self.path(kinds[0], Path(file).stem), content)

    def clear_strays(self, names: Iterable[str]) -> None:
        """Delete what a kill in the midst of a write left beside the files of these names; call it under their lock."""
        for folder in ("runs", "weights", "checkpoints"):
            for name in names:
                for stray in (self.folder / folder).glob(f".{_checked(name)}.*"):
                    with _named_errors(self.folder):
                        stray.unlink(missing_ok=True)

    def set_aside(self, kind: Kind, name: str) -> None:
        """Move what lies under a name, and could not be read, into ``damaged``; call it under the family's lock."""
        path = self.path(kind, name)
        if not os.path.lexists(path):
            return
        aside = self.folder / "damaged" / path.name
        with _named_errors(self.folder):
            aside.parent.mkdir(exist_ok=True)
            if os.path.lexists(aside):
                aside = aside.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
            path.rename(aside)
        warnings.warn(f"damaged file {path}: moved to {aside}; it is made anew", stacklevel=2)

    def _read(self, kind: Kind, name: str, parse: Callable[[bytes], Found]) -> Found | None:
        path = self.path(kind, name)
        try:
            content = read_file(path, LARGEST[ENDINGS[kind]])
            return None if content is None else parse(content)
        except ValueError as error:
            self._tell(f"damaged file {path}: {error}; it counts as missing")
            return None

    def _tell(self, text: str) -> None:
        if text not in self._told:  # once is enough
            self._told.add(text)
            warnings.warn(text, stacklevel=4)

    def _names(self, kind: Kind) -> list[str]:
        """The keys of a kind's files; files of other names, such as a synchroniser's copies, are told of."""
        ending = ENDINGS[kind]
        try:
            files = sorted(entry.name for entry in os.scandir(self.folder / kind) if entry.name.endswith(ending))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TransferlibError(f"cannot read {self.folder / kind} ({error.strerror})") from error
        names = [file.removesuffix(ending) for file in files if file[0] != "."]
        odd = [name for name in names if not KEY.fullmatch(name)]
        if odd:
            self._tell(
                f"{self.folder / kind} holds files that are not named by a key, such as copies, and are passed over: "
                f"{len(odd)}, the first is {odd[0]}{ending}"
            )
        return [name for name in names if KEY.fullmatch(name)]

    def _put_tensors(self, path: Path, tensors: dict[str, Tensor], rest: Mapping[str, object]) -> None:
        write_whole(path, to_safetensors(tensors, rest))

    def _must_exist(self) -> None:
        if not any((self.folder / name).is_dir() for name in ("runs", "checkpoints")):
            raise TransferlibError(f"no store in {self.folder}: expected a folder that `transferlib run` has written")


def _checked(name: str) -> str:
    if not KEY.fullmatch(name):
        raise TransferlibError(f"expected a key of 16 hexadecimal digits, got {printable(str(name))}")
    return name


def to_safetensors(tensors: Mapping[str, Tensor], rest: Mapping[str, object]) -> bytes:
    """Tensors and plain values as a safetensors file, with a digest of both in its metadata."""
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps(rest)
    # one entry only: safetensors writes several in any order, and the same state should give the same bytes
    return save(plain, {DIGESTED: f"{_digest(save(plain), text)} {text}"})


def from_safetensors(content: bytes) -> tuple[dict[str, Tensor], dict]:
    """What ``to_safetensors`` wrote; files without a digest, as the first versions wrote them, are taken.

    Raises:
        ValueError: for another content than was written.
    """
    try:
        tensors = load(content)
        rest = json.loads(_checked_text(content, _header(content).get("__metadata__", {})))
    except (SafetensorError, RecursionError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"it is no safetensors file ({error})") from error
    if not isinstance(rest, dict):
        raise ValueError("its metadata are not ours")
    return tensors, rest


def _checked_text(content: bytes, about: dict[str, str]) -> str:
    if about.keys() <= {"json"}:  # of the first versions; a damaged name of the digest's entry is not among these
        return about.get("json", "{}")
    if about.keys() != {DIGESTED}:
        raise ValueError("its metadata are not ours")
    digest, _, text = about[DIGESTED].partition(" ")
    if digest != _digest(content, text):
        raise ValueError("its content is not what its digest says")
    return text


def _header(content: bytes) -> dict:
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


def _digest(content: bytes, text: str) -> str:
    """The SHA-256 of a safetensors file's tensors, with their names, types and shapes, and of a text."""
    header = {name: about for name, about in _header(content).items() if name != "__metadata__"}
    digest = hashlib.sha256(canonical([header, text]))
    digest.update(memoryview(content)[8 + int.from_bytes(content[:8], "little") :])
    return digest.hexdigest()


def in_half_precision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with their floating point numbers rounded to 16 bits."""
    return {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}


def check_like(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> None:
    """Compare tensors with those that they should be like, by names, shapes and kinds of number.

    Raises:
        ValueError: which names the first that differs.
    """
    if different := sorted(tensors.keys() ^ like.keys()):
        raise ValueError(f"it lacks the tensor {different[0]}, or has it in addition")
    for name, tensor in like.items():
        found = tensors[name]
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            is_, not_ = (f"{t.dtype} {tuple(t.shape)}" for t in (found, tensor))
            raise ValueError(f"its tensor {name} is {is_}, not {not_}")
