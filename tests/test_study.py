"""A study: its families, its configurations, and the ways in which training may stop, fail, or run out of memory."""

import dataclasses
import gc
import shutil
import threading
import weakref

import numpy as np
import pytest
import torch
from small_studies import numbers, pictures, small_study, use_data_folder, weights

from transferlib import halves
from transferlib.data import load
from transferlib.data.own import Folder
from transferlib.errors import TransferlibError
from transferlib.execution import Execution, execution
from transferlib.executors import named, run_study
from transferlib.halves import OpenData, class_rows, half_of
from transferlib.nets import network
from transferlib.records import correct_images
from transferlib.store import Store
from transferlib.study import FamilyPlan, Study
from transferlib.train import Family, Recipe
from transferlib.trainer import Note, Stopped, Trainer
from transferlib.treatments import Treatment, parse_treatments


@pytest.fixture(autouse=True)
def one_thread_and_our_pictures(monkeypatch):
    use_data_folder(monkeypatch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


CPU = execution("cpu", "fp32")


class Notes(list):
    """A reporter that keeps the notes, and sets ``stop`` at a step of a family."""

    def __init__(self, stop_at: tuple[str, int] | None = None) -> None:
        super().__init__()
        self.stop_at, self.stop, self.steps = stop_at, threading.Event(), 0

    def __call__(self, event):
        if isinstance(event, Note):
            self.append(event.text)
            return
        self.steps += 1
        if self.stop_at and (str(event.plan.family), event.done) == self.stop_at:
            self.stop.set()


def train(study, folder, notes=None, **how) -> Store:
    store = Store(folder)
    notes = notes if notes is not None else Notes()
    named("serial").run(Trainer(store, execution("cpu", "fp32"), notes, stop=notes.stop, **how), study.opened())
    return store


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        use_data_folder(patch)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        store = train(small_study("base,A1B,A3B,A7B"), tmp_path_factory.mktemp("trained"))
        torch.set_num_threads(threads)
    return store


# --- plans ---


def cifar(treatments: str, targets=("A", "B"), **changes) -> Study:
    splits = changes.pop("splits", ("random:0",))
    recipe = Recipe(epochs=5)
    return Study("cifar100", 32, "alexnet32", splits, targets, parse_treatments(treatments), recipe, **changes)


def test_families_are_ordered_bases_first_and_a_base_stands_once():
    plans = cifar("base,BnB,AnB+", splits=("random:0", "random:1"), seeds=(0, 1)).families()
    found = [(p.split, p.seed, str(p.family), p.target) for p in plans]
    one = [("base", "A"), ("base", "B"), ("BnB", "A"), ("AnB+", "A"), ("BnB", "B"), ("AnB+", "B")]
    expected = [(s, k, *f) for s in ("random:0", "random:1") for k in (0, 1) for f in one]
    for start in range(0, 24, 6):  # the two bases in either order
        assert sorted(found[start : start + 2]) == expected[start : start + 2]
        assert found[start + 2 : start + 6] == expected[start + 2 : start + 6]
    assert len(found) == 24


def test_one_direction_trains_the_sources_base_without_being_asked():
    plans = cifar("A3B,A4B", targets=("B",)).families()
    assert [(p.target, [str(t) for t in p.treatments]) for p in plans] == [("A", ["base"]), ("B", ["A3B", "A4B"])]


@pytest.mark.parametrize(
    ("treatment", "target", "source"),
    [
        ("base", "A", None),
        ("A3B", "A", "B"),
        ("A3B", "B", "A"),
        ("A3B+", "A", "B"),
        ("A3B+", "B", "A"),
        ("B3B", "A", "A"),
        ("B3B+", "B", "B"),
        ("R3B", "A", "random"),
    ],
)
def test_the_source_of_each_treatment_in_each_direction(treatment, target, source):
    plan = cifar(treatment, (target,)).families()[-1]
    assert plan.config(plan.treatments[0])["source"] == plan.source == source
    base = plan.source_base
    assert (base and base.target) == (source if source in ("A", "B") else None)
    assert plan.config(plan.treatments[0])["source_key"] == (base.run_keys[0] if base else None)


def test_a_reduced_target_copies_from_the_other_halfs_whole_base_and_from_its_own_reduced_one():
    bnb, anb = (cifar(t, ("B",), images_per_class=6, seeds=(4,)).families()[-1] for t in ("B3B", "A3B"))
    assert (bnb.source_base.study.images_per_class, anb.source_base.study.images_per_class) == (6, None)
    assert (anb.source_base.seed, anb.source_base.split, anb.source_base.target) == (4, "random:0", "A")
    plans = cifar("base,A3B", images_per_class=6).families()
    bases = {(p.target, p.study.images_per_class) for p in plans if p.is_base}
    assert bases == {("A", 6), ("B", 6), ("A", None), ("B", None)}


def test_bases_draw_from_another_stream_than_the_transfer_runs_which_share_theirs():
    found = cifar("base,BnB,AnB,AnB+,RnB", ("B",)).families()
    plans = {str(p.family): p.stream for p in found if p.target == "B"}
    assert plans.pop("base") not in plans.values()
    assert len(set(plans.values())) == 1


def test_a_familys_name_is_the_same_whichever_of_its_runs_are_asked_for():
    whole, part = (cifar(t, ("B",)).families()[-1] for t in ("AnB", "A3B"))
    others = [cifar("AnB+", ("B",)).families()[-1], cifar("AnB", ("A",)).families()[-1]]
    assert whole.name == part.name
    assert len({p.name for p in (whole, *others)}) == 3


def test_a_study_names_what_it_cannot_take():
    with pytest.raises(TransferlibError, match="expected targets among A and B, got none"):
        cifar("base", ())
    with pytest.raises(TransferlibError, match="alexnet32 needs images of 32 px, got 16"):
        Study("cifar100", 16, "alexnet32", ("random:0",), ("A",), parse_treatments("base"), Recipe(epochs=1))


# --- images ---

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


def test_images_that_do_not_fit_stay_on_the_disk_and_give_the_same_numbers(tmp_path, trained, monkeypatch):
    kept = []
    real = halves.half_of
    monkeypatch.setattr(Execution, "free_bytes", lambda self: 0)
    monkeypatch.setattr(halves, "half_of", lambda *args: kept.append(real(*args)) or kept[-1])
    store = train(small_study("base,A1B,A3B,A7B"), tmp_path)
    assert all(half.pixels.shape[0] > len(half) for half in kept)  # the whole map
    assert numbers(store) == numbers(trained)
    assert weights(store) == weights(trained)


def test_a_reduced_study_trains_on_as_many_images_as_it_says(tmp_path, monkeypatch):
    seen = {}
    real = Family.run

    def watched(family):
        seen[family.stream[2:], family.members[0].treatment.kind] = (len(family.train), len(family.val))
        return real(family)

    monkeypatch.setattr(Family, "run", watched)
    train(small_study("A1B", images_per_class=6, epochs=1), tmp_path)
    assert seen == {(("A", "base"), "base"): (48, 42), (("B", "transfer"), "AnB"): (12, 42)}


# --- stop, kill, memory ---


def test_a_study_that_is_finished_trains_nothing(trained):
    notes = Notes()
    train(small_study("base,A1B,A3B,A7B"), trained.folder, notes)
    assert notes.steps == 0
    assert len(numbers(trained)) == 5


def test_run_study_returns_the_studys_rows_only(trained):
    table = run_study(small_study("A3B"), trained, device="cpu", precision="fp32")
    assert sorted(table["treatment"]) == ["A3B", "base"]


@pytest.mark.parametrize("at", [("base", 1), ("AnB", 3), ("AnB", 4)])  # 3 steps an epoch
def test_a_stop_leaves_a_checkpoint_and_the_same_study_goes_on_to_the_same_numbers(tmp_path, trained, at):
    study, notes = small_study("base,A1B,A3B,A7B"), Notes(at)
    with pytest.raises(Stopped, match=f"after step {at[1]} of 6"):
        train(study, tmp_path, notes)
    assert len(Store(tmp_path).checkpoints()) == 1
    again = Notes()
    store = train(study, tmp_path, again)
    assert [note for note in again if f"goes on after step {at[1]} of 6" in note]
    assert numbers(store) == numbers(trained)
    assert weights(store) == weights(trained)
    assert store.checkpoints() == []


def test_a_checkpoint_is_saved_each_so_many_seconds(tmp_path, monkeypatch):
    saved = []
    real = Store.put_checkpoint
    monkeypatch.setattr(Store, "put_checkpoint", lambda self, *args: saved.append(1) or real(self, *args))
    train(small_study("base"), tmp_path / "often", checkpoint_seconds=0.0)
    often = len(saved)
    train(small_study("base"), tmp_path / "seldom", checkpoint_seconds=1e9)
    assert (often, len(saved)) == (6, 6)


def test_a_damaged_checkpoint_is_set_aside_and_the_numbers_are_the_same(tmp_path, trained):
    study = small_study("base,A1B,A3B,A7B")
    with pytest.raises(Stopped):
        train(study, tmp_path, Notes(("AnB", 4)))
    (path,) = (tmp_path / "checkpoints").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="damaged file"):
        store = train(study, tmp_path)
    assert numbers(store) == numbers(trained)
    assert (tmp_path / "damaged" / path.name).exists()


