"""Profiles: named studies at named sizes. A profile's first study is its main one; the others complete the figures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from transferlib.errors import TransferlibError
from transferlib.study import Study
from transferlib.train import Recipe
from transferlib.treatments import parse_treatments

EVERYTHING = parse_treatments("base,BnB,AnB,BnB+,AnB+,RnB")
TRANSFER = parse_treatments("base,BnB,AnB,BnB+,AnB+")


@dataclass(frozen=True)
class Profile:
    """A named list of studies.

    Attributes:
        name: as given to ``--profile``.
        purpose: one sentence for ``--help`` and the book.
        studies: the main study first.
    """

    name: str
    purpose: str
    studies: tuple[Study, ...]

    def narrowed(self, epochs: int | None = None, **changes: object) -> tuple[Study, ...]:
        """The profile's studies with changes.

        Args:
            epochs: replaces the length of training everywhere.
            changes: fields of ``Study``; they ask for one study, so that only the main one is run, with these changed.

        Raises:
            TransferlibError: for a change that a study can't take.
        """
        changes = {name: value for name, value in changes.items() if value is not None}
        studies = (dataclasses.replace(self.studies[0], **changes),) if changes else self.studies
        if epochs is None:
            return studies
        return tuple(
            dataclasses.replace(study, recipe=dataclasses.replace(study.recipe, epochs=epochs)) for study in studies
        )


def _smoke() -> Profile:
    main = Study(
        dataset="shapes",
        resolution=32,
        network="alexnet32-tiny",
        splits=("random:0",),
        targets=("B",),
        treatments=EVERYTHING,
        recipe=Recipe(epochs=3, batch_size=64, learning_rate=0.05, dropout=0.0, crop_padding=2),
    )
    distant = dataclasses.replace(
        main, splits=("natural-manmade",), targets=("A", "B"), treatments=parse_treatments("base,AnB")
    )
    return Profile("smoke", "the embedded data set on two CPU cores, in minutes: what CI runs", (main, distant))


def _colab() -> Profile:
    main = Study(
        dataset="tiny-imagenet",
        resolution=32,
        network="alexnet32",
        splits=("random:0",),
        targets=("B",),
        treatments=EVERYTHING,
        recipe=Recipe(epochs=16, batch_size=128, learning_rate=0.04, dropout=0.25),
    )
    return Profile("colab", "Tiny ImageNet at 32 px, one split, one direction, on a Colab GPU", (main,))


def _published() -> Profile:
    main = Study(
        dataset="tiny-imagenet",
        resolution=32,
        network="alexnet32-small",
        splits=("random:0", "random:1", "random:2", "random:3"),
        targets=("A", "B"),
        treatments=TRANSFER,
        recipe=Recipe(epochs=24, batch_size=128, learning_rate=0.05, dropout=0.1),
    )
    distant = dataclasses.replace(main, splits=("natural-manmade:0", "natural-manmade:1"))
    random_filters = dataclasses.replace(
        main, splits=("random:0",), targets=("A", "B"), treatments=parse_treatments("base,RnB")
    )
    return Profile("published", "the study of the book, on Tiny ImageNet", (main, distant, random_filters))


def _paper() -> Profile:
    main = Study(
        dataset="imagenet",
        resolution=256,
        network="caffenet",
        splits=("random:0", "random:1", "random:2", "random:3"),
        targets=("A", "B"),
        treatments=TRANSFER,
        recipe=Recipe(
            epochs=178,  # 450,000 iterations of 256 images, of a half of about 645,000
            batch_size=256,
            learning_rate=0.01,
            nesterov=False,
            warmup_epochs=0.0,
            schedule="step",
            step_epochs=39.7,  # 100,000 iterations
            dropout=0.5,
            crop_padding=0,
        ),
    )
    distant = dataclasses.replace(main, splits=("natural-manmade",), treatments=parse_treatments("base,AnB"))
    random_filters = dataclasses.replace(main, splits=("random:0",), treatments=parse_treatments("base,RnB"))
    return Profile("paper", "CaffeNet on ImageNet with the 2014 recipe", (main, distant, random_filters))


PROFILES: dict[str, Profile] = {p.name: p for p in (_smoke(), _colab(), _published(), _paper())}


def profile(name: str) -> Profile:
    """The named profile.

    Raises:
        TransferlibError: for an unknown name, with those that exist.
    """
    if name not in PROFILES:
        raise TransferlibError(f"unknown profile {name!r}: expected one of {', '.join(PROFILES)}")
    return PROFILES[name]
