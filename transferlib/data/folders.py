"""The pictures in a folder of class folders, with ``train/`` and ``val/`` above them or not; none is opened."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from transferlib.data.dataset import Finding, Listing, Source
from transferlib.errors import TransferlibError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
# pictures too; to pass them over would change the data in silence
UNREAD = (".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".tga", ".psd", ".dng", ".cr2", ".nef", ".arw")
VAL_SHARE = 0.2
RULES = b"2"  # of what is left out and told of; others make the arrays of a folder anew
# of Synology, QNAP, Windows and Mac; those of Jupyter, Linux and others begin with a dot
SYSTEM = {
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "__macosx", "lost+found"),
    *("$recycle.bin", "recycler", "system volume information", "thumbs.db", "desktop.ini", "icon\r"),
}
HIDDEN = "pictures that are hidden, or in hidden or system folders, are left out"
NO_PICTURE = "files whose names do not end as a picture's do are left out (rename those that are pictures)"
BESIDE = "files or folders beside the class folders are left out"
LISTED = "links to what the data set has already are left out"
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}  # no names of classes


class LeftOut:
    """The files of a folder that are no part of the data set, by the reason, so that none is passed over in silence."""

    def __init__(self, top: Path | None = None) -> None:
        self.top = top
        self.files: dict[str, list[str]] = {}
        self.listed: set[tuple[int, int]] = set()  # device and number of files: a link leads to one of them

    def add(self, why: str, *files: str) -> None:
        """Note some files."""
        if files:
            self.files.setdefault(why, []).extend(files)

    def once(self, files: list[str]) -> list[str]:
        """Those of some files that no other name has led to before."""
        return [file for file in files if self._is_new(file)]

    def leads_back(self, path: str) -> bool:
        """Whether a path is a link to what belongs to the data set already; notes it.

        A link into a hidden folder does not: there git-annex and others keep what they link to.
        """
        if self.top is None or not Path(path).is_symlink():
            return False
        end = Path(path).resolve()
        inside = end.is_relative_to(self.top) and not any(map(hidden, end.relative_to(self.top).parts))
        if inside or self.top.is_relative_to(end):
            self.add(LISTED, path)
        return inside or self.top.is_relative_to(end)

    def _is_new(self, file: str) -> bool:
        try:
            found = Path(file).stat()
        except OSError:  # a link to nowhere: decoding will name it
            return True
        identity = found.st_dev, found.st_ino
        if found.st_ino and identity in self.listed:
            self.add(LISTED, file)
            return False
        self.listed.add(identity)
        return True

    def beside(self, folder: Path, expected: tuple[str, ...]) -> None:
        """Note what lies in a folder beside the folders that are expected there."""
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name in expected:
                continue
            if hidden(entry.name):
                self.add(HIDDEN, *_of_pictures(entry.path))
            else:
                self.add(BESIDE, entry.path)

    def findings(self) -> tuple[Finding, ...]:
        """What was left out, a reason each."""
        return tuple(Finding(why, tuple(files)) for why, files in self.files.items())


def hidden(name: str) -> bool:
    """Whether a file or folder belongs to the system and not to the data, by its name."""
    return name.startswith(".") or name.lower() in SYSTEM


def _of_pictures(path: str) -> list[str]:
    """The pictures of all kinds in a hidden folder, or the hidden file itself if it is one."""
    if not Path(path).is_dir():
        return [path] if path.lower().endswith(SUFFIXES + UNREAD) else []
    return sorted(
        f"{at}/{name}" for at, _, names in os.walk(path) for name in names if name.lower().endswith(SUFFIXES + UNREAD)
    )


def source(folder: Path) -> Source:
    """List the pictures: those of ``train/`` and ``val/`` where they exist, else split 80 to 20.

    Raises:
        TransferlibError: when there are not two classes, a class is empty or in one split only, or only
            one of ``train/`` and ``val/`` exists.
    """
    if not folder.is_dir():
        raise TransferlibError(f"no folder {folder}: expected a folder of class folders")
    halves = tuple(split for split in ("train", "val") if (folder / split).is_dir())
    if len(halves) == 1:
        raise TransferlibError(f"{folder} has {halves[0]}/ only: expected train/ and val/, or class folders")
    left = LeftOut(folder.resolve())
    listed = split_source(folder, left=left) if halves else _divided(folder, left)
    for top in [folder / split for split in halves] or [folder]:
        left.beside(top, listed.classes)
    if halves:
        left.beside(folder, halves)
    return dataclasses.replace(listed, findings=left.findings())


def _divided(folder: Path, left: LeftOut) -> Source:
    classes = class_folders(folder)
    if {name.lower() for name in classes} <= PARTS:
        raise TransferlibError(
            f"{folder} holds {' and '.join(classes)}: expected class folders, or two folders named train and val"
        )
    train, val = Listing([], []), Listing([], [])
    for label, name in enumerate(classes):
        for files, listing in zip(_divide(folder, _some_pictures(folder / name, left)), (train, val), strict=True):
            listing.files.extend(files)
            listing.labels.extend([label] * len(files))
    return Source(classes, classes, train, val)


def split_source(folder: Path, named: Callable[[str], str] = str, left: LeftOut | None = None) -> Source:
    """List ``folder``/train and ``folder``/val, whose class folders must be the same.

    Args:
        named: gives a class's name for people.
        left: told what is left out.
    """
    classes = class_folders(folder / "train")
    for name in sorted(set(classes) ^ set(class_folders(folder / "val"))):
        there, missing = ("train", "val") if name in classes else ("val", "train")
        raise TransferlibError(f"class {name} is in {folder}/{there} but not in {missing}/: add or remove it")
    train, val = (_list(folder / split, classes, left) for split in ("train", "val"))
    return Source(classes, tuple(named(name) for name in classes), train, val)


def class_folders(folder: Path) -> tuple[str, ...]:
    """Name the class folders in ``folder``, sorted.

    Raises:
        TransferlibError: when there are fewer than two.
    """
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not hidden(entry.name))
    if len(names) < 2:
        raise TransferlibError(f"expected at least two class folders in {folder}, got {len(names)}")
    return tuple(names)


def pictures(folder: Path, left: LeftOut | None = None) -> list[str]:
    """List the picture files anywhere in ``folder``, sorted; links to folders are followed.

    Args:
        left: told what is left out.

    Raises:
        TransferlibError: for a picture of a kind that is not read.
    """
    left = LeftOut() if left is None else left
    found: list[str] = []
    for at, names in _walk(folder, left):
        for name in names:
            file, ending = f"{at}/{name}", name.lower()
            if hidden(name):
                left.add(HIDDEN, *_of_pictures(file))
            elif ending.endswith(SUFFIXES + UNREAD):
                if not left.leads_back(file):
                    found.append(file)
            else:
                left.add(NO_PICTURE, file)
    found.sort()
    unread = next((file for file in found if file.lower().endswith(UNREAD)), None)
    if unread:
        raise TransferlibError(f"{unread} is of a kind that is not read: convert it to .jpg or .png, or move it away")
    return found


def _walk(folder: Path, left: LeftOut) -> Iterator[tuple[str, list[str]]]:
    """The folders below one, each with its files, but for hidden ones; each once, wherever links lead."""

    def stop(error: OSError) -> None:
        raise error

    visited: set[tuple[int, int]] = set()
    for at, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        found = Path(at).stat()
        if (found.st_dev, found.st_ino) in visited:
            folders.clear()
            continue
        visited |= {(found.st_dev, found.st_ino)} if found.st_ino else set()
        for name in sorted(filter(hidden, folders)):
            left.add(HIDDEN, *_of_pictures(f"{at}/{name}"))
        folders[:] = [name for name in sorted(folders) if not hidden(name) and not left.leads_back(f"{at}/{name}")]
        yield at, sorted(names)


def read_words(path: Path) -> dict[str, str]:
    """Read WordNet's table of names, ``wnid<TAB>name, another name`` a line; empty where there is none."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {wnid: words.split(",")[0] for wnid, _, words in (line.partition("\t") for line in lines)}