def test_a_damaged_record_is_trained_again_alone_with_the_same_numbers(tmp_path, trained):
    study = small_study("base,A1B,A3B,A7B").opened()
    store = train(study, tmp_path)
    key = FamilyPlan(study, "random:0", 0, "B", study.treatments[1].family, study.treatments[1:]).run_keys[1]
    path = tmp_path / "runs" / f"{key}.json"
    path.write_bytes(path.read_bytes()[:200])
    others = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").iterdir() if p != path}
    with pytest.warns(UserWarning, match=key):
        train(study, tmp_path)
    assert numbers(store) == numbers(trained)
    assert {p: p.stat().st_mtime_ns for p in others} == others


@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_a_base_without_sound_weights_is_trained_again_when_a_family_needs_it(tmp_path, trained, harm):
    train(small_study("base"), tmp_path)
    train(small_study("base", targets=("A",)), tmp_path)
    for path in (tmp_path / "weights").iterdir():
        if harm == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-10])
    notes = Notes()
    if harm == "missing":
        train(small_study("A1B,A3B,A7B"), tmp_path, notes)
    else:
        with pytest.warns(UserWarning, match="damaged file"):
            train(small_study("A1B,A3B,A7B"), tmp_path, notes)
    assert sum("not its weights; it is trained again" in note for note in notes) == 1
    assert numbers(Store(tmp_path)) == numbers(trained)
    sound = [name for name, content in weights(trained).items() if weights(Store(tmp_path)).get(name) == content]
    assert len(sound) == 1  # the source's; the target's own are not needed


