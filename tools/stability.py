"""Measure how sharp the loss is while a base and its cut networks train, at a small and at a large restart rate.

    python tools/stability.py STORE [--to book/results]

STORE has the base of target B of random:0, whole or in half precision; Tiny ImageNet must be there. Writes
``stability.json``: for each run the moments at which it was measured, with the rate, the limit of the sharpness at that
rate, the sharpness, and the loss on the same batch. Some eighty minutes of one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from transferlib.execution import execution, versions
from transferlib.profiles import profile
from transferlib.stability import fixed_batch, limit, sharpness
from transferlib.store import Store
from transferlib.study import Study
from transferlib.train import Family, Member, Recipe
from transferlib.trainer import Trainer
from transferlib.treatments import parse_treatments

ROOT = Path(__file__).resolve().parent.parent
BATCH = 256  # training images on which the loss is looked at, the same ones always
MOMENTS = (0.25, 0.5, 1, 2, 4, 6, 9, 12, 16, 20, 23)  # epochs
DEPTHS = "B3B,B4B,B5B,B7B"


def asked() -> dict[str, Study]:
    """What is trained anew and looked at: the published base, a base at the large rate, and cut networks at both."""
    restarts = profile("published").part("restart")
    slow, hot = (next(s for s in restarts if s.recipe.learning_rate == rate) for rate in (0.05, 0.2))
    base = dataclasses.replace(slow, treatments=parse_treatments("base"))
    hot_base = dataclasses.replace(base, recipe=hot.recipe, base_recipe=None)
    cut = [dataclasses.replace(study, treatments=parse_treatments(DEPTHS)) for study in (slow, hot)]
    named = {"base at .05": base, "base at .2": hot_base, "cut, at .05": cut[0], "cut, at .2": cut[1]}
    return {name: dataclasses.replace(study, targets=("B",), seeds=(0,)) for name, study in named.items()}


def measured(family: Family) -> Iterator[tuple[str, dict[str, float]]]:
    """Train a family to its end; at each moment the treatment and the measures of each of its runs."""
    images, labels = fixed_batch(family, BATCH)
    steps = {round(epoch * family.steps_per_epoch): epoch for epoch in MOMENTS}
    for done in family.run():
        if done in steps:
            taps = family.taps(images)
            for member in family.active:
                yield str(member.treatment), _of(member, family.recipe, steps[done], taps[member.frozen], labels)


@torch.no_grad()
def _loss(member: Member, taps: Tensor, labels: Tensor) -> float:
    member.net.eval()
    loss = F.cross_entropy(member.net(taps, start=member.frozen), labels)
    member.train_mode()
    return float(loss)


def _of(member: Member, recipe: Recipe, epoch: float, taps: Tensor, labels: Tensor) -> dict[str, float]:
    rate = recipe.rate(epoch)
    return {
        "epoch": epoch,
        "rate": rate,
        "limit": limit(rate, recipe.momentum, recipe.nesterov),
        "sharpness": sharpness(member, taps, labels),
        "loss": _loss(member, taps, labels),
    }


def main(argv: list[str] | None = None) -> None:
    """Train and measure; what is there already is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--to", type=Path, default=ROOT / "book" / "results")
    args = parser.parse_args(argv)
    path = args.to / "stability.json"
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else {}
    trainer = Trainer(Store(args.store), execution("cpu", "fp32"))
    about = {"images": BATCH, "device": trainer.execution.device_name, "versions": versions()}
    for name, study in asked().items():
        if name not in runs:
            runs[name] = _curves(trainer.build(study.opened().families()[-1]), name)
            path.write_text(json.dumps({**about, "runs": runs}, indent=1) + "\n", encoding="utf-8")


def _curves(family: Family, name: str) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {}
    for treatment, measures in measured(family):
        found.setdefault(treatment, []).append(measures)
        print(name, treatment, measures, flush=True)
    return found


if __name__ == "__main__":
    main()
