"""What each of the four things that make training fast brings on this machine: ``python -m benchmarks.engine FILE``.

Both sides of each differ in that one thing. The file, JSON, is what chapter 3 shows.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import setting, speed
from transferlib.execution import Execution, cpu_has_bf16, execution, versions
from transferlib.train import Family, Half, Member, fresh_network
from transferlib.treatments import FamilyName

STEPS, REPEATS = 12, 5


class _RowMajor(Family):
    """A family whose images come in the layout that PyTorch starts from, one plane of a colour after another."""

    def _batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        images, labels = super()._batch(epoch, step)
        return images.contiguous(), labels


def base(half: Half, how: Execution, kind: type[Family] = Family) -> Family:
    """A base in a number format."""
    (treatment,) = FamilyName("base").treatments
    net = fresh_network(setting.spec(), half.classes, ("fresh",), how.device)
    if kind is _RowMajor:
        for weight in net.parameters():
            weight.data = weight.data.contiguous()
    return kind([Member(treatment, net, setting.RECIPE, how)], None, setting.RECIPE, ("benchmark",), half, half, how)


def one_by_one(half: Half) -> list[Family]:
    """The seven runs of AnB as seven families of one."""
    family = setting.our_family("AnB", half)
    return [dataclasses.replace(family, members=[member]) for member in family.members]


def compare(name: str, with_it: list[Family], without: Callable[[], float], steps: int = STEPS) -> dict[str, object]:
    """How many times as fast the families train as the other side, which returns its seconds for as many steps."""
    pairs = setting.alternate(REPEATS, lambda: speed.our_seconds(with_it, steps)[0], without)
    ratios = sorted(round(second / first, 2) for first, second in pairs)
    print(name, ratios, flush=True)
    return {"effect": name, "times as fast": round(setting.ratio(pairs), 2), "lowest": ratios[0], "highest": ratios[-1]}


def measure() -> dict[str, object]:
    """All four effects, with the machine and the versions."""
    how, plain = setting.machine(), execution("cpu", "fp32")
    half, found = setting.random_half(setting.RANDOM_IMAGES), []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pictures"
        setting.write_pictures(folder)
        pictures = base(setting.half_of_pictures(folder, Path(temporary) / "cache"), plain)

        def tutorial() -> float:
            build = lambda: speed.tutorial_base(pictures.train.classes)  # noqa: E731 (a name for one line)
            return speed.tutorial_seconds(folder, build, STEPS, workers=0)[0]

        found.append(compare("images on the device, not in a loader of JPEG files", [pictures], tutorial))
    singles, family = one_by_one(half), setting.our_family("AnB", half)
    found.append(
        compare("AnB as one family, not seven runs", [family], lambda: speed.our_seconds(singles, 6)[0], steps=6)
    )
    if cpu_has_bf16():
        slow = [base(half, plain)]
        fast = [base(half, execution("cpu", "bf16"))]
        found.append(compare("bf16, not float32", fast, lambda: speed.our_seconds(slow, STEPS)[0]))
    rows = [base(half, how, _RowMajor)]
    found.append(compare("channels last, not row-major", [base(half, how)], lambda: speed.our_seconds(rows, STEPS)[0]))
    about: dict[str, object] = {"device": how.device_name, "execution": str(how), "network": setting.NETWORK}
    return about | {"batch": setting.RECIPE.batch_size, "versions": versions(), "effects": found}


def main() -> None:
    """Measure, and write the file."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.engine FILE")
    torch.set_num_threads(1)  # so that another job on the machine disturbs both sides alike
    Path(sys.argv[1]).write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
