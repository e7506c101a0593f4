"""The short trainings by which network and recipe of the CPU study were chosen: accuracy for its seconds.

    python -m benchmarks.pilots NAME EPOCHS [field=value …]     # such as: small 6 learning_rate=0.1

Trains a base on half B of ``random:0`` of Tiny ImageNet and prints a line an epoch. What they gave: log.md.
"""

from __future__ import annotations

import dataclasses
import sys
import time

import torch

from transferlib.costs import multiply_adds
from transferlib.execution import execution
from transferlib.halves import OpenData
from transferlib.nets import AlexNetSpec, Conv, NetworkSpec, network
from transferlib.profiles import profile
from transferlib.study import FamilyPlan
from transferlib.train import Family, Member, Recipe, fresh_network
from transferlib.treatments import Treatment

POOL = (2, 0)
FIRST = Conv(24, 5, stride=2, padding=2, pool=POOL)
CANDIDATES: dict[str, NetworkSpec] = {
    "large": network("alexnet32"),
    "small": network("alexnet32-small"),
    "resnet": network("resnet32-small"),
    "resnet-plain": network("resnet32-small-plain"),
    "vit": network("vit32-small"),
    "wide": AlexNetSpec(  # as small, with 96 channels in layers 4 and 5
        "pilot",
        32,
        (
            FIRST,
            Conv(32, 3, padding=1),
            Conv(64, 3, padding=1, pool=POOL),
            Conv(96, 3, padding=1),
            Conv(96, 3, padding=1),
        ),
        (384, 256),
    ),
    "narrow": AlexNetSpec(  # a quarter of a million weights, pooled at layers 1 and 5
        "pilot",
        32,
        (
            FIRST,
            Conv(32, 3, padding=1),
            Conv(48, 3, padding=1),
            Conv(48, 3, padding=1),
            Conv(32, 3, padding=1, pool=POOL),
        ),
        (128, 128),
    ),
}


def pilot(spec: NetworkSpec, recipe: Recipe) -> Family:
    """A base of the study's first split, with another network or recipe."""
    study = profile("published").studies[0]
    device = execution("cpu")
    train, val = OpenData().halves_of(FamilyPlan.base(study, "random:0", 0, "B"), device)
    net = fresh_network(spec, train.classes, ("pilot",), device.device)
    return Family([Member(Treatment("base"), net, recipe, device)], None, recipe, ("pilot",), train, val, device)


def main(name: str, epochs: str, *changes: str) -> None:
    """Run a pilot and print it."""
    torch.set_num_threads(1)
    fields = {key: float(value) for key, value in (change.split("=") for change in changes)}
    recipe = dataclasses.replace(profile("published").studies[0].recipe, epochs=int(epochs), **fields)
    family, started = pilot(CANDIDATES[name], recipe), time.monotonic()
    weights = sum(p.numel() for p in family.members[0].net.parameters())
    print(f"{name}: {sum(multiply_adds(family.spec)) / 1e6:.1f} M multiply-adds, {weights / 1e6:.2f} M weights")
    for _ in family.run():
        if family.done_steps % family.steps_per_epoch == 0:
            point = family.members[0].curve[-1]
            print(f"epoch {point.epoch}  top-1 {point.top1:.3f}  {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
