"""The effects table: each claim of the paper, the paper's own figure, ours with its interval, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

import pandas as pd

from transferlib import paper
from transferlib.errors import TransferlibError
from transferlib.splits import DISSIMILAR, RANDOM, of_kind
from transferlib.stats import (
    PAIR,
    PLACE,
    Estimate,
    Weights,
    contrast,
    difference,
    equivalent,
    estimate,
    family_names,
    minus,
    plus,
    signed,
    slope,
    with_shares,
)
from transferlib.treatments import DEPTHS

MARGIN = 1.0  # points: a smaller loss is no loss
HOLDS, WEAKER, NOT_HERE, UNKNOWN = "holds", "holds weaker", "does not hold here", "cannot be told"
UNDECIDED = "undecided: bases unfinished"
NONE = pd.DataFrame(columns=[*PLACE, "value", "scores"])  # no pair
CurveOf = Callable[[str], pd.DataFrame]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and the one number that it is judged by.

    Attributes:
        number: in the table.
        words: the claim.
        measure: what the number is, and its unit.
        weights: the contrast on random halves that the number is, if it is one.
        of: the number from a table of runs, their learning curves and an outcome, where it takes more than that.
        kind: whether the claim is that there is an ``effect`` of the paper's sign, no ``loss``, or the ``same``.
        margin: what is too small to matter, in the measure's unit.
        table_1: the number in the paper's own table of all of its networks, where it is there.
    """

    number: str
    words: str
    measure: str
    weights: Weights | None = None
    of: Callable[[pd.DataFrame, CurveOf, str], Estimate] | None = None
    kind: Literal["effect", "loss", "same"] = "effect"
    margin: float = MARGIN
    table_1: float | None = None

    def estimate(self, table: pd.DataFrame, curve_of: CurveOf, outcome: str = "top1") -> Estimate:
        """The number, of an outcome among ``stats.OUTCOMES``.

        Raises:
            TransferlibError: where no pair has the runs, or it is no number of this outcome.
        """
        return self.of(table, curve_of, outcome) if self.of else estimate(self.contrast(table, outcome))

    def contrast(self, table: pd.DataFrame, outcome: str = "top1") -> pd.DataFrame:
        """The contrast that the number is, pair by pair; none where it is no contrast."""
        return contrast(of_kind(table, RANDOM), self.weights, outcome) if self.weights else NONE


@dataclass(frozen=True)
class Effect:
    """A claim with the paper's figure and ours; ``ours`` is None where runs are missing.

    Attributes:
        others: the same in other outcomes, the paper's and ours.
        moves: what the last doubling of the training changed, in the pairs that were trained so long.
    """

    claim: Claim
    paper: Estimate
    ours: Estimate | None
    others: Mapping[str, tuple[Estimate | None, Estimate | None]] = field(default_factory=dict)
    moves: Estimate | None = None

    @property
    def ours_text(self) -> str:
        """Our figure with its interval, or that it was not run."""
        return str(self.ours) if self.ours else "not run"

    @property
    def verdict(self) -> str:
        """What our runs say of the claim: the word of ``judge_loss``, ``judge_same`` or ``judge_effect``.

        Undecided where the last doubling of the training still moved the number: that is not about finished networks.
        """
        if self.ours is None:
            return UNKNOWN
        if self.moves and self.moves.excludes_zero:
            return UNDECIDED
        if self.claim.kind == "effect":
            return judge_effect(self.ours, self.paper.mean, self.claim.margin)
        return {"loss": judge_loss, "same": judge_same}[self.claim.kind](self.ours, self.claim.margin)


def judge_loss(ours: Estimate, margin: float = MARGIN) -> str:
    """Judge "no loss": it holds where the 90 % interval rules out a loss of the margin; a gain does not refute it.

    It does not hold where the whole interval lies below the margin.
    """
    low, high = ours.interval(0.90)
    if low > -margin:
        return HOLDS
    return NOT_HERE if high < -margin else UNKNOWN


