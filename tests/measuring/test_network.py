"""Somebody else's network measured for real, small and with random weights: no download."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from made import picture_folder
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torchvision import models

from transferlib.cli import main
from transferlib.data import worker
from transferlib.errors import TransferlibError
from transferlib.execution import execution
from transferlib.executors import Processes, Serial
from transferlib.measuring import Measurement, OfNetwork, measure, network
from transferlib.measuring.advice import advise
from transferlib.measuring.budget import ORDER, Budget
from transferlib.measuring.export import export, export_path, trained
from transferlib.measuring.kept import keep, kept
from transferlib.nets.pretrained import pretrained
from transferlib.records import config_key
from transferlib.store import Store
from transferlib.train import to_input
from transferlib.trainer import Stop, Stopped, Trainer
from transferlib.treatments import parse_treatments

NAME = "torchvision:mobilenet_v3_small"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of 16 and 24 pictures, whose names have umlauts, and which can be told apart by colour."""
    top, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    for number, (name, count) in enumerate((("Äpfel", 16), ("Öfen", 24))):
        (top / "bilder" / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 120, (48, 40, 3))
            pixels[..., number] += 100
            Image.fromarray(pixels.astype("uint8")).save(top / "bilder" / name / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSFERLIB_DATA", str(top / "data"))
        yield top


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of the network as its own library saves them, drawn at random."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_file(models.mobilenet_v3_small(weights=None).state_dict(), path)
    return path


def asked(folder, weights, store, minutes=600.0, **more):
    options = OfNetwork(weights=weights, resolution=32, minutes=minutes, **more)
    return measure(NAME, f"folder:{folder / 'bilder'}", store, epochs=2, device="cpu", network=options)


@pytest.fixture(scope="module")
def whole(folder, weights, tmp_path_factory):
    torch.set_num_threads(1)
    top = tmp_path_factory.mktemp("whole")
    return top, asked(folder, weights, top / "store")


def test_every_treatment_is_measured_and_layers_have_the_networks_names(whole):
    _, result = whole
    assert {*result.runs["treatment"]} == {str(t) for t in ORDER}
    assert set(result.runs["source"].dropna()) == {"pretrained"}
    assert result.table.set_index("treatment").loc["A3B+", "up_to"] == "features.2-3"
    assert "Äpfel" not in str(result) and "2 classes" in str(result)
    assert result.recommendation in str(result)


def test_balanced_accuracy_is_the_mean_over_classes_and_said_where_these_are_unequal(whole):
    _, result = whole
    runs = result.runs.set_index("treatment")
    for row in result.table.itertuples():
        right = runs.loc[row.treatment, "correct"]
        means = [right[result.labels == label].mean() for label in (0, 1)]
        assert row.balanced == pytest.approx(100 * np.mean(means))
        assert row.accuracy == pytest.approx(100 * right.mean())
        assert row.difference == pytest.approx(row.balanced - result.table["balanced"].iloc[0])
    assert "balanced, %" in str(result)


def test_a_frozen_runs_key_names_the_weights_and_a_bases_does_not(whole, folder, weights, tmp_path):
    top, _ = whole
    records = {r["config"]["treatment"]: r["config"] for r in Store(top / "store").records()}
    given = pretrained(f"{NAME}@32", weights)
    assert {c["source_key"] for t, c in records.items() if t != "base"} == {given.digest}
    assert records["base"]["source_key"] is None
    assert records["A7B+"]["recipe"]["copied_rate"] == 0.1


def test_a_second_call_trains_nothing(whole, folder, weights, monkeypatch):
    top, result = whole
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("trained"))
    again = asked(folder, weights, top / "store")
    pd.testing.assert_frame_equal(again.table, result.table)


def limited(monkeypatch, names):
    chosen = parse_treatments(names)
    budget = Budget(chosen, chosen, tuple(t for t in ORDER if t not in chosen), 60.0)
    monkeypatch.setattr(network, "_budget", lambda *_: budget)


