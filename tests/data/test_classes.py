"""The classes of a data set without its pictures."""

import pytest

from transferlib.data import Catalogue, catalogue, kin, load
from transferlib.errors import TransferlibError
from transferlib.splits import make_split


def test_tiny_imagenets_classes_need_no_picture(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path))  # there is none here
    listed = catalogue("tiny-imagenet")
    assert len(listed.classes) == len(set(listed.classes)) == len(listed.names) == len(listed.groups) == 200
    assert set(listed.groups) == {"natural", "man-made"}
    cat = listed.names.index("Egyptian cat")
    assert listed.classes[cat] == "n02124075"
    assert listed.above[cat][:2] == ("domestic cat", "cat")
    assert all(words and all(words) for words in listed.above)
    assert not list(tmp_path.iterdir())


def test_the_catalogue_gives_the_splits_that_the_data_set_gives(class_folders, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "data"))
    name = f"folder:{class_folders(tmp_path / 'pictures', ('cat', 'dog', 'cup', 'pen'))}"
    listed, opened = catalogue(name), load(name, 32)
    assert (listed.name, listed.classes) == (name, ("cat", "cup", "dog", "pen"))
    assert (listed.classes, listed.names, listed.groups) == (opened.classes, opened.names, opened.groups)
    assert listed.above == ((),) * 4
    assert make_split(listed, "random:0") == make_split(opened, "random:0")


def test_another_data_set_that_is_missing_is_named(tmp_path):
    with pytest.raises(TransferlibError, match="nowhere"):
        catalogue(f"folder:{tmp_path / 'nowhere'}")


LISTED = Catalogue(
    "toy",
    ("cat", "lion", "chair", "table", "dog"),
    ("a cat", "a lion", "a chair", "a table", "a dog"),
    ("natural", "natural", "man-made", "man-made", "natural"),
    (("feline", "carnivore"), ("feline", "carnivore"), ("furniture",), ("furniture",), ("canine", "carnivore")),
)


def test_kin_stand_in_different_halves_and_share_their_nearest_hypernym():
    assert kin(LISTED, ("cat", "chair"), ("lion", "table", "dog")) == [
        ("a cat", "a lion", "feline"),
        ("a cat", "a dog", "carnivore"),
        ("a chair", "a table", "furniture"),
    ]
    assert kin(LISTED, ("cat", "lion", "dog"), ("chair", "table")) == []


def test_a_random_split_of_tiny_imagenet_has_kin_and_a_dissimilar_one_fewer():
    listed = catalogue("tiny-imagenet")
    splits = [make_split(listed, spec) for spec in ("random:0", "natural-manmade:0")]
    counts = [len(kin(listed, split.A, split.B)) for split in splits]
    assert counts[0] > 20 * counts[1]
    for first, second, word in kin(listed, splits[0].A, splits[0].B):
        for name, half in ((first, splits[0].A), (second, splits[0].B)):
            places = [i for i, other in enumerate(listed.names) if other == name]
            assert any(listed.classes[i] in half and word in listed.above[i] for i in places)
