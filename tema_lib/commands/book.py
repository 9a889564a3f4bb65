"""`tema book`: notebooks, docs and docstrings as one static site, with a search, without a network.

Sphinx makes it, as docs/conf.py says; the functions below are what that file needs of us. Nothing
is executed: the notebooks are shown with their committed outputs.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tema_lib.commands.output import shown
from tema_lib.workspace import ROOT, home, in_checkout

WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def main(chosen: argparse.Namespace) -> int:
    """Build the site; returns 1 where a link, a reference or a docstring is wrong."""
    need_checkout("sphinx", "myst_nb", "sphinx_book_theme", "mathjax")
    from sphinx.cmd.build import main as sphinx

    folder = chosen.out or home() / "book"
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--builder=html"]
    with TemporaryDirectory() as scratch:  # each time from nothing, so that every warning is seen
        places = [ROOT, folder, "--conf-dir", ROOT / "docs", "--doctree-dir", scratch]
        status = sphinx([*options, *map(str, places)])
    if not status:
        print(f"The book: open {shown(folder / 'index.html')} in any browser.")
    return status


def need_checkout(*packages: str) -> None:
    """Raise SystemExit, with a sentence, outside of a checkout or without one of the packages."""
    if not in_checkout():
        sys.exit("The notebooks and docs are in the checkout: run this command there.")
    if missing := [package for package in packages if not find_spec(package)]:
        sys.exit(f"{missing[0]} is missing: make book installs it, or pip install '.[book]'.")


def copy_mathjax(folder: Path) -> None:
    """MathJax for equations in TeX, with its fonts: `tex-chtml-full.js` and what it reads."""
    published = files_of("mathjax") / "static" / "mathjax" / "es5"
    fonts = "output/chtml/fonts/woff-v2"
    shutil.copytree(published / fonts, folder / fonts, dirs_exist_ok=True)
    shutil.copy(published / "tex-chtml-full.js", folder)


def files_of(package: str) -> Path:
    """The folder of an installed package, whose code is not run."""
    found = find_spec(package)
    if not found or not found.origin:
        raise ModuleNotFoundError(f"{package} is missing")
    return Path(found.origin).parent


def without_controls(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook whose explorers are what they showed when it was saved, as plain HTML.

    Their controls ask the model, so on a page they could do nothing.
    """
    models = notebook["metadata"].get("widgets", {}).get(STATE, {}).get("state", {})
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if view := output.get("data", {}).get(WIDGET):
                html = "\n".join(_pages(models, view["model_id"]))
                output["data"] = {"text/html": f'<div class="explorer">{html}</div>'}
    return notebook


def _pages(models: dict[str, Any], name: str) -> Iterator[str]:
    """The HTML values of a widget and of all that it contains, in their order."""
    model = models.get(name, {})
    state = model.get("state", {})
    if model.get("model_name") == "HTMLModel":
        yield state["value"]
    for child in state.get("children", []):
        yield from _pages(models, child.removeprefix("IPY_MODEL_"))


def as_written(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Mark the code, equations and fields of a docstring, which it only indents or aligns, as such.

    Sphinx calls this for each docstring, as lines, and reads what is left in them.
    """
    lines[:] = [line for block in _blocks(lines) for line in [*_marked(block), ""]]


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """The paragraphs: lines that follow each other without an empty one between them."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


FIELD = re.compile(r"[a-z]\w*(\[\w+\])?(, [a-z]\w*)*: ")  # as in `sequence, targets: int64 [B, T]`
COLUMNS = re.compile(r"\S {3,}\S")


def _marked(block: list[str]) -> list[str]:
    """A block as reStructuredText: what is indented or aligned stays, fields are listed."""
    starts = [line for line in block if not line.startswith(" ")]
    if not starts or sum(map(bool, map(COLUMNS.search, block))) > 1:
        language = "text" if starts else _language(block)
        return [f".. code-block:: {language}", "", *(f"    {line}" for line in block)]
    block = [line.replace("|", r"\|") for line in block]
    if len(starts) > 1 and all(map(FIELD.match, starts)):
        return ["Fields:", *(f"    {line}" for line in block)]
    return block


def _language(block: list[str]) -> str:
    """What an indented block is written in: Python where it can be read as such."""
    try:
        ast.parse(textwrap.dedent("\n".join(block)))
        return "python"
    except SyntaxError:
        return "text"
