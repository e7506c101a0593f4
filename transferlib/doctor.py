"""What this machine, or a cluster, will do: devices, memory, data, versions, and how long each profile takes there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import psutil

from transferlib.data import data_root
from transferlib.execution import Execution, versions
from transferlib.executors import SERIAL, Executor
from transferlib.executors.executor import Offer
from transferlib.executors.graph import Graph, makespan
from transferlib.names import printable
from transferlib.profiles import PROFILES, Profile
from transferlib.reporting import clock


def profile_seconds(profile: Profile, offer: Offer) -> float:
    """About how long a profile takes: its families handed out to the workers, at a base's measured speed.

    What a family costs beside a base is counted in multiply-adds. Its parts are trained one after another.
    """
    return sum(
        makespan(Graph.whole(study), offer.workers)[0] / offer.speeds[study.network] for study in profile.studies
    )


def report(execution: Execution, executor: Executor = SERIAL) -> Iterator[str]:
    """The lines of ``transferlib doctor``."""
    yield f"device     {execution.device_name}"
    yield f"precision  {execution} (what this device is good at)"
    yield f"memory     {_memory(execution)}"
    yield f"data       {printable(str(data_root()))}, {_disk()}"
    yield "versions   " + ", ".join(f"{name} {value}" for name, value in versions().items())
    offer = offer_of(executor, execution)
    yield from offer.about
    yield ""
    yield f"profile    about, {offer.where:<6} what"
    for profile in PROFILES.values():
        yield f"{profile.name:<10} {_length(profile_seconds(profile, offer)):<13} {profile.purpose}"


def offer_of(executor: Executor, execution: Execution) -> Offer:
    """What an executor has for the networks of all profiles; one that doesn't say so is taken for ``serial``."""
    studies = [study for profile in PROFILES.values() for study in profile.studies]
    return getattr(executor, "offer", SERIAL.offer)(studies, execution)


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
