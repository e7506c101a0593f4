"""The way of PyTorch's transfer-learning tutorial, on the solar cells: what a user would do by hand, to compare with.

    python -m benchmarks.tutorial_transfer SCRATCH [EPOCHS] [fine-tuned|frozen …]

The tutorial (pytorch.org, "Transfer Learning for Computer Vision") trains a network from ImageNet in two ways, all of
it, or its last layer alone with everything else at ``requires_grad=False``; with an ``ImageFolder``, random crops and
flips, batches of 4, SGD at .001 with momentum .9, divided by ten every 7 epochs. Here that is written anew on the
pictures and the network of ``examples/solar_cells.py``, and prints accuracy, balanced accuracy and minutes; and whether
what was called frozen is what it was before: its batch norms are in training mode. What it gave: log.md.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision import transforms as T

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


def main(scratch: str, epochs: str = "10", *ways: str) -> None:
    """Train both ways, and print."""
    sys.path.insert(0, str(ROOT / "examples"))
    import solar_cells  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    packages = solar_cells.fetch(Path(scratch))
    folder = Path(solar_cells.class_folders(packages, Path(scratch)).removeprefix("folder:"))
    given = solar_cells.network(packages)
    for way in ways or WAYS:
        torch.manual_seed(0)
        net = given.spec.whole(given.classes)
        net.load_state_dict(given.state)
        net._fc = nn.Linear(net._fc.in_features, 2)
        before = {name: t.clone() for name, t in net.state_dict().items() if not name.startswith("_fc")}
        started, (batches, tests) = time.monotonic(), loaders(folder, solar_cells.RESOLUTION)
        train(net, net._fc, way, int(epochs), batches)
        minutes = (time.monotonic() - started) / 60
        moved = sum(not torch.equal(t, net.state_dict()[name]) for name, t in before.items())
        plain, balanced = accuracies(net, tests)
        print(
            f"{way}: accuracy {plain:.1f} %, balanced {balanced:.1f} %, {minutes:.1f} minutes, {epochs} epochs; "
            f"{moved} of {len(before)} tensors below the head have moved",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
