"""Write the results of the store under ``book/results`` into the README, between its two marks.

Nobody types a result: this script does, from the runs, and a test compares.

    python tools/update_readme.py
"""

from __future__ import annotations

from pathlib import Path

from transferlib.stats import comparable, difference_over_images
from transferlib.store import Store
from transferlib.study import correct_images
from transferlib.treatments import DEPTHS, FAMILIES, Treatment

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results: written by tools/update_readme.py -->", "<!-- results end -->"


def _cell(records: dict[str, dict], treatment: Treatment) -> str:
    run = records.get(str(treatment))
    if run is None:
        return ""
    difference, width = difference_over_images(correct_images(run), correct_images(records["base"]))
    return f"{difference:+.1f} ± {width:.1f}"


def _table(records: dict[str, dict]) -> list[str]:
    lines = [f"| top-1 − base, points | {' | '.join(f'n = {n}' for n in DEPTHS)} |", "|---" * 8 + "|"]
    for name in FAMILIES[1:]:
        treatments = [Treatment.parse(name.replace("n", str(n))) for n in DEPTHS]
        if any(str(t) in records for t in treatments):
            lines.append(f"| `{name}` | {' | '.join(_cell(records, t) for t in treatments)} |")
    return lines


def results(store: Store) -> str:
    """The text between the marks: the main study's table, and what doubling the training of its base gains."""
    table = store.table()
    main = comparable(table)
    target = main.loc[main["kind"] != "base", "target"].iloc[0]
    by_key = {key: store.get(key) for key in table["key"]}
    shown = main[main["target"] == target]
    records = {t: by_key[key] for t, key in zip(shown["treatment"], shown["key"], strict=True)}
    base, first = records["base"], shown.iloc[0]
    other = main[(main["kind"] == "base") & (main["target"] != target)].iloc[0]
    lines = [
        f"{first.dataset} at {first.resolution} px, {first.network}, {first.epochs} epochs, split {first.split}, "
        f"target {target}; {len(main)} runs in {main['seconds'].sum() / 60:.0f} minutes of one process on "
        f"{base['device']} ({base['execution']}), torch {base['versions']['torch']}. "
        f"The bases reach a top-1 of {100 * base['top1']:.1f} % ({target}) and {100 * other.top1:.1f} % "
        f"({other.target}, the source). ± is the 95 % interval over the {base['val_images']} test images; one split "
        "says nothing yet of the spread over splits.",
        "",
        *_table(records),
    ]
    lines += _doubled(table, main, first, base)
    return "\n".join(lines)


def _doubled(table, main, first, base) -> list[str]:  # noqa: ANN001 (rows of a table)
    longer = table[
        (table["kind"] == "base")
        & (table["target"] == first.target)
        & (table["network"] == first.network)
        & (table["epochs"] == 2 * first.epochs)
        & (table["split"] == first.split)
    ]
    return [
        f"\nTraining the base twice as long, {row.epochs} epochs, gives {100 * row.top1:.1f} %, "
        f"{100 * (row.top1 - base['top1']):+.1f} points: "
        + (
            "the bases are near convergence."
            if row.top1 - base["top1"] < 0.01
            else "the bases are not yet converged, which favours every treatment that trains copied layers further."
        )
        for row in longer.itertuples()
    ]


def updated(readme: str, text: str) -> str:
    """The README with the text between its marks."""
    head, rest = readme.split(START)
    return f"{head}{START}\n\n{text}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Rewrite the README in place."""
    path = ROOT / "README.md"
    path.write_text(
        updated(path.read_text(encoding="utf-8"), results(Store(ROOT / "book" / "results"))), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
