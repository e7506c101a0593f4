"""How general is each layer: one plain result of probes, concepts and similarities for a pair of bases (chapter 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TypedDict

import numpy as np
import pandas as pd
import torch

from transferlib.attribution.concepts import concept_separability, concept_sets
from transferlib.attribution.probes import GRID, Labelled, probe
from transferlib.attribution.similarity import BATCH, cka_matrix
from transferlib.data import Dataset
from transferlib.execution import versions
from transferlib.halves import class_rows
from transferlib.nets import Stack
from transferlib.splits import make_split
from transferlib.train import fresh_network

FORMAT = 1
HALVES = ("A", "B")
Row = dict[str, float | str]  # of a table, as JSON has it


class Probing(TypedDict):
    """How the probes were fitted, and on how much."""

    per_class: int
    grid: int
    classes: dict[str, int]
    test_images: dict[str, int]


class MadeOf(TypedDict):
    """What ``Measures`` were made of."""

    format: int
    network: str
    seed: int
    probe: Probing
    concepts: dict[str, int]
    cka: dict[str, int | str]
    versions: dict[str, str]


class Measures(TypedDict):
    """What the layers of base A, of base B and of an untrained network know, as plain values for JSON.

    Attributes:
        probes: rows of ``probe`` with ``network`` and ``classes``.
        concepts: rows of ``concept_separability`` with ``network``.
        cka: ``A, B``, ``A, untrained`` and ``B, untrained``, each 8 × 8.
        made_of: what they were made of.
    """

    probes: list[Row]
    concepts: list[Row]
    cka: dict[str, list[list[float]]]
    made_of: MadeOf


def class_sets(dataset: Dataset, split: str) -> dict[str, tuple[Labelled, Labelled]]:
    """The images of a data set's halves: ``A`` and ``B`` → (training, test), each (pixels, labels)."""
    halves = make_split(dataset, split)
    sets = {}
    for half in HALVES:
        members = [dataset.classes.index(name) for name in halves.half(half)]
        parts = []
        for images in (dataset.train, dataset.val):
            rows = class_rows(images.labels, members, None, half)
            parts.append((np.asarray(images.pixels[rows]), images.labels[rows]))
        sets[half] = tuple(parts)
    return sets


def layer_measures(
    net_a: Stack,
    net_b: Stack,
    sets: Mapping[str, tuple[Labelled, Labelled]],
    *,
    per_class: int = 200,
    concept_images: int = 400,
    cka_images: int = 2000,
    seed: int = 0,
) -> Measures:
    """Measure what the layers of base A and base B know, with an untrained network beside them.

    Args:
        net_a, net_b: the bases of the two halves.
        sets: of ``class_sets``.
        per_class: training images of each class for the probes, at most.
        concept_images: of each concept.
        cka_images: test images for CKA, half from each half's classes, at most.
        seed: of all draws.
    """
    untrained = fresh_network(net_a.spec, net_a.classes, (seed, "untrained"), torch.device("cpu"))
    nets = {"A": net_a, "B": net_b, "untrained": untrained}
    drawn = concept_sets(net_a.spec.resolution, concept_images, seed)
    pixels = _some([sets[half][1][0] for half in HALVES], cka_images // 2, seed)
    return {
        "probes": _probes(nets, sets, per_class, seed),
        "concepts": _rows(concept_separability(net, drawn, seed).assign(network=name) for name, net in nets.items()),
        "cka": _similarities(nets, pixels),
        "made_of": {
            "format": FORMAT,
            "network": net_a.spec.name,
            "seed": seed,
            "probe": {
                "per_class": per_class,
                "grid": GRID,
                "classes": {half: len(np.unique(sets[half][0][1])) for half in HALVES},
                "test_images": {half: len(sets[half][1][1]) for half in HALVES},
            },
            "concepts": {"images_per_concept": concept_images},
            "cka": {"images": len(pixels), "estimator": "linear, unbiased, minibatch", "batch": BATCH},
            "versions": versions() | {"captum": version("captum")},
        },
    }


class Likeness(TypedDict):
    """How alike two bases of one network see, layer by layer, as plain values for JSON.

    Attributes:
        network: what both are.
        cka: of layer k of base A with layer k of base B, k = 1..8.
        images: how many, half from each half's classes.
    """

    network: str
    cka: list[float]
    images: int


def likeness(
    net_a: Stack, net_b: Stack, sets: Mapping[str, tuple[Labelled, Labelled]], images: int = 2000, seed: int = 0
) -> Likeness:
    """Linear CKA of each layer of base A with the same layer of base B, on test images of both halves.

    Args:
        net_a, net_b: the bases of the two halves.
        sets: of ``class_sets``.
        images: half from each half's classes, at most.
        seed: of their draw.
    """
    pixels = _some([sets[half][1][0] for half in HALVES], images // 2, seed)
    alike = [round(float(value), 6) for value in cka_matrix(net_a, net_b, pixels).diagonal()]
    return {"network": net_a.spec.name, "cka": alike, "images": len(pixels)}


def _probes(
    nets: Mapping[str, Stack], sets: Mapping[str, tuple[Labelled, Labelled]], per_class: int, seed: int
) -> list[Row]:
    return _rows(
        probe(net, *sets[half], per_class=per_class, seed=seed).assign(network=name, classes=half)
        for name, net in nets.items()
        for half in HALVES
    )


def _similarities(nets: Mapping[str, Stack], pixels: np.ndarray) -> dict[str, list[list[float]]]:
    pairs = (("A", "B"), ("A", "untrained"), ("B", "untrained"))
    return {f"{one}, {other}": cka_matrix(nets[one], nets[other], pixels).tolist() for one, other in pairs}


def own_over_foreign(measures: Measures) -> pd.Series:
    """How much better a base's layers tell its own classes than the other half's, by linear probes, in points.

    Args:
        measures: of ``layer_measures``.

    Returns:
        The mean over both halves' classes, by layer (0 is the picture itself): chapter 4's prediction of what a cut
        loses to specificity.
    """
    accuracy = pd.DataFrame(measures["probes"]).pivot(index="layer", columns=["classes", "network"], values="accuracy")
    of_a, of_b = (accuracy[own, own] - accuracy[own, other] for own, other in (HALVES, HALVES[::-1]))
    return 50 * (of_a + of_b)


def _some(sets: list[np.ndarray], count: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    chosen = np.concatenate([pixels[draw.permutation(len(pixels))[:count]] for pixels in sets])
    return chosen[draw.permutation(len(chosen))]


def _rows(tables: Iterable[pd.DataFrame]) -> list[Row]:
    rows = pd.concat(tables).to_dict("records")
    return [{str(name): round(v, 6) if isinstance(v, float) else v for name, v in row.items()} for row in rows]
