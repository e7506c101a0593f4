"""Small studies and invented records that the tests of the store, the study, the command line and the plots share."""

import base64
import dataclasses
import functools
import os
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from transferlib.executors import run_study
from transferlib.store import Store
from transferlib.study import FamilyPlan, Study
from transferlib.train import Recipe
from transferlib.treatments import Treatment, parse_treatments

TRAIN, VAL = 24, 21  # images of a class
HOW_MADE = ("seconds", "finished", "family_of")  # what may differ between two trainings of one run


@functools.cache
def pictures() -> Path:
    """A folder of 4 classes of tiny pictures, and TRANSFERLIB_DATA beside it; made once a session."""
    top = Path(tempfile.mkdtemp(prefix="transferlib-tests-"))
    rng = np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("val", VAL)):
        for label in range(4):
            folder = top / "pictures" / part / f"class{label}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 200, (32, 32, 3))
                pixels[..., label % 3] += 30 + 20 * (label // 3)
                Image.fromarray(pixels.astype("uint8")).save(folder / f"{i}.png")
    (top / "data").mkdir()
    top.chmod(0o755)  # for the tests that give up root's rights
    return top / "pictures"


def use_data_folder(monkeypatch) -> Path:
    folder = pictures()
    monkeypatch.setenv("TRANSFERLIB_DATA", str(folder.parent / "data"))
    return folder


def small_study(treatments: str = "base,A1B,A3B", folder: Path | None = None, **changes: object) -> Study:
    recipe = {"epochs": 2, "batch_size": 16, "learning_rate": 0.02, "dropout": 0.2, "crop_padding": 2}
    recipe |= {name: changes.pop(name) for name in list(changes) if name in Recipe.__dataclass_fields__}
    study = Study(
        dataset=f"folder:{folder or pictures()}",
        resolution=32,
        network="alexnet32-tiny",
        splits=("random:0",),
        targets=("B",),
        treatments=parse_treatments(treatments),
        recipe=Recipe(**recipe),
    )
    return dataclasses.replace(study, **changes)


def numbers(store: Store) -> dict[str, dict]:
    """What training gave, by key, without what may differ from one training to the next."""
    records = {path.stem: store.get(path.stem) for path in (store.folder / "runs").glob("*.json")}
    return {key: {k: v for k, v in r.items() if k not in HOW_MADE} for key, r in records.items()}


def weights(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store.folder / "weights").iterdir()}


def trained_alone(folder: Path, treatments: str, **changes: object) -> Store:
    """A store with the whole of a small study, made by this process on one thread, as a worker's are."""
    store, before = Store(folder), torch.get_num_threads()
    torch.set_num_threads(1)
    run_study(small_study(treatments, **changes), store, device="cpu", precision="fp32")
    torch.set_num_threads(before)
    return store


def strays(folder: Path) -> list[Path]:
    """Files that a write left half done."""
    return [path for path in folder.rglob(".*") if path.is_file()]


# --- invented records: configurations are real, results are not; nothing here is ever published ---


def invented(treatment: str, top1: float, split: str = "random:0", target: str = "B", **changes: object) -> dict:
    """A finished run's record with a made accuracy."""
    status = changes.pop("status", "ok")
    seed = changes.pop("seed", 0)
    ends = changes.pop("train_loss", 1.0), changes.pop("loss", 1.0)
    recipe = Recipe(epochs=changes.pop("epochs", 5))
    study = Study("cifar100", 32, "alexnet32-tiny", (split,), (target,), parse_treatments(treatment), recipe)
    study = dataclasses.replace(study, **changes)
    plan = FamilyPlan(study, split, seed, target, study.treatments[0].family, study.treatments)
    (parsed,) = study.treatments
    assert isinstance(parsed, Treatment)
    share = Fraction(top1).limit_denominator(5000)
    right = np.arange(share.denominator) < share.numerator
    best = min(top1 + 0.01, 1.0) if recipe.epochs > 1 else top1
    tops = [best] * (recipe.epochs - 1) + [top1]
    return {
        "config": plan.config(parsed),
        "top1": top1,
        "best_top1": best,
        "status": status,
        "seconds": 1.5,
        "device": "invented",
        "curve": [{"epoch": k, "train_loss": ends[0], "loss": ends[1], "top1": t} for k, t in enumerate(tops, start=1)],
        "correct": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "val_images": len(right),
    }


def store_of(folder: Path, *records: dict) -> Store:
    store = Store(folder)
    for record in records:
        store.put(record)
    return store


class Unprivileged:
    """Within it, this process has no more rights than ``nobody``, so that permissions are kept even for root."""

    def __enter__(self):
        self.uid = os.geteuid()
        if self.uid == 0:
            os.seteuid(65534)

    def __exit__(self, *error):
        os.seteuid(self.uid)