def _some_pictures(folder: Path, left: LeftOut | None) -> list[str]:
    files = pictures(folder, left)
    files = left.once(files) if left else files
    if files:
        return files
    if left and any(Path(link).is_relative_to(folder) for link in left.files.get(LISTED, ())):
        raise TransferlibError(f"all pictures in {folder} are those of another class or part, by links: add others")
    raise TransferlibError(f"no pictures in class folder {folder}: add some ({' '.join(SUFFIXES)}) or remove it")


def _list(folder: Path, classes: tuple[str, ...], left: LeftOut | None) -> Listing:
    listing = Listing([], [])
    for label, name in enumerate(classes):
        files = _some_pictures(folder / name, left)
        listing.files.extend(files)
        listing.labels.extend([label] * len(files))
    return listing


def _divide(folder: Path, files: list[str]) -> tuple[list[str], list[str]]:
    """Split one class by the draw of each name: the lowest fifth is for validation, at least one.

    So every class has its share (the cut is stratified), and a new picture moves at most one other.
    """
    if len(files) < 2:
        raise TransferlibError(f"{files[0]} is the only picture of its class: add one, or remove the class folder")
    drawn = sorted(files, key=lambda file: _draw(Path(file).relative_to(folder).as_posix()))
    val = set(drawn[: max(1, round(VAL_SHARE * len(files)))])  # a class is in both
    return [file for file in files if file not in val], sorted(val)


def _draw(name: str) -> bytes:
    """The place of a picture in the draw, whose seed is always the same."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def fingerprint(listed: Source) -> str:
    """A hash of some pictures' names, sizes and times, and of what is left out: another one means a change."""
    digest = hashlib.sha256(RULES)
    for file in (*listed.train.files, *listed.val.files):
        digest.update(f"{file}\0{_state(file)}\0".encode("utf-8", "surrogateescape"))
    for finding in listed.findings:  # what is left out is said when the folder is read
        digest.update("\0".join((finding.what, *finding.files)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _state(file: str) -> tuple[int, int, int] | None:
    try:
        found = Path(file).stat()
    except FileNotFoundError:  # a link to nowhere: decoding will name it
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns  # the last can't be set back, as by ``cp -p``
