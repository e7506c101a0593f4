"""The paper's own profile, CaffeNet on a folder of ImageNet's form, for one step of each kind of run."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from transferlib.executors import run_study
from transferlib.profiles import profile
from transferlib.store import Store
from transferlib.treatments import parse_treatments

WNIDS = ("n01440764", "n01443537", "n02708093", "n02747177")  # tench, goldfish, clock, ashcan


@pytest.fixture
def small_imagenet(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for wnid in WNIDS:
            folder = tmp_path / "imagenet" / split / wnid
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (280, 300 + i, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{wnid}_{i}.JPEG")
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path))


def test_the_paper_profile_trains_caffenet_on_imagenets_form(small_imagenet, tmp_path):
    (study,) = profile("paper").narrowed(
        epochs=1, splits=("natural-manmade",), targets=("B",), treatments=parse_treatments("A7B")
    )
    store = Store(tmp_path / "store")
    table = run_study(study, store, device="cpu", precision="fp32")
    assert list(table["treatment"]) == ["base", "A7B"]
    config = store.get(table["key"].iloc[-1])["config"]
    assert (config["data"]["resolution"], config["network"]["resolution"]) == (256, 227)
    assert config["recipe"] | {"epochs": 178} == {
        **{"epochs": 178, "batch_size": 256, "learning_rate": 0.01, "momentum": 0.9, "nesterov": False},
        **{"weight_decay": 5e-4, "warmup_epochs": 0.0, "schedule": "step", "step_epochs": 39.7},
        **{"dropout": 0.5, "crop_padding": 0},
    }
    weights = store.get_weights(table["key"].iloc[0])
    assert sum(t.numel() for t in weights.values()) == 60_965_224 - 998 * 4097  # 2 classes instead of 1000


def test_a_half_of_imagenet_takes_the_papers_450_000_iterations():
    recipe = profile("paper").studies[0].recipe
    images_of_a_half = 1_281_167 / 2
    iterations = recipe.epochs * images_of_a_half / recipe.batch_size
    assert iterations == pytest.approx(450_000, rel=0.02)
    assert recipe.rate(39.6) == pytest.approx(0.01)
    assert recipe.rate(39.8) == pytest.approx(0.001)
    assert recipe.step_epochs * images_of_a_half / recipe.batch_size == pytest.approx(100_000, rel=0.02)