def judge_same(ours: Estimate, margin: float = MARGIN) -> str:
    """Judge "no difference": it holds where two one-sided tests at 5 % put the difference within the margin.

    It does not hold where the whole 90 % interval lies beyond the margin.
    """
    low, high = ours.interval(0.90)
    if equivalent(ours, margin) < 0.05:
        return HOLDS
    return NOT_HERE if low > margin or high < -margin else UNKNOWN


def judge_effect(ours: Estimate, papers: float, margin: float = MARGIN) -> str:
    """Judge "there is an effect": it holds where the 95 % interval excludes 0 on the paper's side.

    Below half the paper's size it holds weaker. It does not hold where two one-sided tests find the effect smaller than
    the margin, or where the interval lies on the other side; else our runs cannot tell.
    """
    if equivalent(ours, margin) < 0.05:
        return NOT_HERE
    low, high = sorted(bound * (-1 if papers < 0 else 1) for bound in ours.interval())
    if low > 0:
        return HOLDS if abs(ours.mean) >= abs(papers) / 2 else WEAKER
    return NOT_HERE if high < 0 else UNKNOWN


def _distance_slope(table: pd.DataFrame, _: CurveOf, outcome: str) -> Estimate:
    weights = slope("AnB", "base")
    distant, near = (estimate(contrast(of_kind(table, kind), weights, outcome)) for kind in (DISSIMILAR, RANDOM))
    return distant - near


def _distant_over_random(table: pd.DataFrame, _: CurveOf, outcome: str) -> Estimate:
    distant = contrast(of_kind(table, DISSIMILAR), minus("AnB", "base"), outcome)
    return estimate(distant) - estimate(contrast(table, minus("RnB", "base"), outcome))


def epochs_to(curve: pd.DataFrame, level: float) -> float | None:
    """The first moment at which a learning curve reaches an accuracy, in epochs; linear between points, None if never.

    Args:
        curve: ``epoch`` and ``top1``, in order.
        level: a fraction of the test images.
    """
    epochs, top1 = [0.0, *curve["epoch"]], [0.0, *curve["top1"]]
    for i in range(1, len(epochs)):
        if top1[i] >= level:
            share = (level - top1[i - 1]) / (top1[i] - top1[i - 1])
            return float(epochs[i - 1] + share * (epochs[i] - epochs[i - 1]))
    return None


def _saved(share: float) -> Callable[[pd.DataFrame, CurveOf, str], Estimate]:
    def saved(table: pd.DataFrame, curve_of: CurveOf, outcome: str) -> Estimate:
        if outcome != "top1":
            raise TransferlibError("epochs are counted to an accuracy")
        return estimate(epochs_saved(of_kind(table, RANDOM), curve_of, share))

    return saved


def epochs_saved(table: pd.DataFrame, curve_of: CurveOf, share: float, family: str = "AnB+") -> pd.DataFrame:
    """How much sooner transferred networks reach a share of their base's final accuracy, in % of the base's epochs.

    A network that never gets there counts with its whole training. The mean over n, one row per pair, in the form of
    ``stats.contrast``.
    """
    named = table.assign(family=family_names(table))
    rows = []
    for pair, runs in named[named["status"] == "ok"].groupby(PAIR, dropna=False, sort=False):
        base, transferred = (runs.loc[runs["family"] == name, "key"] for name in ("base", family))
        if len(base) and len(transferred):
            of_base = curve_of(base.iloc[0])
            level = share * of_base["top1"].iloc[-1]
            times = [_epochs_needed(curve_of(key), level) for key in transferred]
            rows.append((*pair[:3], 100 * (1 - sum(times) / len(times) / _epochs_needed(of_base, level)), None))
    return pd.DataFrame(rows, columns=[*PLACE, "value", "scores"])


def _epochs_needed(curve: pd.DataFrame, level: float) -> float:
    """The epochs to an accuracy; those of the whole training where it is never reached."""
    return epochs_to(curve, level) or curve["epoch"].iloc[-1]


