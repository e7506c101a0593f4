from __future__ import annotations

import errno
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlib.data import DATASETS, cache, check, cifar, data_root, fetch, imagenet, load, shapes
from transferlib.errors import TransferlibError


@pytest.fixture
def cifar_files(tmp_path, monkeypatch):
    """Write CIFAR-100's files with 3 classes, and tell torchvision their checksums."""
    from torchvision.datasets import CIFAR100

    folder = tmp_path / "cifar100/cifar-100-python"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    for name, labels in (("train", [2, 0, 1, 2, 0, 1, 1]), ("test", [1, 2, 0])):
        pixels = random.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
        md5 = write(name, {"data": pixels, "fine_labels": labels})
        monkeypatch.setattr(CIFAR100, f"{name}_list", [[name, md5]])
    md5 = write("meta", {"fine_label_names": ["apple", "lawn_mower", "wolf"]})
    monkeypatch.setattr(CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": md5})
    return folder


def test_cifar100_is_read(tmp_path, cifar_files):
    found = load("cifar100", 32, root=tmp_path, progress=False)
    assert found.classes == ("apple", "lawn_mower", "wolf")
    assert found.names == ("apple", "lawn mower", "wolf")
    assert found.groups == ("natural", "man-made", "natural")
    assert found.train.labels.tolist() == [2, 0, 1, 2, 0, 1, 1]
    assert found.val.labels.tolist() == [1, 2, 0]
    raw = pickle.loads((cifar_files / "test").read_bytes())["data"]
    red, green, blue = raw[1].reshape(3, 32, 32)  # the original keeps one plane after another
    assert np.array_equal(found.val.pixels[1], np.stack([red, green, blue], 2))
    assert isinstance(found.train.pixels, np.memmap)


def test_cifar100_is_resized_and_cached(tmp_path, cifar_files):
    full = load("cifar100", 32, root=tmp_path, progress=False).val.pixels[0]
    for file in cifar_files.iterdir():
        file.rename(file.with_suffix(".away"))
    with pytest.raises(TransferlibError, match="missing or damaged"):
        check("cifar100", root=tmp_path)
    assert np.array_equal(load("cifar100", 32, root=tmp_path).val.pixels[0], full)
    for file in cifar_files.iterdir():
        file.rename(file.with_suffix(""))
    half = load("cifar100", 16, root=tmp_path, progress=False).val.pixels[0]
    assert np.array_equal(half, np.asarray(Image.fromarray(full).resize((16, 16), Image.Resampling.LANCZOS)))
    assert str(check("cifar100", root=tmp_path)).startswith("cifar100: 3 classes, 7 training and 3 validation")


def test_cifar100_without_network_tells_where_to_put_it(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, "url", "http://127.0.0.1:9/cifar-100-python.tar.gz")
    with pytest.raises(TransferlibError, match=r"cannot download CIFAR-100 .*check the network, or unpack"):
        fetch("cifar100", root=tmp_path, progress=False)


def test_thirty_classes_of_cifar100_are_man_made():
    assert len(cifar.MAN_MADE) == 30  # six superclasses of five


def _imagenet(root, draw, classes=("n01440764", "n02124075", "n03000684")):
    for split, count in (("train", 4), ("val", 2)):
        for label, wnid in enumerate(classes):
            for number in range(count):
                draw(root / f"imagenet/{split}/{wnid}/{wnid}_{number}.JPEG", 10 * label + number, (90, 70))
    return root / "imagenet"


def test_imagenet_is_read(tmp_path, draw):
    folder = _imagenet(tmp_path, draw)
    (folder / "words.txt").write_text("n01440764\ttench, Tinca tinca\n")
    found = load("imagenet", 32, root=tmp_path, progress=False)
    assert found.classes == ("n01440764", "n02124075", "n03000684")
    assert found.names == ("tench", "n02124075", "n03000684")
    assert found.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.val.labels.tolist() == [0, 0, 1, 1, 2, 2]
    middle = Image.open(folder / "val/n02124075/n02124075_0.JPEG").crop((10, 0, 80, 70))
    expected = np.asarray(middle.resize((32, 32), Image.Resampling.LANCZOS), int)
    assert np.abs(found.val.pixels[2] - expected).max() <= 1


def test_all_classes_of_imagenet_have_names(tmp_path, monkeypatch):
    for split in ("train", "val"):
        for number in range(1000):
            (tmp_path / f"{split}/n{number:08}").mkdir(parents=True)
    monkeypatch.setattr("transferlib.data.folders.pictures", lambda folder, left: [f"{folder}/a.JPEG"])
    names = imagenet.source(tmp_path).names
    assert (len(names), names[0], names[285]) == (1000, "tench", "Egyptian cat")


def test_a_class_that_came_to_imagenet_is_decoded(tmp_path, draw):
    folder = _imagenet(tmp_path, draw)
    load("imagenet", 16, root=tmp_path, progress=False)
    for split in ("train", "val"):
        draw(folder / split / "n01500000/a.JPEG", 7)
    assert len(load("imagenet", 16, root=tmp_path, progress=False).classes) == 4
    folder.rename(tmp_path / "away")
    assert len(load("imagenet", 16, root=tmp_path, progress=False).classes) == 4  # the arrays are enough


def test_imagenet_that_is_not_there_tells_how_to_get_it(tmp_path, draw):
    for call in (lambda: fetch("imagenet", root=tmp_path), lambda: load("imagenet", 32, root=tmp_path)):
        with pytest.raises(TransferlibError, match=r"no .*imagenet/train: get .* from image-net.org"):
            call()


def test_a_class_in_one_split_of_imagenet_is_named(tmp_path, draw):
    folder = _imagenet(tmp_path, draw)
    draw(folder / "val/n09999999/a.JPEG", 1)
    with pytest.raises(TransferlibError, match=r"class n09999999 is in .*val but not in train/"):
        load("imagenet", 32, root=tmp_path, progress=False)


@pytest.fixture
def drawn(monkeypatch):
    """Stand in for the drawing of shapes; gives the list of what was asked for."""
    asked = []

    def draw(resolution=32, similarity=1.0):
        asked.append((resolution, similarity))
        pixels = np.full((4, resolution, resolution, 3), round(100 * similarity), np.uint8)
        labels = np.array([0, 1, 0, 1])
        return (
            ("leaf", "gear"),
            ("leaf", "gear"),
            ("natural", "man-made"),
            pixels,
            labels,
            pixels[:2],
            labels[:2],
        )

    monkeypatch.setattr(shapes, "draw", draw)
    monkeypatch.setattr(shapes, "VERSION", 3)
    return asked


def test_shapes_are_drawn_once_for_each_similarity(tmp_path, drawn):
    for similarity in (None, 1, 0.25, 0.25):
        found = load("shapes", 16, similarity=similarity, root=tmp_path)
    assert drawn == [(16, 1.0), (16, 0.25)]
    assert int(found.train.pixels.max()) == 25
    assert found.groups == ("natural", "man-made")
    assert found.train.labels.dtype == np.int64
    assert (tmp_path / "arrays/shapes/16-s0.25-v3").is_dir()
    assert "2 classes, 4 training and 2 validation images, 0 damaged" in str(check("shapes", root=tmp_path))


def test_what_is_there_need_not_be_fetched(tmp_path, tiny):
    assert fetch("shapes", root=tmp_path) == tmp_path
    folder = tiny(tmp_path)
    assert fetch("tiny-imagenet", root=tmp_path) == folder


@pytest.mark.parametrize("similarity", [-0.1, 1.01, float("nan")])
def test_similarity_has_a_range(tmp_path, similarity):
    with pytest.raises(TransferlibError, match=r"expected similarity in 0\.\.1, got"):
        load("shapes", 32, similarity=similarity, root=tmp_path)


def test_only_shapes_have_a_similarity(tmp_path):
    with pytest.raises(TransferlibError, match="similarity is for shapes only: leave it out for cifar100"):
        load("cifar100", 32, similarity=1.0, root=tmp_path)


@pytest.mark.parametrize("resolution", [7, 513, 3, -1, 32.5])
def test_resolution_has_a_range(tmp_path, resolution):
    with pytest.raises(TransferlibError, match=rf"expected resolution in 8\.\.512, got {resolution}"):
        load("shapes", resolution, root=tmp_path)


@pytest.mark.parametrize("name", ["mnist", "", "folder:", "Shapes"])
def test_an_unknown_name_lists_the_known(tmp_path, name):
    for call in (fetch, check, lambda name, root: load(name, 32, root=root)):
        with pytest.raises(TransferlibError, match="expected one of shapes, tiny-imagenet, cifar100") as caught:
            call(name, root=tmp_path)
        assert all(known in str(caught.value) for known in DATASETS)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), "no permission for /data/x: change"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left in .*: make room"),
    ],
)
def test_disk_errors_are_one_line(tmp_path, class_folders, monkeypatch, error, message):
    folder = class_folders(tmp_path / "pets", count=3)

    def fails(*args, **more):
        raise error

    monkeypatch.setattr(cache, "decode", fails)
    with pytest.raises(TransferlibError, match=message):
        load(f"folder:{folder}", 16, root=tmp_path, progress=False)
    assert not list(tmp_path.glob("arrays/*/*.part"))


def test_the_data_folder_is_the_users_choice(tmp_path, monkeypatch, class_folders):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "data"))
    assert data_root() == tmp_path / "data"
    folder = class_folders(tmp_path / "pets", count=3)
    load(f"folder:{folder}", 8, progress=False)
    assert list(tmp_path.glob("data/arrays/folder-*/8/meta.json"))
    monkeypatch.delenv("TRANSFERLIB_DATA")
    assert data_root().name == "transferlib"
    assert data_root() != Path(tmp_path / "data")
    assert fetch(f"folder:{folder}") == folder
