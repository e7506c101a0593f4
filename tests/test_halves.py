"""Which images a half has, and how they come to the device."""

import numpy as np
import pytest
import torch
from small_studies import pictures, small_study, use_data_folder

from transferlib.data import load
from transferlib.errors import TransferlibError
from transferlib.execution import execution
from transferlib.halves import OpenData, class_rows, half_of


@pytest.fixture(autouse=True)
def one_thread_and_our_pictures(monkeypatch):
    use_data_folder(monkeypatch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


CPU = execution("cpu", "fp32")


LABELS = np.array([0, 1, 2] * 20)


def test_class_rows_are_nested_ordered_and_of_the_wanted_classes():
    rows = [class_rows(LABELS, [2, 0], count, "seed") for count in (3, 7, 20)]
    assert set(rows[0]) < set(rows[1]) < set(rows[2]) == set(class_rows(LABELS, [0, 2], None, "x"))
    for count, found in zip((3, 7, 20), rows, strict=True):
        assert np.bincount(LABELS[found], minlength=3).tolist() == [count, 0, count]
        assert found.tolist() == sorted(found)
    assert class_rows(LABELS, [2, 0], 7, "other").tolist() != rows[1].tolist()


def test_which_images_are_drawn_never_changes():  # it is not in the key
    assert class_rows(LABELS, [2, 0], 3, "seed").tolist() == [6, 11, 17, 21, 35, 42]


def test_too_few_images_are_named():
    with pytest.raises(TransferlibError, match="expected 21 images of each class, one has 20"):
        class_rows(LABELS, [0], 21, "seed")


def test_a_half_is_relabelled_and_holds_just_its_images():
    data = load(f"folder:{pictures()}", 32)
    rows = class_rows(data.train.labels, [3, 1], 5, "s")
    half = half_of(data.train, [3, 1], rows, execution("cpu", "fp32"))
    assert (len(half), half.classes, half.pixels.shape[0]) == (10, 2, 10)
    assert half.labels.tolist() == [{3: 0, 1: 1}[int(label)] for label in data.train.labels[rows]]
    assert torch.equal(half.pixels[half.rows], torch.from_numpy(data.train.pixels[rows]))


def test_only_one_targets_images_are_kept(tmp_path):
    data = OpenData()
    plans = small_study("base", targets=("A", "B")).opened().families()
    halves = [data.halves_of(plan, CPU) for plan in plans]
    assert data.halves_of(plans[1], CPU) is halves[1]
    assert data.halves[1] is halves[1]
    assert data.halves_of(plans[0], CPU) is not halves[0]
