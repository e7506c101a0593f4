"""The store: keys, whole files, damaged files, full disks, permissions, the table of results."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
from small_studies import Unprivileged, invented, store_of, strays

import transferlib
from transferlib import store as store_module
from transferlib.errors import TransferlibError
from transferlib.locks import Busy
from transferlib.nets import AlexNetSpec, Conv, network
from transferlib.records import COLUMNS, as_json, config_key
from transferlib.stats import with_differences
from transferlib.store import Store, write_whole
from transferlib.study import FamilyPlan, Study
from transferlib.train import Recipe
from transferlib.treatments import Treatment

KEY = "0123456789abcdef"

# --- keys ---


def test_a_key_is_the_start_of_the_sha256_of_the_sorted_compact_json():
    # sha256 of {"a":{"x":true,"y":"\u00fc"},"b":[1,2.5,null]}
    assert config_key({"b": [1, 2.5, None], "a": {"y": "ü", "x": True}}) == "6d518ae44d31dc15"


CAFFENET = {
    "name": "caffenet",
    "resolution": 227,
    "convs": [
        {"channels": 96, "kernel": 11, "stride": 4, "padding": 0, "groups": 1, "pool": [3, 0], "lrn": True},
        {"channels": 256, "kernel": 5, "stride": 1, "padding": 2, "groups": 2, "pool": [3, 0], "lrn": True},
        {"channels": 384, "kernel": 3, "stride": 1, "padding": 1, "groups": 1, "pool": None, "lrn": False},
        {"channels": 384, "kernel": 3, "stride": 1, "padding": 1, "groups": 2, "pool": None, "lrn": False},
        {"channels": 256, "kernel": 3, "stride": 1, "padding": 1, "groups": 2, "pool": [3, 0], "lrn": False},
    ],
    "hidden": [4096, 4096],
    "initialisation": "caffe",
    "mean": [123.0, 117.0, 104.0],
    "std": [1.0, 1.0, 1.0],
    "batch_norm": False,
}
RECIPE = {
    "epochs": 5,
    "batch_size": 128,
    "learning_rate": 0.04,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 0.0005,
    "warmup_epochs": 1.0,
    "schedule": "linear",
    "step_epochs": 40.0,
    "dropout": 0.25,
    "crop_padding": 4,
}
BASE = {
    "format": 1,
    "data": {"name": "imagenet", "version": 0, "resolution": 256, "images_per_class": None},
    "split": "random:0",
    "target": "A",
    "source": None,
    "source_key": None,
    "network": CAFFENET,
    "treatment": "base",
    "recipe": RECIPE,
    "seed": 0,
}
BASE_KEY = "ddae909d38725447"
A3B = BASE | {"target": "B", "source": "A", "source_key": BASE_KEY, "treatment": "A3B+"}
A3B_KEY = "4287ec2d6c360147"

STUDY = Study("imagenet", 256, "caffenet", ("random:0",), ("B",), (Treatment("AnB", 3, True),), Recipe(epochs=5))


def test_a_known_configuration_has_the_key_that_it_always_had():
    base, tuned = STUDY.families()
    assert (base.config(base.treatments[0]), tuned.config(tuned.treatments[0])) == (BASE, A3B)
    assert (base.run_keys, tuned.run_keys) == ([BASE_KEY], [A3B_KEY])


def key_of(**changes: object) -> str:
    study = dataclasses.replace(STUDY, **changes)
    return study.families()[-1].run_keys[0]


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Recipe)])
def test_every_field_of_the_recipe_changes_the_key(field):
    value = getattr(STUDY.recipe, field)
    changed = {"schedule": "step", "nesterov": False, "epochs": 6, "batch_size": 64, "crop_padding": 0, "until": 2}
    other = changed[field] if field in changed else value / 2
    assert other != value
    assert key_of(recipe=dataclasses.replace(STUDY.recipe, **{field: other})) != A3B_KEY


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "tiny-imagenet"},
        {"resolution": 257},
        {"network": "alexnet32"},
        {"splits": ("random:1",)},
        {"targets": ("A",)},
        {"treatments": (Treatment("AnB", 2, True),)},
        {"treatments": (Treatment("AnB", 3),)},
        {"treatments": (Treatment("BnB", 3, True),)},
        {"seeds": (1,)},
        {"images_per_class": 10},
        {"source": dataclasses.replace(STUDY, dataset="tiny-imagenet")},
        {"source": dataclasses.replace(STUDY, recipe=Recipe(epochs=4))},
    ],
    ids=str,
)
def test_every_field_of_the_study_changes_the_key(change):
    assert key_of(**change) != A3B_KEY


def test_a_study_has_no_field_that_the_keys_ignore():
    fields = {f.name for f in dataclasses.fields(Study) if f.compare}
    plural = {"splits", "targets", "treatments", "seeds", "recipe", "base_recipe"}
    assert fields == {"dataset", "resolution", "network", "images_per_class", "source", "head_first"} | plural
    assert set(CAFFENET) == {f.name for f in dataclasses.fields(AlexNetSpec)}
    assert set(CAFFENET["convs"][0]) == {f.name for f in dataclasses.fields(Conv)}


def test_every_field_of_the_network_changes_the_key(monkeypatch):
    spec, keys = network("caffenet"), set()
    for field in dataclasses.fields(AlexNetSpec):
        value = getattr(spec, field.name)
        if isinstance(value, tuple):
            value = (*value[:-1], dataclasses.replace(value[-1], lrn=True) if field.name == "convs" else value[-1] + 1)
        else:
            value = {"name": "x", "resolution": 226, "initialisation": "he", "batch_norm": True}[field.name]
        changed = dataclasses.replace(spec, **{field.name: value})
        monkeypatch.setattr("transferlib.study.network", lambda name, changed=changed: changed)
        keys.add(key_of())
    assert len(keys | {A3B_KEY}) == len(dataclasses.fields(AlexNetSpec)) + 1


def test_the_sources_recipe_is_in_the_key_through_the_key_of_its_base():
    assert key_of(images_per_class=None) == A3B_KEY
    assert FamilyPlan.base(STUDY, "random:0", 0, "A").run_keys[0] == A3B["source_key"]


# --- whole files ---


def test_no_pickle_is_ever_loaded_but_other_peoples_weights_alone():
    sources = list(Path(transferlib.__file__).parent.rglob("*.py"))
    assert len(sources) > 10
    for source in sources:
        text = source.read_text(encoding="utf-8")
        if source.parts[-2:] == ("pretrained", "weights.py"):
            assert text.count("torch.load(") == text.count("weights_only=True)") == 1
            text = text.replace("torch.load(", "").replace("import pickle", "")  # whose error is caught
        for word in ("torch.load", "torch.save", "import pickle", "pickle.load", "allow_pickle=True", "read_pickle"):
            assert word not in text, source


def test_a_record_comes_back_as_it_was(tmp_path):
    record = invented("A3B", 0.5)
    store = Store(tmp_path)
    key = store.put(record)
    assert key == config_key(record["config"])
    assert store.get(key) == record
    assert store.get("0" * 16) is None
    assert store.records() == [record]


def test_tensors_come_back_as_they_were(tmp_path):
    store = Store(tmp_path)
    tensors = {"a": torch.randn(3, 4).t(), "b": torch.tensor(7), "c": torch.zeros(0, dtype=torch.bool)}
    tensors["d"] = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    store.put_weights(KEY, tensors)
    store.put_checkpoint(KEY, tensors, {"done_steps": 3, "members": [{"x": None}]})
    found = store.get_weights(KEY)
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in tensors)
    found, rest = store.get_checkpoint(KEY)
    assert rest == {"done_steps": 3, "members": [{"x": None}]}
    assert set(found) == set(tensors)
    assert store.checkpoints() == [KEY]
    store.drop_checkpoint(KEY)
    store.drop_checkpoint(KEY)
    assert (store.checkpoints(), store.get_checkpoint(KEY), store.get_weights("0" * 16)) == ([], None, None)


@pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
def test_a_truncated_record_is_named_set_aside_and_counts_as_missing(tmp_path, keep):
    store = store_of(tmp_path, invented("A3B", 0.5), invented("A4B", 0.4))
    key = config_key(invented("A3B", 0.5)["config"])
    path = tmp_path / "runs" / f"{key}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.warns(UserWarning, match=f"damaged file .*{key}.*counts as missing"):
        assert store.get(key) is None
    assert path.exists()  # reading writes nothing
    with pytest.warns(UserWarning, match=f"damaged file .*{key}.*moved to .*damaged"):
        store.set_aside("runs", key)
    assert not path.exists()
    assert whole.startswith((tmp_path / "damaged" / path.name).read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.get(key) is None  # now it is simply not there
        assert len(store.records()) == 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record["config"]["recipe"].update(epochs=6),
        lambda record: record["config"].update(seed=1),
        lambda record: record.pop("config"),
        lambda record: record.pop("top1"),
    ],
)
def test_a_record_whose_configuration_was_edited_is_set_aside(tmp_path, edit):
    record = invented("A3B", 0.5)
    store = store_of(tmp_path, record)
    key = config_key(record["config"])
    edit(record)
    (tmp_path / "runs" / f"{key}.json").write_text(json.dumps(record))
    with pytest.warns(UserWarning, match=key):
        assert store.get(key) is None
    assert (tmp_path / "runs" / f"{key}.json").exists()


@pytest.mark.parametrize("text", ["[]", "3", "null", '{"config": 3}', "\udcff"])
def test_a_record_that_is_other_json_is_set_aside(tmp_path, text):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / f"{KEY}.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.warns(UserWarning, match="damaged file"):
        assert Store(tmp_path).records() == []


@pytest.mark.parametrize("keep", [0, 4, 0.3, -1])
@pytest.mark.parametrize("kind", ["weights", "checkpoints"])
def test_truncated_tensors_are_named_set_aside_and_count_as_missing(tmp_path, kind, keep):
    store = Store(tmp_path)
    store.put_weights(KEY, {"a": torch.randn(50)})
    store.put_checkpoint(KEY, {"a": torch.randn(50)}, {"done_steps": 1})
    path = tmp_path / kind / f"{KEY}.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    get = store.get_weights if kind == "weights" else store.get_checkpoint
    with pytest.warns(UserWarning, match=f"damaged file .*{kind}"):
        assert get(KEY) is None
    with pytest.warns(UserWarning, match="moved to"):
        store.set_aside(kind, KEY)
    assert (tmp_path / "damaged" / f"{KEY}.safetensors").exists()
    assert not path.exists()


# --- full disks and permissions ---


class FullDisk:
    """``Path.open`` of a disk on which a write fails midway, with its error's number."""

    def __init__(self, monkeypatch, number: int) -> None:
        self.midway = 0
        real = Path.open

        def opened(path, *args, **how):
            file = real(path, *args, **how)
            if "b" in "".join(map(str, args)) and not file.readable():
                file = self.failing(file, number)
            return file

        monkeypatch.setattr(Path, "open", opened)

    def failing(self, file, number):
        disk = self

        class Failing:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def write(self, content):
                file.write(content[: len(content) // 2])
                file.flush()
                disk.midway += 1
                raise OSError(number, os.strerror(number))

        return Failing()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_loses_nothing_and_leaves_no_stray(tmp_path, number):
    old, new = invented("A3B", 0.5), invented("A4B", 0.4)
    store = store_of(tmp_path, old)
    with pytest.MonkeyPatch.context() as patch:
        disk = FullDisk(patch, number)
        again = old | {"seconds": 9.0}
        for write in (lambda: store.put(new), lambda: store.put(again), lambda: store.put_weights(KEY, {})):
            with pytest.raises(TransferlibError, match=r"no space left in .*runs|no space left in .*weights") as error:
                write()
            assert "make room" in str(error.value)
            assert "\n" not in str(error.value)
    assert disk.midway == 3
    assert store.records() == [old]
    assert strays(tmp_path) == []
    store.put(new)  # now there is space
    assert len(store.records()) == 2


def test_a_disk_that_is_full_only_at_the_flush_loses_nothing(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", b"old")

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module.os, "fsync", full)
        with pytest.raises(TransferlibError, match="no space left"):
            write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_another_error_of_the_disk_is_not_called_a_full_one(tmp_path, monkeypatch):
    FullDisk(monkeypatch, errno.EIO)
    with pytest.raises(TransferlibError, match=f"cannot write in {tmp_path} .Input/output error."):
        write_whole(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"this user can't mount a small disk: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_real_full_disk_is_named_loses_nothing_and_goes_on_when_there_is_space(small_disk):
    store = store_of(small_disk, invented("A3B", 0.5))
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 150_000)
    with pytest.raises(TransferlibError, match="no space left"):
        store.put_weights(KEY, {"a": torch.zeros(50_000)})
    assert (store.get_weights(KEY), len(store.records()), strays(small_disk)) == (None, 1, [])
    filler.unlink()
    store.put_weights(KEY, {"a": torch.zeros(50_000)})
    assert store.get_weights(KEY)["a"].shape == (50_000,)


def test_a_folder_without_permission_is_named(tmp_path):
    folder = tmp_path / "ours"
    folder.mkdir(mode=0o555)
    for part in (tmp_path, *tmp_path.parents[:2]):
        part.chmod(part.stat().st_mode | 0o055)
    store = Store(folder)
    with Unprivileged():
        record = invented("A3B", 0.5)
        for write in (lambda: store.put(record), lambda: next(store.lock(KEY).gen), lambda: store.put_weights(KEY, {})):
            with pytest.raises(TransferlibError, match=r"no permission to write in .*ours.*: choose another --store"):
                write()
    folder.chmod(0o755)
    store.put(invented("A3B", 0.5))
    assert len(store.records()) == 1


# --- kills and neighbours ---


def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path):
    write_whole(tmp_path / "file", b"old")
    child = os.fork()
    if child == 0:
        store_module.os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
        write_whole(tmp_path / "file", b"new")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (tmp_path / "file").read_bytes() == b"old"
    store_of(tmp_path, invented("A3B", 0.5))
    (tmp_path / "runs" / ".left.json.0").write_bytes(b"{")
    assert len(Store(tmp_path).records()) == 1  # what a kill left behind is no record


def test_a_file_that_others_write_is_whole_at_every_moment(tmp_path):
    path, contents = tmp_path / "file", [bytes([i]) * (40_000 + i) for i in range(3)]
    write_whole(path, contents[0])
    children = []
    for content in contents[1:]:
        children.append(os.fork())
        if children[-1] == 0:
            for _ in range(60):
                write_whole(path, content)
            os._exit(0)
    seen = set()
    while children:
        seen.add(path.read_bytes())
        children = [child for child in children if os.waitpid(child, os.WNOHANG)[0] == 0]
    assert seen <= set(contents)
    assert len(seen) > 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_lock_keeps_others_out_names_its_holder_and_is_freed_when_that_is_killed(tmp_path):
    store = Store(tmp_path)
    ready, say = os.pipe()
    child = os.fork()
    if child == 0:
        with Store(tmp_path).lock(KEY):
            os.write(say, b"x")
            signal.pause()
    try:
        os.read(ready, 1)
        with pytest.raises(Busy, match=f"process {child} on .*, since "), store.lock(KEY, wait=0.0):
            pass
        with store.lock("0" * 16, wait=0.0):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with store.lock(KEY, wait=5.0):
        pass


# --- the table ---

SPECIFIED = [
    *("key", "dataset", "resolution", "network", "split", "source", "target", "treatment", "kind", "n", "fine_tuned"),
    *("seed", "epochs", "images_per_class", "recipe", "top1", "best_top1", "train_loss", "loss"),
    *("status", "seconds", "device"),
]


def test_the_table_has_the_columns_in_order_and_the_paper_notation_for_both_targets(tmp_path):
    store = store_of(
        tmp_path,
        invented("B2B", 0.4, target="A"),
        invented("A3B+", 0.5, target="B"),
        invented("A3B+", 0.6, target="A", images_per_class=7, seed=3, epochs=9),
        invented("R1B", 0.3, status="chance"),
        invented("base", 0.7, split="natural-manmade", status="diverged"),
    )
    table = store.table()
    assert list(table.columns) == COLUMNS == SPECIFIED
    rows = {(row.split, row.target, row.treatment): row for row in table.itertuples()}
    assert set(rows) == {
        ("random:0", "A", "B2B"),
        ("random:0", "B", "A3B+"),
        ("random:0", "A", "A3B+"),
        ("random:0", "B", "R1B"),
        ("natural-manmade", "B", "base"),
    }
    row = rows["random:0", "A", "A3B+"]
    assert (row.source, row.kind, row.n, row.fine_tuned, row.images_per_class) == ("B", "AnB", 3, True, 7)
    assert (row.seed, row.epochs, row.top1, row.best_top1, row.status) == (3, 9, 0.6, 0.61, "ok")
    assert (row.dataset, row.resolution, row.network) == ("cifar100", 32, "alexnet32-tiny")
    assert (row.seconds, row.device) == (1.5, "invented")
    assert row.key in {path.stem for path in (tmp_path / "runs").iterdir()}
    assert (rows["random:0", "A", "B2B"].source, rows["random:0", "B", "R1B"].source) == ("A", "random")
    assert rows["natural-manmade", "B", "base"].status == "diverged"


def test_two_states_of_one_folder_are_two_data_sets_in_the_table(tmp_path):
    records = [invented("base", 0.7), invented("base", 0.5), invented("A3B", 0.4)]
    for record, version in zip(records, ("0123456789abcdef", "fedcba9876543210", "fedcba9876543210"), strict=True):
        record["config"]["data"] |= {"name": "folder:mine", "version": version}
    table = store_of(tmp_path, *records).table()
    assert sorted(table["dataset"]) == ["folder:mine@012345", "folder:mine@fedcba", "folder:mine@fedcba"]
    assert with_differences(table)["difference"].tolist() == pytest.approx([0.0, 0.0, -10.0])


def test_the_table_is_ordered_whatever_the_order_of_the_files(tmp_path):
    records = [invented(t, 0.5, target=target) for t in ("A2B+", "A7B", "A2B", "base") for target in "BA"]
    table = store_of(tmp_path, *records).table()
    assert table["target"].tolist() == ["A"] * 4 + ["B"] * 4
    assert table["treatment"].tolist() == ["base", "A2B", "A7B", "A2B+"] * 2


def test_the_table_round_trips_through_csv_and_parquet(tmp_path):
    records = [invented("A3B+", 1 / 3), invented("base", 0.1 + 0.2, images_per_class=5), invented("R1B", 0.5)]
    table = store_of(tmp_path, *records).table()
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet", index=False)
    for again in (pd.read_csv(tmp_path / "t.csv"), pd.read_parquet(tmp_path / "t.parquet")):
        pd.testing.assert_frame_equal(again, table, check_dtype=False, check_exact=True)


def test_an_empty_store_has_an_empty_table_and_a_missing_one_is_named(tmp_path):
    (tmp_path / "runs").mkdir()
    assert list(Store(tmp_path).table().columns) == COLUMNS
    with pytest.raises(TransferlibError, match=r"no store in .*nowhere"):
        Store(tmp_path / "nowhere").table()


# --- what travels ---


def test_what_is_packed_comes_out_of_another_store_byte_by_byte(tmp_path):
    ours, theirs = Store(tmp_path / "ours"), Store(tmp_path / "theirs")
    key = ours.put(invented("base", 0.5))
    ours.put_weights(key, {"w": torch.ones(3)})
    ours.put_checkpoint(KEY, {"m": torch.zeros(2)}, {"seconds": 1.0})
    ours.put(invented("A3B", 0.4))  # not asked for
    files = ours.packed([key, KEY, "f" * 16])
    assert [*files] == [f"runs/{key}.json", f"weights/{key}.safetensors", f"checkpoints/{KEY}.safetensors"]
    theirs.unpack(files)
    assert theirs.packed([key, KEY]) == files and theirs.get(key) == ours.get(key)


@pytest.mark.parametrize(
    "place", ["runs/../../x.json", "locks/0123456789abcdef.lock", "/etc/passwd", "runs/a.json", ""]
)
def test_a_file_that_is_none_of_a_stores_is_not_unpacked(tmp_path, place):
    with pytest.raises(TransferlibError, match="expected a"):
        Store(tmp_path / "store").unpack({place: b"x"})
    assert not (tmp_path / "store").exists()


def test_a_record_without_a_status_is_set_aside(tmp_path):
    record = invented("base", 0.5)
    del record["status"]
    store, key = Store(tmp_path), config_key(record["config"])
    write_whole(store.path("runs", key), as_json(record))
    with pytest.warns(UserWarning, match="it lacks status"):
        assert store.get(key) is None
