from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlib.data import check, data_root, load, tiny_imagenet
from transferlib.errors import TransferlibError


def test_the_official_layout_is_read(tmp_path, tiny):
    folder = tiny()
    found = load("tiny-imagenet", 64, root=tmp_path, progress=False)
    assert found.classes == ("n01443537", "n02124075", "n04067472")  # sorted, whatever wnids.txt says
    assert found.names == ("goldfish", "Egyptian cat", "n04067472")  # the last one is not in words.txt
    assert found.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.val.labels.tolist() == [1, 0, 2, 0]
    for number, row in enumerate(found.val.pixels):
        assert np.array_equal(row, np.asarray(Image.open(folder / f"val/images/val_{number}.JPEG")))
    third = folder / "train/n02124075/images/n02124075_2.JPEG"
    assert np.array_equal(found.train.pixels[6], np.asarray(Image.open(third)))


def test_the_arrays_are_enough(tmp_path, tiny):
    folder = tiny()
    before = load("tiny-imagenet", 32, root=tmp_path, progress=False)
    shutil.rmtree(folder)
    after = load("tiny-imagenet", 32, root=tmp_path, progress=False)
    assert np.array_equal(before.train.pixels, after.train.pixels)


def _no_class_folder(folder: Path):
    shutil.rmtree(folder / "train/n02124075")


def _empty_class(folder: Path):
    for file in (folder / "train/n02124075/images").iterdir():
        file.unlink()


def _not_in_val(folder: Path):
    _without(folder / "val/val_annotations.txt", "n02124075")


def _not_in_train(folder: Path):
    _without(folder / "wnids.txt", "n02124075")


def _without(file: Path, word: str):
    file.write_text("\n".join(line for line in file.read_text().splitlines() if word not in line))


def _no_list(folder: Path):
    (folder / "wnids.txt").unlink()


def _no_annotations(folder: Path):
    (folder / "val/val_annotations.txt").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_class_folder, "class n02124075"),
        (_empty_class, "class n02124075"),
        (_not_in_val, "class n02124075 in train but not in val"),
        (_not_in_train, "class n02124075 in val but not in wnids.txt"),
        (_no_list, "no wnids.txt"),
        (_no_annotations, "no val/val_annotations.txt"),
    ],
)
def test_what_is_missing_is_named(tmp_path, tiny, spoil, message):
    spoil(tiny())
    with pytest.raises(TransferlibError, match=f"{message}.*fetch again") as caught:
        load("tiny-imagenet", 32, root=tmp_path, progress=False)
    assert "\n" not in str(caught.value)


def test_check_names_the_damaged(tmp_path, tiny):
    folder = tiny()
    file = folder / "train/n01443537/images/n01443537_1.JPEG"
    file.write_bytes(file.read_bytes()[:500])
    (folder / "val/images/val_2.JPEG").unlink()
    found = check("tiny-imagenet", root=tmp_path, progress=False)
    assert (found.classes, found.train, found.val) == (3, 12, 4)
    assert {Path(file).name for file in found.damaged} == {"n01443537_1.JPEG", "val_2.JPEG"}


ARRAYS = data_root() / "arrays/tiny-imagenet/64/meta.json"
FOLDER = data_root() / tiny_imagenet.FOLDER


@pytest.mark.tiny_imagenet
@pytest.mark.skipif(
    not (ARRAYS.exists() and FOLDER.exists()),
    reason="needs Tiny ImageNet: transferlib.data.load('tiny-imagenet', 64) gets and decodes it",
)
def test_the_real_one():
    start = time.perf_counter()
    found = load("tiny-imagenet", 64)
    assert time.perf_counter() - start < 2
    assert found.train.pixels.shape == (100_000, 64, 64, 3)
    assert found.val.pixels.shape == (10_000, 64, 64, 3)
    assert np.array_equal(np.bincount(found.train.labels), np.full(200, 500))
    assert np.array_equal(np.bincount(found.val.labels), np.full(200, 50))
    assert len(set(found.classes)) == 200
    assert found.names[found.classes.index("n02124075")] == "Egyptian cat"
    truth = [line.split("\t") for line in (FOLDER / "val/val_annotations.txt").read_text().splitlines()]
    for number in random.Random(0).sample(range(10_000), 50):
        file, wnid = truth[number][:2]
        assert found.classes[found.val.labels[number]] == wnid
        picture = Image.open(FOLDER / "val/images" / file).convert("RGB")
        assert np.array_equal(found.val.pixels[number], np.asarray(picture))
    for label in (0, 77, 199):  # 500 a class, in the order of their names
        file = sorted((FOLDER / "train" / found.classes[label] / "images").iterdir())[123]
        expected = np.asarray(Image.open(file).convert("RGB"))
        assert np.array_equal(found.train.pixels[500 * label + 123], expected)