def test_weights_in_half_precision_are_copied_where_the_whole_ones_are_not_there(tmp_path, trained):
    study = small_study("A1B,A3B,A7B").opened()
    base, plan = study.families()
    store = train(small_study("base", targets=("A",)), tmp_path)
    (key,) = base.run_keys
    store.ship(key, {})
    whole = tmp_path / "weights" / f"{key}.safetensors"
    before = store.get_weights(key)
    whole.unlink()
    notes = Notes()
    train(study, tmp_path, notes)
    assert sum("copied from its weights in half precision" in note for note in notes) == 1
    assert not whole.exists()  # nothing was trained again, and nothing rounded passes for whole
    source = Trainer(store, execution("cpu", "fp32")).source_network(plan, network(study.network)).state_dict()
    assert all(torch.equal(tensor, before[name].half().float()) for name, tensor in source.items())
    for name, run in numbers(store).items():
        assert run["top1"] == pytest.approx(numbers(trained)[name]["top1"], abs=0.1)


class SmallMemory:
    """``Family.run`` of a device that holds only so many runs; it says whether an earlier family was let go."""

    def __init__(self, monkeypatch, room: int) -> None:
        self.sizes, self.alive, real = [], [], Family.run
        families = []

        def run(family):
            gc.collect()
            self.alive.append(sum(one() is not None for one in families))
            families.append(weakref.ref(family))
            self.sizes.append(len(family.members))
            if len(family.members) > room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(family)

        monkeypatch.setattr(Family, "run", run)


def test_a_family_that_does_not_fit_is_trained_in_halves_with_the_same_numbers(tmp_path, trained, monkeypatch):
    memory, notes = SmallMemory(monkeypatch, 2), Notes()
    store = train(small_study("base,A1B,A3B,A7B"), tmp_path, notes)
    assert memory.sizes == [1, 1, 3, 1, 2]
    assert [note for note in notes if "not enough GPU memory for 3 runs; in two halves" in note]
    assert numbers(store) == numbers(trained)
    assert memory.alive == [0] * 5  # the first attempt is let go before the next


def test_a_single_run_that_does_not_fit_is_an_error_with_a_mend(tmp_path, monkeypatch):
    SmallMemory(monkeypatch, 0)
    with pytest.raises(TransferlibError, match="for a single run: choose a smaller network") as error:
        train(small_study("base"), tmp_path)
    assert "\n" not in str(error.value)


# --- results ---


def test_the_images_that_a_run_got_right_make_its_accuracy(trained):
    for record in trained.records():
        right = correct_images(record)
        assert (right.dtype, right.shape) == (bool, (42,))
        assert right.mean() == pytest.approx(record["top1"], abs=1e-6)
        assert record["top1"] == record["curve"][-1]["top1"]
        assert record["best_top1"] == max(point["top1"] for point in record["curve"])
        assert [point["epoch"] for point in record["curve"]] == [1, 2]


def test_which_images_are_right_is_kept_image_by_image(tmp_path, monkeypatch):
    pattern = torch.arange(42) % 3 == 0
    monkeypatch.setattr(Family, "evaluate", lambda family: [(1.0, pattern) for _ in family.active])
    (record,) = train(small_study("base", epochs=1), tmp_path).records()
    assert correct_images(record).tolist() == pattern.tolist()
    assert record["status"] == "chance"


