"""The embedded data set: fixed pixels, a dial that moves half B alone, and a task that is not trivial."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from transferlib.data import shapes
from transferlib.data.things import MAN_MADE, NATURAL
from transferlib.errors import TransferlibError

HALF_A, HALF_B = shapes.similarity_halves()
# of each class's first two images, at similarity 0.4
BRIGHTNESS = [
    87.93, 76.64, 69.26, 70.3, 47.49, 90.95, 49.13, 93.41, 43.59, 94.48,
    69.92, 91.05, 73.02, 82.86, 88.5, 87.08, 83.25, 44.74, 81.44, 92.09,
]  # fmt: skip


@cache
def _pixels_of(half: tuple[str, ...], similarity: float, count: int = 20) -> np.ndarray:
    classes, _, _, pixels, labels, _, _ = shapes.draw(similarity=similarity, train_per_class=count, val_per_class=0)
    return pixels[np.isin(labels, [classes.index(slug) for slug in half])]


def _blueness(pixels: np.ndarray) -> float:
    return float(pixels[..., 2].mean()) - float(pixels[..., 0].mean())


def test_the_classes_are_ten_natural_and_ten_man_made_sorted() -> None:
    classes, names, groups, *_ = shapes.draw(train_per_class=1, val_per_class=1)
    assert classes == sorted(set(NATURAL) | set(MAN_MADE))
    assert groups.count("natural") == groups.count("man-made") == 10
    assert names[classes.index("brick-wall")] == "brick wall"
    assert groups[classes.index("leaf")] == "natural" and groups[classes.index("gear")] == "man-made"


def test_the_halves_part_the_classes_five_and_five() -> None:
    assert not set(HALF_A) & set(HALF_B)
    assert set(HALF_A) | set(HALF_B) == set(NATURAL) | set(MAN_MADE)
    assert [len(set(half) & set(NATURAL)) for half in (HALF_A, HALF_B)] == [5, 5]
    assert [len(half) for half in (HALF_A, HALF_B)] == [10, 10]


@pytest.mark.parametrize("resolution", [32, 64])
def test_arrays_have_the_promised_types_shapes_and_balance(resolution: int) -> None:
    *_, pixels, labels, val_pixels, val_labels = shapes.draw(resolution, train_per_class=3, val_per_class=2)
    assert pixels.shape == (60, resolution, resolution, 3) and val_pixels.shape == (
        40,
        resolution,
        resolution,
        3,
    )
    assert pixels.dtype == val_pixels.dtype == np.uint8 and labels.dtype == val_labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [3] * 20 and np.bincount(val_labels).tolist() == [2] * 20


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others() -> None:
    first, again, other = (shapes.draw(train_per_class=2, val_per_class=2, seed=seed) for seed in (3, 3, 4))
    for i in (3, 5):
        assert np.array_equal(first[i], again[i])
        assert (first[i] != other[i]).any(axis=(1, 2, 3)).all()


def test_an_image_does_not_depend_on_how_many_are_drawn() -> None:
    few = shapes.draw(train_per_class=3, val_per_class=1)
    many = shapes.draw(train_per_class=70, val_per_class=5)
    assert np.array_equal(few[3].reshape(20, 3, -1), many[3].reshape(20, 70, -1)[:, :3])
    assert np.array_equal(few[5].reshape(20, 1, -1), many[5].reshape(20, 5, -1)[:, :1])


def test_no_image_occurs_twice() -> None:
    *_, pixels, _, val_pixels, _ = shapes.draw(train_per_class=50, val_per_class=20)
    assert len({image.tobytes() for image in np.concatenate([pixels, val_pixels])}) == 1400


@pytest.mark.parametrize("similarity", [0.0, 0.5])
def test_the_dial_leaves_half_a_alone_and_moves_every_image_of_half_b(similarity: float) -> None:
    assert np.array_equal(_pixels_of(HALF_A, 1.0), _pixels_of(HALF_A, similarity))
    moved = _pixels_of(HALF_B, 1.0) != _pixels_of(HALF_B, similarity)
    assert moved.any(axis=(1, 2, 3)).all()


def test_the_dial_moves_the_colours_step_by_step() -> None:
    blueness = [_blueness(_pixels_of(HALF_B, similarity)) for similarity in (1.0, 0.75, 0.5, 0.25, 0.0)]
    assert all(after > before + 2 for before, after in pairwise(blueness)), blueness


def test_at_one_the_halves_look_alike_and_at_zero_they_do_not() -> None:
    home = _blueness(_pixels_of(HALF_A, 1.0, 60))
    assert abs(_blueness(_pixels_of(HALF_B, 1.0, 60)) - home) < 4
    assert abs(_blueness(_pixels_of(HALF_B, 0.0, 60)) - home) > 40


def test_a_linear_classifier_of_pixels_does_poorly() -> None:
    *_, pixels, labels, val_pixels, val_labels = shapes.draw(train_per_class=100, val_per_class=30)
    half = np.isin(labels, range(0, 20, 2)), np.isin(val_labels, range(0, 20, 2))
    x, v = (
        p[h].reshape(-1, 3072).astype(np.float32) / 255 - 0.5 for p, h in zip((pixels, val_pixels), half, strict=True)
    )
    kernel = x @ x.T + 30 * np.eye(len(x), dtype=np.float32)  # ridge regression, in its dual: 1000 rows
    weights = x.T @ np.linalg.solve(kernel, np.eye(20, dtype=np.float32)[labels[half[0]]])
    accuracy = ((v @ weights).argmax(1) == val_labels[half[1]]).mean()
    assert 0.15 < accuracy < 0.5, accuracy


def test_the_pixels_are_those_of_version_1() -> None:
    assert shapes.VERSION == 1  # other pixels need another version, or caches and stores would mix them up
    *_, pixels, _, _, _ = shapes.draw(similarity=0.4, train_per_class=2, val_per_class=0)
    brightness = pixels.reshape(20, -1).mean(1)  # a mean hides what mathematical libraries differ by
    np.testing.assert_allclose(brightness, BRIGHTNESS, atol=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"similarity": 1.5}, "expected similarity in 0..1, got 1.5"),
        ({"similarity": float("nan")}, "expected similarity in 0..1, got nan"),
        ({"resolution": 4}, "expected a resolution of at least 8, got 4"),
        ({"val_per_class": -1}, "expected val_per_class of at least 0, got -1"),
        ({"seed": -2}, "expected seed of at least 0, got -2"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(TransferlibError, match=message.replace(".", r"\.")):
        shapes.draw(**arguments)
