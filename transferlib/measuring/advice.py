"""Which layers to copy, freeze or fine-tune: a decision with the effects that it rests on, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from transferlib.measuring.scores import Scores, at_chance
from transferlib.stats import Estimate
from transferlib.treatments import Treatment, parse_treatments

BASE = Treatment("base")
COPIES = parse_treatments("AnB,AnB+")
LEVEL = 1 - 0.05 / len(COPIES)  # so that all comparisons with the base hold at once in 95 of 100 measurements
TOLERATED = 1.0  # points: a smaller loss is the price of a cheaper training

Verdict = Literal["helps", "harms", "cannot tell", "no base", "nothing learned"]


@dataclass(frozen=True)
class Longer:
    """A base that was trained for longer: whether copying merely saves training.

    Attributes:
        accuracy: its top-1, in percent.
        effect: the recommended treatment minus it, in points.
    """

    accuracy: Estimate
    effect: Estimate


@dataclass(frozen=True)
class Advice:
    """What to do with the source's layers, and what that rests on.

    Attributes:
        verdict: whether copying ``helps``, ``harms``, makes a difference that the data ``cannot tell``, ``no base`` was
            trained to hold it against, or ``nothing learned``: then no run did better than guessing.
        tests: how many test images.
        treatment: what is recommended, None where nothing was learned.
        best: the most accurate of the candidates, to which the recommended one may be as good.
        accuracies: top-1 in percent, of the base and of each treatment that did better than guessing.
        effects: those treatments minus the base, in points.
        repeated: whether anything was trained more than once, so that the errors are over training too.
        longer: the same against a base trained longer; only where copying helps.
        balanced: whether accuracies are means over classes, as where these are unequal.
    """

    verdict: Verdict
    tests: int
    treatment: Treatment | None = None
    best: Treatment | None = None
    accuracies: dict[Treatment, Estimate] = field(default_factory=dict)
    effects: dict[Treatment, Estimate] = field(default_factory=dict)
    repeated: bool = False
    longer: Longer | None = None
    balanced: bool = False


def advise(runs: pd.DataFrame, longer: pd.DataFrame | None = None, labels: np.ndarray | None = None) -> Advice:
    """Choose which layers to copy, freeze or fine-tune, by this rule.

    1. Treatments that did no better than guessing in most seeds are out; where accuracies are means over classes, no
       better in that. Where none is left, nothing was learned.
    2. Copying *helps* if some treatment beats the base and its interval, wide enough for all 14 comparisons to hold
       at once (Bonferroni), lies above 0: then only such treatments are candidates. It *harms* if the intervals of
       all that are left lie below 0: then the base is recommended. Else the data *cannot tell*, and the candidates
       are the base and whatever is shown to lose less than ``TOLERATED`` against it: the less the data can tell, the
       less is copied on their account. Where no base was trained, all that learned something are candidates.
    3. Of the candidates, those less than one standard error of the difference below the best are as good as it
       (the one-standard-error rule of Breiman et al., 1984).
    4. Of those, the cheapest is recommended: the one that trains fewest layers. Where all are trained, the base,
       which needs no source, goes before fine-tuning, and of several fine-tuned ones the most accurate.

    Where copying helps, it is held against a base that was trained longer too.

    Args:
        runs: rows of ``Store.table`` with ``correct``, which test images each run gets right; target B.
        longer: the same of the base, trained twice as long.
        labels: int64 (M,), the test images' classes, where accuracies are to be means over classes.
    """
    runs = runs[runs["target"] == "B"]
    scores, tests = Scores.of(runs, labels), len(runs["correct"].iloc[0])
    runs = runs.assign(learned=runs["status"].ne("diverged") & ~at_chance(runs, labels))
    learned = [t for t in (BASE, *COPIES) if _learned(runs, t)]
    if not learned:
        return Advice("nothing learned", tests)
    held = str(BASE) in set(runs["treatment"])
    effects = {t: scores.difference(t, BASE) for t in learned if t != BASE and held}
    verdict, candidates = _judged(learned, effects) if held else ("no base", learned)
    chosen, best = _cheapest(scores, candidates)
    accuracies = {t: scores.accuracy(t) for t in [*([BASE] if held else []), *(t for t in learned if t != BASE)]}
    rival = _against_longer(scores, longer, chosen) if verdict == "helps" else None
    balanced = labels is not None
    return Advice(verdict, tests, chosen, best, accuracies, effects, bool(scores.spread), rival, balanced)


def _judged(learned: Sequence[Treatment], effects: Mapping[Treatment, Estimate]) -> tuple[Verdict, Sequence[Treatment]]:
    """The verdict, and the treatments among which it leaves the choice."""
    better = [t for t, effect in effects.items() if effect.interval(LEVEL)[0] > 0]
    if better:
        return "helps", better
    if BASE in learned and all(effect.interval(LEVEL)[1] < 0 for effect in effects.values()):
        return "harms", [BASE]
    safe = [t for t in learned if t == BASE or effects[t].interval(LEVEL)[0] > -TOLERATED]
    return "cannot tell", safe or learned  # where the base itself learned nothing, none is safe


def _against_longer(scores: Scores, longer: pd.DataFrame | None, chosen: Treatment) -> Longer | None:
    trained = {} if longer is None or longer.empty else Scores.of(longer).right
    if not trained:  # or all of them diverged
        return None
    scores = Scores(scores.right | trained, scores.labels)
    return Longer(scores.accuracy(BASE), scores.difference(chosen, BASE))


def _learned(runs: pd.DataFrame, treatment: Treatment) -> bool:
    learned = runs.loc[runs["treatment"] == str(treatment), "learned"]
    return len(learned) > 0 and bool(learned.mean() > 0.5)


def _cheapest(scores: Scores, candidates: Sequence[Treatment]) -> tuple[Treatment, Treatment]:
    """The cheapest of the candidates that are as good as the best, and the best."""
    means = {t: scores.accuracy(t).mean for t in candidates}
    best = max(candidates, key=lambda t: (means[t], t.frozen, t == BASE))
    shortfalls = {t: scores.difference(best, t) for t in candidates}
    good = [t for t, shortfall in shortfalls.items() if shortfall.mean < shortfall.error]
    return max(good, key=lambda t: (t.frozen, t == BASE, means[t])), best
