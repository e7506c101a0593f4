"""Cure what a large restart rate breaks: cut networks on their own frozen layers, each with one thing changed.

    python tools/cures.py STORE [--to book/results]

STORE has the base of target B of random:0, whole or in half precision; Tiny ImageNet must be there. Writes
``cures.json``: for each cure B2B to B5B at the rate of the part ``restart`` that breaks them, as a run's record has it.
Some twenty-five minutes of one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from transferlib.execution import execution, versions
from transferlib.nets import Stack
from transferlib.profiles import profile
from transferlib.records import Result, result_of
from transferlib.stability import fixed_batch
from transferlib.store import Store
from transferlib.study import FamilyPlan
from transferlib.train import Family, Member, fresh_network
from transferlib.trainer import Trainer
from transferlib.treatments import parse_treatments

ROOT = Path(__file__).resolve().parent.parent
RATE, SMALL_RATE, DEPTHS = 0.2, 0.05, "B2B,B3B,B4B,B5B"


def plan() -> FamilyPlan:
    """The cut networks that break."""
    (hot, *_) = (s for s in profile("published").part("restart") if s.recipe.learning_rate == RATE)
    asked = dataclasses.replace(hot, targets=("B",), treatments=parse_treatments(DEPTHS))
    return asked.opened().families()[-1]


def scaled(net: Stack, n: int, tap: Tensor) -> Stack:
    """Divide what the first fresh layer reads by its standard deviation: one number."""
    spread = float(tap.std())
    net.layer(n + 1).register_forward_pre_hook(lambda _, read: (read[0] / spread,))
    return net


class PerChannel(nn.Module):
    """Batch norm of an activation, channel by channel, whether or not it comes flattened; units are channels."""

    def __init__(self, tap: Tensor) -> None:
        super().__init__()
        self.shape = (*tap.shape[1:], 1, 1)[:3]  # (channels, height, width)
        self.norm = nn.BatchNorm2d(self.shape[0]).to(tap.device)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape, normalised."""
        return self.norm(x.view(len(x), *self.shape)).view_as(x)


def normalised(net: Stack, n: int, tap: Tensor) -> Stack:
    """Batch norm before the first fresh layer."""
    layer = net.layer(n + 1)
    layer._modules = OrderedDict([("read", PerChannel(tap)), *layer._modules.items()])
    return net


def preserved(net: Stack, n: int, source: Stack) -> Stack:
    """Copy the upper layers as well, and fine-tune them (the authors' *preserved layers*)."""
    for k in range(n, len(net.layers)):
        net.layers[k].load_state_dict(source.layers[k].state_dict())
    return net


def slowed(net: Stack, n: int, reader: bool) -> Stack:
    """Give the small rate to the layer that reads the frozen ones alone, or to all fresh layers but that one."""
    for k in range(n + 1, len(net.layers) + 1):
        if (k == n + 1) is reader:
            for parameter in net.layer(k).parameters():
                parameter.register_hook(lambda gradient: gradient * (SMALL_RATE / RATE))
    return net


def cures(source: Stack, taps: list[Tensor]) -> dict[str, Callable[[Stack, int], Stack]]:
    """What is tried, by name."""
    return {
        "scale of the tap": lambda net, n: scaled(net, n, taps[n]),
        "batch norm of the tap": lambda net, n: normalised(net, n, taps[n]),
        "preserved layers": lambda net, n: preserved(net, n, source),
        "small rate for the reading layer alone": lambda net, n: slowed(net, n, reader=True),
        "small rate for all fresh layers but that": lambda net, n: slowed(net, n, reader=False),
    }


def cured(family: Family, cure: Callable[[Stack, int], Stack]) -> Family:
    """The family, untrained, with each of its networks changed."""
    members = [Member(m.treatment, cure(m.net, m.frozen), family.recipe, family.execution) for m in family.members]
    return dataclasses.replace(family, members=members)


def spreads(source: Stack, images: Tensor, depths: range) -> dict[str, dict[int, float]]:
    """How large the numbers are that a cut network's first fresh layer reads: of trained layers, and of untrained ones.

    Their standard deviation, which "scale of the tap" divides by.
    """
    untrained = fresh_network(source.spec, source.classes, (0, "untrained"), images.device).eval()
    with torch.no_grad():
        both = {"trained": source.taps(images, depths[-1]), "untrained": untrained.taps(images, depths[-1])}
    return {name: {n: round(float(taps[n].std()), 4) for n in depths} for name, taps in both.items()}


def trained(family: Family, told: str) -> dict[str, Result]:
    """The results of a family that is trained to its end, by treatment."""
    for done in family.run():
        if done % family.steps_per_epoch == 0:
            tops = ", ".join(f"{m.treatment} {m.curve[-1].top1:.3f}" for m in family.members if m.curve)
            print(told, done // family.steps_per_epoch, tops, flush=True)
    return {str(member.treatment): result_of(member, family) for member in family.members}


def main(argv: list[str] | None = None) -> None:
    """Train; what is there already is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--to", type=Path, default=ROOT / "book" / "results")
    args = parser.parse_args(argv)
    path, trainer = args.to / "cures.json", Trainer(Store(args.store), execution("cpu"))
    found = json.loads(path.read_text(encoding="utf-8"))["cures"] if path.exists() else {}
    family = trainer.build(plan())
    assert family.prefix is not None
    images, source = fixed_batch(family)[0], family.prefix
    about: dict[str, object] = {"rate": RATE, "spread": spreads(source, images, range(1, 8))}
    about |= {"device": trainer.execution.device_name, "execution": str(trainer.execution), "versions": versions()}
    for name, cure in cures(source, family.taps(images)).items():
        if name not in found:
            found[name] = trained(cured(trainer.build(plan()), cure), name)
        path.write_text(json.dumps({**about, "cures": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
