from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import transferlib.data
from transferlib.data import cache, check, decoding, folders, load, worker
from transferlib.errors import TransferlibError


def _open(folder: Path, root: Path, resolution: int = 16):
    return load(f"folder:{folder}", resolution, root=root, progress=False)


@pytest.fixture
def decodes(monkeypatch):
    """Count the calls that decode pictures."""
    calls = []
    original = decoding.decode
    monkeypatch.setattr(cache, "decode", lambda *args, **more: calls.append(args) or original(*args, **more))
    return calls


def test_pixels_and_labels_are_those_of_the_files(tmp_path, class_folders):
    folder = class_folders(tmp_path / "pets", ("dog", "ant", "cat"), 10, ".png")
    found = _open(folder, tmp_path)
    assert found.classes == found.names == ("ant", "cat", "dog")
    assert found.groups == (None, None, None)
    assert found.train.pixels.dtype == np.uint8
    assert found.train.labels.dtype == np.int64
    assert not found.train.pixels.flags.writeable
    listed = folders.source(folder)
    for images, listing in ((found.train, listed.train), (found.val, listed.val)):
        assert [found.classes[label] for label in images.labels] == [Path(f).parent.name for f in listing.files]
        for row, file in zip(images.pixels, listing.files, strict=True):
            expected = Image.open(file).resize((16, 16), Image.Resampling.LANCZOS)
            assert np.abs(row.astype(int) - np.asarray(expected, int)).max() <= 1


def test_train_and_val_are_used_where_they_exist(tmp_path, class_folders):
    class_folders(tmp_path / "pets/train", count=6)
    class_folders(tmp_path / "pets/val", count=3)
    found = _open(tmp_path / "pets", tmp_path)
    assert found.train.labels.tolist() == [0] * 6 + [1] * 6
    assert found.val.labels.tolist() == [0] * 3 + [1] * 3


def _val_names(folder: Path) -> set[str]:
    return {file.removeprefix(str(folder)) for file in folders.source(folder).val.files}


def test_a_new_picture_moves_no_other_one(tmp_path):
    folder = tmp_path / "many"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(0, 400, 2):
            (folder / name / f"{number}.jpg").touch()
    before, everything = _val_names(folder), 400
    assert 0.15 * everything < len(before) < 0.25 * everything
    for number in range(1, 400, 2):
        (folder / "a" / f"{number}.jpg").touch()
    after = _val_names(folder)
    assert before < after
    assert all(int(Path(name).stem) % 2 for name in after - before)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_small_class_is_in_both_splits(tmp_path, class_folders, count):
    listed = folders.source(class_folders(tmp_path / "few", ("a", "b", "c", "d"), count))
    assert set(listed.train.labels) == set(listed.val.labels) == {0, 1, 2, 3}
    assert not set(listed.train.files) & set(listed.val.files)
    assert len(listed.train.files) + len(listed.val.files) == 4 * count


