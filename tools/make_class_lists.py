"""Write ``transferlib/data/tiny_imagenet_classes.csv``: Tiny ImageNet's classes, and what WordNet has above each.

    python tools/make_class_lists.py WNIDS_TXT [--dict FOLDER]

So a split of the classes can be shown without a single photograph. WNIDS_TXT is the data set's own list; the database
of WordNet 3.0 is the one that ``make_wordnet_groups.py`` reads.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from make_wordnet_groups import DATA, DEBIAN, Synset, read_synsets, read_wnids, write

LEVELS = 3


def above(wnid: str, synsets: dict[str, Synset]) -> str:
    """The names of the nearest hypernyms, nearest first, joined by semicolons; the first where there are several."""
    names = []
    for _ in range(LEVELS):
        wnid = synsets[wnid].hypernyms[0]
        names.append(synsets[wnid].words[0])
    return ";".join(names)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="List Tiny ImageNet's classes with their WordNet hypernyms.")
    parser.add_argument("wnids", type=Path, help="the data set's wnids.txt")
    parser.add_argument("--dict", type=Path, default=DEBIAN, help="folder of WordNet 3.0's data.noun")
    options = parser.parse_args()
    synsets = read_synsets(options.dict)
    rows = [
        {"wnid": wnid, "name": synsets[wnid].words[0], "above": above(wnid, synsets)}
        for wnid in sorted(read_wnids([options.wnids]))
    ]
    write(DATA / "tiny_imagenet_classes.csv", rows, ("wnid", "name", "above"))
    print(f"{len(rows)} classes")


if __name__ == "__main__":
    main()