@pytest.mark.parametrize(("right", "status"), [(31, "chance"), (32, "ok")])  # P(more than 31 of 42 by coin) < 0.001
def test_chance_is_what_guessing_would_reach(tmp_path, monkeypatch, right, status):
    monkeypatch.setattr(Family, "evaluate", lambda family: [(1.0, torch.arange(42) < right) for _ in family.active])
    (record,) = train(small_study("base", epochs=1), tmp_path).records()
    assert record["status"] == status


def test_an_absurd_learning_rate_is_recorded_as_diverged(tmp_path):
    store = train(small_study("base", learning_rate=1e25, epochs=4, warmup_epochs=0.0), tmp_path)
    (record,) = store.records()
    assert record["status"] == "diverged"
    assert len(record["curve"]) < 4
    assert store.table()["status"].tolist() == ["diverged"]


def test_a_record_says_what_it_was_made_with(trained):
    record = trained.records()[0]
    assert set(record["versions"]) == {"transferlib", "torch", "numpy", "python"}
    assert record["execution"] == "cpu fp32"
    assert record["seconds"] > 0
    assert record["device"]


def test_device_and_precision_are_not_in_the_key():
    plan = small_study("base").opened().families()[0]
    config = plan.config(Treatment("base"))
    given = "format data split target source source_key network treatment recipe seed"
    assert set(config) == set(given.split())
    assert not [word for word in ("cpu", "cuda", "fp32", "precision", "device") if f"'{word}'" in str(config)]


# --- what names the runs ---


def no_opening(monkeypatch):
    """From now on, opening a folder of pictures fails, and so does looking whether it has changed."""
    for name in ("load", "snapshot", "state"):
        monkeypatch.setattr(Folder, name, lambda *_, name=name: pytest.fail(f"{name} was called"))
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("arrays were opened"))


def test_naming_the_runs_of_an_opened_study_opens_nothing(monkeypatch):
    study = small_study("base,A3B,B3B+", images_per_class=6).opened()
    no_opening(monkeypatch)
    keys = [key for plan in study.families() for key in [*plan.run_keys, plan.name]]
    assert len(set(keys)) > 4
    longer = dataclasses.replace(study, recipe=dataclasses.replace(study.recipe, epochs=9))
    assert not set(keys) & {key for plan in longer.families() for key in plan.run_keys}  # of other runs, as open as it
    assert study.opened().families()[0].run_keys == keys[:1]  # once is enough


def test_a_study_that_copies_from_another_folder_is_opened_with_it(tmp_path, monkeypatch):
    top = shutil.copytree(pictures(), tmp_path / "others")
    source = dataclasses.replace(small_study("base", folder=top), splits=("whole:A",), targets=("A",))
    study = dataclasses.replace(small_study("base,A3B"), splits=("whole:B",), source=source).opened()
    no_opening(monkeypatch)
    names = {plan.config(plan.treatments[0])["data"]["name"] for plan in study.families()}
    assert names == {"folder:pictures", "folder:others"}


def test_runs_of_a_folder_have_no_names_before_it_is_opened():
    study = small_study("base")
    with pytest.raises(TransferlibError, match="has not been opened, and its pictures name its runs: open the study"):
        _ = study.families()[0].run_keys
    other = dataclasses.replace(study.opened(), dataset=f"folder:{pictures() / 'train'}")  # what was opened is not it
    with pytest.raises(TransferlibError, match="has not been opened"):
        _ = other.families()[0].run_keys


def test_a_study_is_the_same_opened_or_not():
    study = small_study("base")
    assert study == study.opened() and hash(study) == hash(study.opened()) and repr(study) == repr(study.opened())
    assert study.families() == study.opened().families()


def test_what_trains_is_what_the_study_was_opened_with(tmp_path, trained):
    folder = shutil.copytree(pictures(), tmp_path / "pictures")  # of the same name and pixels, and so of the same runs
    study = small_study("base,A1B,A3B,A7B", folder=folder).opened()
    shutil.rmtree(folder / "train" / "class3")
    store = train(study, tmp_path / "store")
    assert numbers(store) == numbers(trained)
    assert study.changed() == ["folder:pictures"]


def test_only_one_targets_images_are_kept(tmp_path):
    data = OpenData()
    plans = small_study("base", targets=("A", "B")).opened().families()
    halves = [data.halves_of(plan, CPU) for plan in plans]
    assert data.halves_of(plans[1], CPU) is halves[1]
    assert data.halves[1] is halves[1]
    assert data.halves_of(plans[0], CPU) is not halves[0]
