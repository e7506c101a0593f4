"""A decision in English."""

from __future__ import annotations

from collections.abc import Sequence

from transferlib.measuring.advice import BASE, COPIES, LEVEL, TOLERATED, Advice
from transferlib.nets import LAYERS
from transferlib.stats import Estimate
from transferlib.treatments import Treatment


def recommendation(advice: Advice, parts: Sequence[str] = ()) -> str:
    """What to do with the source's layers, with the measured differences and their intervals.

    Args:
        advice: the decision.
        parts: what the eight layers are called, where the source is somebody else's network.
    """
    chosen, best = advice.treatment, advice.best
    if chosen is None or best is None:
        return _nothing(advice)
    words = {"helps": _helps, "harms": _harms, "cannot tell": _cannot_tell, "no base": _no_base}[advice.verdict]
    return words(advice, chosen, best, action(chosen, parts))


def _helps(advice: Advice, chosen: Treatment, best: Treatment, do: str) -> str:
    alone = "Copying seems to help, by one training each (three would tell more)"
    helps = "Copying helps" if advice.repeated else alone
    effect = f"{_points(advice.effects[chosen])} {_brackets(advice)}"
    first = f"{helps}: {do}. {_compared(advice, chosen)}: {effect}."
    return f"{first}{_why_not_best(advice, chosen, best)}{_too_deep(advice)}{_still_ahead(advice, chosen)}"


def _harms(advice: Advice, chosen: Treatment, best: Treatment, do: str) -> str:
    least = max(advice.effects, key=lambda t: advice.effects[t].mean, default=None)
    if least is None:
        return "Copying harms: train from scratch. No network with copied layers did better than guessing."
    return (
        f"Copying harms: {do}. Even {least}, the best with copied layers, is "
        f"{_points(advice.effects[least])} from it {_brackets(advice)}."
    )


def _no_base(advice: Advice, chosen: Treatment, best: Treatment, do: str) -> str:
    right = f"{chosen} gets {_percent(advice, chosen)}"
    return (
        f"{_sentence(do)}: {right}.{_why_not_best(advice, chosen, best)} There was no time to hold that against "
        "training from scratch: give more --minutes."
    )


def _cannot_tell(advice: Advice, chosen: Treatment, best: Treatment, do: str) -> str:
    shown = chosen if chosen != BASE else max(advice.effects, key=lambda t: advice.effects[t].mean)
    low, high = advice.effects[shown].interval(LEVEL)
    what = f"{_compared(advice, shown)}: {_points(advice.effects[shown])}, an interval that contains 0"
    lost = f"lose less than {TOLERATED:.0f} point against training from scratch"
    why = f"of what is shown to {lost}, this is the cheapest."
    if advice.effects.get(chosen) and advice.effects[chosen].interval(LEVEL)[0] <= -TOLERATED:
        why = "of what did better than guessing, this is the cheapest; training from scratch did not."
    if chosen == best == BASE:
        why = f"nothing with copied layers is shown to {lost}."
    why += _why_not_best(advice, chosen, best)
    return (
        f"The data cannot tell whether copying helps: {what} {_brackets(advice)}. "
        f"{_sentence(do)}: {why}{_too_deep(advice)} A difference must be above about "
        f"{min((high - low) / 2, 100):.0f} points to be told here; more test pictures and more seeds narrow that."
    )


def _nothing(advice: Advice) -> str:
    return (
        "No recommendation: no network, from scratch or with copied layers, did better than guessing on the "
        f"{advice.tests} test pictures. Give the target more pictures or the training more --epochs, and look whether "
        "the folders' names fit their pictures."
    )