def test_a_budget_leaves_out_and_changes_no_number(whole, folder, weights, tmp_path, monkeypatch):
    limited(monkeypatch, "A7B,base,A4B,A7B+")
    result = asked(folder, weights, tmp_path / "store", minutes=1.0)
    assert {*result.runs["treatment"]} == {"A7B", "base", "A4B", "A7B+"}
    kept = whole[1].table.set_index("treatment").loc[[*result.table["treatment"]], "accuracy"]
    assert [*result.table["accuracy"]] == [*kept]
    (note,) = [note for note in result.notes if "left out" in note]
    assert "for --minutes 1: A6B" not in note and "A2B, A6B" in note and "A1B+" in note


def test_several_workers_measure_the_same(whole, folder, weights, tmp_path):
    options = OfNetwork(weights=weights, resolution=32, minutes=600.0)
    target = f"folder:{folder / 'bilder'}"
    result = measure(NAME, target, tmp_path, epochs=2, device="cpu", network=options, executor=Processes(2))
    pd.testing.assert_frame_equal(result.table, whole[1].table)


def test_without_a_base_the_advice_says_so(folder, weights, tmp_path, monkeypatch):
    limited(monkeypatch, "A7B")
    result = asked(folder, weights, tmp_path / "store")
    assert result.advice.verdict in ("no base", "nothing learned")
    assert result.table["difference"].isna().all()
    result.save_figure(tmp_path / "curves.svg")
    assert "features.12" in (tmp_path / "curves.svg").read_text(encoding="utf-8")


def test_a_killed_measurement_goes_on_and_ends_with_the_same_numbers(whole, folder, weights, tmp_path, monkeypatch):
    limited(monkeypatch, "A7B,A4B")
    stop, steps = Stop(), []

    def report(event):
        steps.append(event)
        if hasattr(event, "done") and event.done == 2:
            stop.set()

    options = OfNetwork(weights=weights, resolution=32, minutes=1.0)
    target = f"folder:{folder / 'bilder'}"
    with pytest.raises(Stopped):
        measure(NAME, target, tmp_path / "s", epochs=2, device="cpu", report=report, stop=stop, network=options)
    assert not Store(tmp_path / "s").table().size
    result = asked(folder, weights, tmp_path / "s")
    kept = whole[1].table.set_index("treatment").loc[[*result.table["treatment"]], "accuracy"]
    assert [*result.table["accuracy"]] == [*kept]


def test_what_was_begun_is_finished_first_whatever_the_plan_is_now(whole, folder, weights, tmp_path, monkeypatch):
    limited(monkeypatch, "A7B,A4B")
    stop, said = Stop(), []

    def halfway(event):
        if hasattr(event, "done") and event.done == 2:
            stop.set()

    options = OfNetwork(weights=weights, resolution=32, minutes=1.0)
    asked_for = NAME, f"folder:{folder / 'bilder'}", tmp_path / "s"
    with pytest.raises(Stopped):
        measure(*asked_for, epochs=2, device="cpu", report=halfway, stop=stop, network=options)
    limited(monkeypatch, "A7B,A4B,A2B")  # the next call has more time
    result = measure(*asked_for, epochs=2, device="cpu", report=said.append, network=options)
    assert any("goes on after step 2" in str(event) for event in said)
    kept = whole[1].table.set_index("treatment").loc[[*result.table["treatment"]], "accuracy"]
    assert [*result.table["accuracy"]] == [*kept] and len(kept) == 3


def test_a_checkpoint_that_names_no_runs_is_none(whole, folder, weights, tmp_path):
    given = pretrained(f"{NAME}@32", weights)
    study = network.study_of(given, f"folder:{folder / 'bilder'}", 32, 1, 2, False).opened()
    (plan,) = [plan for plan in study.families() if str(plan.family) == "AnB"]
    trainer = Trainer(Store(tmp_path), execution("cpu"))
    assert trainer.begun(plan) == []
    trainer.store.put_checkpoint(plan.name, {"a": torch.ones(1)}, {"total_steps": 3})
    assert trainer.begun(plan) == []
    trainer.store.put_checkpoint(plan.name, {"a": torch.ones(1)}, {"runs": plan.run_keys[:2], "total_steps": 3})
    assert trainer.begun(plan) == [*plan.treatments[:2]]


