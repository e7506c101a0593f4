"""How fast a device trains a network, measured on random pixels."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch

from transferlib.costs import multiply_adds
from transferlib.data import lookup
from transferlib.execution import Execution
from transferlib.nets import network
from transferlib.study import Study
from transferlib.train import Family, Half, Member, Recipe, fresh_network
from transferlib.treatments import Treatment


def images_per_second(study: Study, execution: Execution, seconds: float = 2.0) -> float:
    """Measured speed of training a base of the study on random pixels, after a warm-up."""
    spec = network(study.network)
    # a CPU needs seconds for one batch of CaffeNet: a smaller one tells the speed as well
    batch = max(4, min(study.recipe.batch_size, int(4e9 / sum(multiply_adds(spec)))))
    family = _on_random_pixels(study, execution, batch)
    for _ in range(2):
        family.train_step()
    execution.on.synchronise()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        family.train_step()
        steps += 1
    execution.on.synchronise()
    return steps * batch / (time.perf_counter() - started)


def _on_random_pixels(study: Study, execution: Execution, batch: int) -> Family:
    spec, device, name = network(study.network), execution.device, ("speed",)
    side, classes = study.resolution, lookup(study.dataset).size().half.classes
    pixels = torch.randint(0, 256, (2 * batch, side, side, 3), dtype=torch.uint8).to(device)
    labels = torch.arange(2 * batch, device=device) % classes
    half = Half(pixels, torch.arange(2 * batch, device=device), labels, classes)
    recipe = Recipe(epochs=10**6, batch_size=batch, learning_rate=1e-6, dropout=study.recipe.dropout)
    member = Member(Treatment("base"), fresh_network(spec, classes, name, device), recipe, execution)
    # no validation: only steps are timed
    return Family([member], None, recipe, name, half, Half(pixels[:0], labels[:0], labels[:0], classes), execution)


def speeds(studies: Iterable[Study], execution: Execution) -> dict[str, float]:
    """Images per second of each network among some studies, measured once."""
    first = {study.network: study for study in reversed([*studies])}
    return {name: images_per_second(study, execution) for name, study in first.items()}
