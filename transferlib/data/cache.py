"""Data sets as arrays on the disk: made once for each resolution, then memory-mapped."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from ..errors import TransferlibError
from .dataset import Dataset, Images, Listing, Source, wordnet_groups
from .decoding import decode
from .download import no_room

FORMAT = 1  # of the folder; older ones are made anew
DAMAGED_AT_MOST = 0.1  # of all pictures

Make = Callable[[Path], dict[str, Any]]  # writes the arrays into a folder, returns what meta.json holds


def cached(name: str, resolution: int, folder: Path, make: Make, fingerprint: str | None = None) -> Dataset:
    """Open the data set in `folder`, made first if it is missing, unreadable or of other files.

    Args:
        fingerprint: of the files that the data set is made from; None trusts what is there.
    """
    dataset = _open(name, resolution, folder, fingerprint)
    if dataset is not None:
        return dataset
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        dataset = _open(name, resolution, folder, fingerprint)  # another process may have made it
        if dataset is None:
            _build(folder, make, fingerprint)
            dataset = _open(name, resolution, folder, fingerprint)
    if dataset is None:
        raise TransferlibError(f"cannot read back {folder}: delete it and try again")
    return dataset


def from_arrays(
    classes: tuple[str, ...],
    names: tuple[str, ...],
    groups: tuple[str | None, ...],
    train: Images,
    val: Images,
) -> Make:
    """Make a data set of arrays that are in memory."""

    def make(folder: Path) -> dict[str, Any]:
        for split, images in (("train", train), ("val", val)):
            np.save(folder / f"{split}_pixels.npy", images.pixels)
            np.save(folder / f"{split}_labels.npy", images.labels.astype(np.int64))
        return {"classes": classes, "names": names, "groups": groups, "damaged": {}}

    return make


def from_pictures(name: str, resolution: int, source: Callable[[], Source], progress: bool) -> Make:
    """Make a data set by decoding picture files; those that cannot be decoded are left out."""

    def make(folder: Path) -> dict[str, Any]:
        listed = source()
        splits = {"train": listed.train, "val": listed.val}
        total = sum(len(listing.files) for listing in splits.values())
        _check_space(folder, total * (resolution**2 * 3 + 8), f"{name} at {resolution} px")
        damaged: dict[str, str] = {}
        for split, listing in splits.items():
            title = f"{name} {split}, {resolution} px" if progress else None
            damaged |= _write_split(folder, split, listing, resolution, title)
        _judge(name, damaged, total)
        _check_classes(folder, name, listed.classes)
        return {"classes": listed.classes, "names": listed.names, "groups": None, "damaged": damaged}

    return make


def _open(name: str, resolution: int, folder: Path, fingerprint: str | None) -> Dataset | None:
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != FORMAT or fingerprint not in (None, meta["fingerprint"]):
            return None
        classes, names = tuple(meta["classes"]), tuple(meta["names"])
        train, val = (
            Images(
                np.load(folder / f"{split}_pixels.npy", mmap_mode="r"),
                np.load(folder / f"{split}_labels.npy"),
            )
            for split in ("train", "val")
        )
    except (FileNotFoundError, KeyError, ValueError, EOFError):  # not there, or cut short by a full disk
        return None
    groups = tuple(meta["groups"] or wordnet_groups(classes))  # looked up: the table may get better
    return Dataset(name, resolution, classes, names, groups, train, val)


def _build(folder: Path, make: Make, fingerprint: str | None) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed: we hold the lock
    part.mkdir()
    try:
        meta = {"format": FORMAT, "fingerprint": fingerprint, **make(part)}
        (part / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_split(folder: Path, split: str, listing: Listing, resolution: int, title: str | None) -> dict[str, str]:
    path = folder / f"{split}_pixels.npy"
    shape = (len(listing.files), resolution, resolution, 3)
    with path.open("wb") as file:
        offset = _write_header(file, shape)
        file.truncate(offset + int(np.prod(shape)))
    failed = decode(listing.files, path, resolution, offset=offset, title=title)
    kept = _close_gaps(path, shape, offset, sorted(failed))
    np.save(folder / f"{split}_labels.npy", np.array(listing.labels, np.int64)[kept])
    return {listing.files[number]: reason for number, reason in failed.items()}


def _write_header(file: Any, shape: tuple[int, ...]) -> int:
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


def _judge(name: str, damaged: dict[str, str], total: int) -> None:
    if not damaged:
        return
    file, reason = next(iter(damaged.items()))
    if len(damaged) > DAMAGED_AT_MOST * total:
        raise TransferlibError(
            f"{name}: {len(damaged)} of {total} pictures cannot be decoded, the first is {file} ({reason}): "
            "restore them"
        )
    warnings.warn(
        f"{name}: {len(damaged)} of {total} pictures cannot be decoded and are left out: "
        + ", ".join(list(damaged)[:5])
        + (", … (all are named in meta.json)" if len(damaged) > 5 else ""),
        stacklevel=2,
    )


def _check_classes(folder: Path, name: str, classes: tuple[str, ...]) -> None:
    for split in ("train", "val"):
        present = np.unique(np.load(folder / f"{split}_labels.npy"))
        for label in sorted(set(range(len(classes))) - set(present.tolist())):
            raise TransferlibError(
                f"{name}: no picture of class {classes[label]} in {split} can be decoded: restore some, or "
                "remove the class"
            )