def _over_selffer(depths: Sequence[int]) -> Callable[[pd.DataFrame, CurveOf, str], Estimate]:
    """AnB+ minus BnB+ of the same target; where no target has both (the paper's logs), each against its own base."""

    def over(table: pd.DataFrame, _: CurveOf, outcome: str) -> Estimate:
        table = of_kind(table, RANDOM)
        paired = contrast(table, minus("AnB+", "BnB+", depths), outcome)
        if len(paired):
            return estimate(paired)
        weights = [minus(name, "base", depths) for name in ("AnB+", "BnB+")]
        first, second = (estimate(contrast(table, w, outcome)) for w in weights)
        return first - second

    return over


DIP = plus(minus("BnB", "base", [4, 5]), minus("BnB", "base", [1, 2, 3, 6, 7]), -1.0)
_LAYER = MARGIN / 6  # of a slope: the margin over the six steps from n = 1 to 7
_DEEP = (5, 6, 7)


def _without_loss(number: str, n: int, against: str, words: str) -> Claim:
    control = {"base": "base", "BnB": f"B{n}B"}[against]
    return Claim(number, words, f"A{n}B − {control}", minus("AnB", against, [n]), kind="loss")


CLAIMS: tuple[Claim, ...] = (
    _without_loss("1a", 1, "base", "layer 1 transfers without loss"),
    _without_loss("1b", 2, "base", "layers 1–2 transfer without loss"),
    _without_loss("1c", 3, "base", "layers 1–3 transfer without loss"),
    _without_loss("1d", 1, "BnB", "layer 1 is as good as one's own"),
    _without_loss("1e", 2, "BnB", "layers 1–2 are as good as one's own"),
    _without_loss("1f", 3, "BnB", "layers 1–3 are as good as one's own"),
    Claim("2", "the middle is fragile: BnB dips", "BnB at n = 4, 5 − at the other n", DIP),
    Claim("3", "specificity grows with n", "slope of BnB − AnB over n", slope("BnB", "AnB"), margin=_LAYER),
    Claim(
        "4a",
        "fine-tuned transfer beats one schedule",
        "AnB+ − base, mean",
        minus("AnB+", "base"),
        table_1=paper.TABLE_1["base", 1],
    ),
    Claim(
        "4b",
        "and beats its own layers fine-tuned",
        "AnB+ − BnB+, mean",
        minus("AnB+", "BnB+"),
        _over_selffer(DEPTHS),
        table_1=paper.TABLE_1["BnB+", 1],
    ),
    Claim(
        "4c",
        "and does so where much is copied",
        "AnB+ − BnB+, n = 5 to 7",
        minus("AnB+", "BnB+", _DEEP),
        _over_selffer(_DEEP),
        table_1=paper.TABLE_1["BnB+", 5],
    ),
    Claim("5", "BnB+ does not differ from base", "BnB+ − base, mean", minus("BnB+", "base"), kind="same"),
    Claim(
        "6",
        "distance costs more, the deeper the cut",
        "slope of AnB − base, − random",
        of=_distance_slope,
        margin=_LAYER,
    ),
    Claim("7", "even distant features beat random ones", "AnB, distant − RnB", of=_distant_over_random),
    Claim("8a", "transfer learns faster, to 90 %", "epochs saved by AnB+, in %", of=_saved(0.9)),
    Claim("8b", "and to the base's final accuracy", "epochs saved by AnB+, in %", of=_saved(1.0)),
)
OTHERS = ("share", "loss")  # outcomes beside accuracy


def effects(table: pd.DataFrame, curve_of: CurveOf, lengths: Mapping[int, pd.DataFrame] | None = None) -> list[Effect]:
    """Judge every claim by a table of runs.

    Args:
        table: rows of ``Results.table``: random and dissimilar splits and random filters of one recipe.
        curve_of: gives a run's learning curve by its key, as ``Results.curve``.
        lengths: some of the pairs trained longer and longer, by epochs, as ``Results.lengths``.
    """
    ours, theirs = with_shares(table), with_shares(paper.table())
    return [_effect(claim, (theirs, paper.curve), (ours, curve_of), lengths or {}) for claim in CLAIMS]


def _effect(
    claim: Claim,
    theirs: tuple[pd.DataFrame, CurveOf],
    ours: tuple[pd.DataFrame, CurveOf],
    lengths: Mapping[int, pd.DataFrame],
) -> Effect:
    others = {outcome: (_try(claim, *theirs, outcome), _try(claim, *ours, outcome)) for outcome in OTHERS}
    return Effect(claim, claim.estimate(*theirs), _try(claim, *ours), others, last_change(claim, lengths))


