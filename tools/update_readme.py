"""Write the results of the published store into the README and into ``book/results/README.md``, between their marks.

Nobody types a result: this script does, from the runs, and a test compares.

    python tools/update_readme.py
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from transferlib.effects import effects, epochs_saved
from transferlib.figures import about
from transferlib.prose import estimated
from transferlib.records import config_key
from transferlib.results import Results, convergence, open_results
from transferlib.splits import DISSIMILAR, of_kind
from transferlib.stats import contrast, minus
from transferlib.store import Store

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results: written by tools/update_readme.py -->", "<!-- results end -->"


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, its index as the first column."""
    rows = [[table.index.name or "", *table.columns], ["---"] * (len(table.columns) + 1)]
    rows += [[index, *row] for index, row in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


def _of_claims(results: Results) -> dict[str, str]:
    """Each claim's number here with its verdict, by its number in the effects table."""
    found = effects(results.table, results.curve, results.lengths)
    return {one.claim.number: f"{one.ours_text}, *{one.verdict}*" for one in found}


def results_text(results: Results) -> str:
    """The text between the README's marks: the five conclusions that are drawn from the paper, with what we found."""
    said, far = _of_claims(results), of_kind(results.table, DISSIMILAR)
    frozen, tuned = (estimated(contrast(far, minus(family, "base"))) for family in ("AnB", "AnB+"))
    own = estimated(epochs_saved(results.part("random"), results.curve, 0.9, "BnB+"))
    longer = estimated(contrast(results.against_longer_bases(), minus("AnB+", "base")))
    verdicts = (
        "**The first layers are general.** Copied and frozen, minus the base in points of top-1: one layer "
        f"{said['1a']}; two {said['1b']}; three {said['1c']}.",
        f"**Fine-tuning helps** against a base trained once, {said['4a']}. That it beats the network's own layers, "
        f"fine-tuned likewise, is another claim: {said['4b']}. Minus a base that is trained twice as long: {longer}.",
        "**It bridges differences.** From natural to man-made things and back, against bases trained once: frozen "
        f"{frozen}, fine-tuned {tuned}.",
        f"**Even distant features beat random ones**, frozen: {said['7']}.",
        f"**Transfer learns faster**, to 90 % of the base's accuracy, in % of the epochs: {said['8a']}. The network's "
        f"own layers save {own}.",
    )
    dip = (
        f"And the paper's fragile middle: {said['2']}. The book's chapter 6 shows how it broke in 2014, and "
        "tries the same on ours."
    )
    about_all = f"{about(results.table)}; {convergence(results.gain_from_doubling())}."
    return "\n".join([about_all, "", *(f"{i}. {text}" for i, text in enumerate(verdicts, 1)), "", dip])


def updated(readme: str, text: str) -> str:
    """The README with the text between its marks."""
    head, rest = readme.split(START)
    return f"{head}{START}\n\n{text}\n\n{END}{rest.split(END)[1]}"


def pages() -> dict[Path, str]:
    """Both files as they should be."""
    results = open_results("published", "random", "dissimilar", "random-filters")
    case = Store(results.store.folder / "solar-cells")
    runs = {config_key(record["config"]): record for record in case.records()}
    stores = results, dataclasses.replace(results, store=case, records=runs)
    listed = pd.concat([one.inventory() for one in stores]).set_index("dataset").round({"minutes": 1})
    texts = {ROOT / "README.md": results_text(results), ROOT / "book" / "results" / "README.md": markdown(listed)}
    return {path: updated(path.read_text(encoding="utf-8"), text) for path, text in texts.items()}


def main() -> None:
    """Rewrite both in place."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
