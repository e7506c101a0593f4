"""A network, images and families small enough to train for real in milliseconds."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch

from transferlib.execution import Execution
from transferlib.nets import AlexNetSpec, Conv, ResNetSpec, ViTSpec
from transferlib.train import Family, Half, Member, Recipe, fresh_network, graft
from transferlib.treatments import Treatment

SPEC = AlexNetSpec(
    name="test-net",
    resolution=8,
    convs=(
        Conv(4, 3, padding=1, pool=(2, 0), lrn=True),
        Conv(6, 3, padding=1, groups=2),
        Conv(6, 3, padding=1),
        Conv(8, 3, padding=1, groups=2),
        Conv(6, 3, padding=1, pool=(3, 1)),
    ),
    hidden=(12, 10),
    mean=(100.0, 120.0, 140.0),
    std=(50.0, 60.0, 70.0),
)
SPEC_BN = dataclasses.replace(SPEC, name="test-net-bn", batch_norm=True)
RESNET = ResNetSpec("test-resnet", 8, (4, 4, 6, 6, 8, 8))
RESNET_PLAIN = dataclasses.replace(RESNET, name="test-resnet-plain", normalisation="none")
VIT = ViTSpec("test-vit", 8, patch=4, width=8, heads=2)
CPU = Execution(torch.device("cpu"), torch.float32)
RECIPE = Recipe(
    epochs=2, batch_size=8, learning_rate=0.05, warmup_epochs=0.5, weight_decay=0.01, crop_padding=2
)  # 27 images: 3 steps an epoch, 3 images left over
STREAM = (0, "random:0", "B", "transfer")
BASE_STREAM = (0, "random:0", "A", "base")
SOURCE_CLASSES = 4


def random_half(seed, count=27, side=8, classes=3, device="cpu"):
    """Noise with a colour of its own for each class, in every other image of a larger array."""
    draw = np.random.default_rng(seed)
    rows = draw.permutation(2 * count)[:count]
    labels = draw.integers(0, classes, count)
    pixels = draw.integers(0, 160, (2 * count, side, side, 3))
    for row, label in zip(rows, labels, strict=True):
        pixels[row, ..., label % 3] += 95
    return Half(
        torch.from_numpy(pixels.astype(np.uint8)).to(device),
        torch.from_numpy(rows).to(device),
        torch.from_numpy(labels).to(device),
        classes,
    )


def copies(net):
    """A network's whole state, buffers included, as it is now."""
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


@functools.cache
def _trained_base(spec):
    net = fresh_network(spec, SOURCE_CLASSES, BASE_STREAM, CPU.device)
    member = Member(Treatment("base"), net, RECIPE, CPU)
    half = random_half(11, classes=SOURCE_CLASSES)
    run(Family([member], None, RECIPE, BASE_STREAM, half, half, CPU))
    return net.state_dict()


def source_of(spec, execution=CPU):
    """A base that has been trained, so that its batch norm has statistics; frozen as the study hands it out."""
    net = fresh_network(spec, SOURCE_CLASSES, BASE_STREAM, execution.device)
    net.load_state_dict(_trained_base(spec))
    return net.requires_grad_(False).eval()


def family_of(names, spec, recipe=RECIPE, execution=CPU, stream=STREAM, side=8):
    """A family of the runs named, such as ``A3B A5B``, ready to train."""
    device = execution.device
    train, val = (random_half(seed, side=side, device=device) for seed in (1, 2))
    source = source_of(spec, execution)
    treatments = [Treatment.parse(name) for name in names.split()]
    members = []
    for treatment in treatments:
        net = graft(treatment, source, fresh_network(spec, train.classes, stream, device))
        members.append(Member(treatment, net, recipe, execution))
    prefix = source if treatments[0].frozen else None
    return Family(members, prefix, recipe, stream, train, val, execution)


def run(family, steps=10**9):
    """Train, to the end or for some steps."""
    for done in family.run():
        if done >= steps:
            break
    return family


def numbers(family):
    """Everything that a run gives, by treatment, to be compared bit for bit."""
    return {
        str(m.treatment): (
            [dataclasses.astuple(point) for point in m.curve],
            m.correct.tolist(),
            m.diverged,
            {name: t.cpu().contiguous().numpy().tobytes() for name, t in m.net.state_dict().items()},
        )
        for m in family.members
    }
