"""Your own pictures: from two folders to curves and a recommendation, which layers to copy, freeze or fine-tune.

The source's classes are half A and the target's half B of the paper's experiment: base B, and AnB and AnB+ for
n = 1..7, each trained on the target's training pictures and judged by its test pictures (the ``val`` part). A base
trained twice as long tells whether copying merely saves training.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from PIL import Image

from transferlib.data import FOLDER, Dataset, input_folders, named, shapes
from transferlib.data.snapshots import changed, forget, recorded_name, snapshot
from transferlib.errors import TransferlibError
from transferlib.execution import execution
from transferlib.names import printable
from transferlib.nets import LAYERS, network
from transferlib.paths import keep_apart, keep_out, resolved
from transferlib.records import correct_images
from transferlib.stats import Estimate
from transferlib.store import Store
from transferlib.study import Reporter, Stop, Study, Trainer, study_table
from transferlib.train import Recipe
from transferlib.treatments import Treatment, parse_treatments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE = Treatment("base")
COPIES = parse_treatments("AnB,AnB+")
LEVEL = 1 - 0.05 / len(COPIES)  # so that all comparisons with the base hold at once in 95 of 100 measurements
MANY = 10_000  # pictures: from here on the larger network is trained, and a target as large once only by default
SEEN = 40_000  # pictures that a training sees, if that is neither too few nor too many epochs
EPOCHS = (20, 100)
FEW_TESTS = 200
TOLERATED = 1.0  # points: a smaller loss is the price of a cheaper training

ROLES = ("source", "target")
Verdict = Literal["helps", "harms", "cannot tell", "nothing learned"]


# --- measuring ---


def measure(
    source: str,
    target: str,
    store: Store | str | Path,
    *,
    seeds: int | None = None,
    epochs: int | None = None,
    device: str | None = None,
    report: Reporter = lambda event, detail: None,
    stop: Stop | None = None,
) -> Measurement:
    """Train base, AnB and AnB+ on the target, with layers from the source, as far as the store lacks them.

    Args:
        source, target: data sets as ``transferlib.data.load`` names them, such as ``folder:PATH``.
        store: where the runs lie; a measurement that was stopped goes on from there.
        seeds: how often everything is trained; by default 3 times, once where the data sets are large.
        epochs: length of every training; by default it depends on how many pictures there are.
        device: ``cpu`` or ``cuda``; a GPU where there is one by default.
        report: called with an event's name and its detail, as for ``run_study``.
        stop: set it and training stops after the step, with a checkpoint.

    Raises:
        TransferlibError: for data that can't be measured, in one line.
        Stopped: after ``stop`` was set.
    """
    source, target = named(source), named(target)
    _differ(source, target)
    if seeds is not None and seeds < 1:
        raise TransferlibError(f"expected at least 1 seed, got {seeds}")
    store = store if isinstance(store, Store) else Store(store)
    inputs = input_folders(source, target)
    keep_apart(store.folder, inputs)
    chosen = execution(device)
    forget()  # the folders may have changed since this process read them last
    opened = [_open(name) for name in (source, target)]
    called = labels(source, target)
    study = study_of((source, target), [len(data.train.labels) for data in opened], seeds, epochs)
    before = _said(report, [*_findings(called, opened), *_overlap(*opened), *_few_tests(opened[1])])
    trainer = Trainer(store, chosen, report, stop=stop or Stop())
    runs, longer = (_trained(trainer, part) for part in (study, twice_as_long(study)))
    after = _said(report, [*_know_nothing(runs), *_changed(study)])
    about = [f"{role:<8}{_counts(name, data)}" for role, name, data in zip(ROLES, called, opened, strict=True)]
    return Measurement(runs, longer, "\n".join([*about, _how(study)]), (*before, *after), tuple(inputs))


def _said(report: Reporter, notes: list[str]) -> list[str]:
    notes = [printable(note) for note in notes]
    for note in notes:
        report("note", note)
    return notes


def _findings(called: tuple[str, str], opened: Sequence[Dataset]) -> list[str]:
    """What is odd about the folders, or left out of them."""
    return [f"{name}: {finding}" for name, data in zip(called, opened, strict=True) for finding in data.findings]


def labels(source: str, target: str) -> tuple[str, str]:
    """What the two data sets are called: their own names, and as much of their paths as tells them apart."""
    names = [
        [*Path(name.removeprefix(FOLDER)).parts] if name.startswith(FOLDER) else [name] for name in (source, target)
    ]
    parts = 1
    while names[0][-parts:] == names[1][-parts:]:
        parts += 1
    said = ["/".join(name[-parts:]) for name in names]
    folders = [FOLDER * name.startswith(FOLDER) for name in (source, target)]
    return tuple(printable(folder + name) for folder, name in zip(folders, said, strict=True))


def study_of(names: tuple[str, str], images: Sequence[int], seeds: int | None, epochs: int | None) -> Study:
    """The study of a source and a target with so many training pictures; it depends on nothing else."""
    large = max(images) > MANY
    net = "alexnet32-small" if large else "alexnet32-tiny"
    source, target = (
        Study(name, network(net).resolution, net, (f"whole:{half}",), (half,), treatments, recipe_for(count, epochs))
        for name, half, treatments, count in zip(names, "AB", ((BASE,), (BASE, *COPIES)), images, strict=True)
    )
    count = (1 if images[1] > MANY else 3) if seeds is None else seeds
    return dataclasses.replace(target, source=source, seeds=tuple(range(count)))


def twice_as_long(study: Study) -> Study:
    """The study's base alone, trained for twice as many epochs."""
    recipe = dataclasses.replace(study.recipe, epochs=2 * study.recipe.epochs)
    return dataclasses.replace(study, recipe=recipe, treatments=(BASE,), source=None)


