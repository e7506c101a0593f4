"""Write the tables of ``transferlib.data.wordnet``: which ImageNet classes are natural, which man-made.

    python tools/make_wordnet_groups.py [--dict FOLDER] [--wnids FILE ...] [--paper FILE]

The rule: a class belongs to the nearest of nine CATEGORIES above it in WordNet; a tie is man-made. It needs
the database of WordNet 3.0, whose offsets are ImageNet's wnids (Debian: apt-get install wordnet-base; 3.1 is
refused). Without --wnids the classes are those of the table as it stands; --paper compares with the grouping
of Yosinski et al. (2014), a CSV of wnid, group, name, and rewrites the table of exceptions.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

DEBIAN = Path("/usr/share/wordnet")
DATA = Path(__file__).resolve().parents[1] / "transferlib" / "data"
GROUPS = DATA / "wordnet_groups.csv"
EXCEPTIONS = DATA / "wordnet_exceptions.csv"


class Category(NamedTuple):
    """A synset that decides about everything below it that no nearer one claims."""

    name: str
    group: str


CATEGORIES = {
    "n00004258": Category("living thing", "natural"),  # animals, plants, fungi and people
    "n00019128": Category("natural object", "natural"),  # here: fruits and seeds, as parts of plants
    "n09287968": Category("geological formation", "natural"),
    "n07705711": Category("produce", "natural"),  # vegetables and fruit: food as it grew
    "n00021939": Category("artifact", "man-made"),
    "n00021265": Category("food", "man-made"),  # nourishment: dishes, drinks, sauces
    "n07555863": Category("solid food", "man-made"),  # a root of its own in WordNet: baked goods
    "n00002137": Category("abstraction", "man-made"),  # signs and signals, and the shape of a bubble
    "n14974264": Category("paper", "man-made"),
}


class Synset(NamedTuple):
    """What the rule needs to know of a noun synset."""

    words: tuple[str, ...]
    hypernyms: tuple[str, ...]  # wnids


def read_synsets(folder: Path) -> dict[str, Synset]:
    """Read the noun synsets of a WordNet database by wnid.

    Raises:
        SystemExit: when the folder holds no WordNet 3.0.
    """
    try:
        lines = (folder / "data.noun").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise SystemExit(f"no data.noun in {folder}: apt-get install wordnet-base, or give --dict") from None
    synsets = {f"n{line[:8]}": _parse(line) for line in lines if not line.startswith("  ")}  # the licence
    for wnid, category in CATEGORIES.items():
        if wnid not in synsets or category.name not in synsets[wnid].words:
            raise SystemExit(f"{folder} is not WordNet 3.0: {wnid} is not {category.name!r} there")
    return synsets


def _parse(line: str) -> Synset:
    # offset, file, type, number of words (hex), word and id each, number of pointers, four fields each, gloss
    fields = line.split()
    count = 4 + 2 * int(fields[3], 16)
    words = tuple(word.replace("_", " ") for word in fields[4:count:2])
    end = count + 4 * int(fields[count])
    pointers = zip(fields[count + 1 : end : 4], fields[count + 2 : end : 4], strict=True)
    return Synset(words, tuple(f"n{offset}" for kind, offset in pointers if kind == "@"))


def decide(wnid: str, synsets: dict[str, Synset]) -> Category:
    """Find the nearest category at or above a synset by hypernym steps, of equally near ones a man-made one.

    Raises:
        ValueError: when there is none.
    """
    level = {wnid}
    while level:
        found = [category for key, category in CATEGORIES.items() if key in level]
        if found:
            # What is as much produce as foodstuff (mashed potato) has been made out of what grew.
            return next((category for category in found if category.group == "man-made"), found[0])
        level = {above for key in level for above in synsets[key].hypernyms}
    raise ValueError(f"no category above {wnid}")


def table(wnids: Iterable[str], synsets: dict[str, Synset]) -> list[dict[str, str]]:
    """Apply the rule: rows of wnid, group and deciding category, in the order of the wnids."""
    decided = ((wnid, decide(wnid, synsets)) for wnid in sorted(set(wnids)))
    return [{"wnid": wnid, "group": it.group, "category": it.name} for wnid, it in decided]


def exceptions(rows: list[dict[str, str]], paper: Path, synsets: dict[str, Synset]) -> list[dict[str, str]]:
    """List the classes that the paper's authors put into the other group."""
    with paper.open(encoding="utf-8", newline="") as file:
        theirs = {row["wnid"]: row["group"] for row in csv.DictReader(file)}
    return [
        {"wnid": wnid, "name": synsets[wnid].words[0], "ours": row["group"], "theirs": theirs[wnid]}
        for row in rows
        if (wnid := row["wnid"]) in theirs and theirs[wnid] != row["group"]
    ]


def read_wnids(files: Iterable[Path]) -> set[str]:
    """Collect every wnid that stands in some text files."""
    return {wnid for file in files for wnid in re.findall(r"\bn\d{8}\b", file.read_text(encoding="utf-8"))}


def write(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...]) -> None:
    """Write rows as a CSV file with line feeds on every system."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Write the table, and the exceptions where there is something to compare with."""
    parser = argparse.ArgumentParser(description="Group ImageNet's classes by WordNet: natural or man-made.")
    parser.add_argument("--dict", type=Path, default=DEBIAN, help="folder of WordNet 3.0's data.noun")
    parser.add_argument("--wnids", type=Path, nargs="+", default=[GROUPS], help="files that name the classes")
    parser.add_argument("--paper", type=Path, help="the paper's grouping: a CSV of wnid, group, name")
    options = parser.parse_args()
    synsets = read_synsets(options.dict)
    rows = table(read_wnids(options.wnids), synsets)
    write(GROUPS, rows, ("wnid", "group", "category"))
    print(f"{len(rows)} classes, {sum(row['group'] == 'natural' for row in rows)} natural")
    if options.paper:
        differing = exceptions(rows, options.paper, synsets)
        write(EXCEPTIONS, differing, ("wnid", "name", "ours", "theirs"))
        print(f"{len(differing)} grouped otherwise than in the paper")


if __name__ == "__main__":
    main()
