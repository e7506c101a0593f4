"""The figure of memory: what training takes on top of the images. ``python -m benchmarks.memory base 50000``."""

from __future__ import annotations

import contextlib
import itertools
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks import setting
from transferlib.data import Images
from transferlib.halves import half_of
from transferlib.train import Family, Half

KINDS = ("base", "AnB")
COUNTS = (25_000, 50_000)
STEPS = 16  # half of them before the end of an epoch and its evaluation, half after
VAL_IMAGES = 1000  # two batches of an evaluation


def resident() -> int:
    """The bytes of this process that are in memory now."""
    return psutil.Process().memory_info().rss


def reset_peak() -> None:
    """Start the peak anew, where the system can; elsewhere it stays that of the whole process: never less."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The largest ``resident`` so far."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def write_images(file: Path, count: int) -> None:
    """Random pixels on the disk, a few at a time so that this process stays small."""
    draw, side = np.random.default_rng(0), setting.spec().resolution
    with file.open("wb") as out:
        for start in range(0, count, 1000):
            block = min(1000, count - start)
            draw.integers(0, 256, (block, side, side, 3), dtype=np.uint8).tofile(out)


def move_half(file: Path, count: int) -> Half:
    """Move all images of the file to the device, as a run does."""
    side, classes = setting.spec().resolution, setting.RANDOM_CLASSES
    pixels = np.memmap(file, dtype=np.uint8, mode="r", shape=(count, side, side, 3))
    images = Images(pixels, np.arange(count) % classes)
    return half_of(images, list(range(classes)), np.arange(count), setting.machine())


def measure(kind: str, count: int) -> int:
    """Train a little and tell the bytes above those before the images and above the images themselves."""
    torch.set_num_threads(min(setting.THREADS, torch.get_num_threads()))
    members, source = setting.members_of(kind, setting.RANDOM_CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pixels"
        write_images(file, count)
        before = resident()
        train = move_half(file, count)
    known = before + train.pixels.nbytes
    reset_peak()  # the file's pages, read while the images moved, are the system's to take back
    val = Half(train.pixels, train.rows[:VAL_IMAGES], train.labels[:VAL_IMAGES], train.classes)
    family = Family(members, source, setting.RECIPE, ("benchmark",), train, val, setting.machine())
    family.done_steps = max(0, family.steps_per_epoch - STEPS // 2)
    for _ in itertools.islice(family.run(), STEPS):
        pass
    return peak() - known


def peak_over_data_bytes() -> int:
    """The largest of the measures, each in a fresh process."""
    print("peak_over_data_bytes: resident memory above that before the images, and above the images")
    worst = 0
    for kind in KINDS:
        for count in COUNTS:
            got = _in_fresh_process(kind, count)
            worst = max(worst, got)
            print(f"  {kind:<5} {count:6} images  {got:12} bytes ({got / 2**20:.0f} MiB)", flush=True)
    return worst


def _in_fresh_process(kind: str, count: int) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", kind, str(count)]
    root = Path(__file__).parents[1]
    return int(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout)


if __name__ == "__main__":
    print(measure(sys.argv[1], int(sys.argv[2])))