def recipe_for(images: int, epochs: int | None = None) -> Recipe:
    """The recipe of a training on so many pictures: the fewer they are, the more epochs and the smaller the batches."""
    batch = min(128, max(16, images // 16))
    by_size = min(max(round(SEEN / images), EPOCHS[0]), EPOCHS[1])
    return Recipe(
        epochs=by_size if epochs is None else epochs,
        batch_size=batch,
        learning_rate=round(0.05 * math.sqrt(batch / 128), 4),
        dropout=0.1,
        crop_padding=2,
    )


def _trained(trainer: Trainer, study: Study) -> pd.DataFrame:
    trainer.run(study)
    table = study_table(study, trainer.store)
    return table.assign(correct=[correct_images(trainer.store.get(key)) for key in table["key"]])


def _differ(source: str, target: str) -> None:
    if named(source) == named(target):
        raise TransferlibError(f"source and target are both {source}: expected two different data sets")


def _open(name: str) -> Dataset:
    """Open a data set at the networks' resolution; what is odd about it is among its findings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return snapshot(name, network("alexnet32-tiny").resolution, None).dataset


def _changed(study: Study) -> list[str]:
    """Notes of folders that have changed since they were read."""
    return [
        f"{recorded_name(name)} has changed since it was read: what is measured is what it held before"
        for name in study.datasets()
        if changed(name)
    ]


def _overlap(source: Dataset, target: Dataset) -> list[str]:
    """Notes where the source, or the target itself, is trained on test pictures of the target."""
    tests = len(target.val.labels)
    seen, own = (_shared(data.train.pixels, target.val.pixels) for data in (source, target))
    if seen == tests:
        raise TransferlibError("the source has every test picture of the target among its own: expected other pictures")
    notes = {
        f"the source is trained on {seen} of the target's {tests} test pictures, which flatters it: remove them": seen,
        f"{own} of the target's {tests} test pictures are among its own training pictures: remove the copies": own,
    }
    return [note for note, count in notes.items() if count]


def _shared(pictures: np.ndarray, others: np.ndarray) -> int:
    """How many of the others are among some pictures, pixel by pixel."""
    known = {hash(pixels.tobytes()) for pixels in pictures}
    return sum(hash(pixels.tobytes()) in known for pixels in others)


def _know_nothing(runs: pd.DataFrame) -> list[str]:
    """A note where the source's own bases did no better than guessing."""
    bases = runs[runs["target"] == "A"]
    poor = int((bases["status"] != "ok").sum())
    if not poor:
        return []
    return [
        f"the source's base did no better than guessing in {poor} of {len(bases)} trainings (top-1 "
        f"{100 * bases['top1'].mean():.1f} %): what is copied from it is hardly more than random layers"
    ]


def _few_tests(target: Dataset) -> list[str]:
    tests = len(target.val.labels)
    if tests >= FEW_TESTS:
        return []
    return [
        f"only {tests} test pictures in the target, so that intervals are wide: "
        f"{FEW_TESTS} or more in its val/ would tell more"
    ]


def _counts(label: str, data: Dataset) -> str:
    counts = f"{len(data.train.labels)} training and {len(data.val.labels)} test pictures"
    return f"{label}: {len(data.classes)} classes, {counts}"


def _how(study: Study) -> str:
    epochs = " and ".join(f"{s.recipe.epochs} ({role})" for s, role in zip((study.source, study), ROLES, strict=True))
    times = f"{len(study.seeds)} time{'s' * (len(study.seeds) > 1)}"
    return f"network {study.network} at {study.resolution} px, trained {times} for {epochs} epochs"


# --- effects ---


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
    """

    right: dict[Treatment, np.ndarray]

    @classmethod
    def of(cls, runs: pd.DataFrame) -> Scores:
        """Those of a table's runs on target B."""
        sound = runs[(runs["target"] == "B") & (runs["status"] != "diverged")]
        named = sound.sort_values("seed").groupby("treatment")["correct"]
        return cls({Treatment.parse(name): 100.0 * np.stack(list(rows)) for name, rows in named})

    @cached_property
    def spread(self) -> dict[Treatment, float]:
        """The variance between the seeds of each treatment that has several, in points squared."""
        return {t: _between_seeds(right) for t, right in self.right.items() if len(right) > 1}

    def accuracy(self, treatment: Treatment) -> Estimate:
        """A treatment's top-1 accuracy, in percent."""
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
        count, seeds = len(by_image) + 2, min(len(self.right[t]) for t in parts)
        of_images = float(np.append(by_image, extremes).var(ddof=1)) / count
        of_training = sum(self._training(t) / len(self.right[t]) for t in parts)
        freedom = sum(len(self.right[t]) - 1 for t in self.spread)
        total = of_images + of_training
        welch = total**2 / (of_images**2 / (count - 1) + (of_training**2 / freedom if freedom else 0.0))
        over = "test images and seeds" if self.spread else "test images"
        return Estimate(float(by_image.mean()), math.sqrt(total), welch, seeds, over)

    def _training(self, treatment: Treatment) -> float:
        pooled = np.mean(list(self.spread.values())) if self.spread else 0.0
        return max(self.spread.get(treatment, 0.0), pooled, 0.0)


def _between_seeds(right: np.ndarray) -> float:
    """The variance of accuracies (seeds, M) between seeds, less that of which image happens to be right when."""
    seeds, images = right.shape
    rest = right - right.mean(1, keepdims=True) - right.mean(0) + right.mean()
    by_chance = (rest**2).sum() / (seeds - 1) / max(images - 1, 1) / images
    return float(right.mean(1).var(ddof=1) - by_chance)


# --- recommending ---


@dataclass(frozen=True)
class Advice:
    """What to do with the source's layers.

    Attributes:
        verdict: whether copying ``helps``, ``harms``, makes a difference that the data ``cannot tell``, or ``nothing
            learned``: then no run did better than guessing.
        treatment: what is recommended, None where nothing was learned.
        text: the same in words, with the measured differences and their intervals.
    """

    verdict: Verdict
    treatment: Treatment | None
    text: str

    def __str__(self) -> str:
        return self.text


def advise(runs: pd.DataFrame, longer: pd.DataFrame | None = None) -> Advice:
    """Choose which layers to copy, freeze or fine-tune, by this rule.

    1. Treatments that did no better than guessing in most seeds are out. Where none is left, nothing was learned.
    2. Copying *helps* if some treatment beats the base and its interval, wide enough for all 14 comparisons to hold
       at once (Bonferroni), lies above 0: then only such treatments are candidates. It *harms* if the intervals of
       all that are left lie below 0: then the base is recommended. Else the data *cannot tell*, and the candidates
       are the base and whatever is shown to lose less than ``TOLERATED`` against it: the less the data can tell, the
       less is copied on their account.
    3. Of the candidates, those less than one standard error of the difference below the best are as good as it
       (the one-standard-error rule of Breiman et al., 1984).
    4. Of those, the cheapest is recommended: the one that trains fewest layers. Where all are trained, the base,
       which needs no source, goes before fine-tuning, and of several fine-tuned ones the most accurate.

    Where copying helps, the words say too whether it is still ahead of a base that was trained longer.

    Args:
        runs: rows of ``Store.table`` with ``correct``, which test images each run gets right; target B.
        longer: the same of the base, trained twice as long.
    """
    runs = runs[runs["target"] == "B"]
    scores = Scores.of(runs)
    learned = [t for t in (BASE, *COPIES) if _learned(runs, t)]
    if not learned:
        return Advice("nothing learned", None, _nothing(runs))
    against = {t: scores.difference(t, BASE) for t in learned if t != BASE}
    better = [t for t, effect in against.items() if effect.interval(LEVEL)[0] > 0]
    if better:
        chosen, best = _cheapest(scores, better)
        return Advice("helps", chosen, _helps(scores, chosen, best, against) + _still_ahead(scores, longer, chosen))
    if BASE in learned and all(effect.interval(LEVEL)[1] < 0 for effect in against.values()):
        return Advice("harms", BASE, _harms(against))
    safe = [t for t in learned if t == BASE or against[t].interval(LEVEL)[0] > -TOLERATED]
    chosen, best = _cheapest(scores, safe or learned)  # where the base itself learned nothing, none is safe
    return Advice("cannot tell", chosen, _cannot_tell(scores, chosen, best, against))


def _learned(runs: pd.DataFrame, treatment: Treatment) -> bool:
    status = runs.loc[runs["treatment"] == str(treatment), "status"]
    return len(status) > 0 and (status == "ok").mean() > 0.5


def _cheapest(scores: Scores, candidates: Sequence[Treatment]) -> tuple[Treatment, Treatment]:
    """The cheapest of the candidates that are as good as the best, and the best."""
    means = {t: scores.accuracy(t).mean for t in candidates}
    best = max(candidates, key=lambda t: (means[t], t.frozen, t == BASE))
    shortfalls = {t: scores.difference(best, t) for t in candidates}
    good = [t for t, shortfall in shortfalls.items() if shortfall.mean < shortfall.error]
    return max(good, key=lambda t: (t.frozen, t == BASE, means[t])), best


def action(treatment: Treatment) -> str:
    """What a treatment asks one to do, in words.

    >>> action(Treatment.parse("A3B"))
    'copy layers 1 to 3 from the source, freeze them, and train layers 4 to 8 on the target'
    """
    n = treatment.n
    if treatment == BASE:
        return f"train all {LAYERS} layers from scratch on the target"
    copied, them = ("layer 1", "it") if n == 1 else (f"layers 1 to {n}", "them")
    if treatment.fine_tuned:
        return f"copy {copied} from the source, start the rest anew, and train all {LAYERS} layers on the target"
    rest = f"layers {n + 1} to {LAYERS}" if n + 1 < LAYERS else f"layer {LAYERS}"
    return f"copy {copied} from the source, freeze {them}, and train {rest} on the target"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _points(effect: Estimate) -> str:
    low, high = effect.interval(LEVEL)
    return f"{effect.mean:+.1f} points [{low:+.1f}, {high:+.1f}]"


def _compared(scores: Scores, treatment: Treatment) -> str:
    figures = {t: f"{scores.accuracy(t).mean:.1f} %" for t in (treatment, BASE)}
    return f"{treatment} gets {figures[treatment]} of the test pictures right, training from scratch {figures[BASE]}"


def _why_not_best(scores: Scores, chosen: Treatment, best: Treatment) -> str:
    if chosen == best:
        return ""
    less = "needs no source" if chosen == BASE else f"trains only {LAYERS - chosen.frozen} of {LAYERS} layers"
    gap = f"{scores.accuracy(best).mean:.1f} %, is ahead by less than one standard error"
    name = "The base" if best == BASE else best
    return f" {name}, the most accurate with {gap}, and {chosen} {less}."


def _brackets(effect: Estimate) -> str:
    seen = f"over other {effect.over}" if "seeds" in effect.over else "over other test images, but of one training each"
    return f"(in brackets, intervals for all {len(COPIES)} comparisons at once, 95 %, {seen})"


def _helps(scores: Scores, chosen: Treatment, best: Treatment, against: dict[Treatment, Estimate]) -> str:
    helps = "Copying helps" if scores.spread else "Copying seems to help, by one training each (three would tell more)"
    first = f"{helps}: {action(chosen)}. {_compared(scores, chosen)}: {_points(against[chosen])}"
    return f"{first} {_brackets(against[chosen])}.{_why_not_best(scores, chosen, best)}{_too_deep(against)}"


def _still_ahead(scores: Scores, longer: pd.DataFrame | None, chosen: Treatment) -> str:
    """Whether the rival explanation, that copying merely saves training, is ruled out."""
    trained = {} if longer is None else Scores.of(longer).right
    if not trained:  # or all of them diverged
        return ""
    scores = Scores(scores.right | trained)
    effect, base = scores.difference(chosen, BASE), scores.accuracy(BASE).mean
    first = f" Trained twice as long from scratch, it is {base:.1f} %"
    if effect.interval(LEVEL)[0] > 0:
        return f"{first}; {chosen} is still ahead: {_points(effect)}."
    return f"{first}, and {chosen} is not surely ahead of that: {_points(effect)}; longer training is the alternative."


def _too_deep(against: dict[Treatment, Estimate]) -> str:
    """A warning of the frozen layers that do worse than training from scratch."""
    worse = [t for t, effect in against.items() if t.frozen and effect.interval(LEVEL)[1] < 0]
    if not worse:
        return ""
    listed = ", ".join(f"{t} {_points(against[t])}" for t in worse)
    return f" Do not freeze this much: {listed}."


def _harms(against: dict[Treatment, Estimate]) -> str:
    least = max(against, key=lambda t: against[t].mean, default=None)
    if least is None:
        return "Copying harms: train from scratch. No network with copied layers did better than guessing."
    return (
        f"Copying harms: {action(BASE)}. Even {least}, the best with copied layers, is "
        f"{_points(against[least])} from it {_brackets(against[least])}."
    )


def _cannot_tell(scores: Scores, chosen: Treatment, best: Treatment, against: dict[Treatment, Estimate]) -> str:
    shown = chosen if chosen != BASE else max(against, key=lambda t: against[t].mean)
    low, high = against[shown].interval(LEVEL)
    what = f"{_compared(scores, shown)}: {_points(against[shown])}, an interval that contains 0"
    lost = f"lose less than {TOLERATED:.0f} point against training from scratch"
    why = f"of what is shown to {lost}, this is the cheapest."
    if chosen == best == BASE:
        why = f"nothing with copied layers is shown to {lost}."
    why += _why_not_best(scores, chosen, best)
    return (
        f"The data cannot tell whether copying helps: {what} {_brackets(against[shown])}. "
        f"{_sentence(action(chosen))}: {why}{_too_deep(against)} A difference must be above about "
        f"{min((high - low) / 2, 100):.0f} points to be told here; more test pictures and more seeds narrow that."
    )


def _nothing(runs: pd.DataFrame) -> str:
    tests = len(runs["correct"].iloc[0])
    return (
        f"No recommendation: no network, from scratch or with copied layers, did better than guessing on the {tests} "
        "test pictures. Give the target more pictures or the training more --epochs, and look whether the folders' "
        "names fit their pictures."
    )


# --- showing ---


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        runs: one row per run, as ``Store.table``, with ``correct``: which test images it gets right, bool (M,).
        longer: the same of the bases that were trained twice as long.
        about: the data, the network and the training, in lines.
        notes: what is wrong with the data, a line each.
        inputs: the folders of a user's own that were measured.
    """

    runs: pd.DataFrame = field(repr=False)
    longer: pd.DataFrame = field(repr=False)
    about: str
    notes: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per treatment: its accuracy (%) and its difference from the base (points), with 95 % intervals."""
        runs, scores = self.runs[self.runs["target"] == "B"], Scores.of(self.runs)
        at_chance = runs["status"].eq("chance").groupby(runs["treatment"]).sum()
        rows = [_row(scores, t) for t in (BASE, *COPIES) if t in scores.right]
        return pd.DataFrame(rows).assign(at_chance=lambda table: table["treatment"].map(at_chance))

    @cached_property
    def advice(self) -> Advice:
        """The recommendation, with its verdict and its treatment."""
        return advise(self.runs, self.longer)

    @property
    def recommendation(self) -> str:
        """The recommendation in words."""
        return self.advice.text

    def figure(self) -> Figure:
        """Accuracy (left) and its difference from the base (right) against n, with 95 % intervals."""
        from transferlib.figures import figure_measured  # a measurement without a picture needs no plotting

        return figure_measured(self.table, self.about)

    def save_figure(self, path: Path | str) -> None:
        """Draw the figure into a PNG or SVG file; the same runs give the same bytes.

        Raises:
            TransferlibError: for a file of another ending, or one in a folder that was measured.
        """
        from transferlib.figures import write_figure

        keep_out(resolved(path), self.inputs)
        write_figure(self.figure(), path)

    def __str__(self) -> str:
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([self.about, *notes, "", _listing(self.table), "", self.recommendation])


def _row(scores: Scores, treatment: Treatment) -> dict[str, object]:
    right, effect = scores.accuracy(treatment), scores.difference(treatment, BASE)
    low, high = right.interval()
    below, above = (0.0, 0.0) if treatment == BASE else np.clip(effect.interval(), -100.0, 100.0)
    return {
        "treatment": str(treatment),
        "family": treatment.family,
        "n": treatment.n,
        "accuracy": right.mean,
        "accuracy_low": max(low, 0.0),
        "accuracy_high": min(high, 100.0),
        "difference": effect.mean,
        "difference_low": below,
        "difference_high": above,
        "seeds": right.pairs,
    }


def _listing(table: pd.DataFrame) -> str:
    lines = [f"{'':<6}{'accuracy, %':<22}minus base, points   (95 % intervals)"]
    for row in table.itertuples():
        right = f"{row.accuracy:.1f} [{row.accuracy_low:.1f}, {row.accuracy_high:.1f}]"
        effect = f"{row.difference:+.1f} [{row.difference_low:+.1f}, {row.difference_high:+.1f}]"
        chance = f"   at chance in {row.at_chance} of {row.seeds}" if row.at_chance else ""
        lines.append(f"{row.treatment:<6}{right:<22}{effect if row.family != 'base' else '':<22}{chance}".rstrip())
    return "\n".join(lines)


# --- an example ---


def example_folders(path: str | Path) -> tuple[str, str]:
    """Write two small folders of drawn shapes: five natural classes as a source, five man-made ones as a target.

    Returns:
        The names of the source (200 training pictures a class) and of the target (15), for ``measure``.
    """
    path = Path(path)
    for role, kind, train in (("source", "natural", 200), ("target", "man-made", 15)):
        classes, _, groups, *arrays = shapes.draw(train_per_class=train, val_per_class=40)
        chosen = [label for label, group in enumerate(groups) if group == kind][:5]
        for part, pixels, labels in (("train", *arrays[:2]), ("val", *arrays[2:])):
            for label in chosen:
                _write(path / role / part / classes[label], pixels[labels == label])
    return f"folder:{path / 'source'}", f"folder:{path / 'target'}"


def _write(folder: Path, pictures: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
