"""Whether a class of ImageNet is natural or man-made, by the categories above it in WordNet.

The rule is the project's own: a class belongs to the nearest of nine categories above it. Living thing,
natural object, geological formation and produce are natural; artifact, food, solid food, abstraction and
paper are man-made; a tie is man-made. ``tools/make_wordnet_groups.py`` applied it to the 1000 classes of ILSVRC
2012, which include Tiny ImageNet's 200, and wrote ``wordnet_groups.csv``; ``wordnet_exceptions.csv`` names the
classes that Yosinski et al. (2014) grouped otherwise.

The categories come from WordNet 3.0, Copyright 2006 by Princeton University. All rights reserved. It is
provided "as is", without warranties; ``wordnet_notice.txt`` beside this file is its whole licence.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, cast

Group = Literal["natural", "man-made"]


class _Row(NamedTuple):
    group: Group
    category: str


def group_of(wnid: str) -> Group | None:
    """Tell whether a class is natural or man-made; None where the table does not have it."""
    row = _table().get(wnid)
    return row.group if row else None


def wordnet_groups(classes: Sequence[str]) -> tuple[str | None, ...]:
    """Tell natural from man-made for each class; None for what is no WordNet id that the table has."""
    return tuple(group_of(wnid) for wnid in classes)


def category_of(wnid: str) -> str | None:
    """Tell which WordNet category decided about a class; None where the table does not have it."""
    row = _table().get(wnid)
    return row.category if row else None


@cache
def _table() -> dict[str, _Row]:
    text = files("transferlib.data").joinpath("wordnet_groups.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["wnid"]: _Row(cast(Group, row["group"]), row["category"]) for row in rows}
