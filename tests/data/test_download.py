from __future__ import annotations

import hashlib
import random
import shutil
import socket
import stat
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from transferlib.data import download as module
from transferlib.data import fetch, tiny_imagenet
from transferlib.data.download import download, unpack
from transferlib.errors import TransferlibError

BODY = np.random.default_rng(0).bytes(3_000_000)
MD5 = hashlib.md5(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `body`; breaks each answer off after `stop` bytes; knows Range unless told otherwise."""

    body = BODY
    kind = "application/zip"
    stop = None
    knows_range = True
    status = None

    def __init__(self):
        self.asked = []  # the Range header of each request
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/file.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted and server.knows_range else 0
        if server.status or start >= len(server.body):
            return self.send_error(server.status or 416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", server.kind)
        self.send_header("Content-Length", str(len(server.body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        self.end_headers()
        self.wfile.write(server.body[start:][: server.stop])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_arrives_whole_and_is_not_asked_for_twice(server, tmp_path, capsys):
    file = download(server.url, tmp_path / "file.zip", MD5, progress=True)
    assert file.read_bytes() == BODY
    assert capsys.readouterr().err == ""  # bars are for terminals, and it took less than half a minute
    download(server.url, tmp_path / "file.zip", MD5, progress=False)
    assert server.asked == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["file.zip"]


def test_a_server_that_dies_midway_is_asked_for_the_rest(server, tmp_path):
    server.stop = 1_000_000
    assert download(server.url, tmp_path / "file.zip", MD5, progress=False).read_bytes() == BODY
    assert server.asked == [None, "bytes=1000000-", "bytes=2000000-"]


def test_a_later_call_goes_on_with_what_is_kept(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TRIES", 2)
    server.stop = 1_000_000
    with pytest.raises(TransferlibError, match=r"broke off 2 times, 2,000,000 bytes are kept: call again"):
        download(server.url, tmp_path / "file.zip", MD5, progress=False)
    assert download(server.url, tmp_path / "file.zip", MD5, progress=False).read_bytes() == BODY
    assert server.asked == [None, "bytes=1000000-", "bytes=2000000-"]


def test_a_server_without_range_starts_over(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(b"x" * 1_000)
    server.knows_range = False
    assert download(server.url, tmp_path / "file.zip", MD5, progress=False).read_bytes() == BODY
    assert server.asked == ["bytes=1000-"]


def test_a_part_that_is_whole_already_is_taken(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(BODY)
    assert download(server.url, tmp_path / "file.zip", MD5, progress=False).read_bytes() == BODY


def test_a_wrong_checksum_is_told_and_the_file_deleted(server, tmp_path):
    server.body = BODY[:-1] + b"?"
    got = hashlib.md5(server.body).hexdigest()
    with pytest.raises(TransferlibError, match=f"wrong checksum, expected md5 {MD5}, got {got}"):
        download(server.url, tmp_path / "file.zip", MD5, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_no_archive(server, tmp_path, kind):
    server.body, server.kind = b"\n<!DOCTYPE html><html><body>Please log in</body></html>", kind
    with pytest.raises(TransferlibError, match="sent a web page, not an archive"):
        download(server.url, tmp_path / "file.zip", MD5, progress=False)
    assert not list(tmp_path.iterdir())


def test_an_answer_that_is_an_error_is_told(server, tmp_path):
    server.status = 404
    with pytest.raises(TransferlibError, match=r"file\.zip answers 404 Not Found"):
        download(server.url, tmp_path / "file.zip", MD5, progress=False)


def test_a_server_that_hangs_up_at_once_is_told(server, tmp_path):
    server.stop = 0
    with pytest.raises(TransferlibError, match=r"broke off 5 times, 0 bytes|cannot reach"):
        download(server.url, tmp_path / "file.zip", MD5, progress=False)


def test_a_server_that_is_not_there_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file.zip"
    with pytest.raises(TransferlibError, match=f"cannot reach {url} .*refused.*: check the network"):
        download(url, tmp_path / "file.zip", MD5, progress=False)


def _zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_an_archive_is_unpacked_to_its_folder(tmp_path):
    unpack(_zip(tmp_path / "a.zip", {"set/x/a.txt": "1", "set/b.txt": "2"}), tmp_path / "set")
    assert (tmp_path / "set/x/a.txt").read_text() == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "set"]


@pytest.mark.parametrize("name", ["../evil.txt", "set/../../evil.txt", "/evil.txt", "set\\..\\..\\evil", "C:/evil"])
def test_a_member_that_climbs_out_is_refused(tmp_path, name):
    (tmp_path / "in").mkdir()
    archive = _zip(tmp_path / "in/a.zip", {"set/a": "1", name: "2"})
    with pytest.raises(TransferlibError, match="not safe to unpack"):
        unpack(archive, tmp_path / "in/set")
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.zip"]


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("set/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(TransferlibError, match="'set/link' is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "set")


@pytest.mark.parametrize("members", [None, {"other/a.txt": "1"}])
def test_another_file_is_not_the_archive(tmp_path, members):
    archive = tmp_path / "a.zip"
    _zip(archive, members) if members else archive.write_bytes(b"no zip")
    with pytest.raises(TransferlibError, match="is not the expected archive"):
        unpack(archive, tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_space_is_checked_before_unpacking(tmp_path, monkeypatch):
    archive = _zip(tmp_path / "a.zip", {"set/a.txt": "1" * 100})
    usage = shutil.disk_usage(tmp_path)._replace(free=99)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(TransferlibError, match=r"unpacking a\.zip needs .* GiB free: make room"):
        unpack(archive, tmp_path / "set")


def test_tiny_imagenet_is_fetched_checked_and_unpacked_once(server, tmp_path, tiny, monkeypatch):
    folder = tiny(tmp_path / "made")
    archive = shutil.make_archive(str(tmp_path / "made"), "zip", folder.parent, folder.name)
    server.body = Path(archive).read_bytes()
    server.stop = len(server.body) // 2 + 1
    monkeypatch.setattr(tiny_imagenet.TinyImageNet, "url", server.url)
    monkeypatch.setattr(tiny_imagenet.TinyImageNet, "md5", hashlib.md5(server.body).hexdigest())
    root = tmp_path / "root"
    for _ in range(2):
        found = fetch("tiny-imagenet", root=root, progress=False)
    assert server.asked == [None, f"bytes={server.stop}-"]
    assert found == root / "tiny-imagenet-200"
    assert not list(root.glob("*.zip*"))
    assert tiny_imagenet.source(found).classes == tiny_imagenet.source(folder).classes


# --- archives that are none ---


def _edited(path: Path, name: str, *, flag: int = 0, method: int | None = None) -> Path:
    """A zip file whose directory says of a member what this module does not write: encrypted, or packed otherwise."""
    _zip(path, {"set/a": "1", name: "22"})
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= flag
    if method is not None:
        content[at + 10 : at + 12] = method.to_bytes(2, "little")
    path.write_bytes(content)
    return path


def _of_version(path: Path, version: int) -> Path:
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = version
    path.write_bytes(content)
    return path


def _fifo(path: Path) -> Path:
    member = zipfile.ZipInfo("set/pipe")
    member.external_attr = (stat.S_IFIFO | 0o644) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "")
    return path


BAD = {
    "encrypted": (lambda p: _edited(p, "set/b", flag=1), "is encrypted"),
    "an unknown way of packing": (lambda p: _edited(p, "set/b", method=97), "way that is not expected"),
    "lzma, which the official archive is not": (lambda p: _edited(p, "set/b", method=14), "way that is not expected"),
    "a name of 300 characters": (lambda p: _zip(p, {"set/" + "n" * 300: "1"}), "longer name"),
    "a name of 300 bytes": (lambda p: _zip(p, {"set/" + "é" * 150: "1"}), "longer name"),
    "a folder of 300 characters": (lambda p: _zip(p, {"set/" + "n" * 300 + "/x": "1"}), "longer name"),
    "2,000 folders deep": (lambda p: _zip(p, {"set/" + "d/" * 2000 + "x": "1"}), "too deep"),
    "a long path of short names": (lambda p: _zip(p, {"set/" + ("n" * 200 + "/") * 30 + "x": "1"}), "longer name"),
    "a file, then a folder of its name": (lambda p: _zip(p, {"set/a": "1", "set/a/b": "2"}), "file and a folder"),
    "a folder, then a file of its name": (lambda p: _zip(p, {"set/a/b": "1", "set/a": "2"}), "file and a folder"),
    "an empty folder and a file": (lambda p: _zip(p, {"set/a/": "", "set/a": "2"}), "file and a folder"),
    "a pipe": (_fifo, "a device"),
    "a name twice": (lambda p: _zip(p, {"set/a": "1", "set/./a": "2"}), "is there twice"),
    "an empty name": (lambda p: _zip(p, {"set/a": "1", "./": ""}), "no name"),
    "a name with an escape": (lambda p: _zip(p, {"set/a\x1b[31m\nb": "1"}), "unprintable"),
    "a version that is not": (lambda p: _of_version(_zip(p, {"set/a": "1"}), 99), "not the expected archive"),
    "the folder is a file": (lambda p: _zip(p, {"set": "1"}), "it has no folder set"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_member_that_can_not_be_unpacked_is_one_line_and_nothing_is_left(tmp_path, what):
    make, words = BAD[what]
    archive = make(tmp_path / "a.zip")
    with pytest.raises(TransferlibError, match=words) as error:
        unpack(archive, tmp_path / "set")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("at", [0.3, 0.5, 0.7])
def test_an_archive_with_a_damaged_member_is_one_line(tmp_path, at):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/a", "".join(map(str, range(3000))))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    middle = int(len(content) * at)
    content[middle : middle + 40] = bytes(40)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(TransferlibError, match="is not the expected archive"):
        unpack(tmp_path / "a.zip", tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("seed", range(3))
def test_random_damage_to_an_archive_is_one_line_or_nothing(tmp_path, seed):
    draw = random.Random(seed)
    whole = _zip(tmp_path / "a.zip", {f"set/{k}.txt": str(k) * 50 for k in range(5)}).read_bytes()
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 3, 20])):
            content[draw.randrange(len(content))] = draw.randrange(256)
        (tmp_path / "a.zip").write_bytes(content)
        try:
            unpack(tmp_path / "a.zip", tmp_path / "set")
            shutil.rmtree(tmp_path / "set")
        except TransferlibError as error:
            assert "a.zip" in str(error)
        assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
