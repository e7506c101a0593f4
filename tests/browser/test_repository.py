"""Links to the repository: right where its address is known, absent where it is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).absolute().parents[2]
URL = "https://github.com/someone/a-book"
PAGE = "book/05_freezing"
# owner and repository, branch, path
FILES = re.compile(
    r'href="https://(?:colab\.research\.google\.com/)?github(?:\.com)?/([^/"]+/[^/"]+)/blob/([^/"]+)/([^"#?]+)'
)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """One chapter, not executed, rendered with an address."""
    program = Path(sys.executable).with_name("jupyter-book")
    if not program.exists():
        pytest.skip("no jupyter-book: `make book` installs it")
    top = tmp_path_factory.mktemp("linked")
    stage = top / "stage"
    (stage / "book").mkdir(parents=True)
    (stage / "book" / "index.md").write_text("# The book\n", encoding="utf-8")
    (stage / f"{PAGE}.ipynb").write_bytes((ROOT / f"{PAGE}.ipynb").read_bytes())
    (stage / "book" / "references.bib").write_bytes((ROOT / "book" / "references.bib").read_bytes())
    (top / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nchapters:\n  - file: {PAGE}\n", encoding="utf-8")
    command = [str(program), "build", str(stage), "--path-output", str(top), "--toc", str(top / "_toc.yml")]
    env = os.environ | {"BOOK_REPOSITORY_URL": URL, "GITHUB_REF_NAME": "main", "PYTHONPATH": str(ROOT)}
    command += ["--config", str(ROOT / "_config.yml"), "-q"]
    subprocess.run(command, env=env, cwd=ROOT, check=True, capture_output=True)
    return (top / "_build" / "html" / f"{PAGE}.html").read_text(encoding="utf-8")


def test_colabs_link_leads_to_the_chapter_in_the_repository(page):
    found = [match for match in FILES.finditer(page) if match[0].startswith('href="https://colab')]
    assert {match.groups() for match in found} == {("someone/a-book", "main", f"{PAGE}.ipynb")}


def test_all_links_to_files_of_the_repository_lead_to_some(page):
    for repository, _, path in FILES.findall(page):
        assert repository == "someone/a-book"
        assert (ROOT / path).is_file()
    assert f'href="{URL}"' in page
    assert "executablebooks/jupyter-book" not in page


def test_without_an_address_there_is_no_button(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import bookext

    config = SimpleNamespace(html_theme_options={}, html_context={}, ogp_site_url="")
    monkeypatch.setattr(bookext, "address", lambda: "")
    monkeypatch.delenv("BOOK_SITE_URL", raising=False)
    bookext.configure(None, config)
    options = config.html_theme_options
    assert options["launch_buttons"] == {}
    assert not any(options[f"use_{button}_button"] for button in ("repository", "issues"))
    assert options["repository_url"] == config.ogp_site_url == ""
