"""Bring `.github/colab.txt` up to date with the list of packages that Google publishes of Colab's runtime.

python tools/colab_versions.py
"""

from __future__ import annotations

import re
import sys
import urllib.request
from pathlib import Path

PINS = Path(__file__).resolve().parent.parent / ".github" / "colab.txt"
FREEZE = "https://raw.githubusercontent.com/googlecolab/backend-info/main/pip-freeze.txt"


def versions(freeze: str) -> dict[str, str]:
    """The version of each package in the output of ``pip freeze``, without what is said of the build (``+cu128``)."""
    plain = re.findall(r"^([\w.-]+)==([\w.!]+)", freeze, re.MULTILINE)
    wheels = re.findall(
        r"^([\w.-]+) @ .*/[\w.]+-(\d[\w.!]*)(?:(?:\+|%2B)[\w.]+)?-\w+-\w+-\w+\.whl", freeze, re.MULTILINE
    )
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in plain + wheels}


def updated(pins: str, freeze: str) -> str:
    """The pins, with the versions of a list; a package that the list lacks is an error, as it has been renamed."""
    have = versions(freeze)
    return re.sub(r"^([\w-]+)==.*$", lambda pin: f"{pin[1]}=={have[pin[1]]}", pins, flags=re.MULTILINE)


def main() -> int:
    """Fetch the list and write the pins."""
    with urllib.request.urlopen(FREEZE, timeout=60) as answer:
        freeze = answer.read().decode()
    try:
        PINS.write_text(updated(PINS.read_text(encoding="utf-8"), freeze), encoding="utf-8")
    except KeyError as lacking:
        print(f"Colab's list has no {lacking} any more: {FREEZE}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
