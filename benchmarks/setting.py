"""What all figures share: the sizes, the images, and how our side builds what it trains."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from transferlib.data import load, shapes
from transferlib.execution import Execution, execution
from transferlib.halves import half_of
from transferlib.nets import NetworkSpec, Stack, network
from transferlib.train import Family, Half, Member, Recipe, fresh_network, graft
from transferlib.treatments import FamilyName

NETWORK = "alexnet32-small"
THREADS = 2  # at most; as many worker processes are offered to the tutorial's DataLoader
STORED = 64  # side of the JPEG files in pixels, as Tiny ImageNet's
IMAGES_PER_CLASS = 128  # of the 20 classes of shapes: 20 batches, which both sides go through again and again
RANDOM_IMAGES, RANDOM_CLASSES = 50_000, 100  # a half of Tiny ImageNet, of random pixels: for what opens no file
# no warm-up of the rate and no decay: the tutorial's side has one rate, and so has ours; epochs without end
RECIPE = Recipe(epochs=10**6, batch_size=128, learning_rate=0.01, warmup_epochs=0.0, dropout=0.1)


def machine() -> Execution:
    """The CPU, with the number format that a run would choose on it."""
    return execution("cpu")


def write_pictures(folder: Path) -> None:
    """Draw ``shapes`` into folders of JPEG files, ``train/CLASS/0.jpg`` and so on."""
    drawn = shapes.draw(STORED, train_per_class=IMAGES_PER_CLASS, val_per_class=1)
    classes, splits = drawn[0], {"train": drawn[3:5], "val": drawn[5:7]}
    for split, (pixels, labels) in splits.items():
        for name in classes:
            (folder / split / name).mkdir(parents=True)
        for i, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
            Image.fromarray(picture).save(folder / split / classes[label] / f"{i}.jpg")


def half_of_pictures(folder: Path, cache: Path) -> Half:
    """Our side's images: the same files, decoded once and for all, as a run would find them."""
    data = load(f"folder:{folder}", spec().resolution, root=cache, progress=False)
    rows = torch.arange(len(data.train.labels)).numpy()
    return half_of(data.train, list(range(len(data.classes))), rows, machine())


def random_half(count: int) -> Half:
    """Random pixels and labels."""
    draw, side = torch.Generator().manual_seed(0), spec().resolution
    pixels = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=draw)
    labels = torch.randint(0, RANDOM_CLASSES, (count,), generator=draw)
    return Half(pixels, torch.arange(count), labels, RANDOM_CLASSES)


def spec() -> NetworkSpec:
    """The network of all figures."""
    return network(NETWORK)


def members_of(name: str, classes: int) -> tuple[list[Member], Stack | None]:
    """The runs of a family (``base``, ``AnB``, ``BnB``) and the frozen source that they share.

    Sources are untrained: what a step costs does not depend on what the weights have learnt.
    """
    how, treatments, source = machine(), FamilyName.parse(name).treatments, None
    if name != "base":
        source = fresh_network(spec(), classes, ("source", name), how.device).requires_grad_(False).eval()
    members = []
    for treatment in treatments:
        net = fresh_network(spec(), classes, ("fresh", name), how.device)
        members.append(Member(treatment, graft(treatment, source, net) if source else net, RECIPE, how))
    return members, source


def our_family(name: str, half: Half) -> Family:
    """A family on a half's images, ready to be trained."""
    members, source = members_of(name, half.classes)
    return Family(members, source, RECIPE, ("benchmark",), half, half, machine())


def alternate(repeats: int, first: Callable[[], float], second: Callable[[], float]) -> list[tuple[float, float]]:
    """The seconds of both sides, one after the other, so that a slow minute of the machine hits both.

    Every other time the second side begins. A side returns its own seconds, warm-up left out.
    """
    pairs = []
    for repeat in range(repeats):
        if repeat % 2:
            late = second()
            pairs.append((first(), late))
        else:
            pairs.append((first(), second()))
    return pairs


def ratio(pairs: list[tuple[float, float]]) -> float:
    """How many times as long the second side takes, the median over the repeats."""
    return statistics.median(second / first for first, second in pairs)


def seconds(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Both sides' median seconds."""
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)
