"""The images of a half of the classes, on the device: opened once, moved there once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from transferlib.data import Dataset, Images, load
from transferlib.errors import TransferlibError
from transferlib.execution import Execution
from transferlib.splits import Split, make_split, shuffled, similarity_of
from transferlib.study import FamilyPlan
from transferlib.train import Half


def class_rows(labels: np.ndarray, members: list[int], per_class: int | None, seed: object) -> np.ndarray:
    """Which images belong to some classes, in their order; cut to a number per class by a seed.

    Args:
        labels: int64 (N,), of all images.
        members: labels of the wanted classes.
        per_class: how many of each, None for all.
        seed: names the draw; a larger number keeps the images of a smaller one.

    Raises:
        TransferlibError: where a class has fewer images.
    """
    rows = []
    for label in members:
        found = np.flatnonzero(labels == label)
        if per_class is not None:
            if len(found) < per_class:
                raise TransferlibError(f"expected {per_class} images of each class, one has {len(found)}")
            found = np.sort([int(row) for row in shuffled([str(row) for row in found], seed)[:per_class]])
        rows.append(found)
    return np.sort(np.concatenate(rows))


def half_of(images: Images, members: list[int], rows: np.ndarray, how: Execution) -> Half:
    """Move one half's images to the device, once; where they don't fit, they stay memory-mapped on the disk."""
    relabel = np.full(int(images.labels.max()) + 1, -1)
    relabel[members] = np.arange(len(members))
    labels = torch.from_numpy(relabel[images.labels[rows]]).to(how.device)
    if len(rows) * images.pixels[0].nbytes < 0.8 * how.free_bytes():
        pixels = torch.from_numpy(images.pixels[rows]).to(how.device)
        return Half(pixels, torch.arange(len(rows), device=how.device), labels, len(members))
    return Half(_mapped(images.pixels), torch.from_numpy(rows), labels, len(members))


def _mapped(pixels: np.ndarray) -> Tensor:
    # torch warns that the map is read-only; nothing here writes to it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(pixels)


@dataclass
class OpenData:
    """The data sets and halves in use, so that each is opened and moved to the device once.

    Attributes:
        opened: data sets by name, resolution and the dial's position.
        halves: what the last target's training and validation images are of, and these.
    """

    opened: dict[tuple[str, int, float | None], Dataset] = field(default_factory=dict)
    halves: tuple[tuple[object, ...], tuple[Half, Half]] | None = None

    def dataset(self, plan: FamilyPlan) -> Dataset:
        """The plan's data set; of a folder what it held when the study was opened."""
        study, similarity = plan.study, similarity_of(plan.split)
        if study.identity.dataset:
            return study.identity.dataset
        asked = study.dataset, study.resolution, similarity
        if asked not in self.opened:
            self.opened[asked] = load(study.dataset, study.resolution, similarity=similarity)
        return self.opened[asked]

    def split(self, plan: FamilyPlan) -> Split:
        """The plan's split."""
        return make_split(self.dataset(plan), plan.split)

    def halves_of(self, plan: FamilyPlan, how: Execution) -> tuple[Half, Half]:
        """The target's training and validation images; only those of the last target stay on the device."""
        study = plan.study
        data = study.dataset, study.identity.version, study.resolution, study.images_per_class
        asked = (*data, plan.split, plan.target, plan.seed)
        if self.halves is None or self.halves[0] != asked:
            self.halves = None  # let go of before others come
            self.halves = asked, self._open(plan, how)
        return self.halves[1]

    def _open(self, plan: FamilyPlan, how: Execution) -> tuple[Half, Half]:
        dataset = self.dataset(plan)
        members = [dataset.classes.index(name) for name in self.split(plan).half(plan.target)]
        draw = f"images/{plan.seed}/{plan.split}"
        train = class_rows(dataset.train.labels, members, plan.study.images_per_class, draw)
        val = class_rows(dataset.val.labels, members, None, draw)
        return half_of(dataset.train, members, train, how), half_of(dataset.val, members, val, how)
