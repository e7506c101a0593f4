"""What a high restart rate costs with one thing changed: each row against what stood on the same frozen features."""

import base64
import dataclasses

import numpy as np
import pytest
from small_studies import invented

from transferlib import cures
from transferlib.profiles import profile
from transferlib.records import config_key
from transferlib.results import Results
from transferlib.store import Store
from transferlib.treatments import Treatment

CUT = [Treatment("BnB", n) for n in range(2, 6)]


def came(lost):
    """What a network has that loses so much from one half, over 100 test images."""
    right = np.arange(100) < round(100 * (0.5 - lost))
    packed = base64.b64encode(np.packbits(right).tobytes()).decode()
    return {"top1": float(right.mean()), "correct": packed, "val_images": 100}


def made(study, lost):
    """Records of a study's B2B to B5B for target B and seed 0."""
    plans = [plan for plan in study.families() if not plan.is_base and plan.target == "B" and str(plan.family) == "BnB"]
    records = [{**invented("B2B", 0.5), **came(lost), "config": plan.config(t)} for plan in plans for t in CUT]
    return {config_key(record["config"]): record for record in records}


@pytest.fixture
def published(tmp_path, monkeypatch):
    chosen = profile("published").opened()
    restarts = chosen.part("restart")
    records = made(restarts[0], 0.0) | made(restarts[3], 0.04) | made(chosen.part("warm-up")[0], 0.06)
    early = chosen.part("unfinished")
    lost = [(0.1, 0.11), (0.2, 0.22), (0.3, 0.33)]
    for hot, mild, (at_small, at_large) in zip(early[:3], early[3:], lost, strict=True):
        records |= made(mild, at_small) | made(hot, at_large)
    changed = {"scale": {str(t): came(0.01) for t in CUT}}
    monkeypatch.setattr(cures, "recorded", lambda _: {"cures": changed})
    return Results(chosen, Store(tmp_path), (), records)


def test_each_row_is_held_against_the_small_rate_on_the_same_features(published):
    found = cures.costs(published).set_index("tried")
    expected = {
        "nothing changed": 4,
        "features of epoch 6": 1,
        "features of epoch 12": 2,
        "features of epoch 18": 3,
        "8 epochs of warm-up": 6,
        "scale": 1,
    }
    assert found["mean"].to_dict() == pytest.approx(expected)
    assert [*found["share"]] == pytest.approx([25 * cost for cost in expected.values()])


def test_what_was_not_run_has_no_row(published):
    keys = {config_key(r["config"]) for study in published.profile.part("warm-up") for r in made(study, 0).values()}
    fewer = dataclasses.replace(published, records={k: r for k, r in published.records.items() if k not in keys})
    assert "8 epochs of warm-up" not in set(cures.costs(fewer)["tried"])
    assert cures.costs(dataclasses.replace(published, records={})).empty