def _try(claim: Claim, table: pd.DataFrame, curve_of: CurveOf, outcome: str = "top1") -> Estimate | None:
    try:
        return claim.estimate(table, curve_of, outcome)
    except TransferlibError:  # no pair has all the runs of this claim yet
        return None


def by_length(claim: Claim, lengths: Mapping[int, pd.DataFrame], outcome: str = "top1") -> dict[int, pd.DataFrame]:
    """A claim's number pair by pair for each length of training, in the pairs that have it at all of them.

    Args:
        claim: a contrast on random halves; of others there is nothing.
        lengths: tables of runs of the same pairs, by the epochs that they were trained for.
        outcome: among ``stats.OUTCOMES``.

    Returns:
        By epochs, short to long, in the form of ``stats.contrast``; lengths at which no pair has it are left out.
    """
    found = {epochs: claim.contrast(lengths[epochs], outcome) for epochs in sorted(lengths)}
    found = {epochs: rows for epochs, rows in found.items() if len(rows)}
    if not found:
        return {}
    shared = reduce(pd.merge, (rows[PLACE] for rows in found.values()))
    return {epochs: rows.merge(shared) for epochs, rows in found.items() if len(shared)}


def last_change(claim: Claim, lengths: Mapping[int, pd.DataFrame]) -> Estimate | None:
    """What the last doubling of the training changed of a claim's number, pair by pair; None where it wasn't run."""
    found = [rows for epochs in sorted(lengths) if len(rows := claim.contrast(lengths[epochs]))]
    changes = difference(found[-1], found[-2]) if len(found) > 1 else NONE
    return estimate(changes) if len(changes) else None


def effects_table(found: list[Effect]) -> pd.DataFrame:
    """The effects as text, one row per claim; in points, slopes in points a layer, epochs in %."""
    rows = [
        (
            effect.claim.number,
            effect.claim.words,
            effect.claim.measure,
            str(effect.paper),
            "" if effect.claim.table_1 is None else signed(effect.claim.table_1),
            effect.ours_text,
            effect.ours.behind if effect.ours else "",
            effect.verdict,
        )
        for effect in found
    ]
    columns = ["", "claim", "measured by", f"{paper.CITATION}, logs", "its table 1", "ours [95 %]", "interval over"]
    return pd.DataFrame(rows, columns=[*columns, "verdict"]).set_index("")


def outcomes_table(found: list[Effect]) -> pd.DataFrame:
    """The same effects in other outcomes: as a share of the own base's accuracy, and in validation loss (nats)."""
    rows = [
        (effect.claim.number, effect.claim.measure, *_both(effect, "share", 1), *_both(effect, "loss", 2))
        for effect in found
        if any(any(pair) for pair in effect.others.values())
    ]
    columns = [f"{outcome}: {whose}" for outcome in ("% of the base", "validation loss") for whose in ("paper", "ours")]
    return pd.DataFrame(rows, columns=["", "measured by", *columns]).set_index("")


def _both(effect: Effect, outcome: str, digits: int) -> tuple[str, str]:
    """The paper's number in an outcome, and ours with its interval."""
    theirs, ours = effect.others.get(outcome, (None, None))
    return signed(theirs.mean, digits) if theirs else "–", ours.text(digits) if ours else "–"


def epochs_table(named: dict[str, pd.DataFrame], shares: Sequence[float] = (0.9, 1.0)) -> pd.DataFrame:
    """The epochs that each network needs to reach shares of the base's final accuracy, NaN where it never does.

    Args:
        named: learning curves by name, ``base`` among them.
        shares: of the base's accuracy at its last epoch.
    """
    final = named["base"]["top1"].iloc[-1]
    columns = {
        f"epochs to {100 * share:.0f} % of the base": {n: epochs_to(curve, share * final) for n, curve in named.items()}
        for share in shares
    }
    return pd.DataFrame(columns).astype(float).rename_axis("network")
