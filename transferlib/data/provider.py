"""A data set that can be asked for by name: what it is, how large it is, how it is opened, and what names its runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from transferlib.data.checking import Check
from transferlib.data.classes import Catalogue
from transferlib.data.dataset import Dataset
from transferlib.data.wordnet import wordnet_groups
from transferlib.errors import TransferlibError

CHECKED_AT = 32  # pixels: what a data set is opened at where only its classes or its soundness are asked for


@dataclass(frozen=True)
class Size:
    """How large a data set is, or a half of its classes.

    Attributes:
        images: of training.
        classes: that they belong to.
    """

    images: int
    classes: int

    @property
    def half(self) -> Size:
        """About that of one half of the classes."""
        return Size(self.images // 2, self.classes // 2)


class Provider(ABC):
    """A data set that can be asked for by name; ``register`` makes a new one known.

    Attributes:
        name: what it is asked for by, in a study and on the command line.
        description: what it is, in a few words.
        obtained: how one gets it, in a few words.
        version: a number that changes when its pixels do; None where only opening it tells.
    """

    name: str
    description: str
    obtained: str
    version: int | None = 0

    def size(self) -> Size:
        """Its training images and classes, all of them; every data set declares them.

        Raises:
            TransferlibError: where it doesn't.
        """
        raise TransferlibError(f"data set {self.name} declares no size: give it a method size")

    @abstractmethod
    def load(self, root: Path, resolution: int, progress: bool, similarity: float | None) -> Dataset:
        """Open it at a resolution.

        Args:
            root: the data folder, below which it may keep files.
            resolution: side of the square images, in pixels.
            progress: whether to show progress bars on the standard error.
            similarity: the dial's position, 0 to 1; None is the default, and all that a set without ``halves`` gets.
        """

    def fetch(self, root: Path, progress: bool) -> Path:
        """Make sure that it is there, and tell where it lies; there is nothing to fetch unless it says otherwise."""
        return root

    def check(self, root: Path, progress: bool) -> Check:
        """Count its classes and images and find damaged files: by opening it, unless it knows a way that keeps none."""
        opened = self.load(root, CHECKED_AT, progress, None)
        counts = len(opened.classes), len(opened.train.labels), len(opened.val.labels)
        return Check(self.name, str(self.fetch(root, progress)), *counts, findings=opened.findings)

    def catalogue(self, root: Path) -> Catalogue:
        """Its classes without its pictures: by opening it, unless it knows them by heart."""
        opened = self.load(root, CHECKED_AT, True, None)
        return Catalogue(self.name, opened.classes, opened.names, opened.groups, tuple(() for _ in opened.classes))

    def groups(self, classes: tuple[str, ...]) -> tuple[str | None, ...]:
        """Which of some classes are ``natural`` or ``man-made``, None where unknown: by WordNet unless it says else."""
        return wordnet_groups(classes)

    def halves(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """The halves A and B whose likeness its similarity dial sets; None for a data set without a dial."""
        return None

    def resized(self, interpolation: str) -> Provider:
        """The same data set with its pictures resized otherwise; one that was decoded once stays as it is."""
        return self

    def inputs(self) -> tuple[Path, ...]:
        """The folders of a user's own that it is read from, into which nothing may be written."""
        return ()

    @property
    def recorded_name(self) -> str:
        """Its name in a record."""
        return self.name

    def state(self) -> str:
        """What changes when its files do; empty for one whose files are taken to stay as they are."""
        return ""

    def fixed(self) -> Snapshot:
        """What names its runs, without opening it.

        Raises:
            TransferlibError: where only opening it tells.
        """
        if self.version is None:
            raise TransferlibError(f"{self.name} has not been opened, and its pictures name its runs: open the study")
        return Snapshot(self, self.version)

    def snapshot(self, root: Path, resolution: int) -> Snapshot:
        """Settle what names its runs now, opening it where only that tells."""
        return self.fixed()


@dataclass(frozen=True)
class Snapshot:
    """A data set as it is when a study is opened: what names its runs and what they are trained on are of one time.

    Attributes:
        provider: of the data set.
        version: another one when its pixels are.
        dataset: the opened pictures where they made the version; None where it is fixed, and splits may differ in
            what they open.
        state: of its files, taken before they were opened.
    """

    provider: Provider
    version: int | str
    dataset: Dataset | None = None
    state: str = ""

    @property
    def name(self) -> str:
        """The data set's name in a record."""
        return self.provider.recorded_name

    def is_of(self, name: str, resolution: int) -> bool:
        """Whether this is the snapshot of a data set at a resolution."""
        return self.provider.name == name and (self.dataset is None or self.dataset.resolution == resolution)

    def changed(self) -> bool:
        """Whether the files have changed since."""
        return self.provider.state() != self.state
