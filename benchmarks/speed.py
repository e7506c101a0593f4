"""The figures of speed: families and a base against the tutorial's way, and a base against its bare steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import setting, tutorial
from transferlib.train import Family, Half, to_input
from transferlib.treatments import DEPTHS

FAMILIES = ("AnB", "BnB")
WORKERS = (0, setting.THREADS)  # the tutorial gets the faster of the two
FAMILY_STEPS, FAMILY_REPEATS = 12, 5
BASE_STEPS, BASE_REPEATS = 40, 7
CEILING_STEPS, CEILING_REPEATS = 40, 21
WARM_STEPS = 4  # as many batches as the workers prepare ahead: what is timed was prepared while it was timed


def our_seconds(families: list[Family], steps: int) -> tuple[float, int]:
    """Train one family after another, warm-up apart and ``steps`` on the clock; (seconds, images on it)."""
    taken, images = 0.0, 0
    for family in families:
        for _ in range(WARM_STEPS):
            family.train_step()
        start = time.perf_counter()
        for _ in range(steps):
            family.train_step()
        taken += time.perf_counter() - start
        images += steps * family.batch_size * len(family.members)
    return taken, images


def tutorial_seconds(
    folder: Path, build: Callable[[], list[nn.Sequential]], steps: int, workers: int
) -> tuple[float, int]:
    """The tutorial's way, with networks built off the clock."""
    models = build()
    count = len(models) * (WARM_STEPS + steps) + 2 * setting.THREADS  # some are left: the end is not emptier
    batches = tutorial.loader(folder / "train", setting.spec(), setting.RECIPE.batch_size, count, workers)
    return tutorial.timed(models, setting.RECIPE, batches, WARM_STEPS, steps)


def tutorial_base(classes: int) -> list[nn.Sequential]:
    """The one network of a base."""
    return [tutorial.alexnet(setting.spec(), classes, setting.RECIPE.dropout)]


def tutorial_families(classes: int) -> list[nn.Sequential]:
    """The fourteen networks AnB and BnB, n = 1..7."""
    models: list[nn.Sequential] = []
    for _ in FAMILIES:
        (source,) = tutorial_base(classes)
        models += [tutorial.transferred(source, tutorial_base(classes)[0], n) for n in DEPTHS]
    return models


def against_tutorial(
    folder: Path,
    half: Half,
    names: tuple[str, ...],
    build: Callable[[int], list[nn.Sequential]],
    steps: int,
    repeats: int,
) -> float:
    """Train families our way and the tutorial's, and print both."""
    families = [setting.our_family(name, half) for name in names]

    def theirs(workers: int, steps: int = steps) -> tuple[float, int]:
        return tutorial_seconds(folder, lambda: build(half.classes), steps, workers)

    short = max(2, steps // 4)
    workers = min(WORKERS, key=lambda count: theirs(count, short)[0])
    images = our_seconds(families, 1)[1] * steps
    pairs = setting.alternate(repeats, lambda: our_seconds(families, steps)[0], lambda: theirs(workers)[0])
    ours, other = setting.seconds(pairs)
    print(f"  ours      {ours:8.2f} s  {images / ours:8.0f} images/s")
    print(f"  tutorial  {other:8.2f} s  {images / other:8.0f} images/s, fp32, num_workers={workers}")
    print(f"  ratios    {', '.join(f'{b / a:.2f}' for a, b in pairs)}", flush=True)
    return setting.ratio(pairs)


def family_ratio(folder: Path, half: Half) -> float:
    """How many times as fast the frozen families AnB and BnB of one target are as in the tutorial's way."""
    print(f"family_ratio: {FAMILY_STEPS} steps of each of the 14 networks, {FAMILY_REPEATS} times")
    return against_tutorial(folder, half, FAMILIES, tutorial_families, FAMILY_STEPS, FAMILY_REPEATS)


def base_ratio(folder: Path, half: Half) -> float:
    """How many times as fast one base is as in the tutorial's way."""
    print(f"base_ratio: {BASE_STEPS} steps, {BASE_REPEATS} times")
    return against_tutorial(folder, half, ("base",), tutorial_base, BASE_STEPS, BASE_REPEATS)


def bare_seconds(net: nn.Module, optimizer: torch.optim.SGD, images: Tensor, labels: Tensor, steps: int) -> float:
    """Steps on one batch that is in memory already: no crops, no dropout."""
    how = setting.machine()

    def step() -> None:
        with how.autocast():
            logits = net(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(WARM_STEPS):
        step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - start


def ceiling_fraction() -> float:
    """The share of the bare steps' images a second that a base reaches, with its crops, dropout and all."""
    print(f"ceiling_fraction: {CEILING_STEPS} steps, {CEILING_REPEATS} times, {setting.RANDOM_IMAGES} images")
    half = setting.random_half(setting.RANDOM_IMAGES)
    family, bare = setting.our_family("base", half), setting.our_family("base", half).members[0]
    count, how = family.batch_size, setting.machine()
    images, labels = to_input(half.pixels[:count], setting.spec(), how.device), half.labels[:count]
    pairs = setting.alternate(
        CEILING_REPEATS,
        lambda: our_seconds([family], CEILING_STEPS)[0],
        lambda: bare_seconds(bare.net, bare.optimizer, images, labels, CEILING_STEPS),
    )
    ours, other = (CEILING_STEPS * count / s for s in setting.seconds(pairs))
    print(f"  ours {ours:.0f} images/s, bare steps {other:.0f} images/s", flush=True)
    return setting.ratio(pairs)
