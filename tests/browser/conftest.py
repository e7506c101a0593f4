"""The built book in headless Chromium, served from this process; every other host is refused and written down."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).absolute().parents[2]
HTML = ROOT / "_build" / "html"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDE = {"width": 1280, "height": 900}


@dataclass
class Visit:
    """One page, open in a tab of its own, and what was noticed since."""

    name: str
    page: object
    errors: list[str] = field(default_factory=list)  # of the console
    refused: list[str] = field(default_factory=list)  # addresses on other hosts
    missing: list[str] = field(default_factory=list)  # addresses that this host does not have


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that writes no log."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="session")
def html() -> Path:
    if not (HTML / "book" / "index.html").exists():
        pytest.skip("no built book: run `make book`")
    return HTML


@pytest.fixture(scope="session")
def address(html) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """The browser; ended with the module, since its event loop would be in the way of others."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium: install it, in Debian by `apt-get install chromium`")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visit(chromium, address):
    """Opens a page of the book in a new tab."""
    contexts = []

    def open_page(name: str, **options: object) -> Visit:
        context = chromium.new_context(**({"viewport": WIDE} | options))
        contexts.append(context)
        found = Visit(name, context.new_page())
        context.route("**/*", lambda route: _only_here(route, address, found))
        found.page.on("console", lambda message: message.type == "error" and found.errors.append(message.text))
        found.page.on("pageerror", lambda error: found.errors.append(str(error)))
        found.page.on("response", lambda response: response.status >= 400 and found.missing.append(response.url))
        found.page.goto(f"{address}/{name}", wait_until="load")
        return found

    yield open_page
    for context in contexts:
        context.close()


def _only_here(route: object, address: str, found: Visit) -> None:
    if route.request.url.startswith((f"{address}/", "data:", "blob:")):
        route.continue_()
    else:
        found.refused.append(route.request.url)
        route.abort()
