"""Training into a store: the ways in which it may stop, fail, or run out of memory, and what it keeps."""

import gc
import shutil
import threading
import weakref

import pytest
import torch
from small_studies import numbers, pictures, small_study, use_data_folder, weights

from transferlib import halves, treatments
from transferlib.errors import TransferlibError
from transferlib.execution import Execution, execution
from transferlib.executors import named, run_study
from transferlib.nets import network
from transferlib.records import correct_images
from transferlib.store import Store
from transferlib.study import FamilyPlan
from transferlib.train import Family
from transferlib.trainer import Note, Stopped, Trainer


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


# --- images ---


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


def test_what_trains_is_what_the_study_was_opened_with(tmp_path, trained):
    folder = shutil.copytree(pictures(), tmp_path / "pictures")  # of the same name and pixels, and so of the same runs
    study = small_study("base,A1B,A3B,A7B", folder=folder).opened()
    shutil.rmtree(folder / "train" / "class3")
    store = train(study, tmp_path / "store")
    assert numbers(store) == numbers(trained)
    assert study.changed() == ["folder:pictures"]


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


def test_a_treatment_that_makes_another_network_of_its_source_is_refused(tmp_path, trained, monkeypatch):
    def replace(net, draw):
        net.layer(2).conv = torch.nn.Conv2d(16, 20, 3, padding=1)

    monkeypatch.setattr(treatments, "KINDS", dict(treatments.KINDS))
    monkeypatch.setattr(treatments, "FAMILIES", list(treatments.FAMILIES))
    monkeypatch.setattr("transferlib.trainer.KINDS", treatments.KINDS)
    monkeypatch.setattr("transferlib.study.KINDS", treatments.KINDS)
    treatments.register(treatments.Kind("GnB", "other", "grown layers", prepare=replace))
    with pytest.raises(TransferlibError, match="GnB: after its prepare the source is another network, its tensor lay"):
        train(small_study("G3B"), shutil.copytree(trained.folder, tmp_path / "s"))
