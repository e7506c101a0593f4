"""What a training costs, by counting multiply-adds: of a network, of a family beside its base, of a study."""

from __future__ import annotations

from collections.abc import Sequence

from transferlib.data import lookup
from transferlib.nets import NetworkSpec, network, outline
from transferlib.study import FamilyPlan, Study
from transferlib.treatments import Treatment


def multiply_adds(spec: NetworkSpec) -> list[int]:
    """Of each layer for one image; of layer 8, whose cost goes with the classes and is small, none are counted."""
    copied = [*outline(spec, classes=2)][:-1]
    return [layer.multiply_adds for layer in copied] + [0]


def base_equivalents(plan: FamilyPlan) -> float:
    """What a family costs, in trainings of a base, by counting multiply-adds.

    A trained layer costs three (forward, and backward for its input and its weights), a frozen one of the shared
    prefix one; what lies below a cut is not differentiated.
    """
    layers = multiply_adds(network(plan.study.network))
    tails, prefix = forward(layers, plan.treatments)
    return (3 * tails + prefix) / (3 * sum(layers))


def forward(layers: Sequence[int], treatments: Sequence[Treatment]) -> tuple[int, int]:
    """Multiply-adds of running some runs once, in one pass: of what each trains, and of the frozen prefix they share.

    Args:
        layers: multiply-adds of each layer.
        treatments: of runs that are trained side by side.
    """
    tails = sum(sum(layers[t.frozen :]) for t in treatments)
    return tails, sum(layers[: max((t.frozen for t in treatments), default=0)])


def images_of(study: Study) -> int:
    """The training images that a base of the study sees."""
    half = lookup(study.dataset).size().half
    images = half.images
    if study.images_per_class is not None:
        images = min(images, study.images_per_class * half.classes)
    return images * study.recipe.length