def test_where_nothing_more_fits_the_minutes_that_it_needs_are_named(whole, folder, weights):
    top, _ = whole
    store = Store(top / "store")
    lost = next(r for r in store.records() if r["config"]["treatment"] == "A5B+")
    path = store.folder / "runs" / f"{config_key(lost['config'])}.json"
    content = path.read_bytes()
    path.unlink()
    try:
        result = asked(folder, weights, top / "store", minutes=0.0001)
    finally:
        path.write_bytes(content)
    (note,) = [note for note in result.notes if "left out" in note]
    assert re.search(r"A5B\+; the next takes about .*: give --minutes \d+$", note)


def test_a_network_without_its_library_is_told_its_name(folder, tmp_path, capsys):
    with pytest.raises(TransferlibError, match=r"resnet18 is no data set: .* say torchvision:resnet18"):
        measure("resnet18", f"folder:{folder / 'bilder'}", tmp_path)
    command = ["measure", "--source", "resnet18", "--target", f"folder:{folder / 'bilder'}", "--store", str(tmp_path)]
    assert main(command) == 2
    assert "for torchvision's network say torchvision:resnet18" in capsys.readouterr().err


def test_pictures_are_looked_for_before_weights_are_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr("transferlib.measuring.running.pretrained", lambda *_: pytest.fail("weights were asked for"))
    with pytest.raises(TransferlibError, match=r"no folder .*nowhere: expected a folder of class folders"):
        measure("torchvision:resnet18", f"folder:{tmp_path / 'nowhere'}", tmp_path / "store")


def test_what_diverged_is_named(whole):
    _, result = whole
    runs = result.runs.assign(
        status=["diverged" if t == "A2B" else s for t, s in result.runs[["treatment", "status"]].to_numpy()]
    )
    assert "note: diverged, and are in no row below: A2B" in str(dataclasses.replace(result, runs=runs))
    assert "diverged" not in str(result)


def test_an_export_replaces_nothing_that_no_export_wrote(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"weights of mine")
    (tmp_path / "other.py").write_text("print('mine')")
    for name, said in (
        ("mine.safetensors", "mine.safetensors is there"),
        ("other.safetensors", "other.py is there"),
        ("torch.safetensors", "stand in the way of torch"),
    ):
        with pytest.raises(TransferlibError, match=said):
            export_path(tmp_path / name)
    assert export_path(tmp_path / "new.safetensors").name == "new.safetensors"


