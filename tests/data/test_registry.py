"""One object for each data set: what it declares, and that one more, registered in one place, is known everywhere."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from small_studies import small_study

from transferlib.cli import main
from transferlib.costs import images_of
from transferlib.data import (
    DATASETS,
    Dataset,
    Images,
    Provider,
    Size,
    catalogue,
    check,
    data_root,
    fetch,
    load,
    lookup,
    register,
    shapes,
    snapshot,
)
from transferlib.errors import TransferlibError
from transferlib.executors import run_study
from transferlib.executors.graph import Graph
from transferlib.measuring import measure
from transferlib.splits import make_split
from transferlib.store import Store

PUBLISHED = [name for name in DATASETS if not name.startswith("folder:")]


class Toy(Provider):
    """Stripes: the direction is the class, the rest is noise."""

    name = "toy"
    description = "4 classes of stripes"
    obtained = "drawn by a test"

    def size(self):
        return Size(images=160, classes=4)

    def load(self, root, resolution, progress, similarity):
        random = np.random.default_rng(0)
        train, val = (self.drawn(random, resolution, count) for count in (40, 20))
        classes = ("down", "left", "right", "up")
        return Dataset(self.name, resolution, classes, classes, (None,) * 4, train, val)

    @staticmethod
    def drawn(random, resolution, count):
        labels = np.repeat(np.arange(4), count)
        pixels = random.integers(0, 60, (4 * count, resolution, resolution, 3), dtype=np.uint8)
        for label in range(4):
            rows = pixels[labels == label]
            (rows[:, :: label + 2] if label % 2 else rows[:, :, :: label + 2])[:] += 150
            pixels[labels == label] = rows
        return Images(pixels, labels)


@pytest.fixture
def known():
    """Register data sets, and forget them again."""
    before = dict(DATASETS)
    yield register
    DATASETS.clear()
    DATASETS.update(before)


@pytest.fixture
def toy(known, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    known(Toy())


# --- what is declared ---


def test_the_five_are_listed_in_their_order():
    assert list(DATASETS) == ["shapes", "tiny-imagenet", "cifar100", "imagenet", "folder:PATH"]
    assert all(provider.description and provider.obtained for provider in DATASETS.values())
    assert all(provider.name == name for name, provider in DATASETS.items())


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_data_set_declares_its_size(name):
    size = lookup(name).size()
    assert size.images >= 100 * size.classes >= 2000
    assert (size.half.images, size.half.classes) == (size.images // 2, size.classes // 2)


def test_the_size_of_shapes_is_that_of_its_data(tmp_path):
    opened = load("shapes", 8, root=tmp_path)
    assert lookup("shapes").size() == Size(len(opened.train.labels), len(opened.classes))
    halves = lookup("shapes").halves()
    assert sorted((*halves[0], *halves[1])) == list(opened.classes)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "shapes"])
def test_the_size_of_another_is_that_of_its_data_where_they_are_here(name):
    resolutions = [int(meta.parent.name) for meta in data_root().glob(f"arrays/{name}/*/meta.json")]
    if not resolutions:
        pytest.skip(f"no arrays of {name} in {data_root()}")
    opened = load(name, resolutions[0])
    assert lookup(name).size() == Size(len(opened.train.labels), len(opened.classes))


def test_the_size_of_a_folder_is_counted_in_its_list_and_no_picture_is_opened(tmp_path):
    for split, count in (("train", 7), ("val", 3)):
        for name in ("cat", "cup", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                (tmp_path / split / name / f"{number}.png").write_bytes(b"no picture")
    assert lookup(f"folder:{tmp_path}").size() == Size(images=21, classes=3)
    study = dataclasses.replace(small_study("base"), dataset=f"folder:{tmp_path}")
    assert images_of(study) == 2 * 10  # two epochs of a half


def test_a_data_set_that_declares_no_size_is_not_registered(known):
    class Sizeless(Provider):
        name, description, obtained = "sizeless", "x", "x"

        def load(self, root, resolution, progress, similarity):
            raise AssertionError

    with pytest.raises(TransferlibError, match="data set sizeless declares no size"):
        known(Sizeless())
    assert "sizeless" not in DATASETS


@pytest.mark.parametrize("size", [Size(0, 4), Size(100, 1)])
def test_a_size_that_is_none_is_refused(known, size):
    with pytest.raises(TransferlibError, match="expected images and at least 2 classes"):
        known(type("Toy", (Toy,), {"size": lambda self: size})())


@pytest.mark.parametrize("lacking", ["name", "description", "obtained"])
def test_a_data_set_without_words_is_not_registered(known, lacking):
    with pytest.raises(TransferlibError, match=f"data set Mute declares no {lacking}"):
        known(type("Mute", (Toy,), {lacking: ""})())


@pytest.mark.parametrize("name", ["shapes", "folder:mine"])
def test_the_name_of_another_data_set_is_refused_but_a_cell_may_be_run_twice(known, name):
    with pytest.raises(TransferlibError, match=f"another data set has the name {name}"):
        known(type("Other", (Toy,), {"name": name})())
    assert isinstance(lookup("shapes"), shapes.Shapes)
    for _ in range(2):
        known(Toy())


# --- what names the runs ---


def test_what_has_a_fixed_version_is_named_without_being_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path))  # there is nothing here
    found = {name: snapshot(name, 64) for name in PUBLISHED}
    assert {name: (one.name, one.version) for name, one in found.items()} == {
        name: (name, shapes.VERSION if name == "shapes" else 0) for name in PUBLISHED
    }
    assert not any(one.dataset or one.changed() for one in found.values())
    assert not list(tmp_path.iterdir())


# --- one more ---


def test_a_new_data_set_is_opened_checked_and_listed(toy, capsys):
    opened = load("toy", 16)
    assert opened.train.pixels.shape == (160, 16, 16, 3)
    assert str(check("toy")).startswith("toy: 4 classes, 160 training and 80 validation images, 0 damaged")
    assert catalogue("toy").classes == opened.classes
    assert fetch("toy") == data_root()
    assert main(["data", "list"]) == main(["data", "check", "toy"]) == main(["data", "fetch", "toy"]) == 0
    assert "toy            4 classes of stripes; drawn by a test" in capsys.readouterr().out
    with pytest.raises(TransferlibError, match=r"expected one of shapes, .*, toy"):
        load("toys", 16)


def test_a_new_data_set_is_split_and_has_a_dial_where_it_says_so(toy, known):
    opened = load("toy", 16)
    split = make_split(opened, "random:0")
    assert sorted(split.A + split.B) == list(opened.classes)
    with pytest.raises(TransferlibError, match="only shapes has a similarity dial, not toy"):
        make_split(opened, "similarity:0.5")
    with pytest.raises(TransferlibError, match="similarity is for shapes only: leave it out for toy"):
        load("toy", 16, similarity=0.5)
    halves = ("down", "left"), ("right", "up")
    known(type("Toy", (Toy,), {"halves": lambda self: halves})())
    split = make_split(opened, "similarity:0.5")
    assert halves == (split.A, split.B)
    assert load("toy", 16, similarity=0.5)


def test_the_doctor_reckons_with_a_new_data_sets_size(toy):
    study = dataclasses.replace(small_study("base", epochs=3), dataset="toy")
    assert Graph.whole(study).total == pytest.approx(3 * 80)
    assert Graph.whole(dataclasses.replace(study, images_per_class=10)).total == pytest.approx(3 * 20)


def test_a_new_data_set_is_trained_on_and_its_runs_are_listed(toy, tmp_path, capsys):
    store = str(tmp_path / "store")
    asked = ["--dataset", "toy", "--treatments", "base,A3B", "--epochs", "1", "--device", "cpu"]
    assert main(["run", "--profile", "smoke", "--store", store, *asked]) == 0
    assert main(["results", "--store", store, "--csv", str(tmp_path / "runs.csv")]) == 0
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert set(runs["dataset"]) == {"toy"} and sorted(runs["treatment"]) == ["A3B", "base", "base"]
    assert main(["status", "--store", store]) == 0
    assert "toy 32 px, alexnet32-tiny, 1 epochs, random:0, target B: AnB n = 3" in capsys.readouterr().out


def test_a_new_data_set_can_be_a_source(toy, tmp_path, class_folders):
    target = f"folder:{class_folders(tmp_path / 'mine', count=6, suffix='.png')}"
    measured = measure("toy", target, tmp_path / "store", seeds=1, epochs=1, device="cpu")
    assert "source  toy: 4 classes, 160 training and 80 test pictures" in measured.about


def test_a_data_set_is_opened_once_for_all_families_of_a_study(toy, tmp_path, monkeypatch):
    opened, real = [], Toy.load
    monkeypatch.setattr(Toy, "load", lambda *args: opened.append(args) or real(*args))
    study = dataclasses.replace(small_study("base,A3B,B3B+", epochs=1), dataset="toy")
    run_study(study, Store(tmp_path / "store"), device="cpu")
    assert len(opened) == 1


WRONG = {
    "pixels of another kind": (lambda d: with_pixels(d, d.train.pixels.astype(np.float32)), "got float32"),
    "another side": (lambda d: with_pixels(d, d.train.pixels[:, ::2, ::2]), r"got uint8 \(160, 8, 8, 3\)"),
    "channels first": (lambda d: with_pixels(d, d.train.pixels.transpose(0, 3, 1, 2)), r"\(160, 3, 16, 16\)"),
    "fewer pictures": (lambda d: with_pixels(d, d.train.pixels[:-5]), r"uint8 \(160, 16, 16, 3\), got"),
    "labels out of range": (lambda d: with_labels(d, d.train.labels + 1), r"of every class 0\.\.3"),
    "a class without pictures": (lambda d: with_labels(d, d.train.labels // 2), r"of every class 0\.\.3"),
    "labels of another kind": (lambda d: with_labels(d, d.train.labels.astype(np.int32)), "labels int64"),
    "a class twice": (lambda d: dataclasses.replace(d, classes=("a",) * 4), "expected classes that differ"),
    "no groups": (lambda d: dataclasses.replace(d, groups=()), "a group for each"),
}


def with_pixels(dataset, pixels):
    return dataclasses.replace(dataset, train=Images(pixels, dataset.train.labels))


def with_labels(dataset, labels):
    return dataclasses.replace(dataset, train=Images(dataset.train.pixels, labels))


@pytest.mark.parametrize("what", WRONG)
def test_a_data_set_that_gives_what_it_must_not_is_refused(toy, monkeypatch, what):
    change, words = WRONG[what]
    real = Toy.load
    monkeypatch.setattr(Toy, "load", lambda *args: change(real(*args)))
    with pytest.raises(TransferlibError, match=f"data set toy: .*{words}"):
        load("toy", 16)
