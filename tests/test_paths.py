"""Paths: one identity for a folder however it is written, and nothing written into what is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_studies import pictures, small_study, use_data_folder

from transferlib.cli import main
from transferlib.data import data_root, load, lookup
from transferlib.errors import TransferlibError
from transferlib.executors import run_study
from transferlib.measuring import measure
from transferlib.measuring.running import labels
from transferlib.paths import figure_path, keep_apart, keep_out, resolved
from transferlib.results import own_store
from transferlib.store import Store


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", "mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "alias").symlink_to("mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SPELLINGS = ["mine", "./mine", "mine/", "mine/../mine", "alias", "~/mine", "$PLACE", "~/${PLACE}", "$HOME/mine"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_folder_has_one_identity_however_it_is_written(home, monkeypatch, spelling):
    folder = home / "mine"
    assert resolved(spelling) == Store(spelling).folder == folder
    assert lookup(f"folder:{spelling}").name == f"folder:{folder}"
    assert lookup(f"folder:{spelling}").recorded_name == "folder:mine"
    for variable, where in (("TRANSFERLIB_DATA", data_root), ("TRANSFERLIB_STORE", lambda: own_store("smoke"))):
        monkeypatch.setenv(variable, spelling)
        assert where() == folder
    assert figure_path(f"{spelling.rstrip('/')}.svg" if "$" not in spelling else f"{spelling}/a.svg").suffix == ".svg"


def test_a_dollar_that_is_part_of_a_name_is_left_alone(home):
    for name in ("$PLACE", "prices_$1_to_$5"):
        (home / name).mkdir()
        assert resolved(name) == home / name


def test_a_study_and_its_keys_are_those_of_the_folder_not_of_its_spelling(monkeypatch):
    use_data_folder(monkeypatch)
    folder = pictures()
    monkeypatch.chdir(folder.parent)
    studies = [small_study(dataset=f"folder:{name}").opened() for name in (folder, folder.name, f"./{folder.name}/")]
    assert len({study.dataset for study in studies}) == 1
    assert len({tuple(study.families()[-1].run_keys) for study in studies}) == 1


def test_two_data_sets_of_one_name_are_told_apart_by_more_of_their_paths():
    assert labels("folder:/a/x/mine", "folder:/a/y/mine") == ("folder:x/mine", "folder:y/mine")
    assert labels("folder:/a/x/mine", "folder:/mine") == ("folder:x/mine", "folder://mine")
    assert labels("folder:/a/theirs", "folder:/a/mine") == ("folder:theirs", "folder:mine")
    assert labels("shapes", "folder:/shapes") == ("shapes", "folder://shapes")


def test_two_folders_of_one_name_and_equal_files_but_for_their_pixels_do_not_share_a_cache(tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    arrays = []
    for place, level in (("x", 40), ("y", 90)):  # BMP: one size whatever the pixels
        for k in range(12):
            file = tmp_path / place / "mine" / "ab"[k % 2] / f"{k}.bmp"
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(k).integers(0, 60, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise + np.uint8(level)).save(file)
            os.utime(file, (1e9, 1e9))
    for place in ("x", "y"):
        monkeypatch.chdir(tmp_path / place)
        arrays.append(load("folder:mine", 16, root=tmp_path / "data", progress=False).train.pixels.mean())
    assert arrays[1] - arrays[0] == pytest.approx(50, abs=1)
    (tmp_path / "x/mine").rename(tmp_path / "x/old")  # other pictures in its place, of the same sizes and times
    (tmp_path / "y/mine").rename(tmp_path / "x/mine")
    monkeypatch.chdir(tmp_path / "x")
    again = load("folder:mine", 16, root=tmp_path / "data", progress=False).train.pixels.mean()
    assert again == arrays[1]


# --- outputs and inputs ---


def test_an_output_in_an_input_or_around_it_is_refused(tmp_path):
    data = tmp_path / "a/mine"
    (data / "cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to(data / "cat")
    for inside in (data, data / "runs", data / "cat/x/y", tmp_path / "link/runs"):
        with pytest.raises(TransferlibError, match="which is read"):
            keep_out(resolved(inside), [data])
    for around in (tmp_path, data.parent):
        with pytest.raises(TransferlibError, match="a folder around"):
            keep_apart(around, [data])
        keep_out(around, [data])  # a file may lie beside the pictures' folder
    keep_apart(tmp_path / "a/mine2", [data])
    keep_apart(tmp_path / "b", [data])


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize(
    "place", ["{data}", "{data}/runs", "{data}/train/class0/r", "{data}/..", "{data}/nowhere/../r"]
)
def test_a_store_in_the_pictures_is_refused_before_a_byte_is_written(tmp_path, monkeypatch, capsys, place):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "cache"))
    data, store = pictures(), place.format(data=pictures())
    before = everything(data.parent)
    names = ["--source", "shapes", "--target", f"folder:{data}"]
    assert main(["measure", *names, "--store", store]) == 2
    assert main(["run", "--profile", "smoke", "--dataset", f"folder:{data}", "--store", store]) == 2
    assert capsys.readouterr().err.count("which is read") == 2
    for call in (
        lambda: measure("shapes", f"folder:{data}", store),
        lambda: run_study(small_study(), Store(store)),
    ):
        with pytest.raises(TransferlibError, match="which is read"):
            call()
    assert everything(data.parent) == before
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("option", ["--out", "--csv"])
def test_a_file_in_the_pictures_is_refused_before_the_training(tmp_path, monkeypatch, capsys, option):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "cache"))
    data = pictures()
    before = everything(data)
    names = ["--source", "shapes", "--target", f"folder:{data}", "--store", str(tmp_path / "s")]
    assert main(["measure", *names, option, str(data / "train/class0/curves.png")]) == 2
    assert "which is read" in capsys.readouterr().err
    assert everything(data) == before
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("place", ["{data}", "{data}/train"])
def test_a_cache_in_the_pictures_is_refused(monkeypatch, place):
    data = pictures()
    before = everything(data)
    monkeypatch.setenv("TRANSFERLIB_DATA", place.format(data=data))
    with pytest.raises(TransferlibError, match="which is read"):
        load(f"folder:{data}", 32)
    assert everything(data) == before


@pytest.mark.parametrize("command", ["results", "plot"])
def test_a_table_or_figure_among_a_stores_own_files_is_refused(tmp_path, capsys, command):
    (tmp_path / "runs").mkdir()
    what = ["--csv"] if command == "results" else ["--figure", "2", "--out"]
    assert main([command, "--store", str(tmp_path), *what, str(tmp_path / "runs/x.svg")]) == 2
    assert "which is read" in capsys.readouterr().err
    assert list((tmp_path / "runs").iterdir()) == []
