"""The repository's address, found in one way for pages and notebooks alike, and the set-up cell that carries it.

python tools/repository.py            # print the address
python tools/repository.py --write    # write the set-up cell, with the address, into every chapter
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETUP = """\
# On Colab: get the book's package once, and nothing that Colab has already. Elsewhere this cell does nothing.
import importlib.util
import subprocess
import sys

REPOSITORY = "{address}"  # written by tools/repository.py
if "google.colab" in sys.modules and importlib.util.find_spec("transferlib") is None:
    if not REPOSITORY:
        raise SystemExit("this copy does not know its repository: set REPOSITORY above, and run the cell again")
    subprocess.run(["git", "clone", "-q", "--depth", "1", REPOSITORY, "/content/book"], check=True)
    needed = ["captum", "-e", "/content/book"]  # without their needs: torch stays as it is
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", *needed], check=True)
    sys.path.insert(0, "/content/book")"""


def address() -> str:
    """BOOK_REPOSITORY_URL, else GitHub Actions' variables, else git's origin on GitHub, else nothing."""
    url = os.environ.get("BOOK_REPOSITORY_URL", "")
    if not url and os.environ.get("GITHUB_REPOSITORY"):
        url = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{os.environ['GITHUB_REPOSITORY']}"
    if not url:
        asked = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
        url = found.stdout.strip().replace("git@github.com:", "https://github.com/")
    url = url.removesuffix(".git").rstrip("/")
    return url if url.startswith("https://github.com/") else ""


def write(path: Path, url: str) -> bool:
    """Put the set-up cell into a chapter; True where that changed it."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if "setup" in cell["metadata"].get("tags", []):
            cell["source"] = SETUP.format(address=url).splitlines(keepends=True)
    written = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if written != text:
        path.write_text(written, encoding="utf-8")
    return written != text


def main() -> None:
    """Print the address, or write the cells."""
    parser = argparse.ArgumentParser(description="The repository's address, and the set-up cell that carries it.")
    parser.add_argument("--write", action="store_true", help="write the set-up cell into every chapter")
    url = address()
    if parser.parse_args().write:
        for path in sorted((ROOT / "book").glob("*.ipynb")):
            print(f"{path.name}: {'written' if write(path, url) else 'as it was'}")
    else:
        print(url or "no repository known")


if __name__ == "__main__":
    main()
