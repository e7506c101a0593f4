"""From a table of runs to effects: paired contrasts of the same target's runs, with intervals and verdicts.

A *contrast* is a weighted sum of accuracies, such as A5B - base, or the slope of BnB - AnB over n. It is taken inside
a pair (one split, target and seed), where the runs share test images and random numbers, and then averaged over pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from transferlib.errors import TransferlibError
from transferlib.splits import DISSIMILAR, RANDOM, of_kind
from transferlib.treatments import DEPTHS

GROUP = ["dataset", "resolution", "network", "recipe", "images_per_class"]
PLACE = ["split", "target", "seed"]  # of a pair, in one study
PAIR = [*PLACE, *GROUP]
ENOUGH_PAIRS = 3  # for an interval over pairs; fewer say next to nothing of their spread
# of a run, with its unit: points, percent of the own base's accuracy (``with_shares``), nats
OUTCOMES = {"top1": 100.0, "share": 100.0, "loss": 1.0, "train_loss": 1.0}
Weights = Mapping[tuple[str, int], float]  # (family, n) → weight, in points per point


def family_names(table: pd.DataFrame) -> pd.Series:
    """The family of each row in the paper's notation, such as ``AnB+``."""
    return table["kind"] + table["fine_tuned"].map({True: "+", False: ""})


def with_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Add each run's ``difference``: its top-1 minus that of the base of its target, in points (100 = all images).

    Args:
        table: rows of ``Store.table``; diverged runs have no accuracy and are left out.

    Returns:
        The rows whose base is in the table, with ``base_top1`` and ``difference``.
    """
    sound = table[table["status"] != "diverged"]
    bases = sound[sound["kind"] == "base"].set_index(PAIR)["top1"].rename("base_top1")
    joined = sound.join(bases, on=PAIR, how="inner")
    return joined.assign(difference=100 * (joined["top1"] - joined["base_top1"]))


def with_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Add each run's ``share``: its top-1 as a fraction of that of the base of its target, NaN where there is none."""
    groups = [table[name] for name in PAIR]
    bases = table["top1"].where(table["kind"] == "base").groupby(groups, dropna=False).transform("max")
    return table.assign(share=table["top1"] / bases)


def comparable(table: pd.DataFrame) -> pd.DataFrame:
    """The largest set of runs that one figure can show: one data set, network, recipe and number of images.

    Raises:
        TransferlibError: for a table without runs.
    """
    if table.empty:
        raise TransferlibError("the store has no finished run: start with `transferlib run`")
    sizes = table.groupby(GROUP, dropna=False, sort=False)["key"].transform("size")
    first = table[GROUP].iloc[int(sizes.argmax())]
    same = (table[GROUP] == first) | (table[GROUP].isna() & first.isna())
    return table[same.all(axis=1)]


