"""What a data set's classes are, without its pictures: enough to cut them in two and to see what was cut."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Catalogue:
    """The classes of a data set; label k belongs to ``classes[k]``.

    Attributes:
        name: of the data set.
        classes: WordNet ids, or names of folders.
        names: for people.
        groups: ``natural``, ``man-made`` or None.
        above: the names of the nearest WordNet hypernyms, nearest first; empty where unknown.
    """

    name: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str | None, ...]
    above: tuple[tuple[str, ...], ...]


def kin(listed: Catalogue, a: tuple[str, ...], b: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Pairs of one class of each half that share a near WordNet hypernym: a cat in A and a lion in B.

    Args:
        listed: the data set's classes.
        a, b: the classes of the halves.

    Returns:
        Name in A, name in B, and the nearest hypernym that both have among those listed, in the order of A.
    """
    place = {wnid: k for k, wnid in enumerate(listed.classes)}
    pairs = []
    for first in a:
        for second in b:
            i, j = place[first], place[second]
            shared = next((word for word in listed.above[i] if word in listed.above[j]), None)
            if shared:
                pairs.append((listed.names[i], listed.names[j], shared))
    return pairs
