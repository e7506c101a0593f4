"""What lies in a folder of pictures: nothing is dropped, doubled or darkened in silence."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlib.data import check, folders, load, own, snapshot, worker
from transferlib.errors import TransferlibError
from transferlib.measuring import measure
from transferlib.trainer import Progress


@pytest.fixture
def pets(tmp_path, class_folders):
    return class_folders(tmp_path / "pets", count=10, suffix=".png")


def listed(folder: Path) -> set[str]:
    found = folders.source(folder)
    return {str(Path(file).relative_to(folder)) for file in found.train.files + found.val.files}


def said(folder: Path) -> dict[str, tuple[str, ...]]:
    return {f.what: tuple(str(Path(x).relative_to(folder)) for x in f.files) for f in folders.source(folder).findings}


def count(folder: Path) -> int:
    found = check(f"folder:{folder}", progress=False)
    return found.train + found.val


# --- hidden, beside, of other endings ---


@pytest.mark.parametrize(
    "place",
    [".ipynb_checkpoints", ".Trash-1000", "@eaDir", "@EADIR", "__MACOSX", ".thumbnails", "#recycle", "a/b/.git"],
)
@pytest.mark.parametrize("top", ["", "cat", "dog/deep/er"])
def test_hidden_and_system_folders_are_no_data_at_any_depth_and_said(pets, place, top):
    before = listed(pets)
    inside = pets / top / place if place != "a/b/.git" or top else pets / "cat" / place
    shutil.copytree(pets / "cat", inside / "sub", ignore=lambda *_: ["deep"])
    (inside / "note.txt").write_text("x")
    assert listed(pets) == before
    ((what, files),) = said(pets).items()
    assert what == folders.HIDDEN and len(files) == 10
    with pytest.warns(UserWarning, match="hidden or system folders, are left out: 10, the first is"):
        load(f"folder:{pets}", 16, root=pets.parent / "data", progress=False)
    shown = str(check(f"folder:{pets}", progress=False))
    assert shown.count(str(inside)) == 10


@pytest.mark.parametrize("name", ["1.jpg_large", "2.jpg.1", "3", "4.JPG~", "5.png.crdownload", "notes.txt"])
def test_a_file_whose_ending_is_no_pictures_is_said(pets, name):
    before = listed(pets)
    shutil.copy(pets / "cat/000.png", pets / "cat" / name)
    assert listed(pets) == before
    assert said(pets) == {folders.NO_PICTURE: (f"cat/{name}",)}


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "dog/.nomedia"])
def test_the_systems_own_files_are_no_news(pets, name):
    (pets / name).write_bytes(b"x")
    assert said(pets) == {}


def test_what_lies_beside_the_class_folders_is_said(pets, class_folders):
    shutil.copy(pets / "cat/000.png", pets / "stray.png")
    assert said(pets) == {folders.BESIDE: ("stray.png",)}
    both = pets.parent / "both"
    for part in ("train", "val", "test"):
        class_folders(both / part, count=3)
    (both / "train/stray.png").write_bytes(b"x")
    assert said(both) == {folders.BESIDE: ("train/stray.png", "test")}


def test_what_is_left_out_later_is_said_later(pets, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(f"folder:{pets}", 16, root=tmp_path, progress=False)
    shutil.copy(pets / "cat/000.png", pets / "cat/new.jpg_large")
    with pytest.warns(UserWarning, match="new.jpg_large"):
        load(f"folder:{pets}", 16, root=tmp_path, progress=False)


# --- links and copies ---


def test_links_to_folders_are_followed_and_lead_to_no_picture_twice(pets, tmp_path, class_folders):
    more = class_folders(tmp_path / "more", ("emu", "fox"), 4, ".png")
    (pets / "cat/more").symlink_to(more / "emu")
    (pets / "fox").symlink_to(more / "fox")
    assert {f"cat/more/00{k}.png" for k in range(4)} | {f"fox/00{k}.png" for k in range(4)} <= listed(pets)
    assert said(pets) == {}
    before = listed(pets)
    (pets / "ant").mkdir()  # a class that comes before what its links lead to
    for k in range(4):
        shutil.copy(more / f"emu/00{k}.png", pets / f"ant/own{k}.png")
    before |= {f"ant/own{k}.png" for k in range(4)}
    (pets / "ant/cat.png").symlink_to("../cat/001.png")
    (pets / "dog/loop").symlink_to(pets / "dog")
    (pets / "dog/up").symlink_to(pets)
    (pets / "dog/same.png").symlink_to("001.png")
    os.link(pets / "dog/002.png", pets / "dog/hard.png")
    now = listed(pets)
    assert now == before
    resolved = [os.path.realpath(pets / name) for name in now]
    assert len(set(resolved)) == len(resolved)
    assert said(pets)[folders.LISTED] == ("ant/cat.png", "dog/loop", "dog/up", "dog/same.png", "dog/hard.png")


def test_links_into_a_hidden_folder_are_followed_for_there_some_keep_what_they_link_to(pets):
    (pets / ".git/annex").mkdir(parents=True)
    before = listed(pets)
    for k, file in enumerate(sorted((pets / "cat").iterdir())):
        file.rename(pets / f".git/annex/{k}.png")
        file.symlink_to(f"../.git/annex/{k}.png")
    assert listed(pets) == before


@pytest.mark.parametrize("others", [0, 3])
def test_a_class_whose_test_pictures_all_train_keeps_them_in_the_test_alone(tmp_path, class_folders, others):
    folder = tmp_path / "pets"
    class_folders(folder / "train", count=4 + others, suffix=".png")
    class_folders(folder / "val", count=4, suffix=".png")
    for k in range(4):
        shutil.copy(folder / f"train/cat/00{k}.png", folder / f"val/cat/00{k}.png")
    said = "are left out of the training: 4" if others else "and stay, since their class has no others: 4"
    with pytest.warns(UserWarning, match=said):
        found = load(f"folder:{folder}", 32, root=tmp_path, progress=False)
    trained = {row.tobytes() for row in found.train.pixels}
    assert any(row.tobytes() in trained for row in found.val.pixels) == (not others)
    assert (found.val.labels == 0).sum() == 4 and (found.train.labels == 0).sum() == (others or 4)


def test_a_class_that_is_a_link_to_another_is_an_error_and_no_second_class(pets):
    (pets / "kitten").symlink_to("cat")
    with pytest.raises(
        TransferlibError,
        match=r"no pictures in class folder .*kitten|all pictures in .*kitten are those of another class",
    ):
        folders.source(pets)


@pytest.mark.parametrize("how", ["copy", "link", "hard link", "other format"])
def test_the_test_set_never_holds_a_picture_that_also_trains(tmp_path, class_folders, how):
    folder = tmp_path / "pets"
    class_folders(folder / "train", count=8, suffix=".png")
    class_folders(folder / "val", count=5, suffix=".png")
    for k in range(3):
        source, copy = folder / f"train/cat/00{k}.png", folder / f"val/dog/seen{k}.png"
        if how == "copy":
            shutil.copy(source, copy)
        elif how == "link":
            copy.symlink_to(source)
        elif how == "hard link":
            os.link(source, copy)
        else:
            Image.open(source).save(copy.with_suffix(".bmp"))
    with pytest.warns(UserWarning, match="left out.*: 3, the first is .*val/dog/seen0"):
        found = load(f"folder:{folder}", 32, root=tmp_path, progress=False)
    trained = {row.tobytes() for row in found.train.pixels}
    assert len(found.val.labels) == 10 and len(found.train.labels) == 16
    assert not any(row.tobytes() in trained for row in found.val.pixels)
    rows = {worker.square(file, 32).tobytes(): k for k in range(5) for file in [folder / f"val/cat/00{k}.png"]}
    assert all(
        label == 0 for row, label in zip(found.val.pixels, found.val.labels, strict=True) if row.tobytes() in rows
    )
    assert "seen0" in str(check(f"folder:{folder}", progress=False))


def test_copies_that_a_division_would_spread_over_both_parts_are_said(pets, tmp_path):
    for k in range(10):
        shutil.copy(pets / f"cat/00{k}.png", pets / f"cat/00{k} (1).png")
    with pytest.warns(UserWarning, match="pixel by pixel"):
        found = load(f"folder:{pets}", 32, root=tmp_path, progress=False)
    trained = {row.tobytes() for row in found.train.pixels}
    assert not any(row.tobytes() in trained for row in found.val.pixels)


def test_a_class_of_copies_alone_keeps_its_test_pictures_and_that_is_said(pets, tmp_path):
    for k in range(1, 10):
        shutil.copy(pets / "cat/000.png", pets / f"cat/00{k}.png")
    with (
        pytest.warns(UserWarning, match="are there more than once, pixel by pixel: 8"),
        pytest.warns(UserWarning, match="and stay, since their class has no others"),
    ):
        found = load(f"folder:{pets}", 32, root=tmp_path, progress=False)
    assert set(found.val.labels) == {0, 1}


def test_a_pipe_with_a_pictures_name_is_damage_and_not_waited_for(pets):
    os.mkfifo(pets / "cat/pipe.png")
    found = check(f"folder:{pets}", progress=False)
    assert found.damaged == {f"{pets}/cat/pipe.png": "no regular file"}


# --- parts of the range ---


def gradient(low: int, high: int, kind: type) -> np.ndarray:
    return np.linspace(low, high, 32 * 32).reshape(32, 32).astype(kind)


def grey_folder(folder: Path, low: int, high: int, kind: type = np.uint16, end: str = "png") -> Path:
    for k in range(16):
        file = folder / "ab"[k % 2] / f"{k}.{end}"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = np.roll(gradient(low, high, kind), 40 * k)
        Image.fromarray(picture).save(file)
    return folder


@pytest.mark.parametrize(
    ("low", "high", "kind", "end"),
    [
        (0, 1023, np.uint16, "png"),
        (0, 4095, np.uint16, "tif"),
        (28000, 32000, np.uint16, "png"),
        (-1000, 3000, np.int32, "tif"),
        (0, 10**6, np.int32, "tif"),
    ],
)
def test_deep_pictures_are_scaled_by_the_data_sets_own_range_and_that_is_said(tmp_path, low, high, kind, end):
    folder = grey_folder(tmp_path / "deep", low, high, kind, end)
    with pytest.warns(UserWarning, match=f"scaled by their own range, {low} to {high}: 16"):
        pixels = load(f"folder:{folder}", 32, root=tmp_path, progress=False).train.pixels
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert len(np.unique(pixels)) > 200
    assert "scaled by their own range" in str(check(f"folder:{folder}", progress=False))


def test_pictures_that_use_all_of_16_bits_are_taken_as_ever(tmp_path):
    folder = grey_folder(tmp_path / "deep", 0, 65535)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load(f"folder:{folder}", 32, root=tmp_path, progress=False)
    rows = {row[..., 0].tobytes() for part in (found.train, found.val) for row in part.pixels}
    assert (gradient(0, 65535, np.uint16) >> 8).astype(np.uint8).tobytes() in rows


def test_one_range_for_all_keeps_dark_pictures_darker_than_bright_ones(tmp_path):
    folder = grey_folder(tmp_path / "deep", 0, 4095)
    Image.fromarray(gradient(0, 1000, np.uint16)).save(folder / "a/dark.png")
    with pytest.warns(UserWarning):
        found = load(f"folder:{folder}", 32, root=tmp_path, progress=False)
    tops = sorted(row.max() for part in (found.train, found.val) for row in part.pixels)
    assert tops[0] == pytest.approx(1000 / 4095 * 255, abs=2)


def test_eight_bits_that_hold_fewer_are_said(tmp_path, pets):
    dark = np.random.default_rng(0).integers(0, 16, (32, 32, 3), dtype=np.uint8)  # 12 bits of 16, of which 8 are read
    Image.fromarray(dark).save(pets / "cat/dark.png")
    with pytest.warns(UserWarning, match="use fewer than 32 of 256 levels.*: 1, the first is .*dark.png .0 to 15"):
        load(f"folder:{pets}", 32, root=tmp_path, progress=False)


@pytest.mark.parametrize("end", ["gif", "webp", "tif", "png"])
def test_a_picture_of_several_frames_is_said(tmp_path, pets, end):
    frames = [Image.fromarray(np.random.default_rng(k).integers(0, 255, (32, 32, 3), dtype=np.uint8)) for k in range(3)]
    frames[0].save(pets / f"cat/moving.{end}", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match="have several frames, of which the first is taken: 1, .*moving.* .3 frames"):
        load(f"folder:{pets}", 32, root=tmp_path, progress=False)


def test_a_very_large_picture_is_named_with_the_mend(pets, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32 * 32 - 1)  # in this process: few pictures are decoded in it
    Image.new("RGB", (64, 64)).save(pets / "cat/large.png")
    found = check(f"folder:{pets}", progress=False)
    assert f"{pets}/cat/large.png" in found.damaged
    assert "megapixels: make it smaller" in found.damaged[f"{pets}/cat/large.png"]


# --- metadata ---


def png_with(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    out = io.BytesIO()
    noise().save(out, "PNG")
    whole = out.getvalue()
    chunk = struct.pack(">I", len(body)) + name + body
    return whole[:33] + chunk + struct.pack(">I", zlib.crc32(name + body) if crc is None else crc) + whole[33:]


def jpeg_with(marker: int, body: bytes) -> bytes:
    out = io.BytesIO()
    noise().save(out, "JPEG", quality=95)
    whole = out.getvalue()
    return whole[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + whole[2:]


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(5).integers(0, 256, (32, 32, 3), dtype=np.uint8))


ODD = {
    "exif.png": lambda: png_with(b"eXIf", b"\x00\x08\x00\x02\x01\x12\x00\x03"),
    "long.png": lambda: png_with(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(2 << 20))),
    "profile.png": lambda: png_with(b"iCCP", b"p\0\0" + zlib.compress(bytes(2 << 20))),
    "checksum.png": lambda: png_with(b"tEXt", b"a\0b", crc=1),
    "no-deflate.png": lambda: png_with(b"iTXt", b"a\0\1\0\0\0not deflated"),
    "exif.jpg": lambda: jpeg_with(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0"),
    "profile.jpg": lambda: jpeg_with(0xE2, b"ICC_PROFILE\0\x01\x02\x03"),
    "photoshop.jpg": lambda: jpeg_with(0xED, b"Photoshop 3.0\x008BIM\x04"),
    "mpf.jpg": lambda: jpeg_with(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
    "comment.jpg": lambda: jpeg_with(0xFE, b"\xff\xd8\xff"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_metadata_cost_no_pixels(pets, name):
    plain = jpeg_with(0xFE, b"") if name.endswith("jpg") else png_with(b"tEXt", b"a\0b")
    (pets / f"cat/{name}").write_bytes(ODD[name]())
    (pets / f"plain{Path(name).suffix}").write_bytes(plain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(
            worker.square(pets / f"cat/{name}", 32), worker.square(pets / f"plain{Path(name).suffix}", 32)
        )
        assert check(f"folder:{pets}", progress=False).damaged == {}


def test_damaged_pixels_stay_damaged(pets):
    whole = png_with(b"eXIf", b"\0")
    (pets / "cat/cut.png").write_bytes(whole[:-200])
    (pets / "cat/cut.jpg").write_bytes(jpeg_with(0xE1, b"Exif\0\0")[:-500])
    assert len(check(f"folder:{pets}", progress=False).damaged) == 2


@pytest.mark.parametrize("many", [1, 300])  # in this process, and in several
def test_a_warning_of_the_decoder_names_its_file_however_many_there_are(tmp_path, many):
    for k in range(many):
        for name in "ab":
            (tmp_path / "x" / name).mkdir(parents=True, exist_ok=True)
            for i in range(2):
                pixels = np.random.default_rng([k, i, ord(name)]).integers(0, 255, (12, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "x" / name / f"{k}-{i}.png")
    (tmp_path / "x/a/odd.jpg").write_bytes(ODD["exif.jpg"]())
    script = f"from transferlib.data import check; print(check('folder:{tmp_path}/x', progress=False))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stderr == ""
    assert "have metadata that cannot be read; their pixels are taken: 1, the first is" in told.stdout
    assert "a/odd.jpg (" in told.stdout


# --- one snapshot ---


def test_all_that_is_read_of_a_folder_is_of_one_time(pets, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "data"))
    name = f"folder:{pets}"
    first = snapshot(name, 16)
    version, before = first.version, np.array(first.dataset.train.pixels)
    assert not first.changed()
    shutil.copy(pets / "dog/003.png", pets / "cat/oops.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert snapshot(name, 16).version != version  # in the same process, which has read the folder before
    assert first.version == version
    assert np.array_equal(first.dataset.train.pixels, before)
    assert first.changed()
    (pets / "cat/oops.png").unlink()
    assert snapshot(name, 16).version == version


def test_a_folder_that_changes_while_it_is_decoded_is_no_data(pets, tmp_path, monkeypatch):
    real = own.from_pictures

    def meanwhile(*args, **how):
        make = real(*args, **how)

        def slow(folder):
            shutil.copy(pets / "cat/000.png", pets / "dog/late.png")
            return make(folder)

        return slow

    monkeypatch.setattr(own, "from_pictures", meanwhile)
    with pytest.raises(TransferlibError, match="changed while it was read: start again"):
        load(f"folder:{pets}", 16, root=tmp_path, progress=False)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load(f"folder:{pets}", 16, root=tmp_path, progress=False)
    assert len(found.train.labels) + len(found.val.labels) >= 20


@pytest.mark.parametrize("undone", [True, False])
def test_a_measurement_on_a_folder_that_changes_is_of_what_it_held_at_the_start(
    tmp_path, class_folders, undone, monkeypatch
):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "data"))
    mine = class_folders(tmp_path / "mine", count=12, suffix=".png")
    theirs = class_folders(tmp_path / "theirs", ("x", "y"), count=12, suffix=".png")
    for file in theirs.rglob("*.png"):
        Image.open(file).transpose(Image.Transpose.ROTATE_90).save(file)
    names, notes = (f"folder:{theirs}", f"folder:{mine}"), []
    stray = mine / "dog/oops.png"

    def report(event):
        notes.append(str(event))
        if isinstance(event, Progress) and not stray.exists():
            Image.open(mine / "cat/000.png").rotate(180).save(stray)

    first = measure(*names, tmp_path / "s", seeds=1, epochs=2, report=report)
    assert any("folder:mine has changed since it was read" in note for note in first.notes)
    if undone:
        stray.unlink()
        again = measure(*names, tmp_path / "fresh", seeds=1, epochs=2)
        both = [one.runs.set_index("key")["top1"] for one in (first, again)]
        assert both[0].equals(both[1])
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = measure(*names, tmp_path / "s", seeds=1, epochs=2)
        target = [set(one.runs.query("target == 'B'")["key"]) for one in (first, other)]
        assert not target[0] & target[1]


# --- the arrays that were decoded ---


def harm_a_bit(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)


HARMS = {
    "a label": lambda f: harm_a_bit(f / "train_labels.npy", -8),
    "a pixel": lambda f: harm_a_bit(f / "train_pixels.npy", -8),
    "half zeroed": lambda f: (f / "val_pixels.npy").write_bytes(
        (f / "val_pixels.npy").read_bytes()[:300] + bytes((f / "val_pixels.npy").stat().st_size - 300)
    ),
    "swapped": lambda f: (
        (f / "val_pixels.npy").replace(f / "x"),
        shutil.copy(f / "train_pixels.npy", f / "val_pixels.npy"),
    ),
    "other classes": lambda f: (f / "meta.json").write_text((f / "meta.json").read_text().replace('"cat"', '"cow"')),
    "fewer labels": lambda f: np.save(f / "train_labels.npy", np.load(f / "train_labels.npy")[:-1]),
    "a list": lambda f: (f / "meta.json").write_text("[]"),
    "nested": lambda f: (f / "meta.json").write_text("[" * 100_000),
    "a folder": lambda f: ((f / "val_labels.npy").unlink(), (f / "val_labels.npy").mkdir()),
    "a pipe": lambda f: ((f / "val_labels.npy").unlink(), os.mkfifo(f / "val_labels.npy")),
    "a pipe for meta": lambda f: ((f / "meta.json").unlink(), os.mkfifo(f / "meta.json")),
}


@pytest.mark.parametrize("what", HARMS)
def test_damaged_arrays_are_named_and_made_anew(pets, tmp_path, what):
    before = load(f"folder:{pets}", 16, root=tmp_path, progress=False)
    expected = [np.array(part.pixels) for part in (before.train, before.val)]
    (folder,) = tmp_path.glob("arrays/*/16")
    HARMS[what](folder)
    with pytest.warns(UserWarning, match=f"the arrays in {folder} are damaged .*: they are made anew"):
        again = load(f"folder:{pets}", 16, root=tmp_path, progress=False)
    assert again.classes == before.classes
    assert all(map(np.array_equal, expected, [part.pixels for part in (again.train, again.val)]))


# --- a camera's faults, and what is no picture's fault ---


@pytest.mark.parametrize("top", [900, 3300])
def test_a_hot_and_a_dead_dot_do_not_turn_the_scaling_off(tmp_path, top):
    folder = grey_folder(tmp_path / "deep", 300, top)
    for file in folder.rglob("*.png"):
        values = np.array(Image.open(file))
        values[0, 0], values[31, 31] = 65535, 0
        Image.fromarray(values).save(file)
    with pytest.warns(UserWarning, match="scaled by their own range"):
        pixels = load(f"folder:{folder}", 32, root=tmp_path, progress=False).train.pixels
    assert len(np.unique(pixels)) > 150
    assert 100 < np.median(pixels) < 160


def test_sixteen_bits_a_channel_that_stay_dark_are_said(pets, tmp_path):
    levels = np.random.default_rng(0).integers(0, 2**14, (32, 32, 3)).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in levels)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    (pets / "cat/deep.png").write_bytes(content)
    with pytest.warns(UserWarning, match="use less than half of them: save them in 8 bits: 1, the first is .*deep.png"):
        load(f"folder:{pets}", 32, root=tmp_path, progress=False)


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "jpg", "ppm"])
def test_a_dark_picture_of_8_bits_is_not_said_to_have_16(pets, end):
    dark = np.random.default_rng(0).integers(0, 100, (160, 160, 3), dtype=np.uint8)
    Image.fromarray(dark).save(pets / f"cat/dark.{end}")
    assert check(f"folder:{pets}", progress=False).findings == ()


def test_a_sound_orientation_survives_a_broken_text_chunk(pets):
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    noise().save(out, "PNG", exif=exif)
    whole = out.getvalue()
    body = b"a\0b"
    broken = struct.pack(">I", len(body)) + b"tEXt" + body + b"\0\0\0\1"
    (pets / "good.png").write_bytes(whole)
    (pets / "bad.png").write_bytes(whole[:33] + broken + whole[33:])
    assert np.array_equal(worker.square(pets / "bad.png", 32), worker.square(pets / "good.png", 32))
    assert not np.array_equal(worker.square(pets / "good.png", 32), np.asarray(noise()))


def test_a_film_that_is_cut_after_its_first_frame_is_its_first_frame(pets):
    frames = [Image.fromarray(np.random.default_rng(k).integers(0, 255, (32, 32, 3), dtype=np.uint8)) for k in range(4)]
    frames[0].save(pets / "cat/film.gif", save_all=True, append_images=frames[1:])
    whole = (pets / "cat/film.gif").read_bytes()
    expected = worker.square(pets / "cat/film.gif", 32)
    (pets / "cat/film.gif").write_bytes(whole[: int(len(whole) * 0.6)])
    assert np.array_equal(worker.square(pets / "cat/film.gif", 32), expected)


@pytest.mark.parametrize("kind", ["RGB", "I;16"])
def test_a_colour_that_is_named_transparent_is_white(tmp_path, kind):
    values = np.full((16, 16, 3), 90, np.uint8) if kind == "RGB" else np.full((16, 16), 9000, np.uint16)
    values[:, 8:] = (255, 0, 255) if kind == "RGB" else 500
    clear = (255, 0, 255) if kind == "RGB" else 500
    try:
        Image.fromarray(values).save(tmp_path / "a.png", transparency=clear)
    except OSError as error:
        pytest.skip(f"this Pillow can't write such a picture: {error}")
    pixels = worker.square(tmp_path / "a.png", 16)
    assert pixels[8, 14].tolist() == [255, 255, 255]
    assert pixels[8, 1].max() < 100


def test_postscript_is_no_picture_and_starts_no_other_program(pets, monkeypatch):
    (pets / "cat/page.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    (why,) = check(f"folder:{pets}", progress=False).damaged.values()
    assert "cannot identify" in why


def test_a_test_class_of_links_to_the_training_is_told_as_such(tmp_path, class_folders):
    folder = tmp_path / "pets"
    class_folders(folder / "train", count=3)
    class_folders(folder / "val", count=3)
    for file in (folder / "val/cat").iterdir():
        file.unlink()
        file.symlink_to(folder / "train/cat" / file.name)
    with pytest.raises(TransferlibError, match=r"val/cat.*link"):
        folders.source(folder)


def test_a_check_writes_nothing_into_the_pictures(pets, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(pets / "cat"))
    before = sorted(pets.rglob("*"))
    with pytest.raises(TransferlibError, match="which is read"):
        check(f"folder:{pets}", progress=False)
    assert sorted(pets.rglob("*")) == before
