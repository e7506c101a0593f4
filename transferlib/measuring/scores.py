"""How often each treatment is right on the target's test pictures, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from transferlib.errors import TransferlibError
from transferlib.stats import Estimate
from transferlib.treatments import Treatment


@dataclass(frozen=True)
class Scores:
    """Which test images of the target each treatment's runs get right, and what that says of other images and seeds.

    The error of a mean has two parts. That of the test images: the variance over images of what a treatment gets on
    average over its seeds; two made-up images, one at each extreme, keep few images that agree from looking like
    certainty (as in Bonett and Price's interval). That of training: the variance between a treatment's seeds, beyond
    what the images explain; as a few seeds tell little of it, it is never taken to be less than the mean variance of
    all treatments, whose degrees of freedom it gets (as an analysis of variance pools them; where the base's noise is
    three times the others', three seeds' 95 % intervals hold in 90 % of trials). One seed tells nothing of it: then
    the error is over the test images only.

    Attributes:
        right: of each treatment, float (seeds, M), 100 or 0; runs that diverged are left out.
        labels: int64 (M,), the test images' classes, where the mean over classes is wanted: balanced accuracy. By
            default all images count alike.
    """

    right: dict[Treatment, np.ndarray]
    labels: np.ndarray | None = None

    @classmethod
    def of(cls, runs: pd.DataFrame, labels: np.ndarray | None = None) -> Scores:
        """Those of a table's runs on target B."""
        sound = runs[(runs["target"] == "B") & (runs["status"] != "diverged")]
        named = sound.sort_values("seed").groupby("treatment")["correct"]
        return cls({Treatment.parse(str(name)): 100.0 * np.stack(list(rows)) for name, rows in named}, labels)

    @cached_property
    def spread(self) -> dict[Treatment, float]:
        """The variance between the seeds of each treatment that has several, in points squared."""
        return {t: _between_seeds(right * self._weights) for t, right in self.right.items() if len(right) > 1}

    @cached_property
    def _groups(self) -> list[np.ndarray]:
        """The images whose means count alike: those of each class, or all; bool (M,) each."""
        images = len(next(iter(self.right.values()))[0])
        if self.labels is None:
            return [np.ones(images, bool)]
        return [self.labels == label for label in np.unique(self.labels)]

    @cached_property
    def _weights(self) -> np.ndarray:
        """What each image counts, (M,), 1 in the mean."""
        counts = sum(group / group.sum() for group in self._groups)
        return np.asarray(counts) * len(self._groups[0]) / len(self._groups)

    def accuracy(self, treatment: Treatment) -> Estimate:
        """A treatment's top-1 accuracy, in percent; the mean over classes where these are known."""
        return self._estimate(self._of(treatment).mean(0), (0.0, 100.0), [treatment])

    def difference(self, first: Treatment, second: Treatment) -> Estimate:
        """One treatment's accuracy minus another's, on the same test images, in points."""
        by_image = self._of(first).mean(0) - self._of(second).mean(0)
        return self._estimate(by_image, (-100.0, 100.0), [first, second])

    def _of(self, treatment: Treatment) -> np.ndarray:
        if treatment not in self.right:
            raise TransferlibError(f"{treatment} diverged in every seed: try another number of --epochs")
        return self.right[treatment]

    def _estimate(self, by_image: np.ndarray, extremes: tuple[float, float], parts: Sequence[Treatment]) -> Estimate:
        seeds, shares = min(len(self.right[t]) for t in parts), []
        for group in self._groups:  # the variance of each group's mean, and its degrees of freedom
            seen = np.append(by_image[group], extremes)
            shares.append((float(seen.var(ddof=1)) / len(seen) / len(self._groups) ** 2, len(seen) - 1))
        of_images = sum(variance for variance, _ in shares)
        of_training = sum(self._training(t) / len(self.right[t]) for t in parts)
        freedom = sum(len(self.right[t]) - 1 for t in self.spread)
        total = of_images + of_training
        by_images = sum(variance**2 / free for variance, free in shares)
        welch = total**2 / (by_images + (of_training**2 / freedom if freedom else 0.0))
        over = "test images and seeds" if self.spread else "test images"
        mean = float(np.mean([by_image[group].mean() for group in self._groups]))
        return Estimate(mean, math.sqrt(total), welch, seeds, over)

    def _training(self, treatment: Treatment) -> float:
        pooled = float(np.mean(list(self.spread.values()))) if self.spread else 0.0
        return max(self.spread.get(treatment, 0.0), pooled, 0.0)


def at_chance(runs: pd.DataFrame, labels: np.ndarray | None = None) -> pd.Series:
    """Which runs are no better than guessing would be 1 time in 1000, bool by row.

    Args:
        runs: rows of ``Store.table`` with ``correct``.
        labels: int64 (M,), the test images' classes, where the mean over classes counts. A run's own status is about
            top-1, where who names the largest class is hard to beat; it then need not guess in the mean over classes.
    """
    guessing = runs["status"].eq("chance")
    if labels is None:
        return guessing
    means = [np.mean([right[labels == label].mean() for label in np.unique(labels)]) for right in runs["correct"]]
    return guessing & (np.asarray(means) <= guessed(labels))


def guessed(labels: np.ndarray) -> float:
    """The mean over classes that guessing exceeds about 1 time in 1000 (a fraction), by a normal approximation.

    Args:
        labels: int64 (M,), the test images' classes. Where they are so few that the line lies beyond all right, all
            right is above it unless it is guessed more often than that.
    """
    _, counts = np.unique(labels, return_counts=True)
    # the variance of a guesser who names each class half of the time: none has a larger one
    error = math.sqrt(float((0.25 / counts).sum())) / len(counts)
    line = 1 / len(counts) + 3.09 * error
    all_right = float(np.prod((counts / len(labels)) ** counts))  # by who names each class as often as it comes
    return min(line, 1.0 if all_right > 0.001 else math.nextafter(1.0, 0.0))


def _between_seeds(right: np.ndarray) -> float:
    """The variance of accuracies (seeds, M) between seeds, less that of which image happens to be right when."""
    seeds, images = right.shape
    rest = right - right.mean(1, keepdims=True) - right.mean(0) + right.mean()
    by_chance = (rest**2).sum() / (seeds - 1) / max(images - 1, 1) / images
    return float(right.mean(1).var(ddof=1) - by_chance)
