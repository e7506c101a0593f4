"""Near copies across the cut, the cut itself, and the interpolation that a network asks for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from transferlib.data import folders, load, near, snapshot, worker


def split_pets(folder, class_folders):
    for split in ("train", "val"):
        class_folders(folder / split, count=10, suffix=".png")
    return folder


def saved_again(file, to, change):
    pixels = np.asarray(Image.open(file).convert("RGB")).astype(int)
    Image.fromarray(np.clip(pixels + change, 0, 255).astype(np.uint8)).save(to)


def opened(folder, root):
    return {f.what: f.files for f in load(f"folder:{folder}", 32, root=root, progress=False).findings}


def test_a_test_picture_that_was_only_saved_again_is_named_with_its_like(tmp_path, class_folders):
    pets = split_pets(tmp_path / "pets", class_folders)
    saved_again(pets / "train/cat/003.png", pets / "val/dog/like.png", np.random.default_rng(0).integers(-4, 5, 3))
    with pytest.warns(UserWarning, match="nearly the same as a training picture"):
        found = opened(pets, tmp_path)
    assert found == {near.NEAR: (f"{pets}/val/dog/like.png (like {pets}/train/cat/003.png)",)}


def test_other_pictures_are_not_named_and_exact_copies_are_told_of_elsewhere(tmp_path, class_folders):
    pets = split_pets(tmp_path / "pets", class_folders)
    saved_again(pets / "train/cat/003.png", pets / "val/cat/same.png", 0)
    with pytest.warns(UserWarning, match="pixel by pixel"):
        found = opened(pets, tmp_path)
    assert near.NEAR not in found and len(found) == 1


def test_pictures_of_one_colour_are_not_alike(tmp_path):
    for split, level in (("train", 90), ("val", 120)):
        for name, colour in (("cat", (level, 0, 0)), ("dog", (0, level, 0))):
            (tmp_path / "plain" / split / name).mkdir(parents=True)
            for number in range(2):
                shade = tuple(c + number for c in colour)
                Image.new("RGB", (20, 20), shade).save(tmp_path / "plain" / split / name / f"{number}.png")
    assert near.NEAR not in opened(tmp_path / "plain", tmp_path)


@pytest.mark.parametrize(("pictures", "tests"), [(2, 1), (5, 1), (9, 2), (40, 8)])
def test_every_class_gives_a_fifth_to_the_test(tmp_path, class_folders, pictures, tests):
    listed = folders.source(class_folders(tmp_path / "pets", count=pictures, suffix=".png"))
    assert [listed.val.labels.count(label) for label in (0, 1)] == [tests, tests]
    assert [listed.train.labels.count(label) for label in (0, 1)] == [pictures - tests] * 2
    assert listed == folders.source(tmp_path / "pets")


def test_a_new_picture_moves_at_most_one_other(tmp_path, class_folders, draw):
    pets = class_folders(tmp_path / "pets", count=30, suffix=".png")
    for number in range(20):
        before = set(folders.source(pets).val.files)
        new = str(draw(pets / "cat" / f"new{number}.png", 7000 + number))
        after = set(folders.source(pets).val.files)
        assert len((before ^ after) - {new}) <= 1


@pytest.mark.parametrize("way", ["bilinear", "bicubic"])
def test_a_folders_pictures_are_resized_as_a_network_wants_them(tmp_path, monkeypatch, way):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "data"))
    noise = np.random.default_rng(3)  # in which interpolations differ
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(5):
            file = tmp_path / "pets" / name / f"{number}.png"
            Image.fromarray(noise.integers(0, 256, (50, 60, 3), np.uint8)).save(file)
    taken = [snapshot(f"folder:{tmp_path / 'pets'}", 20, asked) for asked in (way, "lanczos")]
    filters = Image.Resampling[way.upper()]
    expected = np.asarray(Image.open(file).crop((5, 0, 55, 50)).resize((20, 20), filters), int)
    parts = [part.pixels.astype(int) for part in (taken[0].dataset.train, taken[0].dataset.val)]
    assert min(np.abs(pixels - expected)[3:-3, 3:-3].max() for part in parts for pixels in part) <= 1  # but at the edge
    assert taken[0].version != taken[1].version  # other pixels are another run
    assert taken[1].version == snapshot(f"folder:{tmp_path / 'pets'}", 20).version
    assert np.abs(worker.square(file, 20).astype(int) - expected).max() > 1
