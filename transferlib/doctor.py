"""What this machine will do: device, precision, memory, data, versions, and about how long each profile takes here."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import psutil
import torch

from transferlib.costs import multiply_adds, study_images
from transferlib.data import data_root, lookup
from transferlib.execution import Execution, versions
from transferlib.names import printable
from transferlib.nets import network
from transferlib.profiles import PROFILES, Profile
from transferlib.reporting import clock
from transferlib.study import Study
from transferlib.train import Family, Half, Member, Recipe, fresh_network
from transferlib.treatments import Treatment


def images_per_second(study: Study, execution: Execution, seconds: float = 2.0) -> float:
    """Measured speed of training a base of the study on random pixels, after a warm-up."""
    spec = network(study.network)
    # a CPU needs seconds for one batch of CaffeNet: a smaller one tells the speed as well
    batch = max(4, min(study.recipe.batch_size, int(4e9 / sum(multiply_adds(spec)))))
    family = _on_random_pixels(study, execution, batch)
    for _ in range(2):
        family.train_step()
    execution.on.synchronise()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        family.train_step()
        steps += 1
    execution.on.synchronise()
    return steps * batch / (time.perf_counter() - started)


def _on_random_pixels(study: Study, execution: Execution, batch: int) -> Family:
    spec, device, name = network(study.network), execution.device, ("doctor",)
    side, classes = study.resolution, lookup(study.dataset).size().half.classes
    pixels = torch.randint(0, 256, (2 * batch, side, side, 3), dtype=torch.uint8).to(device)
    labels = torch.arange(2 * batch, device=device) % classes
    half = Half(pixels, torch.arange(2 * batch, device=device), labels, classes)
    recipe = Recipe(epochs=10**6, batch_size=batch, learning_rate=1e-6, dropout=study.recipe.dropout)
    member = Member(Treatment("base"), fresh_network(spec, classes, name, device), recipe, execution)
    # no validation: only steps are timed
    return Family([member], None, recipe, name, half, Half(pixels[:0], labels[:0], labels[:0], classes), execution)


def profile_seconds(profile: Profile, execution: Execution) -> float:
    """About how long a profile takes here: the base's measured speed, scaled by multiply-adds."""
    speeds: dict[str, float] = {}
    for study in profile.studies:
        if study.network not in speeds:
            speeds[study.network] = images_per_second(study, execution)
    return sum(study_images(study) / speeds[study.network] for study in profile.studies)


def report(execution: Execution) -> Iterator[str]:
    """The lines of ``transferlib doctor``."""
    yield f"device     {execution.device_name}"
    yield f"precision  {execution} (what this device is good at)"
    yield f"memory     {_memory(execution)}"
    yield f"data       {printable(str(data_root()))}, {_disk()}"
    yield "versions   " + ", ".join(f"{name} {value}" for name, value in versions().items())
    yield ""
    yield "profile    about, here   what"
    for profile in PROFILES.values():
        yield f"{profile.name:<10} {_length(profile_seconds(profile, execution)):<13} {profile.purpose}"


def _memory(execution: Execution) -> str:
    memory = psutil.virtual_memory()
    line = f"{memory.available / 2**30:.0f} of {memory.total / 2**30:.0f} GiB free"
    if own := execution.on.memory():
        line += f"; on the GPU {own[0] / 2**30:.0f} of {own[1] / 2**30:.0f} GiB"
    return line


def _disk() -> str:
    root = data_root()
    there = next(path for path in (root, *root.parents) if path.exists())
    return f"{shutil.disk_usage(there).free / 2**30:.0f} GiB free"


def _length(seconds: float) -> str:
    days = seconds / 86_400
    return f"{days:,.0f} days" if days >= 2 else clock(seconds)
