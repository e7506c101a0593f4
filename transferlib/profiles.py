"""Profiles: named studies at named sizes. Each profile has parts, one for each thing that a figure shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from transferlib.errors import TransferlibError
from transferlib.study import Study
from transferlib.train import Recipe
from transferlib.treatments import parse_treatments

TRANSFER = parse_treatments("base,BnB,AnB,BnB+,AnB+")
DIAL = (1.0, 0.75, 0.5, 0.25, 0.0)


@dataclass(frozen=True)
class Profile:
    """A named list of studies.

    Attributes:
        name: as given to ``--profile``.
        purpose: one sentence for ``--help`` and the book.
        parts: the studies by what they are for; the main one, ``random``, first.
        wants_gpu: whether it takes hours without one.
    """

    name: str
    purpose: str
    parts: dict[str, tuple[Study, ...]]
    wants_gpu: bool = False

    @property
    def studies(self) -> tuple[Study, ...]:
        """All studies, the main one first."""
        return tuple(study for part in self.parts.values() for study in part)

    def part(self, name: str) -> tuple[Study, ...]:
        """The studies of one part.

        Raises:
            TransferlibError: for a part that the profile does not have, with those that it has.
        """
        if name not in self.parts:
            raise TransferlibError(f"profile {self.name} has no part {name!r}: it has {', '.join(self.parts)}")
        return self.parts[name]

    def opened(self) -> Profile:
        """The profile with each of its studies opened, so that all of its runs have their names.

        Raises:
            TransferlibError: for a folder of pictures that can't be used.
        """
        parts = {name: tuple(study.opened() for study in part) for name, part in self.parts.items()}
        return dataclasses.replace(self, parts=parts)

    def narrowed(self, part: str | None = None, epochs: int | None = None, **changes: object) -> tuple[Study, ...]:
        """The profile's studies, or those of one part, with changes.

        Args:
            part: all parts by default; with ``changes`` the main one.
            epochs: replaces the length of every training.
            changes: fields of ``Study`` that are replaced.

        Raises:
            TransferlibError: for a part that the profile does not have, or a change that a study can't take.
        """
        changes = {name: value for name, value in changes.items() if value is not None}
        if part is not None:
            studies = self.part(part)
        elif changes:
            studies = self.studies[:1]
        else:
            studies = self.studies
        studies = tuple(dataclasses.replace(study, **changes) for study in studies)
        return studies if epochs is None else tuple(with_epochs(study, epochs) for study in studies)


def with_epochs(study: Study, epochs: int) -> Study:
    """The same study with another length of training, of its bases too."""
    recipes = [recipe and _lasting(recipe, epochs) for recipe in (study.recipe, study.base_recipe)]
    return dataclasses.replace(study, recipe=recipes[0], base_recipe=recipes[1])


def _lasting(recipe: Recipe, epochs: int) -> Recipe:
    return dataclasses.replace(recipe, epochs=epochs, until=recipe.until and min(recipe.until, epochs))


def variant(study: Study, treatments: str, **changes: object) -> Study:
    """The same study with other treatments and whatever else is named."""
    return dataclasses.replace(study, treatments=parse_treatments(treatments), **changes)


def _dial(study: Study, positions: Sequence[float], treatments: str, seeds: tuple[int, ...]) -> Study:
    splits = tuple(f"similarity:{x}" for x in positions)
    return variant(study, treatments, dataset="shapes", splits=splits, targets=("B",), seeds=seeds)


def _small_parts(main: Study, dissimilar: str, few: int) -> dict[str, tuple[Study, ...]]:
    """What every chapter needs, once: one split in one direction, and ``few`` images of each class."""
    return {
        "random": (main,),
        "dissimilar": (variant(main, "base,AnB", splits=(dissimilar,), targets=("A", "B")),),
        "random-filters": (variant(main, "base,RnB"),),
        "dial": (_dial(main, (1.0, 0.5, 0.0), "base,A2B,A5B,A7B", seeds=(0,)),),
        "few-images": (variant(main, "base,A3B,A5B+", images_per_class=few),),
    }


def _smoke() -> Profile:
    main = Study(
        dataset="shapes",
        resolution=32,
        network="alexnet32-tiny",
        splits=("random:0",),
        targets=("B",),
        treatments=TRANSFER,
        recipe=Recipe(epochs=3, batch_size=64, learning_rate=0.05, dropout=0.0, crop_padding=2),
    )
    parts = _small_parts(main, "natural-manmade", few=100)
    # no transformer: it names one class after three epochs, at any size and rate that was tried
    parts["residual"] = (variant(main, "base,BnB,AnB", network="resnet32-tiny"),)
    parts["restart"] = _restarts(main, (0.05, 0.1))
    return Profile("smoke", "the embedded data set on two CPU cores, in minutes: what CI runs", parts)


def _colab() -> Profile:
    main = Study(
        dataset="tiny-imagenet",
        resolution=32,
        network="alexnet32",
        splits=("random:0",),
        targets=("B",),
        treatments=TRANSFER,
        recipe=Recipe(epochs=16, batch_size=128, learning_rate=0.04, dropout=0.25),
    )
    parts = {**_small_parts(main, "natural-manmade:0", few=50), **_of_today(main)}
    parts["restart"] = _restarts(main, (0.04, 0.1, 0.2))
    return Profile("colab", "Tiny ImageNet at 32 px, one split, one direction, on a Colab GPU", parts, wants_gpu=True)


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
    one = dataclasses.replace(main, splits=("random:0",))
    far = dataclasses.replace(main, splits=("natural-manmade:0",), targets=("B",))
    parts = {
        "random": (main,),
        "dissimilar": (dataclasses.replace(main, splits=("natural-manmade:0", "natural-manmade:1")),),
        "small-halves": (variant(one, "base,AnB", splits=("random-small:0",)),),
        "random-filters": (variant(one, "base,RnB"),),
        "dial": (_dial(main, DIAL, "base,AnB", seeds=(0, 1, 2)),),
        "few-images": _few_images(one),
        "few-images-far": _few_images(far),
        "doubled": (with_epochs(one, 2 * main.recipe.epochs),),
        "batch-norm": (variant(one, "base,BnB,AnB", network="alexnet32-small-bn"),),
        **_of_today(one),
        "seeing": (_seeing(one),),
        **_of_the_dip(one),
        "longer": _longer(one, 96),
    }
    return Profile("published", "the study of the book, on Tiny ImageNet", parts, wants_gpu=True)


def _few_images(study: Study) -> tuple[Study, ...]:
    """Fewer and fewer images of each class of the target, of the source's all; trained for twice as long."""
    study = with_epochs(variant(study, "base,A3B,A5B,A7B,A3B+,A5B+,A7B+"), 48)
    return tuple(dataclasses.replace(study, images_per_class=count) for count in (25, 50, 100, 250, None))


