"""How a study scales with workers: measured with two on this machine, and simulated from the costs of families.

python -m benchmarks.scale [PROFILE ...]
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
import time
from collections.abc import Iterable

from transferlib.execution import execution
from transferlib.executors import Processes, run_study
from transferlib.executors.graph import Graph, makespan
from transferlib.profiles import profile
from transferlib.progress import clock
from transferlib.speed import speeds as measured_speeds
from transferlib.store import Store
from transferlib.study import Study
from transferlib.train import Recipe
from transferlib.treatments import parse_treatments

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
EPOCHS = 15  # so that two workers train for some minutes, beside which their start is small


def study() -> Study:
    """Two bases, and four families on them."""
    return Study(
        dataset="shapes",
        resolution=32,
        network="alexnet32-tiny",
        splits=("random:0",),
        targets=("A", "B"),
        treatments=parse_treatments("base,AnB,BnB"),
        recipe=Recipe(epochs=EPOCHS, batch_size=32, learning_rate=0.02),
    )


def measured() -> tuple[float, float]:
    """Seconds of the same families with one worker on one core, and with two on two, one thread each."""
    cores, seconds = sorted(os.sched_getaffinity(0)), []
    if len(cores) < 2:
        raise SystemExit("two cores are needed")
    for count in (1, 2):
        os.sched_setaffinity(0, cores[:count])  # what workers inherit
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            run_study(study(), Store(folder), executor=Processes(count), device="cpu", precision="fp32")
        seconds.append(time.perf_counter() - started)
    os.sched_setaffinity(0, cores)
    return seconds[0], seconds[1]


def fresh(graph: Graph, apart: bool = True) -> Graph:
    """The same graph, of which nothing is done; without ``apart`` no family can be taken apart."""
    works = [copy.copy(work) for work in graph.waiting]
    for work in works:
        work.resumes = not apart
    return Graph(works)


def table(name: str) -> Iterable[str]:
    """What a profile takes on more and more workers that are all as fast as this machine."""
    here = execution()
    speeds = measured_speeds(profile(name).studies, here)
    yield f"{name}: on workers as fast as this machine ({here.device_name}); its parts one after another, as `run` does"
    yield "workers  hours      times as fast  without taking apart  what ends last, in the part that takes longest"
    graphs = [(3600 * speeds[part.network], Graph.whole(part)) for part in profile(name).studies]
    alone = None
    for count in WORKERS:
        hours, whole, longest = 0.0, 0.0, (0.0, "")
        for per_hour, graph in graphs:
            took, last = makespan(fresh(graph), count)
            hours += took / per_hour
            whole += makespan(fresh(graph, apart=False), count)[0] / per_hour
            longest = max(longest, (took / per_hour, str(last.plan) if last else ""))
        alone = alone or hours
        last_of = " ".join(longest[1].split())
        yield f"{count:>7}  {hours:>9,.1f}  {alone / hours:>13.1f}  {alone / whole:>20.1f}  {last_of}"


def main(names: list[str]) -> None:
    """Measure, then simulate."""
    one, two = measured()
    runs = len(study().run_keys)
    print(f"the same {runs} runs: one worker {clock(one)}, two {clock(two)}, {one / two:.2f} times as fast", flush=True)
    for name in names or ["published", "paper"]:
        print("\n" + "\n".join(table(name)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
