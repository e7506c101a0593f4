"""Names are data: what a user's folder is called is shown as text, on terminals, in tables and in figures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HASHES = ("key", "recipe")  # columns of hexadecimal digits, some of which look like numbers


def printable(text: str) -> str:
    r"""The text with an escape in place of whatever is no printable character.

    >>> printable("two\nlines, \udcff")
    'two\\nlines, \\udcff'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table so that pandas, Excel and LibreOffice read its hashes as text: ``key-`` goes before a key.

    Without it a key such as ``12345678e1234567`` comes back as a number, and quotes do not help.
    """
    hashes = {name: f"{name}-" + table[name] for name in HASHES if name in table}
    table.assign(**hashes).to_csv(path, index=False)