def _of_today(one: Study) -> dict[str, tuple[Study, ...]]:
    """Networks of today, each by the recipe that its pilots chose (``benchmarks/log.md``)."""
    residual = dataclasses.replace(one.recipe, epochs=16, learning_rate=0.2, dropout=0.0)
    plain = dataclasses.replace(residual, learning_rate=0.1)
    attending = dataclasses.replace(residual, weight_decay=1e-4)
    both = variant(one, "base,BnB,AnB", network="resnet32-small", recipe=residual)
    return {
        "residual": (both, variant(both, "BnB+,AnB+", targets=("B",))),
        "residual-plain": (
            variant(both, "base,BnB,AnB", network="resnet32-small-plain", recipe=plain, targets=("B",)),
        ),
        "transformer": (variant(both, "base,BnB,AnB", network="vit32-small", recipe=attending),),
    }


def _seeing(one: Study) -> Study:
    """The two bases that chapter 4 looks through: whole photographs, twice as long, with more dropout and crops."""
    recipe = dataclasses.replace(one.recipe, epochs=48, dropout=0.25, crop_padding=8)
    return variant(one, "base", network="alexnet64-small", resolution=64, recipe=recipe)


def _restarts(one: Study, rates: Sequence[float]) -> tuple[Study, ...]:
    """Frozen families whose fresh layers start at other rates than their bases did, with plain momentum as in 2014."""
    frozen = variant(one, "base,BnB,AnB", base_recipe=one.recipe)
    recipes = [dataclasses.replace(one.recipe, learning_rate=rate, nesterov=False) for rate in rates]
    return tuple(dataclasses.replace(frozen, recipe=recipe) for recipe in recipes)


def _of_the_dip(one: Study) -> dict[str, tuple[Study, ...]]:
    """Why the paper's middle broke: fresh layers that start at a high rate on finished ones."""
    restart = _restarts(one, (0.05, 0.1, 0.15, 0.2))
    slow, hot = (variant(study, "base,BnB", targets=("B",)) for study in (restart[0], restart[-1]))
    early = [dataclasses.replace(one.recipe, until=epochs) for epochs in (6, 12, 18)]
    unfinished = [dataclasses.replace(study, base_recipe=base) for study in (hot, slow) for base in early]
    warm = dataclasses.replace(hot, recipe=dataclasses.replace(hot.recipe, warmup_epochs=8.0))
    steps = [_in_steps(variant(one, "base,BnB,AnB"), 96)]
    steps.append(_in_steps(variant(one, "base,BnB,AnB", images_per_class=100), 120))
    return {
        "restart": (*restart, dataclasses.replace(restart[-1], seeds=(1,))),
        "hot-bases": tuple(variant(study, "base", targets=("B",), base_recipe=None) for study in restart),
        "unfinished": tuple(unfinished),
        "warm-up": (warm,),
        "steps": tuple(steps),
    }


def _in_steps(study: Study, epochs: int) -> Study:
    """The study with the paper's form of schedule: plain momentum, the rate divided by ten at the same shares."""
    recipe = dataclasses.replace(
        study.recipe, epochs=epochs, learning_rate=0.1, nesterov=False, schedule="step", step_epochs=epochs * 2 / 9
    )
    return dataclasses.replace(study, recipe=recipe)


def _longer(one: Study, epochs: int) -> tuple[Study, ...]:
    """Every effect in the longest training that was paid for, and bases twice as long again."""
    long = with_epochs(one, epochs)
    tuned = variant(long, "base,BnB+,AnB+", targets=("B",))
    return variant(long, "base,BnB,AnB"), tuned, with_epochs(variant(one, "base"), 2 * epochs)


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
    parts = {
        "random": (main,),
        "dissimilar": (variant(main, "base,AnB", splits=("natural-manmade",)),),
        "random-filters": (variant(main, "base,RnB", splits=("random:0",)),),
    }
    return Profile("paper", "CaffeNet on ImageNet with the 2014 recipe", parts, wants_gpu=True)


PROFILES: dict[str, Profile] = {p.name: p for p in (_smoke(), _colab(), _published(), _paper())}


def profile(name: str) -> Profile:
    """The named profile.

    Raises:
        TransferlibError: for an unknown name, with those that exist.
    """
    if name not in PROFILES:
        raise TransferlibError(f"unknown profile {name!r}: expected one of {', '.join(PROFILES)}")
    return PROFILES[name]
