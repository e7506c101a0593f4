"""The book's Sphinx extension: the repository's buttons, mathematics without a script, and mends for the theme."""

from __future__ import annotations

import inspect
import os
import re
from functools import partial
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.nodes import Element, document
from latex2mathml.converter import convert
from repository import ROOT, address
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

COLAB = "https://colab.research.google.com"
BRANCH = os.environ.get("GITHUB_REF_NAME", "main")
LOG = logging.getLogger(__name__)


def configure(_: Sphinx, config: Config) -> None:
    """Set what follows from the repository's address, and the theme's options that mend it."""
    url, options = address(), config.html_theme_options
    options["repository_url"] = url  # jupyter-book's own repository would stand here otherwise
    options["repository_branch"] = BRANCH
    options["launch_buttons"] = {"colab_url": COLAB} if url else {}
    for button in ("use_repository_button", "use_issues_button"):
        options[button] = bool(url)
    options["navbar_persistent"] = []  # else a second search field covers the menu's button on phones
    config.html_context.setdefault("default_mode", "auto")
    config.linkcode_resolve = partial(source, url) if url else _nowhere
    config.ogp_site_url = os.environ.get("BOOK_SITE_URL", "") or _pages(url)


def _pages(url: str) -> str:
    """Where GitHub Pages shows a repository."""
    owner, _, name = url.removeprefix("https://github.com/").partition("/")
    return f"https://{owner}.github.io/{name}/" if url else ""


def source(url: str, _: str, named: dict[str, str]) -> str | None:
    """Where a repository has the code of something that the package's page describes; a value has none."""
    try:
        thing = inspect.unwrap(attrgetter(named["fullname"])(import_module(named["module"])))
        thing = getattr(thing, "fget", None) or getattr(thing, "func", thing)  # of a property, a cached one
        where = Path(inspect.getfile(thing)).relative_to(ROOT).as_posix()
        lines, first = inspect.getsourcelines(thing)
    except (AttributeError, OSError, TypeError, ValueError):  # a field, a made method, a value, somebody else's
        return None
    return f"{url}/blob/{BRANCH}/{where}#L{first}-L{first + len(lines) - 1}"


def _nowhere(*_: object) -> None:
    """No repository is known."""


def plain(*event: Any) -> tuple[str, str] | None:
    """Write defaults that Python has no words for as Sphinx can read them: a function by its name, others as dots."""
    *_, signature, returned = event
    named = re.sub(r"<function (\w+)>", r"\1", signature or "")
    return (re.sub(r"<[^>]*>", "...", named), returned) if signature else None


def mathml(latex: str, display: str, node: Element) -> str:
    """An equation as MathML, which browsers draw themselves; one that can't be converted is a warning."""
    try:
        drawn = convert(latex, display=display)
    except Exception as error:  # any of the converter's own, and IndexErrors besides
        LOG.warning("no MathML for %s: %r", latex, error, location=node)
        return f"<code>{latex}</code>"
    for command in re.findall(r"\\\w+", drawn):  # left as it was
        LOG.warning("no MathML for %s in %s", command, latex, location=node)
    # MathML counts <mtext> as space, beside which an operator gets none; of one letter, <mi> would be italic
    return re.sub(r"<mtext>([^<]{2,})</mtext>", r"<mi>\1</mi>", drawn)


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """An equation within a line."""
    self.body.append(mathml(node.astext(), "inline", node))
    raise nodes.SkipNode


def visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """An equation on a line of its own, with its number where it has one; it may scroll in its box."""
    # a box that scrolls must be reachable with the keyboard
    self.body.append(self.starttag(node, "div", CLASS="math", tabindex="0"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})</span>')
    self.body.append(mathml(node.astext(), "block", node) + "</div>\n")
    raise nodes.SkipNode


def drop_thebe(_: Sphinx, doctree: document, __: str) -> None:
    """Remove the settings of a service that runs cells, which no page of this book uses."""
    for node in list(doctree.findall(nodes.raw)):
        if "text/x-thebe-config" in node.astext() or node.astext().startswith("<script>kernelName"):
            node.parent.remove(node)


def drop_shared_ids(_: Sphinx, doctree: document, __: str) -> None:
    """Take the id off the bodies of exercises and solutions: all of a page have the same one."""
    for node in doctree.findall(nodes.section):
        node["ids"] = [one for one in node["ids"] if one not in ("exercise-content", "solution-content")]


def mend_scripts(_: Sphinx, __: str, ___: str, context: dict, ____: document | None) -> None:
    """Load each script once, and nothing of thebe: its address is another host's."""
    seen, kept = set(), []
    for script in context.get("script_files", []):
        body = script.attributes.get("body") or ""
        thebe = "THEBE_JS_URL" in body or "sphinx-thebe" in str(script.filename or "")
        if not thebe and not (body and body in seen):
            kept.append(script)
        seen.add(body)
    context["script_files"][:] = kept
    context["css_files"][:] = [css for css in context["css_files"] if "sphinx-thebe" not in str(css.filename)]


def setup(app: Sphinx) -> dict[str, object]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("config-inited", configure, priority=100)  # before the theme reads its options
    app.connect("autodoc-process-signature", plain)
    app.connect("doctree-resolved", drop_thebe, priority=900)
    app.connect("doctree-resolved", drop_shared_ids)
    app.connect("html-page-context", mend_scripts, priority=950)  # after all that add scripts
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