def test_damaged_pictures_are_named_and_left_out(tmp_path, class_folders, draw):
    folder = class_folders(tmp_path / "pets", count=15, suffix=".jpg")
    draw(folder / "cat/grey.jpg", 70, mode="L")
    draw(folder / "cat/cmyk.jpg", 71, mode="CMYK")
    listed = folders.source(folder)
    cut = Path(listed.train.files[0])
    cut.write_bytes(cut.read_bytes()[:-300])
    with pytest.warns(UserWarning, match=rf"pictures cannot be decoded and are left out: 1, the first is .*{cut.name}"):
        found = _open(folder, tmp_path)
    assert len(found.train.labels) + len(found.val.labels) == 31
    rows = {row.tobytes() for row in found.train.pixels}
    kept = [(file, label) for file, label in zip(listed.train.files, listed.train.labels, strict=True)][1:]
    assert rows == {worker.square(file, 16).tobytes() for file, _ in kept}
    label_of = {worker.square(file, 16).tobytes(): label for file, label in kept}
    assert [label_of[row.tobytes()] for row in found.train.pixels] == found.train.labels.tolist()
    meta = json.loads(next(tmp_path.glob("arrays/*/16/meta.json")).read_text())
    assert list(meta["damaged"]) == [str(cut)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _open(folder, tmp_path)  # once is enough


@pytest.mark.parametrize("bad", [[0], [9], [0, 3, 9], [7, 8, 9], [3, 8]])
def test_gaps_are_closed_wherever_they_are(tmp_path, bad):
    path, shape = tmp_path / "a.npy", (10, 2, 2, 3)
    rows = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones(shape[1:], np.uint8)
    np.save(path, rows)
    offset = path.stat().st_size - rows.nbytes
    kept = cache._close_gaps(path, shape, offset, bad)
    assert sorted(kept) == sorted(set(range(10)) - set(bad))
    assert np.array_equal(np.load(path), rows[kept])


def test_too_many_damaged_pictures_are_an_error(tmp_path, class_folders):
    folder = class_folders(tmp_path / "pets", count=5)
    for number in (0, 1):
        (folder / f"cat/{number:03}.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(TransferlibError, match=r"2 of 10 pictures cannot be decoded, the first is .*00[01]\.jpg"):
        _open(folder, tmp_path)
    assert not list(tmp_path.glob("arrays/*/16*/*.npy"))


def test_a_class_that_loses_all_its_pictures_is_an_error(tmp_path, class_folders, draw):
    class_folders(tmp_path / "pets/train", count=12)
    class_folders(tmp_path / "pets/val", count=1)
    (tmp_path / "pets/val/dog/000.jpg").write_bytes(b"")
    with pytest.raises(TransferlibError, match="no picture of class dog in val can be decoded"):
        _open(tmp_path / "pets", tmp_path)


def test_the_second_time_nothing_is_decoded(tmp_path, class_folders, decodes):
    folder = class_folders(tmp_path / "pets")
    first = _open(folder, tmp_path)
    assert len(decodes) == 2  # one per split
    second = _open(folder, tmp_path)
    assert len(decodes) == 2
    assert np.array_equal(first.train.pixels, second.train.pixels)
    _open(folder, tmp_path, resolution=8)
    assert len(decodes) == 4


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "replaced"])
def test_a_changed_folder_is_decoded_anew(tmp_path, class_folders, draw, decodes, change):
    folder = class_folders(tmp_path / "pets")
    before = _open(folder, tmp_path)
    file = folder / "cat/003.jpg"
    if change == "added":
        draw(folder / "cat/new.jpg", 50)
    elif change == "removed":
        file.unlink()
    elif change == "renamed":
        file.rename(folder / "dog/zzz.jpg")
    else:
        draw(file, 51)
    after = _open(folder, tmp_path)
    assert len(decodes) == 4
    kept = [np.sort([row.tobytes() for i in (s.train, s.val) for row in i.pixels]) for s in (before, after)]
    assert (change == "renamed") == np.array_equal(*kept)
    total = {"added": 21, "removed": 19}.get(change, 20)
    assert len(after.train.labels) + len(after.val.labels) == total


@pytest.mark.parametrize("name", ["meta.json", "train_pixels.npy", "val_labels.npy"])
@pytest.mark.parametrize("left", [0, 40])
def test_a_damaged_cache_is_made_anew(tmp_path, class_folders, decodes, name, left):
    folder = class_folders(tmp_path / "pets")
    before = np.array(_open(folder, tmp_path).train.pixels)
    file = next(tmp_path.glob(f"arrays/*/16/{name}"))
    file.write_bytes(file.read_bytes()[:left])
    with pytest.warns(UserWarning, match="the arrays in .* are damaged .*: they are made anew"):
        again = _open(folder, tmp_path)
    assert np.array_equal(again.train.pixels, before)
    assert len(decodes) == 4


def test_what_a_killed_process_left_is_swept(tmp_path, class_folders):
    folder = class_folders(tmp_path / "pets")
    _open(folder, tmp_path)
    arrays = next(tmp_path.glob("arrays/*/16"))
    arrays.rename(arrays.with_name("16.part"))
    (arrays.with_name("16.part") / "train_pixels.npy").write_bytes(b"half")
    _open(folder, tmp_path)
    assert sorted(path.name for path in arrays.parent.iterdir()) == ["16", "16.lock"]


def test_two_processes_at_once_decode_once(tmp_path, class_folders):
    # A script on the standard input, without a main guard, and enough pictures for several workers.
    folder = class_folders(tmp_path / "pets", count=100)
    script = (
        "from pathlib import Path\nfrom transferlib import progress\nfrom transferlib.data import load\n"
        "progress.LOG_SECONDS = 0\n"
        f"found = load({f'folder:{folder}'!r}, 16, root=Path({str(tmp_path)!r}))\n"
        "print(int(found.train.pixels.sum()), int(found.val.pixels.sum()))\n"
    )
    package = str(Path(transferlib.data.__file__).parents[2])
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    both = [
        subprocess.Popen([sys.executable, "-"], text=True, env=os.environ | {"PYTHONPATH": package}, **pipes)
        for _ in range(2)
    ]
    for process in both:
        process.stdin.write(script)
        process.stdin.close()
    told = [(process.stdout.read(), process.stderr.read()) for process in both]
    for process in both:
        process.stdout.close()
        process.stderr.close()
    assert [process.wait() for process in both] == [0, 0], told
    listed = folders.source(folder)
    sums = [sum(int(worker.square(f, 16).sum()) for f in part.files) for part in (listed.train, listed.val)]
    assert [out.split() for out, _ in told] == [[str(number) for number in sums]] * 2
    assert sorted("train, 16 px" in err for _, err in told) == [False, True]  # only one decoded


