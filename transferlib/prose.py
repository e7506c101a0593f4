"""Sentences with numbers in them: a chapter's text never carries a result that somebody typed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from transferlib import paper
from transferlib.effects import Effect
from transferlib.errors import TransferlibError
from transferlib.stats import estimate


def say(template: str, **numbers: object) -> None:
    """Show Markdown with numbers filled in; the output's metadata keeps them under ``transferlib``, for tests to read.

    Args:
        template: Markdown with fields as ``str.format`` has them, such as ``{loss:.1f}``.
        numbers: the fields' values.

    Raises:
        TransferlibError: for a field without a value, or a value without a field.
    """
    try:
        text = template.format(**numbers)
    except KeyError as error:
        raise TransferlibError(f"the sentence needs a value for {error}") from error
    unused = [name for name in numbers if not re.search(rf"\{{{name}\b", template)]
    if unused:
        raise TransferlibError(f"the sentence has no field for {', '.join(unused)}")
    _show(text, numbers)


def _show(text: str, numbers: dict[str, object]) -> None:
    from IPython.display import Markdown, display

    text = re.sub(r"(?<![\w.])[-+](?=0(\.0+)?(?![\d.]))", "", text)  # as ``stats.signed``, at any precision
    text = re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", text)
    display(Markdown(text), metadata={"transferlib": {name: _plain(value) for name, value in numbers.items()}})


def estimated(contrasts: pd.DataFrame) -> str:
    """A contrast's mean with its interval and what that is over, or ``not run`` where no pair has all of its runs.

    Args:
        contrasts: of ``transferlib.stats.contrast``, in points.
    """
    if contrasts.empty:
        return "not run"
    found = estimate(contrasts)
    return f"{found} (over {found.behind})"


def say_effects(found: Iterable[Effect], *numbers: str) -> None:
    """Show some claims of the effects table as a list: the claim, the paper's figure, ours, the verdict."""
    lines, told = [], {}
    for effect in found:
        claim = effect.claim
        if claim.number in numbers:
            lines.append(
                f"- **{claim.number}: {claim.words}** ({claim.measure}). {paper.CITATION}: {effect.paper}; "
                f"ours: {effect.ours_text}{_over(effect)}. Verdict: **{effect.verdict}**."
            )
            told |= {f"effect_{claim.number}": effect.ours.mean if effect.ours else None}
    _show("\n".join(lines), told)


def _over(effect: Effect) -> str:
    return f" (over {effect.ours.behind})" if effect.ours else ""


def _plain(value: object) -> object:
    """NumPy's numbers as Python's, anything else that JSON lacks as text."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)
