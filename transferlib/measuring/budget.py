"""What can be measured of somebody else's network in so many minutes: the linear probe first, then coarse to fine."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from transferlib.costs import forward, multiply_adds
from transferlib.measuring.advice import BASE
from transferlib.nets import network
from transferlib.study import Study
from transferlib.treatments import Treatment

COARSE_TO_FINE = (7, 4, 2, 6, 1, 3, 5)
PROBE = Treatment("AnB", 7)
ORDER = (
    *(PROBE, BASE),
    *(Treatment("AnB", n) for n in COARSE_TO_FINE[1:]),
    *(Treatment("AnB", n, fine_tuned=True) for n in COARSE_TO_FINE),
)


@dataclass(frozen=True)
class Costs:
    """About how long trainings take here, by counting multiply-adds.

    Attributes:
        layers: multiply-adds of each layer for one image.
        seen: training images that one run sees in all of its epochs.
        judged: test images that it is judged by in all of its epochs.
        per_second: multiply-adds that are done in a second of training.
    """

    layers: Sequence[int]
    seen: int
    judged: int
    per_second: float

    @classmethod
    def of(cls, study: Study, images: int, tests: int, images_per_second: float) -> Costs:
        """Those of a study whose base trains so many images a second."""
        layers, epochs = multiply_adds(network(study.network)), study.recipe.epochs
        return cls(layers, epochs * images, epochs * tests, 3 * sum(layers) * images_per_second)

    def seconds(self, treatments: Iterable[Treatment]) -> float:
        """Of some runs, the frozen ones in one pass: their shared prefix is run once, up to the deepest cut."""
        tails, prefix = forward(self.layers, [*treatments])
        # what is trained costs three times what runs forward only: once more for the input, once for the weights
        return ((3 * tails + prefix) * self.seen + (tails + prefix) * self.judged) / self.per_second


@dataclass(frozen=True)
class Budget:
    """What is trained, and what is left out for want of time.

    Attributes:
        treatments: to be measured, in order.
        missing: those of them that the store lacks.
        left_out: what there is no time for.
        seconds: what the missing ones will take.
        next_seconds: what the cheapest of those that are left out would take alone.
    """

    treatments: tuple[Treatment, ...]
    missing: tuple[Treatment, ...]
    left_out: tuple[Treatment, ...]
    seconds: float
    next_seconds: float = 0.0


def planned(costs: Costs, seconds: float, finished: Collection[Treatment], head_first: bool, seeds: int = 1) -> Budget:
    """What fits, in ``ORDER``; what is finished costs nothing.

    Args:
        costs: of trainings.
        seconds: that there are.
        finished: what the store has already, in every seed.
        head_first: whether a fine-tuned run needs the frozen one of its depth.
        seeds: how often everything is trained.
    """
    chosen, left_out, spent = [], [], 0.0
    for treatment in ORDER:
        need = [t for t in _needed(treatment, head_first) if t not in finished and t not in chosen]
        cost = seeds * costs.seconds([*(t for t in chosen if t not in finished), *need])
        if cost <= seconds or not need:
            chosen += [t for t in _needed(treatment, head_first) if t not in chosen]
            spent = cost
        else:
            left_out.append(treatment)
    measured = tuple(t for t in ORDER if t in chosen)
    missing = tuple(t for t in measured if t not in finished)
    rest = tuple(t for t in left_out if t not in chosen)
    alone = [seeds * costs.seconds([n for n in _needed(t, head_first) if n not in finished]) for t in rest]
    return Budget(measured, missing, rest, spent, min(alone, default=0.0))


def _needed(treatment: Treatment, head_first: bool) -> list[Treatment]:
    """A run, after the frozen one from which its head comes."""
    head = [Treatment(treatment.kind, treatment.n)] if head_first and treatment.fine_tuned else []
    return [*head, treatment]