def _no_folder(folder):
    shutil.rmtree(folder)


def _one_class(folder):
    shutil.rmtree(folder / "dog")


def _empty_class(folder):
    for file in (folder / "dog").iterdir():
        file.unlink()


def _no_pictures(folder):
    _empty_class(folder)
    (folder / "dog/notes.txt").write_text("none")


def _only_one_picture(folder):
    for file in sorted((folder / "dog").iterdir())[1:]:
        file.unlink()


def _only_train(folder):
    (folder / "dog").rename(folder / "train")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_folder, "no folder"),
        (_one_class, "at least two class folders in .*, got 1"),
        (_empty_class, "no pictures in class folder .*dog"),
        (_no_pictures, "no pictures in class folder .*dog"),
        (_only_one_picture, "dog/000.jpg is the only picture of its class"),
        (_only_train, "has train/ only"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(tmp_path, class_folders, spoil, message):
    folder = class_folders(tmp_path / "pets", count=3)
    spoil(folder)
    with pytest.raises(TransferlibError, match=message) as caught:
        _open(folder, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("split", "other"), [("train", "val"), ("val", "train")])
def test_a_class_in_one_split_only_is_named(tmp_path, class_folders, split, other):
    class_folders(tmp_path / "pets" / split, ("cat", "dog", "emu"), 2)
    class_folders(tmp_path / "pets" / other, ("cat", "dog"), 2)
    with pytest.raises(TransferlibError, match=rf"class emu is in .*/{split} but not in {other}/"):
        _open(tmp_path / "pets", tmp_path)


@pytest.mark.parametrize("kind", ["HEIC", "heif", "avif", "jxl", "jp2", "dng"])
def test_a_picture_of_a_kind_that_is_not_read_is_named(tmp_path, class_folders, kind):
    folder = class_folders(tmp_path / "pets", count=3)
    (folder / f"dog/.hidden.{kind}").write_bytes(b"no picture")
    assert len(folders.pictures(folder)) == 6
    (folder / f"dog/IMG_2.{kind}").write_bytes(b"a telephone's")
    (folder / f"dog/IMG_1.{kind}").write_bytes(b"a telephone's")
    with pytest.raises(TransferlibError, match=rf"dog/IMG_1.{kind} is of a kind that is not read: convert it"):
        _open(folder, tmp_path)


def test_hidden_and_other_files_are_no_pictures(tmp_path, class_folders):
    folder = class_folders(tmp_path / "pets", count=4)
    (folder / "cat/.DS_Store").write_bytes(b"x")
    (folder / "cat/._000.jpg").write_bytes(b"x")
    (folder / "cat/notes.txt").write_bytes(b"x")
    (folder / ".git").mkdir()
    assert check(f"folder:{folder}", progress=False).damaged == {}
    assert len(folders.source(folder).train.files + folders.source(folder).val.files) == 8


def test_check_counts_and_names_the_damaged(tmp_path, class_folders):
    folder = class_folders(tmp_path / "pets", count=4)
    (folder / "cat/002.jpg").write_bytes(b"no picture")
    (folder / "dog/nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    found = check(f"folder:{folder}", root=tmp_path, progress=False)
    assert (found.classes, found.train + found.val) == (2, 9)
    assert set(found.damaged) == {f"{folder}/cat/002.jpg", f"{folder}/dog/nowhere.jpg"}
    assert f"2 damaged, in {folder}" in str(found)
    assert "cat/002.jpg" in str(found)


def test_space_is_checked_before_decoding(tmp_path, class_folders, monkeypatch, decodes):
    folder = class_folders(tmp_path / "pets")
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(TransferlibError, match=r"needs 0\.0 GiB in .*, which has 0\.0 GiB free: make room"):
        _open(folder, tmp_path)
    assert not decodes


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(tmp_path, class_folders):
    folder = class_folders(tmp_path / "pets")
    (folder / "cat").chmod(0)
    try:
        with pytest.raises(TransferlibError, match=r"no permission for .*cat"):
            _open(folder, tmp_path)
    finally:
        (folder / "cat").chmod(0o755)


def test_train_and_val_by_other_names_are_not_taken_for_classes(tmp_path):
    for part in ("Training", "Validation"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
    with pytest.raises(TransferlibError, match="two folders named train and val"):
        folders.source(tmp_path)


def test_the_home_of_a_user_who_does_not_exist_is_no_folder():
    with pytest.raises(TransferlibError, match="no folder ~nosuchuser/x"):
        load("folder:~nosuchuser/x", 16)
