"""Small made tables of runs for figures, and what is read back off an axis. Nothing here is ever published."""

import pandas as pd
from small_studies import invented

LEVEL = {"base": 0.6, "BnB": 0.55, "BnB+": 0.61, "AnB": 0.5, "AnB+": 0.62, "RnB": 0.3}
ALL = ("base", "BnB", "BnB+", "AnB", "AnB+")


def made(split="random:0", target="B", shift=0.0, families=ALL):
    records = []
    for family in families:
        for n in (0,) if family == "base" else (1, 4, 7):
            name = family if family == "base" else family.replace("n", str(n))
            records.append(invented(name, round(LEVEL[family] + shift - 0.013 * n, 4), split, target))
    return records


def points(ax, label) -> list[tuple[float, float]]:
    (dots,) = [c for c in ax.collections if c.get_label() == label]
    return sorted((round(float(x), 3), round(float(y), 4)) for x, y in dots.get_offsets())


def line(ax, label) -> dict[int, float]:
    (found,) = [one for one in ax.lines if one.get_label().split("  (")[0] == label]
    return {int(x): float(y) for x, y in zip(*found.get_data(), strict=True)}


def of_family(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[(table["kind"] == name.rstrip("+")) & (table["fine_tuned"] == name.endswith("+"))]


def drawn(figure, axis=0):
    return figure.axes[axis]


def bars(ax, label) -> dict[int, tuple[float, float, float]]:
    """An interval line's points by n: low, mean, high."""
    return {round(n): ends for n, ends in ranges(ax, label).items()}


def said(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def ranges(ax, label) -> dict[float, tuple[float, float, float]]:
    """A line's points with bars by where they stand: low, mean, high."""
    (found,) = [one for one in ax.containers if one.get_label() == label]
    x, y = found.lines[0].get_data()
    segments = found.lines[2][0].get_segments()
    return {float(n): (float(s[0][1]), float(m), float(s[1][1])) for n, m, s in zip(x, y, segments, strict=True)}
