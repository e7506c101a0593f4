"""Damage to a store: whatever happens to its files, what is read is right, or named and made anew."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_studies import invented, numbers, small_study, store_of, use_data_folder, weights

from transferlib.cli import main
from transferlib.errors import TransferlibError
from transferlib.execution import execution
from transferlib.executors import named, run_study
from transferlib.records import as_json, config_key, from_json
from transferlib.results import published_store
from transferlib.store import Store, from_safetensors, to_safetensors
from transferlib.trainer import Progress, Stopped, Trainer

KEY = "0123456789abcdef"
DAMAGES = 300


@pytest.fixture(autouse=True)
def our_pictures(monkeypatch):
    use_data_folder(monkeypatch)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A study's store, and one that was stopped with a checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        use_data_folder(patch)
        whole, stopped = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("stopped")
        run_study(STUDY, Store(whole))
        with pytest.raises(Stopped):
            stop_in_family(stopped)
    return whole, stopped


STUDY = small_study("base,A1B,A3B")


def stop_in_family(folder: Path) -> None:
    trainer = Trainer(Store(folder), execution("cpu"))

    def stop(event):
        if isinstance(event, Progress) and event.plan.family.kind == "AnB" and event.done >= 4:
            trainer.stop.set()

    trainer.report = stop
    named("serial").run(trainer, STUDY.opened())


def only_bases(folder: Path) -> None:
    """Forget a store's transfer runs, so that they are trained again, from its bases' weights."""
    for path in list((folder / "runs").iterdir()):
        if json.loads(path.read_bytes())["config"]["treatment"] != "base":
            path.unlink()


# --- at random ---


def damaged(content: bytes, draw: random.Random) -> bytes:
    """One of the ways in which files are damaged: flipped bits, lost, zeroed, doubled or strange pieces."""
    how, at = draw.randrange(6), draw.randrange(len(content))
    size = draw.choice([1, 2, 16, 512])
    if how == 0:
        return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
    if how == 1:
        return content[:at]
    if how == 2:
        return content[:at] + bytes(len(content[at : at + size])) + content[at + size :]
    if how == 3:
        return content[:at] + content[at + size :]
    if how == 4:
        return content[:at] + content[at : at + size] * 2 + content[at + size :]
    return content[:at] + draw.randbytes(len(content[at : at + size])) + content[at + size :]


def same(found, expected) -> bool:
    if isinstance(expected, torch.Tensor):
        return torch.equal(found, expected) and found.dtype == expected.dtype
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in expected)
    if isinstance(expected, tuple):
        return all(map(same, found, expected))
    return found == expected


@pytest.mark.parametrize("kind", ["runs", "weights", "checkpoints"])
def test_random_damage_ends_in_the_right_content_or_in_a_named_file_set_aside(sound, tmp_path, kind):
    folder = sound[1] if kind == "checkpoints" else sound[0]
    path = sorted((folder / kind).iterdir())[0]
    name, whole = path.stem, path.read_bytes()
    read = {"runs": Store.get, "weights": Store.get_weights, "checkpoints": Store.get_checkpoint}[kind]
    expected = read(Store(folder), name)
    assert expected is not None
    draw, refused = random.Random(kind), 0
    place = tmp_path / kind / path.name
    place.parent.mkdir()
    for _ in range(DAMAGES):
        place.write_bytes(damaged(whole, draw))
        store = Store(tmp_path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = read(store, name)
            if found is None:
                refused += 1
                assert str(place) in str(caught[0].message) and "counts as missing" in str(caught[0].message)
                store.set_aside(kind, name)
                assert not place.exists()
            else:
                assert same(found, expected)
    assert refused > 0.9 * DAMAGES
    assert len(list((tmp_path / "damaged").iterdir())) == refused


@pytest.mark.parametrize("seed", range(6))
def test_a_study_on_a_damaged_store_ends_with_the_numbers_of_a_sound_one(sound, tmp_path, seed):
    """Every file damaged at once; what is left, is trained again."""
    draw = random.Random(seed)
    source = sound[seed % 2]
    shutil.copytree(source, tmp_path / "s")
    for path in sorted((tmp_path / "s").glob("*/*.*")):
        if path.parent.name != "locks" and draw.random() < 0.7:
            path.write_bytes(damaged(path.read_bytes(), draw))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_study(STUDY, Store(tmp_path / "s"))
    assert numbers(Store(tmp_path / "s")) == numbers(Store(sound[0]))


# --- well-formed and wrong ---


def edited(change) -> bytes:
    record = invented("A3B", 0.5)
    change(record)
    return as_json(record)


WRONG = {
    "top1 of other images": lambda r: r.update(top1=0.6),
    "top1 of another curve": lambda r: r["curve"][-1].update(top1=0.4),
    "best_top1 too high": lambda r: r.update(best_top1=0.9),
    "top1 above 1": lambda r: (r.update(top1=1.5, best_top1=1.5), r["curve"][-1].update(top1=1.5)),
    "a number as text": lambda r: r.update(top1="0.5"),
    "too few bits": lambda r: r.update(correct=""),
    "bits beyond the images": lambda r: r.update(val_images=1),
    "no image": lambda r: r.update(val_images=0, correct=""),
    "no base64": lambda r: r.update(correct="%%%"),
    "a curve of another length": lambda r: r["curve"].pop(),
    "an empty curve": lambda r: r.update(curve=[]),
    "epochs in another order": lambda r: r["curve"].reverse(),
    "an unknown status": lambda r: r.update(status="fine"),
    "negative seconds": lambda r: r.update(seconds=-1.0),
    "a negative loss": lambda r: r["curve"][0].update(loss=-1.0),
    "no device": lambda r: r.pop("device"),
    "a device that is a list": lambda r: r.update(device=[]),
    "true for a number": lambda r: r.update(seconds=True),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_record_with_a_sound_digest_and_numbers_that_disagree_is_damaged(tmp_path, what):
    key = config_key(invented("A3B", 0.5)["config"])
    store = store_of(tmp_path, invented("A3B", 0.5), invented("A4B", 0.4))
    assert store.get(key)
    store.path("runs", key).write_bytes(edited(WRONG[what]))
    with pytest.warns(UserWarning, match=f"damaged file .*{key}"):
        assert Store(tmp_path).get(key) is None
    with pytest.warns(UserWarning, match=key):
        assert len(Store(tmp_path).table()) == 1  # the other is not blocked


@pytest.mark.parametrize("field", ["top1", "seconds", "val_images", "loss"])
def test_a_number_of_400_digits_blocks_no_other_record(tmp_path, field):
    record = invented("A3B", 0.5)
    key = config_key(record["config"])
    (record["curve"][0] if field == "loss" else record)[field] = 10**400
    store = store_of(tmp_path, invented("A4B", 0.4))
    store.path("runs", key).write_bytes(as_json(record))
    with pytest.warns(UserWarning, match=key):
        assert len(store.table()) == 1


def test_a_file_far_larger_than_a_record_is_none(tmp_path):
    store = store_of(tmp_path, invented("A4B", 0.4))
    with store.path("runs", KEY).open("wb") as file:
        file.truncate(40 << 30)
    with pytest.warns(UserWarning, match="far more than such a file"):
        assert len(store.table()) == 1


def test_a_record_that_could_not_be_read_again_is_never_written(tmp_path):
    record = invented("A3B", 0.5) | {"best_top1": 0.1}
    with pytest.raises(TransferlibError, match="has no sound record"):
        Store(tmp_path).put(record)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("treatment", ["A8B", "A3C", "", None, 3, ["A3B"]])
def test_a_treatment_that_does_not_parse_is_damage(treatment):
    record = invented("A3B", 0.5)
    record["config"]["treatment"] = treatment
    with pytest.raises(ValueError):
        from_json(as_json(record), config_key(record["config"]))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_no_number_is_no_result(text):
    record = invented("A3B", 0.5)
    content = json.dumps(record).replace('"seconds": 1.5', f'"seconds": {text}').encode()
    with pytest.raises(ValueError):
        from_json(content, config_key(record["config"]))


def test_a_record_without_a_digest_is_read_if_it_is_of_the_first_kind_and_only_then():
    record = invented("A3B", 0.5)
    key = config_key(record["config"])
    assert from_json(json.dumps(record).encode(), key) == record
    with pytest.raises(ValueError, match="unknown field digesu"):  # a flipped bit in the digest's own name
        from_json(as_json(record).replace(b'"digest"', b'"digesu"'), key)


def test_the_published_records_and_weights_are_still_read():
    store = Store(published_store())
    assert len(store.records()) == len(list((store.folder / "runs").iterdir()))
    for path in (store.folder / "shipped").iterdir():
        assert store.get_shipped(path.stem)


OTHERS = {
    "nested deep": lambda path: path.write_bytes(b"[" * 100_000 + b"]" * 100_000),
    "nested objects": lambda path: path.write_bytes(b'{"config":' * 100_000 + b"1" + b"}" * 100_000),
    "a folder": lambda path: path.mkdir(),
    "a full folder": lambda path: ((path / "x").mkdir(parents=True), (path / "x/y").write_text("z")),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to a folder": lambda path: path.symlink_to("/"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "nothing": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(5000)),
}


@pytest.mark.parametrize("kind", ["runs", "weights", "checkpoints"])
@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_file_of_ours_blocks_nothing(sound, tmp_path, capsys, kind, what):
    folder = shutil.copytree(sound[kind == "checkpoints"], tmp_path / "s")
    path = sorted((folder / kind).iterdir())[0]
    path.unlink()
    OTHERS[what](path)
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # to be shown, as on a terminal
        for command in ("status", "results"):
            assert main([command, "--store", str(folder)]) == 0
    assert ("counts as missing" in capsys.readouterr().err) == (kind != "weights")  # which they don't read
    assert os.path.lexists(path)  # reading has moved nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = Store(folder)
        if kind == "weights":  # another base and family need them
            only_bases(folder)
        run_study(STUDY, store)
    assert numbers(Store(folder)) == numbers(Store(sound[0]))


# --- tensors ---


def test_empty_weights_do_not_stop_a_study_for_good(sound, tmp_path):
    folder = shutil.copytree(sound[0], tmp_path / "s")
    only_bases(folder)
    for path in (folder / "weights").iterdir():
        path.write_bytes(to_safetensors({}, {}))
    with (
        pytest.warns(UserWarning, match="moved to"),
        pytest.warns(UserWarning, match="damaged file .*lacks the tensor"),
    ):
        run_study(STUDY, Store(folder))
    assert numbers(Store(folder)) == numbers(Store(sound[0]))


def test_weights_of_another_run_or_network_are_not_taken(sound, tmp_path):
    folder = shutil.copytree(sound[0], tmp_path / "s")
    one, other = sorted((folder / "weights").iterdir())
    like = Store(folder).get_weights(one.stem)
    halves = {name: t.half() for name, t in like.items()}
    other_like = {name: torch.zeros(2, 3) for name in like}
    shutil.copy(other, one)
    with pytest.warns(UserWarning, match=f"it is that of run {other.stem}"):
        assert Store(folder).get_weights(one.stem) is None
    with pytest.warns(UserWarning, match="its tensor .* is torch.float32"):
        assert Store(folder).get_weights(other.stem, other_like) is None
    one.write_bytes(to_safetensors(halves, {"key": one.stem}))
    with pytest.warns(UserWarning, match=r"is torch.float16 .*, not torch.float32"):
        assert Store(folder).get_weights(one.stem, like) is None
    whole = {name: (t > 0 if t.is_floating_point() else t) for name, t in like.items()}
    one.write_bytes(to_safetensors(whole, {"key": one.stem}))
    with pytest.warns(UserWarning, match="is torch.bool"):
        assert Store(folder).get_weights(one.stem, like) is None


def test_one_flipped_byte_of_a_bases_weights_never_reaches_a_transfer(sound, tmp_path):
    """What the digest is for: A3B was `diverged` at 10 % instead of 37 %, without a word."""
    folder = shutil.copytree(sound[0], tmp_path / "s")
    only_bases(folder)
    for path in (folder / "weights").iterdir():
        content = bytearray(path.read_bytes())
        content[-5] ^= 0x40
        path.write_bytes(content)
    with pytest.warns(UserWarning, match="moved to"), pytest.warns(UserWarning, match="not what its digest says"):
        run_study(STUDY, Store(folder))
    assert numbers(Store(folder)) == numbers(Store(sound[0]))


def test_tensors_without_a_digest_are_read_and_other_metadata_are_not(tmp_path):
    tensors = {"a": torch.randn(3)}
    save_file(tensors, tmp_path / "old", {"json": '{"x": 1}'})
    save_file(tensors, tmp_path / "bare")
    save_file(tensors, tmp_path / "odd", {"sha257 and json": "0 {}"})
    assert from_safetensors((tmp_path / "old").read_bytes())[1] == {"x": 1}
    assert same(from_safetensors((tmp_path / "bare").read_bytes())[0], tensors)
    with pytest.raises(ValueError, match="not ours"):
        from_safetensors((tmp_path / "odd").read_bytes())


FIELDS = ["runs", "done_steps", "members", "seconds", "plan", "total_steps"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("how", ["gone", "null", "text"])
def test_a_checkpoint_without_one_of_its_fields_is_set_aside_or_not_missed(sound, tmp_path, capsys, field, how):
    folder = shutil.copytree(sound[1], tmp_path / "s")
    (path,) = (folder / "checkpoints").iterdir()
    tensors, rest = Store(folder).get_checkpoint(path.stem)
    if how == "gone":
        del rest[field]
    else:
        rest[field] = None if how == "null" else "x"
    Store(folder).put_checkpoint(path.stem, tensors, rest)
    assert main(["status", "--store", str(folder)]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_study(STUDY, Store(folder))
    assert numbers(Store(folder)) == numbers(Store(sound[0]))


@pytest.mark.parametrize(
    "what", ["lacks a tensor", "another shape", "another kind", "steps", "curve", "point", "top1", "seconds"]
)
def test_a_checkpoint_that_does_not_fit_its_family_is_set_aside(sound, tmp_path, what):
    folder = shutil.copytree(sound[1], tmp_path / "s")
    (path,) = (folder / "checkpoints").iterdir()
    tensors, rest = Store(folder).get_checkpoint(path.stem)
    name = next(name for name in tensors if ".net." in name and tensors[name].ndim > 1)
    if what == "lacks a tensor":
        del tensors[name]
    elif what == "another shape":
        tensors[name] = tensors[name][:1].clone()  # which a copy would spread over all
    elif what == "another kind":
        tensors[name] = tensors[name].double()
    elif what == "steps":
        rest["done_steps"] = 10**6
    elif what == "curve":
        rest["members"][0]["curve"] *= 2
    elif what == "top1":
        rest["members"][0]["curve"][0]["top1"] = 1.5
    elif what == "seconds":
        rest["seconds"] = float("nan")
    else:
        rest["members"][0]["curve"] = [{"epoch": 1}]
    Store(folder).put_checkpoint(path.stem, tensors, rest)
    notes = []
    with pytest.warns(UserWarning, match="moved to"):
        run_study(STUDY, Store(folder), report=lambda event: notes.append(str(event)))
    assert any("its checkpoint is damaged" in note for note in notes)
    assert numbers(Store(folder)) == numbers(Store(sound[0]))
    assert weights(Store(folder)) == weights(Store(sound[0]))


# --- reading writes nothing; keys; the disk ---


def snapshot_of(folder: Path) -> dict[Path, tuple]:
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")}


def test_commands_that_read_write_nothing_whatever_lies_in_the_store(sound, tmp_path, capsys, monkeypatch):
    folder = shutil.copytree(sound[0], tmp_path / "s")
    shutil.copytree(sound[1] / "checkpoints", folder / "checkpoints", dirs_exist_ok=True)
    (key, *_) = sorted(path.stem for path in (folder / "runs").iterdir())
    for copy in (f"{key} (1)", f"{key}.sync-conflict-20260101-120000-ABCDEFG", f"._{key}", "x" * 16):
        shutil.copy(folder / f"runs/{key}.json", folder / f"runs/{copy}.json")
    (folder / f"runs/{'0' * 16}.json").write_bytes(b"")
    (folder / "runs/desktop.ini").write_text("x")
    (next((folder / "checkpoints").iterdir())).with_name(f"{'1' * 16}.safetensors").write_bytes(b"x")
    before = snapshot_of(folder)
    monkeypatch.chdir(tmp_path)
    for command in ("status", "results", "results --csv r.csv", "plot --figure 2 --out f.svg"):
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # to be shown, as on a terminal
            assert main([*command.split(), "--store", str(folder)]) == 0
        err = capsys.readouterr().err
        assert "passed over: 3, the first is" in err
        assert f"{'0' * 16}.json" in err
    assert snapshot_of(folder) == before


@pytest.mark.parametrize("key", ["../../x", "..", "", "k", "0" * 15, "0" * 17, "A" * 16, "0" * 15 + "/", f"{KEY}\n"])
def test_a_name_that_is_no_key_reaches_no_file(tmp_path, key):
    outside = tmp_path / "x.json"
    outside.write_text("{}")
    store = Store(tmp_path / "a" / "b")
    calls = [
        lambda: store.get(key),
        lambda: store.get_weights(key),
        lambda: store.get_shipped(key),
        lambda: store.get_checkpoint(key),
        lambda: store.put_weights(key, {}),
        lambda: store.put_checkpoint(key, {}, {}),
        lambda: store.drop_checkpoint(key),
        lambda: store.set_aside("runs", key),
        lambda: store.clear_strays([key]),
        lambda: store.lock(key).__enter__(),
    ]
    for call in calls:
        with pytest.raises(TransferlibError, match="expected a key of 16 hexadecimal digits"):
            call()
    assert outside.exists()


@pytest.mark.parametrize("number", [5, 13, 116])  # EIO, EACCES, ESTALE
def test_an_error_of_the_disk_while_reading_names_the_file_and_is_no_damage(sound, tmp_path, monkeypatch, number):
    folder = shutil.copytree(sound[0], tmp_path / "s")
    path = sorted((folder / "weights").iterdir())[0]
    real = os.open

    def failing(name, *rest, **how):
        if str(name) == str(path):
            raise OSError(number, os.strerror(number))
        return real(name, *rest, **how)

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(TransferlibError, match=f"cannot read {path} .{os.strerror(number)}"):
        Store(folder).get_weights(path.stem)
    assert not (folder / "damaged").exists()


def test_a_checkpoint_is_read_at_once_beside_its_writer(tmp_path):
    """Two states of unlike tensors and values: no reading is a mixture of them, or an error where it vanishes."""
    states = [({"a": torch.full((2000,), float(i))}, {"done_steps": i}) for i in range(2)]
    child = os.fork()
    if child == 0:
        writer = Store(tmp_path)
        for i in range(300):
            writer.put_checkpoint(KEY, *states[i % 2])
            if i % 5 == 0:
                writer.drop_checkpoint(KEY)
        os._exit(0)
    seen = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if found := Store(tmp_path).get_checkpoint(KEY):
                assert float(found[0]["a"][0]) == found[1]["done_steps"]
                seen += 1
    assert seen > 10


def test_a_checkpoint_is_dropped_under_its_familys_lock(sound, tmp_path, monkeypatch):
    folder = shutil.copytree(sound[1], tmp_path / "s")
    run_study(STUDY, Store(folder))
    (name,) = (path.stem for path in (sound[1] / "checkpoints").iterdir())
    shutil.copy(sound[1] / f"checkpoints/{name}.safetensors", folder / "checkpoints")
    plan = next(p for p in STUDY.opened().families() if p.name == name)
    trainer = Trainer(Store(folder), execution("cpu"))
    with Store(folder).lock(name):
        assert trainer.ensure(plan, wait=False)
        assert Store(folder).checkpoints() == [name]  # another process is at it
    assert trainer.ensure(plan)
    assert Store(folder).checkpoints() == []


def test_the_folder_is_flushed_after_the_rename(tmp_path, monkeypatch):
    done = []
    real_replace = Path.replace
    kind = {True: "folder", False: "file"}
    monkeypatch.setattr(os, "fsync", lambda number: done.append(kind[stat.S_ISDIR(os.fstat(number).st_mode)]))
    monkeypatch.setattr(Path, "replace", lambda self, to: done.append("rename") or real_replace(self, to))
    store_of(tmp_path, invented("base", 0.5))
    assert done == ["file", "rename", "folder"]


def test_the_threads_are_recorded(sound):
    for record in Store(sound[0]).records():
        assert record["threads"] == 1


def test_load_file_reads_what_we_write(tmp_path):
    (tmp_path / "x").write_bytes(to_safetensors({"a": torch.arange(3)}, {}))
    assert same(load_file(tmp_path / "x"), {"a": torch.arange(3)})


@pytest.mark.parametrize("rest", [{}, {"plan": 5, "done_steps": 1, "total_steps": 2}, {"runs": [1]}, {"runs": None}])
def test_a_leftover_checkpoint_that_is_none_stops_no_command(sound, tmp_path, capsys, rest):
    folder = shutil.copytree(sound[0], tmp_path / "s")
    (name,) = (path.stem for path in (sound[1] / "checkpoints").iterdir())
    Store(folder).put_checkpoint(name, {}, rest)
    assert main(["status", "--store", str(folder)]) == 0
    run_study(STUDY, Store(folder))
    assert numbers(Store(folder)) == numbers(Store(sound[0]))


@pytest.mark.parametrize("what", ["a pipe", "a folder", "a link"])
def test_what_lies_where_a_lock_is_signed_hinders_nothing(tmp_path, what):
    store, target = Store(tmp_path), tmp_path / "precious"
    target.write_text("mine")
    (tmp_path / "locks").mkdir()
    by = tmp_path / "locks" / f"{KEY}.lock.by"
    {"a pipe": lambda: os.mkfifo(by), "a folder": by.mkdir, "a link": lambda: by.symlink_to(target)}[what]()
    for _ in range(2):
        with store.lock(KEY, wait=1.0):
            pass
    assert target.read_text() == "mine"
