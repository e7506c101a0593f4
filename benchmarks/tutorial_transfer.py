"""The way of PyTorch's transfer-learning tutorial, on the solar cells: what a user would do by hand, to compare with.

    python -m benchmarks.tutorial_transfer SCRATCH book/results/solar-cells/tutorial.json [EPOCHS]

The tutorial (pytorch.org, "Transfer Learning for Computer Vision") trains a network from ImageNet in two ways, all of
it, or its last layer alone with everything else at ``requires_grad=False``; with an ``ImageFolder``, random crops and
flips, batches of 4, SGD at .001 with momentum .9, divided by ten every 7 epochs. Here that is written anew on the
pictures and the network of ``examples/solar_cells.py``; written are accuracy, balanced accuracy and minutes, and how
much of what lies below the head has moved: where it is called frozen, its batch norms are in training mode.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision import transforms as T

from transferlib.execution import execution, versions
from transferlib.nets.pretrained import Pretrained

ROOT = Path(__file__).resolve().parent.parent
WAYS = ("fine-tuned", "frozen")


def loaders(folder: Path, side: int) -> tuple[DataLoader, DataLoader]:
    """The tutorial's loaders, at a smaller picture and in this process: the machine has two cores."""
    usual = [T.ToTensor(), T.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    crops = T.Compose([T.RandomResizedCrop(side), T.RandomHorizontalFlip(), *usual])
    whole = T.Compose([T.Resize((side, side)), *usual])
    train = datasets.ImageFolder(str(folder / "train"), crops)
    val = datasets.ImageFolder(str(folder / "val"), whole)
    return DataLoader(train, batch_size=4, shuffle=True), DataLoader(val, batch_size=64)


def train(net: nn.Module, head: nn.Linear, way: str, epochs: int, batches: DataLoader) -> None:
    """The tutorial's loop."""
    if way == "frozen":
        net.requires_grad_(False)
        head.requires_grad_(True)
    rate = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.001, momentum=0.9)
    falls = torch.optim.lr_scheduler.StepLR(rate, step_size=7, gamma=0.1)
    for _ in range(epochs):
        net.train()
        for images, labels in batches:
            rate.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            rate.step()
        falls.step()


@torch.no_grad()
def accuracies(net: nn.Module, batches: DataLoader) -> tuple[float, float]:
    """Accuracy, and its mean over classes, in percent."""
    net.eval()
    found = [(net(images).argmax(1) == labels, labels) for images, labels in batches]
    right, labels = (torch.cat(part) for part in zip(*found, strict=True))
    by_class = [right[labels == label].float().mean() for label in labels.unique()]
    return 100 * float(right.float().mean()), 100 * float(torch.stack(by_class).mean())


def trained(given: Pretrained, way: str, epochs: int, folder: Path) -> dict[str, float]:
    """One way's accuracies (%), its minutes, and how many tensors below the head have moved, of how many."""
    torch.manual_seed(0)
    net: Any = given.spec.whole(1000)
    net.load_state_dict(dict(given.state or {}))
    net._fc = nn.Linear(net._fc.in_features, 2)
    before = {name: t.clone() for name, t in net.state_dict().items() if not name.startswith("_fc")}
    started, (batches, tests) = time.monotonic(), loaders(folder, given.spec.resolution)
    train(net, net._fc, way, epochs, batches)
    minutes = (time.monotonic() - started) / 60
    moved = sum(not torch.equal(t, net.state_dict()[name]) for name, t in before.items())
    plain, balanced = accuracies(net, tests)
    found = {"accuracy": plain, "balanced": balanced, "minutes": minutes}
    return {name: round(value, 2) for name, value in found.items()} | {"moved": moved, "below": len(before)}


def main(scratch: str, out: str, epochs: str = "10") -> None:
    """Train both ways, and write what came out."""
    sys.path.insert(0, str(ROOT / "examples"))
    import solar_cells  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    packages = solar_cells.fetch(Path(scratch))
    folder = Path(solar_cells.class_folders(packages, Path(scratch)).removeprefix("folder:"))
    given = solar_cells.network(packages)
    ways = {}
    for way in WAYS:
        ways[way] = trained(given, way, int(epochs), folder)
        print(way, ways[way], flush=True)
    made = {"epochs": int(epochs), "device": execution("cpu").device_name, "threads": 1, "versions": versions()}
    Path(out).write_text(json.dumps({"ways": ways, **made}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
