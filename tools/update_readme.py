"""Write the results of the published store into the README and into ``book/results/README.md``, between their marks.

Nobody types a result: this script does, from the runs, and a test compares.

    python tools/update_readme.py
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from transferlib.effects import effects, effects_table, epochs_saved
from transferlib.figures import about
from transferlib.prose import estimated
from transferlib.records import config_key
from transferlib.results import Results, compared, convergence, open_results
from transferlib.splits import DISSIMILAR, RANDOM, of_kind
from transferlib.stats import contrast, estimate, minus
from transferlib.store import Store
from transferlib.treatments import DEPTHS

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results: written by tools/update_readme.py -->", "<!-- results end -->"
CURVES = {
    "random halves": (RANDOM, ("BnB", "AnB", "BnB+", "AnB+")),
    "natural / man-made": (DISSIMILAR, ("BnB", "AnB", "BnB+", "AnB+")),
    "random filters": (RANDOM, ("RnB",)),
}

INTERVALS = (
    "In brackets, 95 % intervals: over pairs of split and direction where there are three or more, else over the test "
    "images only. The directions of a split share networks, and both natural-manmade splits the natural half: such "
    "pairs are not independent, and an interval over pairs of two splits is a rough one. The claims of the paper, "
    "judged by the rules of `transferlib.effects`, 'no loss' and 'no difference' by one-sided tests at 5 % (the 90 % "
    "interval, not the printed one); in points of top-1, slopes in points a layer, epochs in %:"
)
TWICE = {"`AnB+` − base": ("AnB+", "base"), "`BnB+` − base": ("BnB+", "base"), "`AnB+` − `BnB+`": ("AnB+", "BnB+")}


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, its index as the first column."""
    rows = [[table.index.name or "", *table.columns], ["---"] * (len(table.columns) + 1)]
    rows += [[index, *row] for index, row in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


def _cell(table: pd.DataFrame, family: str, n: int) -> str:
    found = contrast(table, minus(family, "base", [n]))
    return str(estimate(found)) if len(found) else ""


def by_depth(results: Results) -> pd.DataFrame:
    """Families minus base with their intervals, a row for each that has runs."""
    rows = {}
    for title, (kind, families) in CURVES.items():
        table = of_kind(results.table, kind)
        for family in families:
            cells = [_cell(table, family, n) for n in DEPTHS]
            if any(cells):
                rows[f"`{family}`, {title}"] = cells
    columns = [f"n = {n}" for n in DEPTHS]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("top-1 − base, points")


def _bases(results: Results) -> str:
    bases = results.table[results.table["kind"] == "base"]
    found = zip(bases["top1"], bases["split"], bases["target"], strict=True)
    return ", ".join(f"{100 * top1:.1f} % ({split}, {target})" for top1, split, target in found)


def _controls(results: Results) -> str:
    longer = estimated(contrast(results.against_longer_bases(), minus("AnB+", "base")))
    sooner = estimated(epochs_saved(results.part("random"), results.curve, 0.9, "BnB+"))
    return (
        "Rows 4a and 8 compare networks that had two schedules with a base that had one. These controls tell longer "
        f"training from transfer. `AnB+` minus a base trained twice as long, in points: {longer}. And what `BnB+`, "
        f"which copies nothing foreign, saves of the epochs to 90 % (row 8a is `AnB+`), in %: {sooner}."
    )


def _twice(results: Results) -> str:
    asked = {words: minus(*pair) for words, pair in TWICE.items()}
    found = compared(results.table, results.variant("doubled").table, asked)
    rows = [
        f"{words} {row['main study']} once, {row['variant']} twice as long, change {row['change']} "
        f"(over {row['intervals over']})"
        for words, row in found.iterrows()
    ]
    if not rows:
        return ""
    return f" A third trains everything twice as long, its bases too; mean over n: {'; '.join(rows)}."


def results_text(results: Results) -> str:
    """The text between the README's marks."""
    table, doubled = results.table, convergence(results.gain_from_doubling())
    return "\n\n".join(
        [
            f"{about(table)}; {len(table)} runs, {table['seconds'].sum() / 60:.0f} minutes of one thread on "
            f"{results.made_on}. Bases reach {_bases(results)}. On `random:0`, {doubled}.",
            markdown(by_depth(results)),
            INTERVALS,
            markdown(effects_table(effects(table, results.curve, results.lengths))),
            _controls(results) + _twice(results),
        ]
    )


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
