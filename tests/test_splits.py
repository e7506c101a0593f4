"""Two halves of the classes: disjoint, seeded, and the same with every version of every library."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from transferlib.data import Dataset, Images
from transferlib.data.shapes import similarity_halves
from transferlib.errors import TransferlibError
from transferlib.splits import DIAL, DISSIMILAR, RANDOM, WHOLE, Split, make_split, of_kind, other, similarity_of


def dataset(groups, name="pictures"):
    classes = tuple(f"class-{i:02}" for i in range(len(groups)))
    none = Images(np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, np.int64))
    return Dataset(name, 8, classes, classes, tuple(groups), none, none)


PLAIN = dataset([None] * 11)
MIXED = dataset(["natural", "man-made", "natural", None, "natural", "man-made", "natural", "natural", "man-made"])


@pytest.mark.parametrize(
    "seed, first, second",
    [  # of class-00 to class-10, by SHA-256 of "random/SEED/CLASS"; the last in that order is left over
        (0, (0, 1, 5, 7, 10), (2, 3, 6, 8, 9)),
        (1, (0, 5, 7, 8, 10), (1, 2, 4, 6, 9)),
        (2, (0, 1, 3, 7, 10), (4, 5, 6, 8, 9)),
    ],
)
def test_random_halves_are_these_for_ever(seed, first, second):
    split = make_split(PLAIN, f"random:{seed}")
    assert tuple(f"class-{i:02}" for i in first) == split.A
    assert tuple(f"class-{i:02}" for i in second) == split.B


def test_random_halves_are_disjoint_of_equal_size_and_differ_by_seed():
    even = dataset([None] * 20)
    splits = [make_split(even, f"random:{seed}") for seed in range(20)]
    for split in splits:
        assert len(split.A) == len(split.B) == 10
        assert set(split.A) | set(split.B) == set(even.classes)
    assert len({split.A for split in splits}) == 20


def test_natural_and_man_made_are_taken_as_they_fall():
    split = make_split(MIXED, "natural-manmade")
    assert split.A == ("class-00", "class-02", "class-04", "class-06", "class-07")
    assert split.B == ("class-01", "class-05", "class-08")


def test_natural_and_man_made_with_a_seed_are_of_equal_size():
    splits = [make_split(MIXED, f"natural-manmade:{seed}") for seed in range(12)]
    whole = make_split(MIXED, "natural-manmade")
    for split in splits:
        assert split.B == whole.B and len(split.A) == 3
        assert set(split.A) < set(whole.A) and list(split.A) == sorted(split.A)
    assert len({split.A for split in splits}) > 3
    assert make_split(MIXED, "natural-manmade:3") == splits[3]


def test_small_random_halves_are_parts_of_the_random_ones_and_of_the_size_of_those_by_kind():
    small, whole, by_kind = (make_split(MIXED, spec) for spec in ("random-small:3", "random:3", "natural-manmade:3"))
    assert len(small.A) == len(small.B) == len(by_kind.A) < len(whole.A)
    assert set(small.A) < set(whole.A) and set(small.B) < set(whole.B)
    assert small == make_split(MIXED, "random-small:3") != make_split(MIXED, "random-small:4")
    with pytest.raises(TransferlibError, match="does not say which classes are natural"):
        make_split(PLAIN, "random-small:3")


def test_similarity_has_the_halves_of_shapes_and_names_the_dial():
    split = make_split(dataset([None] * 4, "shapes"), "similarity:0.25")
    assert similarity_halves() == (split.A, split.B) and split.spec == "similarity:0.25"
    assert similarity_of("similarity:0.25") == 0.25
    assert similarity_of("random:0") is None


def test_the_runs_of_a_kind_are_found_by_how_their_splits_names_begin():
    splits = ["random:0", "natural-manmade", "random:11", "natural-manmade:0", "similarity:0.5", "whole", "whole:A"]
    table = pd.DataFrame({"split": splits}, index=range(10, 17))
    found = {kind: of_kind(table, kind).index.tolist() for kind in (RANDOM, DISSIMILAR, DIAL, WHOLE)}
    assert found == {RANDOM: [10, 12], DISSIMILAR: [11, 13], DIAL: [14], WHOLE: [15, 16]}
    assert of_kind(table, DIAL, RANDOM).index.tolist() == [10, 12, 14]
    empty = of_kind(table.iloc[:0], RANDOM)
    assert empty.empty and list(empty.columns) == ["split"]


@pytest.mark.parametrize("spec", ["random", "random:", "random:x", "odd", "", "similarity", "similarity:x",
                                  "natural-manmade:x", "random:0.5", "random-small"])  # fmt: skip
def test_an_unknown_form_is_refused_with_the_known_ones(spec):
    with pytest.raises(
        TransferlibError, match=r"unknown split .*expected random:SEED, random-small:SEED, natural-manmade"
    ):
        make_split(dataset(["natural", "man-made"] * 3, "shapes"), spec)


def test_a_dial_or_kinds_that_a_data_set_lacks_are_refused():
    with pytest.raises(TransferlibError, match="only shapes has a similarity dial, not pictures"):
        make_split(PLAIN, "similarity:0.5")
    for groups in ([None] * 6, ["natural"] * 6, ["man-made"] * 6):
        with pytest.raises(TransferlibError, match="does not say which classes are natural"):
            make_split(dataset(groups), "natural-manmade")


@pytest.mark.parametrize(
    "A, B, message",
    [
        (("a", "b"), ("b", "c"), "b stands in both halves"),
        (("a", "a", "b"), ("c", "d"), "a class stands twice in a half"),
        (("a", "b"), ("c", "d", "d"), "a class stands twice in a half"),
        (("a",), ("b", "c"), "at least 2 classes a half, got 1 and 2"),
        (("a", "b"), (), "at least 2 classes a half, got 2 and 0"),
    ],
)
def test_halves_that_cannot_be_are_refused(A, B, message):
    with pytest.raises(TransferlibError, match=f"split mine: .*{message}"):
        Split("mine", A, B)


def test_too_few_classes_are_refused():
    with pytest.raises(TransferlibError, match="at least 2 classes a half, got 1 and 1"):
        make_split(dataset([None] * 3), "random:0")


def test_a_saved_split_is_read_as_it_was_and_checked(tmp_path):
    split, path = Split("mine é", ("z", "a"), ("q", "b", "c")), tmp_path / "split.json"
    split.save(path)
    assert Split.read(path) == split
    path.write_text(path.read_text().replace('"q"', '"z"'))
    with pytest.raises(TransferlibError, match="z stands in both halves"):
        Split.read(path)


def test_halves_are_named_a_and_b():
    split = Split("mine", ("a", "b"), ("c", "d"))
    assert (split.half("A"), split.half("B")) == (("a", "b"), ("c", "d"))
    assert (other("A"), other("B")) == ("B", "A")
    assert str(split).splitlines() == ["split mine", "A (2): a, b", "B (2): c, d"]
