from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlib.data import decoding, worker
from transferlib.errors import TransferlibError


def test_a_picture_of_the_right_size_keeps_its_pixels(tmp_path, draw):
    file = draw(tmp_path / "a.jpg", 1, (32, 32))
    assert np.array_equal(worker.square(file, 32), np.asarray(Image.open(file)))


@pytest.mark.parametrize(("size", "box"), [((90, 60), (15, 0, 75, 60)), ((60, 90), (0, 15, 60, 75))])
def test_the_centre_is_cut_and_resized(tmp_path, draw, size, box):
    file = draw(tmp_path / "a.png", 2, size)
    expected = np.asarray(Image.open(file).crop(box).resize((20, 20), Image.Resampling.LANCZOS), int)
    assert np.abs(worker.square(file, 20) - expected).max() <= 1


def test_resizing_does_not_alias(tmp_path):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255  # a filter that skips pixels would give black or white
    Image.fromarray(stripes).save(tmp_path / "a.png")
    inner = worker.square(tmp_path / "a.png", 16)[4:-4, 4:-4].astype(int)
    assert np.abs(inner - 127).max() < 8


def test_grey_becomes_three_equal_channels(tmp_path, draw):
    pixels = worker.square(draw(tmp_path / "a.jpg", 3, mode="L"), 64)
    assert np.array_equal(pixels, np.asarray(Image.open(tmp_path / "a.jpg"))[:, :, None].repeat(3, 2))


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    grey = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert np.array_equal(worker.square(tmp_path / "a.png", 64)[..., 0], (grey >> 8).astype(np.uint8))


def test_floating_point_is_refused_rather_than_guessed(tmp_path):
    file = tmp_path / "a.tif"
    Image.fromarray(np.full((16, 16), 0.5, np.float32)).save(file)
    with pytest.raises(ValueError, match="floating point"):
        worker.square(file, 8)


def test_cmyk_keeps_its_colours(tmp_path):
    Image.new("CMYK", (40, 40), (255, 0, 0, 0)).save(tmp_path / "cyan.jpg", quality=95)
    red, green, blue = worker.square(tmp_path / "cyan.jpg", 8)[4, 4].tolist()
    assert red < 30
    assert min(green, blue) > 225


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    clear = {"RGBA": (90, 10, 10, 0), "LA": (90, 0), "P": 1}[mode]
    picture = Image.new(mode, (16, 16), clear)
    if mode == "P":
        picture.putpalette([0, 0, 0, 90, 10, 10])
    picture.paste({"RGBA": (0, 0, 0, 255), "LA": (0, 255), "P": 0}[mode], (0, 0, 8, 16))
    picture.save(tmp_path / "a.png", **({"transparency": 1} if mode == "P" else {}))
    pixels = worker.square(tmp_path / "a.png", 16)
    assert pixels[8, 3].tolist() == [0, 0, 0]
    assert pixels[8, 12].tolist() == [255, 255, 255]


def test_the_picture_is_turned_upright(tmp_path):
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = worker.square(tmp_path / "a.png", 32)
    assert upright[:, 20:].min() == 255
    assert upright[:, :12].max() == 0


def test_fill_names_what_it_cannot_decode(tmp_path, draw):
    good, cut = draw(tmp_path / "a.jpg", 4), draw(tmp_path / "b.jpg", 5)
    cut.write_bytes(cut.read_bytes()[:-400])
    (tmp_path / "c.jpg").write_text("<html>")
    files = [str(good), str(cut), str(tmp_path / "c.jpg"), str(tmp_path / "none.jpg"), str(good)]
    out = BytesIO()
    failed = worker.fill(out, 7, files, 64, worker.FULL)["failed"]
    assert list(failed) == [1, 2, 3]
    assert "truncated" in failed[1]
    rows = np.frombuffer(out.getvalue()[7:], np.uint8).reshape(5, 64, 64, 3)
    assert np.array_equal(rows[4], np.asarray(Image.open(good)))
    assert not rows[1].any()


def test_many_processes_write_what_one_would(tmp_path, draw, monkeypatch):
    files = [str(draw(tmp_path / f"{number}.png", number, (12, 12))) for number in range(20)]
    Path(files[13]).write_bytes(b"no picture")
    monkeypatch.setattr(decoding, "CHUNK", 3)
    written = []
    for cores in (1, 3):
        out = tmp_path / f"out{cores}"
        out.write_bytes(bytes(5 + 20 * 8 * 8 * 3))
        monkeypatch.setattr(decoding, "cores", lambda cores=cores: cores)
        assert list(decoding.decode(files, out, 8, offset=5).failed) == [13]
        written.append(out.read_bytes())
    assert written[0] == written[1]
    rows = np.frombuffer(written[0][5:], np.uint8).reshape(20, 8, 8, 3)
    assert all(np.array_equal(rows[n], worker.square(files[n], 8)) for n in (0, 7, 19))


def _two_workers(monkeypatch, program: Path):
    monkeypatch.setattr(decoding, "CHUNK", 1)
    monkeypatch.setattr(decoding, "cores", lambda: 2)
    monkeypatch.setattr(decoding.worker, "__file__", str(program))


def test_a_killed_process_is_an_error(tmp_path, monkeypatch):
    program = tmp_path / "dies.py"
    program.write_text("import sys; sys.stdin.readline(); sys.exit(9)")
    _two_workers(monkeypatch, program)
    with pytest.raises(TransferlibError, match="ended from outside"):
        decoding.decode(["a"] * 9, Path(os.devnull), 8)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without space (Linux)")
def test_a_full_disk_comes_back_from_the_process(tmp_path, draw, monkeypatch):
    files = [str(draw(tmp_path / f"{number}.png", number)) for number in range(4)]
    _two_workers(monkeypatch, Path(worker.__file__))
    with pytest.raises(OSError, match="No space left"):
        decoding.decode(files, Path("/dev/full"), 64)
