"""Where a step's time goes: ``python -m benchmarks.profile_step``."""

from __future__ import annotations

import time
from collections import defaultdict

import torch
from torch.nn import functional as F

from benchmarks import setting
from transferlib.train import Draws, Family, cut_batch, draw_epoch, dropout_masks, to_input

STEPS, WARM_STEPS = 40, 4
PARTS = ("cut_batch", "to_input", "dropout_masks", "prefix", "forward", "backward", "optimizer")


class Clock:
    """Adds up what has passed since the last lap, part by part."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = defaultdict(float)
        self.last = time.perf_counter()

    def lap(self, part: str) -> None:
        """Add the time since the last lap to a part."""
        now = time.perf_counter()
        self.parts[part] += now - self.last
        self.last = now


def step(family: Family, draws: Draws, number: int, clock: Clock) -> None:
    """``Family.train_step`` and ``Member.step`` taken apart."""
    half, how, spec = family.train, family.execution, family.spec
    now = slice(number * family.batch_size, (number + 1) * family.batch_size)
    which = draws.order[now]
    labels = half.labels[which]
    pixels = cut_batch(half, which, draws.top[now], draws.left[now], draws.mirror[now], spec.resolution)
    clock.lap("cut_batch")
    images = to_input(pixels, spec, how.device)
    clock.lap("to_input")
    masks = dropout_masks(family.stream, 0, number, family.recipe.dropout, len(labels), family.members[0].net, how)
    clock.lap("dropout_masks")
    taps = [images]
    if family.prefix:
        with torch.no_grad(), how.autocast():
            taps = family.prefix.taps(images, max(m.frozen for m in family.members), masks)
    clock.lap("prefix")
    for member in family.members:
        with how.autocast():
            logits = member.net(taps[member.frozen], start=member.frozen, masks=masks)
        loss = F.cross_entropy(logits.float(), labels)
        clock.lap("forward")
        loss.backward()
        clock.lap("backward")
        member.optimizer.step()
        member.optimizer.zero_grad(set_to_none=True)
        clock.lap("optimizer")


def profile(name: str) -> dict[str, float]:
    """Milliseconds a step of each part of a family, and of all (``train_step`` as it is) under ``whole``."""
    half = setting.random_half((STEPS + WARM_STEPS) * setting.RECIPE.batch_size)
    family = setting.our_family(name, half)
    pad = family.recipe.crop_padding
    draws = draw_epoch(("profile",), 0, len(half), (-pad, pad), family.execution.device)
    for number in range(WARM_STEPS):
        step(family, draws, number, Clock())
    clock = Clock()
    for number in range(WARM_STEPS, WARM_STEPS + STEPS):
        step(family, draws, number, clock)
    for _ in range(STEPS):
        family.train_step()
    clock.lap("whole")
    return {part: 1000 * taken / STEPS for part, taken in clock.parts.items()}


def main() -> None:
    """Print the table for a base and for a frozen family."""
    torch.set_num_threads(min(setting.THREADS, torch.get_num_threads()))
    columns = {name: profile(name) for name in ("base", "AnB")}
    print(f"{'ms a step':<14}" + "".join(f"{name:>8}" for name in columns))
    for part in PARTS:
        print(f"{part:<14}" + "".join(f"{column[part]:8.2f}" for column in columns.values()))
    print(f"{'sum':<14}" + "".join(f"{sum(c[p] for p in PARTS):8.2f}" for c in columns.values()))
    print(f"{'train_step':<14}" + "".join(f"{column['whole']:8.2f}" for column in columns.values()))


if __name__ == "__main__":
    main()