def action(treatment: Treatment, parts: Sequence[str] = ()) -> str:
    """What a treatment asks one to do, in words; with the names of a network's parts, in these.

    >>> action(Treatment.parse("A3B"))
    'copy layers 1 to 3 from the source, freeze them, and train layers 4 to 8 on the target'
    >>> action(Treatment.parse("A6B"), ("stem", *(f"block{k}" for k in range(1, 7)), "head"))
    'freeze stem to block5, train block6 and head anew'
    """
    n = treatment.n
    if parts:
        return _of_parts(treatment, parts)
    if treatment == BASE:
        return f"train all {LAYERS} layers from scratch on the target"
    copied, them = ("layer 1", "it") if n == 1 else (f"layers 1 to {n}", "them")
    if treatment.fine_tuned:
        return f"copy {copied} from the source, start the rest anew, and train all {LAYERS} layers on the target"
    rest = f"layers {n + 1} to {LAYERS}" if n + 1 < LAYERS else f"layer {LAYERS}"
    return f"copy {copied} from the source, freeze {them}, and train {rest} on the target"


def _of_parts(treatment: Treatment, parts: Sequence[str]) -> str:
    copied, rest = parts[: treatment.n], parts[treatment.n :]
    if treatment == BASE:
        return "train the whole network from scratch"
    if treatment.fine_tuned:
        anew = f"start {span(rest)} anew" if len(rest) > 1 else "put a fresh head on them"
        return f"keep the copied {span(copied)}, {anew}, and fine-tune everything"
    if len(rest) == 1:
        return "freeze everything but the head, and train that alone (a linear probe)"
    return f"freeze {span(copied)}, train {span(rest)} anew"


def span(parts: Sequence[str]) -> str:
    """Some parts in a row, in words."""
    first, last = parts[0], parts[-1]
    return first if len(parts) == 1 else f"{first} {'and' if len(parts) == 2 else 'to'} {last}"


def _compared(advice: Advice, treatment: Treatment) -> str:
    return f"{treatment} gets {_percent(advice, treatment)}, training from scratch {advice.accuracies[BASE].mean:.1f} %"


def _percent(advice: Advice, treatment: Treatment) -> str:
    its = f"{advice.accuracies[treatment].mean:.1f} %"
    return f"{its} in the mean over classes" if advice.balanced else f"{its} of the test pictures right"


def _why_not_best(advice: Advice, chosen: Treatment, best: Treatment) -> str:
    if chosen == best:
        return ""
    less = "needs no source" if chosen == BASE else f"trains only {LAYERS - chosen.frozen} of {LAYERS} layers"
    gap = f"{advice.accuracies[best].mean:.1f} %, is ahead by less than one standard error"
    name = "The base" if best == BASE else best
    return f" {name}, the most accurate with {gap}, and {chosen} {less}."


def _still_ahead(advice: Advice, chosen: Treatment) -> str:
    """Whether the rival explanation, that copying merely saves training, is ruled out."""
    if advice.longer is None:
        return ""
    effect = advice.longer.effect
    first = f" Trained twice as long from scratch, it is {advice.longer.accuracy.mean:.1f} %"
    if effect.interval(LEVEL)[0] > 0:
        return f"{first}; {chosen} is still ahead: {_points(effect)}."
    return f"{first}, and {chosen} is not surely ahead of that: {_points(effect)}; longer training is the alternative."


def _too_deep(advice: Advice) -> str:
    """A warning of the frozen layers that do worse than training from scratch."""
    worse = {t: effect for t, effect in advice.effects.items() if t.frozen and effect.interval(LEVEL)[1] < 0}
    listed = ", ".join(f"{t} {_points(effect)}" for t, effect in worse.items())
    return f" Do not freeze this much: {listed}." if worse else ""


def _brackets(advice: Advice) -> str:
    once = "over other test images, but of one training each"
    seen = "over other test images and seeds" if advice.repeated else once
    return f"(in brackets, intervals for all {len(COPIES)} comparisons at once, 95 %, {seen})"


def _points(effect: Estimate) -> str:
    low, high = effect.interval(LEVEL)
    return f"{effect.mean:+.1f} points [{low:+.1f}, {high:+.1f}]"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
