"""Data sets as arrays on the disk: made once for each resolution, then memory-mapped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import stat
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypedDict

import numpy as np

from transferlib import locks
from transferlib.data import worker
from transferlib.data.dataset import Dataset, Finding, Images, Listing, Source
from transferlib.data.decoding import Decoded, decode
from transferlib.data.download import no_room
from transferlib.data.near import near_copies
from transferlib.errors import TransferlibError

FORMAT = 2  # of the folder
FIRST = 1  # had no digest; taken where nothing else says what the arrays should hold
WHOLE = 4 << 30  # bytes: of a larger file every hundredth block counts for the digest
BLOCK = 1 << 20
DAMAGED_AT_MOST = 0.1  # of a user's own pictures; a published data set is whole, or it is another one
DAMAGED = "pictures cannot be decoded and are left out"
TESTS = "test pictures are training pictures too, pixel by pixel, and are left out of the test"
TRAINED = "training pictures are all that the test has of their class, pixel by pixel, and are left out of the training"
BOTH = "test pictures are training pictures too, pixel by pixel, and stay, since their class has no others"
TWICE = "pictures are there more than once, pixel by pixel"

FILES = ("meta.json", *(f"{split}_{what}.npy" for split in ("train", "val") for what in ("labels", "pixels")))


class About(TypedDict):
    """What is known of arrays that were made, beside themselves."""

    classes: Sequence[str]
    names: Sequence[str]
    damaged: dict[str, str]  # file → reason
    findings: Sequence[tuple[str, Sequence[str], str]]  # the fields of each ``Finding``


class Meta(About):
    """What ``meta.json`` holds."""

    format: int
    fingerprint: str | None
    digest: str


Make = Callable[[Path], About]  # writes the arrays into a folder
Groups = Callable[[tuple[str, ...]], tuple[str | None, ...]]  # natural, man-made or unknown, of some classes


def cached(
    name: str, resolution: int, folder: Path, make: Make, groups: Groups, fingerprint: str | None = None
) -> Dataset:
    """Open the data set in ``folder``, made first if it is missing, unreadable or of other files.

    Args:
        groups: tells the classes' groups; asked at each opening, for its tables may get better.
        fingerprint: of the files that the data set is made from; None trusts what is there.
    """
    dataset = _open(name, resolution, folder, groups, fingerprint)
    if dataset is not None:
        return dataset
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(folder.with_name(f"{folder.name}.lock")):
        dataset = _open(name, resolution, folder, groups, fingerprint)  # another process may have made it
        if dataset is None:
            _build(folder, make, fingerprint)
            dataset = _open(name, resolution, folder, groups, fingerprint)
    if dataset is None:
        raise TransferlibError(f"cannot read back {folder}: delete it and try again")
    return dataset


def from_arrays(classes: Sequence[str], names: Sequence[str], train: Images, val: Images) -> Make:
    """Make a data set of arrays that are in memory."""

    def make(folder: Path) -> About:
        for split, images in (("train", train), ("val", val)):
            np.save(folder / f"{split}_pixels.npy", images.pixels)
            np.save(folder / f"{split}_labels.npy", images.labels.astype(np.int64))
        return {"classes": classes, "names": names, "damaged": {}, "findings": ()}

    return make


def from_pictures(
    name: str,
    resolution: int,
    source: Callable[[], Source],
    progress: bool,
    own: bool = False,
    interpolation: str = worker.LANCZOS,
) -> Make:
    """Make a data set by decoding picture files.

    Args:
        own: whether they are a user's own pictures, of which some may be damaged, and are left out, and the test set
            is rid of what also trains. Other data sets are taken as they were published.
        interpolation: by which pictures are resized.
    """

    def make(folder: Path) -> About:
        listed = source()
        total = len(listed.train.files) + len(listed.val.files)
        _check_space(folder, total * (resolution**2 * 3 + 8), f"{name} at {resolution} px")
        damaged, findings = decode_into(folder, name, listed, resolution, progress, own, interpolation)
        _judge(name, damaged, total, DAMAGED_AT_MOST if own else 0.0)
        _check_classes(folder, name, listed.classes)
        if damaged:
            findings += (Finding(DAMAGED, tuple(damaged), next(iter(damaged.values()))),)
        for finding in findings:
            warnings.warn(f"{name}: {finding}", stacklevel=2)
        kept = [(finding.what, finding.files, finding.word) for finding in findings]
        return {"classes": listed.classes, "names": listed.names, "damaged": damaged, "findings": kept}

    return make


def decode_into(
    folder: Path,
    name: str,
    listed: Source,
    resolution: int,
    progress: bool,
    own: bool,
    interpolation: str = worker.LANCZOS,
) -> tuple[dict[str, str], tuple[Finding, ...]]:
    """Decode the pictures of both splits into arrays in ``folder``, without those that can't be.

    Returns:
        The files that can't be decoded, each with the reason; and what else is odd, or left out.
    """
    parts, way = {"train": listed.train, "val": listed.val}, (resolution, interpolation)
    titles = {split: f"{name} {split}, {resolution} px" if progress else None for split in parts}

    def decode_all(span: tuple[int, int]) -> dict[str, Decoded]:
        return {split: _decode(folder, split, parts[split], way, titles[split], span) for split in parts}

    decoded = decode_all(worker.FULL)
    span = own_span(decoded.values())
    if span != worker.FULL:
        decoded = decode_all(span)
    findings = [*listed.findings, *_remarks(parts, decoded, span)]
    copies = Copies.of(folder, parts, decoded) if own else Copies()
    findings += copies.findings(parts)
    without = {split: {*decoded[split].failed, *copies.dropped(split)} for split in parts}
    findings += near_copies(folder, parts, without) if own else []
    for split, listing in parts.items():
        _keep(folder, split, listing, without[split])
    damaged = {
        listing.files[number]: why for split, listing in parts.items() for number, why in decoded[split].failed.items()
    }
    return damaged, tuple(findings)


def _open(name: str, resolution: int, folder: Path, groups: Groups, fingerprint: str | None) -> Dataset | None:
    try:
        return _read(name, resolution, folder, groups, fingerprint)
    except FileNotFoundError:
        return None
    except (KeyError, ValueError, TypeError, AttributeError, EOFError, RecursionError, IsADirectoryError) as error:
        warnings.warn(f"the arrays in {folder} are damaged ({error}): they are made anew", stacklevel=3)
        return None


def _read(name: str, resolution: int, folder: Path, groups: Groups, fingerprint: str | None) -> Dataset | None:
    for file in FILES:
        if not stat.S_ISREG((folder / file).stat().st_mode):  # a pipe would be waited for without end
            raise ValueError(f"{file} is no file")
    meta: Meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    if meta["format"] not in (FORMAT, FIRST) or fingerprint not in (None, meta["fingerprint"]):
        return None
    if meta["format"] == FIRST and fingerprint is not None:
        return None
    if meta["format"] == FORMAT and meta["digest"] != _digest(folder, meta):
        raise ValueError("their content is not what their digest says")
    classes, names = tuple(meta["classes"]), tuple(meta["names"])
    train, val = (_images(folder, split, resolution, len(classes)) for split in ("train", "val"))
    findings = tuple(Finding(what, tuple(files), word) for what, files, word in meta.get("findings", ()))
    return Dataset(name, resolution, classes, names, groups(classes), train, val, findings)


def _images(folder: Path, split: str, resolution: int, classes: int) -> Images:
    pixels = np.load(folder / f"{split}_pixels.npy", mmap_mode="r")
    labels = np.load(folder / f"{split}_labels.npy")
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), resolution, resolution, 3):
        raise ValueError(f"{split} has {pixels.dtype} pixels of shape {pixels.shape} and {len(labels)} labels")
    if labels.dtype != np.int64 or not np.array_equal(np.unique(labels), np.arange(classes)):
        raise ValueError(f"{split} has other labels than 0 to {classes - 1}")
    return Images(pixels, labels)


def _digest(folder: Path, meta: Meta) -> str:
    """The SHA-256 of the arrays and of what is written of them."""
    about = {name: value for name, value in meta.items() if name != "digest"}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for file in FILES[1:]:
        size = (folder / file).stat().st_size
        digest.update(f"{file}/{size}/".encode())
        with (folder / file).open("rb") as content:
            while block := content.read(BLOCK):
                digest.update(block)
                if size > WHOLE:
                    content.seek(99 * BLOCK, os.SEEK_CUR)
    return digest.hexdigest()


def _build(folder: Path, make: Make, fingerprint: str | None) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed: we hold the lock
    part.mkdir()
    try:
        made = {"format": FORMAT, "fingerprint": fingerprint, **make(part)}
        meta: Meta = json.loads(json.dumps(made))  # as it is read
        meta["digest"] = _digest(part, meta)
        (part / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.lexists(folder):  # no folder, as after a rescue by hand
            folder.unlink()
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _decode(
    folder: Path, split: str, listing: Listing, way: tuple[int, str], title: str | None, span: tuple[int, int]
) -> Decoded:
    path, (resolution, interpolation) = folder / f"{split}_pixels.npy", way
    shape = (len(listing.files), resolution, resolution, 3)
    with path.open("wb") as file:
        offset = _write_header(file, shape)
        file.truncate(offset + int(np.prod(shape)))
    return decode(listing.files, path, resolution, offset=offset, title=title, span=span, interpolation=interpolation)


def own_span(decoded: Iterable[Decoded]) -> tuple[int, int]:
    """Black and white of pictures with more than 8 bits: the data set's own range, where that is much less than all.

    Cameras and instruments put 10, 12 or 14 bits into files of 16, which would come out nearly black. A range that
    begins in the lowest sixteenth and ends in the upper half of 16 bits is as good as all.
    """
    ends = [value for part in decoded for span in part.spans.values() for value in span]
    top = worker.FULL[1]
    if not ends or (0 <= min(ends) < top / 16 and top / 2 < max(ends) <= top):
        return worker.FULL
    return min(ends), max(ends)


def _remarks(parts: dict[str, Listing], decoded: dict[str, Decoded], span: tuple[int, int]) -> list[Finding]:
    """What is odd about pictures that were decoded, by kinds."""
    kinds: dict[str, dict[str, str]] = {}
    for split, listing in parts.items():
        for number, remarks in decoded[split].remarks.items():
            for what, word in remarks.items():
                kinds.setdefault(f"pictures {what}", {})[listing.files[number]] = word
        if span != worker.FULL:
            scaled = f"pictures of more than 8 bits are scaled by their own range, {span[0]} to {span[1]}"
            kinds.setdefault(scaled, {}).update({listing.files[number]: "" for number in decoded[split].spans})
    return [Finding(what, tuple(files), next(iter(files.values()))) for what, files in kinds.items()]


@dataclasses.dataclass(frozen=True)
class Copies:
    """Pictures of a user's own that are the same, pixel by pixel, by their numbers in the listings.

    Attributes:
        tests: test pictures that also train: they leave the test, but for those that are all that a class has there.
        trained: training pictures that are the same as those: they leave the training, if it has others of the class.
        both: such as stay in both, since their class has no other picture.
        twice: of each split, those that came before in it; they stay.
    """

    tests: tuple[int, ...] = ()
    trained: tuple[int, ...] = ()
    both: tuple[int, ...] = ()
    twice: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, parts: dict[str, Listing], decoded: dict[str, Decoded]) -> Copies:
        """Those of the arrays in a folder."""
        rows = {split: _by_pixels(folder / f"{split}_pixels.npy", decoded[split].failed) for split in parts}
        first = {split: {numbers[0] for numbers in rows[split].values()} for split in parts}
        twice = {split: _all(rows[split].values(), but=first[split]) for split in parts}
        shared = rows["train"].keys() & rows["val"].keys()
        labels = {split: parts[split].labels for split in parts}
        others = {labels["val"][n] for row, numbers in rows["val"].items() if row not in shared for n in numbers}
        only = {row for row in shared if all(labels["val"][n] not in others for n in rows["val"][row])}
        spare = {labels["train"][n] for row, numbers in rows["train"].items() if row not in only for n in numbers}
        kept = {row for row in only if not all(labels["train"][n] in spare for n in rows["train"][row])}
        tests = _all(rows["val"][row] for row in shared - only)
        trained = _all(rows["train"][row] for row in only - kept)
        return cls(tests, trained, _all(rows["val"][row] for row in kept), twice)

    def dropped(self, split: str) -> tuple[int, ...]:
        """What leaves a split."""
        return {"train": self.trained, "val": self.tests}[split]

    def findings(self, parts: dict[str, Listing]) -> Iterator[Finding]:
        """What is to be said of them."""
        told = {TESTS: {"val": self.tests}, TRAINED: {"train": self.trained}, BOTH: {"val": self.both}}
        gone = {split: set(self.dropped(split)) for split in parts}
        for what, of in (
            told | {TWICE: {s: [n for n in ns if n not in gone[s]] for s, ns in self.twice.items()}}
        ).items():
            if files := tuple(parts[split].files[number] for split in of for number in of[split]):
                yield Finding(what, files)


def _by_pixels(path: Path, failed: Iterable[int]) -> dict[int, list[int]]:
    """The numbers of the rows of an array by a hash of their pixels."""
    rows: dict[int, list[int]] = {}
    pixels, failed = np.load(path, mmap_mode="r"), set(failed)
    for number in range(len(pixels)):
        if number not in failed:
            rows.setdefault(hash(pixels[number].tobytes()), []).append(number)
    return rows


def _all(groups: Iterable[Iterable[int]], but: Container[int] = ()) -> tuple[int, ...]:
    return tuple(sorted(number for group in groups for number in group if number not in but))


def _keep(folder: Path, split: str, listing: Listing, without: set[int]) -> None:
    """Cut an array of pixels to the rows that stay, and write their labels."""
    path = folder / f"{split}_pixels.npy"
    shape = np.load(path, mmap_mode="r").shape
    kept = _close_gaps(path, shape, path.stat().st_size - int(np.prod(shape)), sorted(without))
    np.save(folder / f"{split}_labels.npy", np.array(listing.labels, np.int64)[kept])


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    # NumPy pads the header so that another length of the first axis fits into the same bytes.
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.tell()


def _close_gaps(path: Path, shape: tuple[int, ...], offset: int, failed: list[int]) -> np.ndarray:
    """Move the last good rows into the failed ones: ImageNet is too large to be written twice."""
    kept = np.arange(shape[0])
    if not failed:
        return kept
    rows = shape[0] - len(failed)
    good_tail = np.setdiff1d(kept[rows:], failed)
    gaps = [number for number in failed if number < rows]
    pixels = np.memmap(path, np.uint8, "r+", offset, shape)
    pixels[gaps] = pixels[good_tail]
    kept[gaps] = good_tail
    pixels.flush()
    del pixels
    with path.open("r+b") as file:
        file.truncate(_write_header(file, (rows, *shape[1:])) + rows * int(np.prod(shape[1:])))
    return kept[:rows]


def _check_space(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise no_room(what, folder.parent, needed, free)


def _judge(name: str, damaged: dict[str, str], total: int, at_most: float) -> None:
    if len(damaged) <= at_most * total:
        return
    file, reason = next(iter(damaged.items()))
    raise TransferlibError(
        f"{name}: {len(damaged)} of {total} pictures cannot be decoded, the first is {file} ({reason}): restore them"
    )


def _check_classes(folder: Path, name: str, classes: tuple[str, ...]) -> None:
    for split in ("train", "val"):
        present = np.unique(np.load(folder / f"{split}_labels.npy"))
        for label in sorted(set(range(len(classes))) - set(present.tolist())):
            raise TransferlibError(
                f"{name}: no picture of class {classes[label]} in {split} can be decoded: restore some, or remove "
                "the class"
            )