def test_too_little_time_for_the_probe_is_one_line(folder, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(network, "images_per_second", lambda *_: 1.0)
    with pytest.raises(TransferlibError, match=r"A7B alone takes about .* minutes here: give --minutes \d+ or more"):
        asked(folder, weights, tmp_path / "store", minutes=0.01)


def test_heads_first_goes_on_from_the_frozen_runs_upper_layers(folder, weights, tmp_path, monkeypatch):
    limited(monkeypatch, "A7B,A7B+,A4B,A4B+")
    first = asked(folder, weights, tmp_path / "store", head_first=True)
    records = {r["config"]["treatment"]: r["config"] for r in Store(tmp_path / "store").records()}
    keys = dict(zip(first.runs["treatment"], first.runs["key"], strict=True))
    assert {t: records[t].get("head_key") for t in records} == {
        "A7B": None, "A4B": None, "A7B+": keys["A7B"], "A4B+": keys["A4B"],
    }  # fmt: skip
    given = pretrained(f"{NAME}@32", weights)
    trainer = Trainer(Store(tmp_path / "store"), execution("cpu"))
    _, study = network.measure_network(
        given, f"folder:{folder / 'bilder'}", trainer, Serial(), epochs=2, head_first=True
    )
    (plan,) = dataclasses.replace(study, treatments=parse_treatments("A4B+")).families()
    net = trainer.build(plan).members[0].net
    heads = trainer.store.get_weights(keys["A4B"])
    assert heads and all(torch.equal(net.state_dict()[name], tensor) for name, tensor in heads.items())
    assert not any(name.startswith("layers.3.") for name in heads)
    source = given.stack().state_dict()
    assert all(torch.equal(t, source[name]) for name, t in net.state_dict().items() if name.startswith("layers.3."))


def test_a_kept_measurement_does_not_say_where_the_pictures_lay(whole, tmp_path):
    top, result = whole
    (folder,) = result.inputs
    shutil.copytree(top / "store" / "runs", tmp_path / "runs")
    keep(dataclasses.replace(result, notes=(f"unreadable: {folder / 'train' / 'x.png'}",)), tmp_path)
    assert kept(tmp_path).notes == ("unreadable: bilder/train/x.png",)
    assert str(folder) not in (tmp_path / "measurement.json").read_text(encoding="utf-8")


def test_a_kept_measurement_is_shown_without_pictures_or_network(whole, tmp_path):
    top, result = whole
    shutil.copytree(top / "store" / "runs", tmp_path / "runs")
    keep(result, tmp_path)
    again = kept(tmp_path)
    assert str(again) == str(result)
    pd.testing.assert_frame_equal(again.table, result.table)
    next((tmp_path / "runs").iterdir()).unlink()
    with pytest.raises(TransferlibError, match="lacks 1 runs"):
        kept(tmp_path)
    (tmp_path / "measurement.json").unlink()
    with pytest.raises(TransferlibError, match="no measurement is kept"):
        kept(tmp_path)


# --- what is taken away ---


@pytest.mark.parametrize("treatment", ["A4B", "A2B+", "base"])
def test_the_exported_script_gives_the_measured_networks_answer(whole, folder, weights, tmp_path, treatment):
    given, (chosen,) = pretrained(f"{NAME}@32", weights), parse_treatments(treatment)
    trainer = Trainer(Store(whole[0] / "store"), execution("cpu"))
    _, study = network.measure_network(given, f"folder:{folder / 'bilder'}", trainer, Serial(), epochs=2)
    assert export(tmp_path / "mine.safetensors", trainer, study, chosen)[1] == tmp_path / "mine.py"
    with safe_open(tmp_path / "mine.safetensors", "pt") as file:
        about = json.loads(file.metadata()["transferlib"])
    assert about["classes"] == ["Äpfel", "Öfen"] and about["treatment"] == treatment
    plain = sorted((folder / "bilder" / "Öfen").iterdir())[0]
    for picture in (plain, turned(plain, tmp_path / "turned.jpg"), clear(plain, tmp_path / "clear.png")):
        command = [sys.executable, "../mine.py", str(picture)]  # from wherever it is called
        run = subprocess.run(
            command, cwd=made(tmp_path / "in"), capture_output=True, text=True, encoding="utf-8", check=True
        )
        shares = {name: float(share) for share, name in map(str.split, run.stdout.splitlines())}
        ours = answer(trained(trainer, study, chosen, 2), given, picture)
        assert shares == pytest.approx(dict(zip(about["classes"], ours, strict=True)), abs=0.02)  # it resizes otherwise
    assert export_path(tmp_path / "mine.safetensors") == tmp_path / "mine.safetensors"  # an export may be replaced
    right = whole[1].runs.set_index("treatment").loc[treatment, "correct"]
    assert [*answers(trained(trainer, study, chosen, 2), given, study)] == [*right]


def made(folder):
    folder.mkdir(exist_ok=True)
    return folder


def turned(picture, path):
    """The picture as a phone keeps one that was held upright: lying, with a note of it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(picture).convert("RGB").rotate(90, expand=True).save(path, exif=exif, quality=100)
    return path


def clear(picture, path):
    """The picture, its lower half transparent."""
    image = Image.open(picture).convert("RGBA")
    image.putalpha(
        Image.fromarray(np.repeat([255, 0], image.height // 2)[:, None].repeat(image.width, 1).astype("uint8"))
    )
    image.save(path)
    return path


def answer(net, given, picture):
    wanted = given.spec.pictures
    stored = worker.square(picture, wanted.stored, interpolation=wanted.interpolation)
    return outputs(net, given, stored[None])[0].softmax(0).tolist()


def answers(net, given, study):
    images = study.identity.dataset.val
    return (outputs(net, given, images.pixels).argmax(1) == torch.from_numpy(np.array(images.labels))).tolist()


@torch.no_grad()
def outputs(net, given, stored):
    margin, side = (given.spec.pictures.stored - given.spec.resolution) // 2, given.spec.resolution
    pixels = torch.from_numpy(stored[:, margin : margin + side, margin : margin + side].copy())
    return net(to_input(pixels, given.spec, torch.device("cpu")))


def test_the_recommended_network_is_written_and_where_there_is_none_that_is_said(
    whole, folder, weights, tmp_path, monkeypatch
):
    notes, out = [], tmp_path / "mine.safetensors"
    options = OfNetwork(weights=weights, resolution=32, export=out)
    for treatment in (None, parse_treatments("A7B")[0]):
        advice = advise(whole[1].runs, None)
        monkeypatch.setattr(Measurement, "advice", dataclasses.replace(advice, treatment=treatment))
        assert not out.exists()
        measure(
            NAME, f"folder:{folder / 'bilder'}", whole[0] / "store", epochs=2, device="cpu", network=options,
            report=lambda event: notes.append(str(event)),
        )  # fmt: skip
    assert "nothing is recommended, and nothing written" in notes
    assert f"wrote {out}" in notes and out.exists() and out.with_suffix(".py").exists()


# --- the command line ---


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--source", "torchvision:resnet17"], "expected one such as"),
        (["--source", NAME, "--weights", "missing.pth"], "missing.pth"),
        (["--source", NAME, "--weights", "none", "--minutes", "0"], "more than 0 minutes"),
        (["--source", NAME, "--weights", "none", "--resolution", "5"], "32 pixels or more"),
        (["--source", NAME, "--weights", "none", "--export", "x.pth"], "a .safetensors file"),
        (["--source", NAME, "--weights", "none", "--seeds", "0"], "at least 1 seed"),
        (["--source", "torchvision:densenet121", "--weights", "none"], "can't be cut"),
        (["--source", "shapes", "--minutes", "3"], "shapes is a data set"),
    ],
)
def test_wrong_arguments_are_answered_in_one_line(folder, tmp_path, capsys, monkeypatch, more, words):
    monkeypatch.chdir(tmp_path)
    asked = ["measure", *more, "--target", f"folder:{folder / 'bilder'}", "--store", "s", "--device", "cpu"]
    assert main(asked) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and words in said[0]
    assert not (tmp_path / "s" / "runs").exists()


def test_what_will_be_done_is_said_before_it_is_done(folder, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Serial, "run", lambda *_: pytest.fail("trains"))
    with pytest.raises(pytest.fail.Exception, match="trains"):
        main(
            [
                *("measure", "--source", NAME, "--weights", str(weights), "--resolution", "32", "--minutes", "600"),
                *("--target", f"folder:{folder / 'bilder'}", "--store", str(tmp_path / "s"), "--device", "cpu"),
            ]
        )
    said = capsys.readouterr().err
    assert "stem, features.1, features.2-3" in said
    assert "2 classes, 32 training and 8 test pictures" in said
    assert "trains A7B (the head alone), base (from scratch), A4B" in said and "here, 20 epochs each" in said


def test_a_network_of_ones_own_is_measured_too(folder, tmp_path, monkeypatch):
    from transferlib.nets import NETWORKS
    from transferlib.nets.pretrained import Preprocessing, from_module

    monkeypatch.setattr("transferlib.nets.registry.NETWORKS", dict(NETWORKS))
    parts = [torch.nn.Conv2d(3 if k == 0 else 4, 4, 3, padding=1) for k in range(7)]
    module = torch.nn.Sequential(*parts, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5))
    given = from_module("mine", module, Preprocessing.of_units(32, 32))
    limited(monkeypatch, "A7B,base")
    result = measure(given, f"folder:{folder / 'bilder'}", tmp_path / "s", epochs=1, device="cpu")
    assert {*result.runs["treatment"]} == {"A7B", "base"} and {*result.runs["network"]} == {"mine"}


def test_picture_folders_of_equal_classes_are_judged_by_plain_accuracy(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "data"))
    target = picture_folder(tmp_path / "even", ("a", "b"), 10)
    limited(monkeypatch, "A7B,base")
    options = OfNetwork(weights=weights, resolution=32)
    result = measure(NAME, target, tmp_path / "s", epochs=1, device="cpu", network=options)
    assert result.unequal is None and "balanced" not in result.table