def difference_over_images(run: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """How much more of the same test images one run gets right than another, and how sure that is.

    The interval is over the test images only (it says nothing of other splits or seeds): with b images that only the
    run gets right and c that only the base does, the difference b - c has the variance b + c - (b - c)**2 / M.

    Args:
        run, base: bool (M,), which test images each gets right, in the same order.

    Returns:
        The difference and half the width of its 95 % interval, in points.

    >>> difference_over_images(np.array([True, True, False, False]), np.array([True, False, False, False]))[0]
    25.0
    """
    if run.shape != base.shape:
        raise TransferlibError(f"expected the same test images, got {len(run)} and {len(base)}")
    only_run, only_base = int((run & ~base).sum()), int((base & ~run).sum())
    variance = only_run + only_base - (only_run - only_base) ** 2 / len(run)
    return 100 * (only_run - only_base) / len(run), 196 * math.sqrt(variance) / len(run)


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign and one decimal, or more; what rounds to zero has none.

    >>> signed(1.25), signed(-0.04), signed(-0.04, digits=2)
    ('+1.2', '0.0', '-0.04')
    """
    zero = f"{0:.{digits}f}"
    return zero if f"{abs(value):.{digits}f}" == zero else f"{value:+.{digits}f}"


# --- contrasts ---


def minus(first: str, second: str, depths: Sequence[int] = DEPTHS) -> Weights:
    """The mean over some depths of one family minus another, such as ``minus("AnB", "base", [5])``: A5B - base."""
    return _weighted(first, second, {n: 1 / len(depths) for n in depths})


def slope(first: str, second: str, depths: Sequence[int] = DEPTHS) -> Weights:
    """The least-squares slope over n of one family minus another, in points per layer."""
    centred = np.array(depths) - np.mean(depths)
    return _weighted(first, second, dict(zip(depths, centred / (centred**2).sum(), strict=True)))


def _weighted(first: str, second: str, by_depth: Mapping[int, float]) -> Weights:
    weights: dict[tuple[str, int], float] = {}
    for family, sign in ((first, 1.0), (second, -1.0)):
        for n, weight in by_depth.items():
            place = family, 0 if family == "base" else n
            weights[place] = weights.get(place, 0.0) + sign * weight
    return weights


def plus(first: Weights, second: Weights, factor: float = 1.0) -> Weights:
    """The sum of two contrasts, the second times a factor."""
    return {place: first.get(place, 0.0) + factor * second.get(place, 0.0) for place in {**first, **second}}


def contrast(table: pd.DataFrame, weights: Weights, outcome: str = "top1") -> pd.DataFrame:
    """A contrast in every pair that has all of its runs.

    Args:
        table: rows of ``Store.table``; where they carry ``correct`` (``transferlib.results``), images are used too.
        weights: what is added up.
        outcome: of each run, among ``OUTCOMES``.

    Returns:
        One row per pair: ``split``, ``target``, ``seed``, ``value`` (in the outcome's unit) and ``scores``, the
        contrast in every test image, float (M,) in points, None without ``correct`` and of other outcomes.
    """
    sound = table[table["status"] != "diverged"]
    sound = sound.assign(family=family_names(sound))
    rows = []
    for pair, runs in sound.groupby(PAIR, dropna=False, sort=False):
        by_place = {place: row for row, place in enumerate(zip(runs["family"], runs["n"], strict=True))}
        if all(place in by_place for place in weights):
            chosen = {by_place[place]: OUTCOMES[outcome] * weight for place, weight in weights.items()}
            values = runs[outcome].to_numpy(float)
            scores = _scores(runs, chosen) if outcome == "top1" else None
            rows.append((*pair[:3], sum(w * values[row] for row, w in chosen.items()), scores))
    return pd.DataFrame(rows, columns=[*PLACE, "value", "scores"])


def _scores(runs: pd.DataFrame, chosen: Mapping[int, float]) -> np.ndarray | None:
    """The runs in these rows, by their weights, added up image by image."""
    if "correct" not in runs:
        return None
    correct: list[np.ndarray] = runs["correct"].tolist()
    return sum((w * correct[row].astype(float) for row, w in chosen.items()), start=np.zeros(len(correct[0])))


@dataclass(frozen=True)
class Estimate:
    """A contrast's mean over pairs with an interval, in points.

    Attributes:
        mean: over the pairs.
        error: the mean's standard error, NaN where nothing tells it.
        freedom: degrees of freedom of the t distribution behind the interval.
        pairs: how many pairs (split, target, seed).
        over: what the error is over: ``pairs``, ``test images`` or ``nothing``; of a difference, both in words.
        splits: how many splits the pairs are of, which share networks and photographs within one; 0 where unknown.
    """

    mean: float
    error: float
    freedom: float
    pairs: int
    over: str
    splits: int = 0

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval at a level of confidence."""
        if math.isnan(self.error):
            return math.nan, math.nan
        half = self.error * float(scipy_stats.t.ppf(0.5 + level / 2, self.freedom))
        return self.mean - half, self.mean + half

    @property
    def behind(self) -> str:
        """What the interval is over, in words, such as ``8 pairs of 4 splits`` or ``the test images of 1 pair``."""
        pairs = f"{self.pairs} pair{'s' * (self.pairs > 1)}"
        of_splits = f" of {self.splits} split{'s' * (self.splits > 1)}" * (0 < self.splits < self.pairs)
        words = {
            "pairs": pairs + of_splits,
            "test images": f"the test images of {pairs}",
            "nothing": f"{pairs}, no interval",
        }
        return words.get(self.over, self.over)

    def __str__(self) -> str:
        return self.text()

    def text(self, digits: int = 1) -> str:
        """The mean with its 95 % interval, to so many decimals."""
        mean, low, high = (signed(number, digits) for number in (self.mean, *self.interval()))
        return mean if math.isnan(self.error) else f"{mean} [{low}, {high}]"

    @property
    def excludes_zero(self) -> bool:
        """Whether the 95 % interval lies on one side of zero."""
        low, high = self.interval()
        return low > 0 or high < 0

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference of two contrasts over different pairs; the freedom is Welch and Satterthwaite's."""
        variances = self.error**2, other.error**2
        total = sum(variances)
        parts = zip(variances, (self.freedom, other.freedom), strict=True)
        welch = sum(v**2 / f for v, f in parts)
        freedom = total**2 / welch if welch and not math.isnan(total) else math.inf
        over = self.over if self.over == other.over else f"{self.behind}; {other.behind}"
        return Estimate(
            self.mean - other.mean,
            math.sqrt(total),
            freedom,
            min(self.pairs, other.pairs),
            over,
            min(self.splits, other.splits),
        )


def estimate(contrasts: pd.DataFrame) -> Estimate:
    """The mean of a contrast over its pairs; the error is over pairs where there are three or more, else over images.

    With one or two pairs an interval says only what other test images would have shown, nothing of other splits.

    Raises:
        TransferlibError: where no pair has all the runs of the contrast.
    """
    values = contrasts["value"].to_numpy(float)
    if not len(values):
        raise TransferlibError("no pair of this table has all the runs that the contrast needs")
    if len(values) >= ENOUGH_PAIRS:
        error, freedom, over = values.std(ddof=1) / math.sqrt(len(values)), len(values) - 1.0, "pairs"
    elif contrasts["scores"].notna().all():
        error, freedom, over = _image_error(contrasts["scores"]), math.inf, "test images"
    else:
        error, freedom, over = math.nan, math.inf, "nothing"
    return Estimate(float(values.mean()), float(error), freedom, len(values), over, contrasts["split"].nunique())


def difference(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """One contrast minus another, in the pairs that have both and image by image, in the form of ``contrast``."""
    both = first.merge(second, on=PLACE, suffixes=("", "_second"))
    scores = [None if a is None else a - b for a, b in zip(both["scores"], both["scores_second"], strict=True)]
    by_image = pd.Series(scores, both.index, dtype=object)
    return both.assign(value=both["value"] - both["value_second"], scores=by_image)[first.columns]


def by_split(contrasts: pd.DataFrame) -> pd.DataFrame:
    """A contrast once for each split, the mean of its pairs, in the form of ``contrast``.

    The directions of a split share networks, so they need not be independent of one another.
    """
    rows = contrasts.groupby("split", sort=False, as_index=False)["value"].mean()
    return rows.assign(scores=None)


def _image_error(scores: pd.Series) -> float:
    return math.sqrt(sum(s.var(ddof=1) / len(s) for s in scores)) / len(scores)


def bootstrap_over_images(
    contrasts: pd.DataFrame, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """A percentile interval of the mean contrast over other test images, all treatments of a pair on the same ones.

    Raises:
        TransferlibError: where the table had no ``correct``.
    """
    if contrasts.empty or contrasts["scores"].isna().any():
        raise TransferlibError("a bootstrap over test images needs the images that each run got right")
    rng = np.random.default_rng(seed)
    means = np.zeros(draws)
    for scores in contrasts["scores"]:
        values, counts = np.unique(np.round(scores, 9), return_counts=True)
        again = rng.multinomial(len(scores), counts / len(scores), size=draws)
        means += again @ values / len(scores)
    low, high = np.quantile(means / len(contrasts), [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def equivalent(effect: Estimate, margin: float = 1.0) -> float:
    """The p-value of two one-sided tests that an effect lies within ±margin points: small means equivalent.

    Below .05 exactly when the 90 % interval lies inside the margin (Schuirmann, 1987).
    """
    if effect.error == 0:  # every pair says the same
        return float(abs(effect.mean) >= margin)
    below = scipy_stats.t.sf((effect.mean + margin) / effect.error, effect.freedom)
    above = scipy_stats.t.cdf((effect.mean - margin) / effect.error, effect.freedom)
    return float(max(below, above))


def curves(table: pd.DataFrame, first: str, second: str = "base", outcome: str = "top1") -> pd.DataFrame:
    """One family minus another at each depth that has runs: n, mean, low, high (points or nats, 95 %), pairs, over."""
    rows = []
    for n in DEPTHS:
        found = contrast(table, minus(first, second, [n]), outcome)
        if len(found):
            effect = estimate(found)
            rows.append((n, effect.mean, *effect.interval(), effect.pairs, effect.over))
    return pd.DataFrame(rows, columns=["n", "mean", "low", "high", "pairs", "over"])


DECOMPOSITION: dict[str, tuple[str, str]] = {
    "lost to broken co-adaptation": ("base", "BnB"),
    "lost to specificity": ("BnB", "AnB"),
    "gained by transfer": ("AnB+", "BnB+"),
}


def decomposition(table: pd.DataFrame) -> pd.DataFrame:
    """The paper's reading of figure 2: what is lost to co-adaptation and to specificity, and what transfer gains.

    Returns:
        The rows of ``curves`` for each part, with its name in ``part``.
    """
    parts = [curves(table, *pair).assign(part=name) for name, pair in DECOMPOSITION.items()]
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def by_depth(table: pd.DataFrame) -> pd.DataFrame:
    """The curves of the paper's figures 2 and 3 as rows: family minus base at n = 1..7, mean over pairs, points."""
    near, far = of_kind(table, RANDOM), of_kind(table, DISSIMILAR)
    rows = {f"{name} − base": curves(near, name) for name in ("BnB", "AnB", "BnB+", "AnB+")}
    rows |= {"AnB − base, natural/man-made": curves(far, "AnB"), "RnB − base": curves(table, "RnB")}
    return pd.DataFrame({name: found.set_index("n")["mean"] for name, found in rows.items()}, index=list(DEPTHS)).T


def scatter(table: pd.DataFrame, treatment: str) -> dict[str, float]:
    """How far a treatment's accuracy scatters over random splits, and how far its difference to the base does.

    Returns:
        Both standard deviations in points, NaN for fewer than two runs, and the number of pairs.
    """
    rows = with_differences(of_kind(table, RANDOM))
    rows = rows[rows["treatment"] == treatment]
    spread = 100 * rows["top1"].std(), rows["difference"].std()
    return {"pairs": len(rows), f"SD of {treatment}": spread[0], f"SD of {treatment} − its base": spread[1]}


def noise_of_training(table: pd.DataFrame) -> dict[str, float] | None:
    """How far a run's difference to its base scatters between seeds, beside what the test images alone explain.

    Args:
        table: rows of ``Results.table``.

    Returns:
        The pooled standard deviation ``between`` seeds, the root mean square of the standard error over ``images``
        (both in points), and the least number of ``seeds``; None where nothing was trained twice.
    """
    sound = table[table["status"] != "diverged"]
    bases = sound[sound["kind"] == "base"].set_index(PAIR)[["top1", "correct"]].add_prefix("base_")
    paired = sound[sound["kind"] != "base"].join(bases, on=PAIR, how="inner")
    paired = paired.assign(difference=100 * (paired["top1"] - paired["base_top1"]))
    images = zip(paired["correct"], paired["base_correct"], strict=True)
    errors = [difference_over_images(run, base)[1] / 1.96 for run, base in images]
    same = [name for name in PAIR if name != "seed"] + ["treatment"]
    seeds = (
        paired.assign(error=errors)
        .groupby(same, dropna=False)
        .agg(variance=("difference", "var"), count=("seed", "size"), error=("error", lambda found: (found**2).mean()))
    )
    seeds = seeds[seeds["count"] > 1]
    if seeds.empty:
        return None
    pooled = np.average(seeds["variance"], weights=seeds["count"] - 1)
    return {"between": math.sqrt(pooled), "images": math.sqrt(seeds["error"].mean()), "seeds": seeds["count"].min()}


def half_widths(table: pd.DataFrame, first: str, second: str) -> dict[str, float]:
    """Half the width of the 95 % interval over test images of two treatments' difference, paired and as if not.

    Args:
        table: rows of ``Results.table``; the first pair that has both is taken.

    Returns:
        ``paired`` and ``unpaired`` in points, and the number of test ``images``.

    Raises:
        TransferlibError: where no pair has both.
    """
    for _, runs in table.groupby(PAIR, dropna=False, sort=False):
        columns = zip(runs["treatment"], runs["top1"], runs["correct"], strict=True)
        found = {name: (top1, correct) for name, top1, correct in columns}
        if first in found and second in found:
            (_, one), (_, two) = both = found[first], found[second]
            variance = sum(top1 * (1 - top1) / len(correct) for top1, correct in both)
            paired = difference_over_images(one, two)[1]
            return {"paired": paired, "unpaired": 196 * math.sqrt(variance), "images": len(one)}
    raise TransferlibError(f"no pair of this table has both {first} and {second}")
