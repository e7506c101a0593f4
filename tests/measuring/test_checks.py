"""What is odd about the data of a measurement is said, and what a user can mend is one line."""

from __future__ import annotations

import pandas as pd
import pytest
from made import names, picture_folder

from transferlib.cli import main
from transferlib.errors import TransferlibError
from transferlib.executors.serial import Serial
from transferlib.measuring import measure
from transferlib.measuring.checks import know_nothing, must_differ


def fails(capsys, *arguments):
    """The one line on the standard error of a measurement that can't be made."""
    assert main(["measure", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("transferlib: ")
    return err


def test_mistakes_are_one_line(folders, tmp_path, capsys):
    source, target = names(folders)
    store = ["--store", str(tmp_path / "store"), "--device", "cpu"]
    assert "both" in fails(capsys, "--source", source, "--target", f"{source}/", *store)
    assert "no folder" in fails(capsys, "--source", source, "--target", "folder:nowhere", *store)
    assert "unknown data set" in fails(capsys, "--source", "pictures", "--target", target, *store)
    assert "at least 1 seed" in fails(capsys, "--source", source, "--target", target, "--seeds", "0", *store)
    assert "at least 1 epoch" in fails(capsys, "--source", source, "--target", target, "--epochs", "0", *store)
    assert ".png or .svg" in fails(capsys, "--source", source, "--target", target, "--out", "curves.pdf", *store)
    assert not (tmp_path / "store").exists()


def test_folders_that_cannot_be_measured_are_one_line(folders, tmp_path, capsys):
    source, _ = names(folders)
    store = ["--store", str(tmp_path / "store"), "--device", "cpu"]
    one_class = picture_folder(tmp_path / "one-class", ["only"], 5)
    assert "at least two class folders" in fails(capsys, "--source", source, "--target", one_class, *store)
    one_picture = picture_folder(tmp_path / "one-picture", ["x", "y"], 1)
    assert "only picture of its class" in fails(capsys, "--source", source, "--target", one_picture, *store)
    damaged = picture_folder(tmp_path / "damaged", ["x", "y"], 3)
    (tmp_path / "damaged" / "x" / "0.png").write_bytes(b"no picture")
    assert "cannot be decoded" in fails(capsys, "--source", source, "--target", damaged, *store)


class _Opened(Exception):
    pass


def notes_of(source, target, monkeypatch, store):
    """What ``measure`` says of the data, without training."""
    monkeypatch.setattr(Serial, "run", lambda *_: (_ for _ in ()).throw(_Opened))
    notes = []
    with pytest.raises(_Opened):
        measure(source, target, store, report=lambda event: notes.append(str(event)))
    return notes


def test_five_pictures_of_a_class_are_measured_with_a_note(folders, tmp_path, monkeypatch):
    five = picture_folder(tmp_path / "five", ["x", "y"], 5)
    (note,) = notes_of(names(folders)[0], five, monkeypatch, tmp_path / "store")
    assert note.startswith("only ") and "intervals are wide" in note


def test_a_damaged_picture_among_many_is_a_note(folders, tmp_path, monkeypatch):
    many = picture_folder(tmp_path / "many", ["x", "y"], 12)
    (tmp_path / "many" / "x" / "0.png").write_bytes(b"no picture")
    first, _ = notes_of(names(folders)[0], many, monkeypatch, tmp_path / "store")
    assert "pictures cannot be decoded and are left out: 1, the first is" in first


def test_a_source_that_holds_the_targets_test_pictures_is_told_or_refused(tmp_path, folders, monkeypatch):
    target = picture_folder(tmp_path / "target" / "val", ["x", "y"], 4, seed=1).removesuffix("/val")
    picture_folder(tmp_path / "target" / "train", ["x", "y"], 4, seed=2)
    source = picture_folder(tmp_path / "source" / "train", ["a", "b"], 4, seed=3).removesuffix("/train")
    picture_folder(tmp_path / "source" / "val", ["a", "b"], 4, seed=4)
    for i in range(2):
        (tmp_path / "source/train/a" / f"seen{i}.png").write_bytes((tmp_path / f"target/val/x/{i}.png").read_bytes())
    assert "on 2 of the target's 8 test pictures" in notes_of(source, target, monkeypatch, tmp_path / "store")[0]
    for name in "xy":
        for i in range(4):
            file = tmp_path / f"target/val/{name}/{i}.png"
            (tmp_path / "source/train/b" / f"{name}{i}.png").write_bytes(file.read_bytes())
    with pytest.raises(TransferlibError, match="every test picture of the target"):
        measure(source, target, tmp_path / "store")


def test_a_source_that_learned_nothing_is_named():
    runs = pd.DataFrame({"target": ["A", "A", "B"], "status": ["chance", "ok", "chance"], "top1": [0.2, 0.4, 0.1]})
    assert "in 1 of 2 trainings (top-1 30.0 %)" in know_nothing(runs)[0]
    assert know_nothing(runs[1:]) == []


def test_folders_that_bear_a_data_sets_name_are_another_thing_than_the_data_set(tmp_path):
    must_differ("shapes", f"folder:{tmp_path / 'shapes'}")
    with pytest.raises(TransferlibError, match="two different data sets"):
        must_differ(f"folder:{tmp_path}", f"folder:{tmp_path / '.'}")
