"""Fetch an archive over HTTP, go on where an earlier try stopped, check it, unpack it safely."""

from __future__ import annotations

import errno
import hashlib
import shutil
import stat
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath

from transferlib import locks
from transferlib.errors import TransferlibError
from transferlib.progress import counted

TRIES = 5
DEEPEST, LONGEST, LONGEST_PATH = 40, 255, 2000  # folders; bytes of a name, and of a whole path
ENCRYPTED = 0x1  # the bit of a member's flags that says so
BLOCK = 1 << 18


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let only one process at a time fetch ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(path.with_name(f"{path.name}.lock")):
        yield


def download(url: str, to: Path, md5: str, progress: bool) -> Path:
    """Fetch ``url`` into the file ``to``, through ``to``.part, which a later call goes on with.

    Raises:
        TransferlibError: when the server cannot be reached or keeps breaking off, sends a web page, or
            sends a file with another checksum.
    """
    if to.exists() and _md5(to) == md5:
        return to
    part = to.with_name(f"{to.name}.part")
    for _ in range(TRIES):
        if _receive(url, part, progress):
            break
    else:
        raise TransferlibError(
            f"{url} broke off {TRIES} times, {part.stat().st_size:,} bytes are kept: call again to go on"
        )
    _verify(url, part, md5)
    return part.replace(to)


def _receive(url: str, part: Path, progress: bool) -> bool:
    """Append to ``part`` what is missing; return whether it is whole now."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "transferlib"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as response:
            return _save(url, response, part, have, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing follows the bytes that we have: the checksum decides
            return True
        raise TransferlibError(f"{url} answers {error.code} {error.reason}: try again later") from error
    except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
        if part.exists() and part.stat().st_size > have:  # it broke off on the way, after some progress
            return False
        reason = getattr(error, "reason", error)
        raise TransferlibError(f"cannot reach {url} ({reason}): check the network and try again") from error


def _save(url: str, response: HTTPResponse, part: Path, have: int, progress: bool) -> bool:
    if response.headers.get_content_type() == "text/html":
        raise TransferlibError(f"{url} sent a web page, not an archive: is there a login page in between?")
    if response.status != 206:  # the server ignores Range and sends the whole
        have = 0
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    with (
        part.open("ab" if have else "wb") as file,
        counted(total, part.stem if progress else None, "B", have) as done,
    ):
        while block := response.read(BLOCK):
            file.write(block)
            done(len(block))
    return total is None or part.stat().st_size >= total


def _verify(url: str, part: Path, md5: str) -> None:
    with part.open("rb") as file:
        page = file.read(512).lstrip().lower().startswith((b"<!doctype", b"<html"))
    got = _md5(part)
    if got == md5:
        return
    part.unlink()
    if page:
        raise TransferlibError(f"{url} sent a web page, not an archive: is there a login page in between?")
    raise TransferlibError(f"{url} has a wrong checksum, expected md5 {md5}, got {got}: deleted, try again")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # the one that is published for this archive
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the zip file ``archive``, which holds one folder of the name of ``folder``, to ``folder``.

    Raises:
        TransferlibError: when a member is a link or lies outside, the archive is damaged or another one,
            or there is no room.
    """
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as file:
            _inspect(archive, file)
            file.extractall(part)
        if not (part / folder.name).is_dir():
            raise ValueError(f"it has no folder {folder.name}")
        (part / folder.name).rename(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise  # of the disk, and no fault of the archive
        raise TransferlibError(f"{archive} is not the expected archive ({error}): delete it, try again") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _inspect(archive: Path, file: zipfile.ZipFile) -> None:
    kinds: dict[tuple[str, ...], bool] = {}  # of each path, whether it is a folder
    files: set[tuple[str, ...]] = set()
    for member in file.infolist():
        if why := _unsafe(member) or _clash(member, kinds, files):
            raise TransferlibError(f"{archive} is not safe to unpack, {member.filename[:80]!r} {why}: delete it")
    needed = sum(member.file_size for member in file.infolist())
    free = shutil.disk_usage(archive.parent).free
    if needed > free:
        raise no_room(f"unpacking {archive.name}", archive.parent, needed, free)


def _parts(member: zipfile.ZipInfo) -> tuple[str, ...]:
    return PurePosixPath(member.filename.replace("\\", "/")).parts


def _unsafe(member: zipfile.ZipInfo) -> str:
    """Why a member can't be unpacked as a file or folder below, in words; empty where it can."""
    parts = _parts(member)
    path = PurePosixPath(*parts)
    if not parts or not member.orig_filename.isprintable() or (member.is_dir() and member.file_size):
        return "has no name, an unprintable one, or is a folder with a content"
    mode = stat.S_IFMT(member.external_attr >> 16)
    if path.is_absolute() or ".." in parts or ":" in "".join(parts[:1]) or mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link, a device, or lies outside"
    sizes = [len(part.encode(errors="surrogateescape")) for part in parts]
    if len(parts) > DEEPEST or max(sizes, default=0) > LONGEST or sum(sizes) > LONGEST_PATH:
        return "has a longer name than a file system takes, or lies too deep"
    if member.flag_bits & ENCRYPTED:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in a way that is not expected"
    return ""


def _clash(member: zipfile.ZipInfo, kinds: dict[tuple[str, ...], bool], files: set[tuple[str, ...]]) -> str:
    """Whether a member is a file where another is, or where one is a folder, in words; notes what it is."""
    parts = _parts(member)
    if parts in files:
        return "is there twice"
    files |= set() if member.is_dir() else {parts}
    above = {parts[:end]: True for end in range(1, len(parts))} | {parts: member.is_dir()}
    if any(kinds.setdefault(path, is_folder) != is_folder for path, is_folder in above.items()):
        return "is a file and a folder at once"
    return ""


def no_room(what: str, folder: Path, needed: int, free: int) -> TransferlibError:
    """Say how many bytes are missing, and what to do."""
    return TransferlibError(
        f"{what} needs {needed / 2**30:.1f} GiB in {folder}, which has {free / 2**30:.1f} GiB free: "
        "make room, or set TRANSFERLIB_DATA to a folder on a larger disk"
    )
