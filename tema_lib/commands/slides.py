"""`tema slides`: lectures as slides, made from the notebooks and from nothing else.

Every heading begins a slide. It shows the section's first paragraph, its equations with the
paragraph before each, what begins in bold type, figures, tables, and short code with what it
printed; checks are left to those who run the notebook. A cell with a `slide_type` (the cell's
metadata in Jupyter) is shown whole or not at all, as that says. reveal.js shows the slides, and
MathJax their equations, from files beside them.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from tema_lib.commands.book import copy_mathjax, files_of, need_checkout
from tema_lib.commands.output import shown
from tema_lib.workspace import ROOT, home, write_atomically

LECTURES = "0[1-6]_*.ipynb"
HEIGHT = 14  # lines of text on a slide, below its title
WIDTH = 88  # letters in a line
FIGURE = 8  # lines that a figure needs at least
SHORT = 6  # lines of code that a slide shows
PRINTED = 10  # lines of output that a slide shows beside its code


@dataclass
class Slide:
    """A title, and below it Markdown, and then the HTML of a figure or table."""

    title: str
    texts: list[str] = field(default_factory=list)
    figure: str = ""
    lines: float = 0  # how high the texts are, in lines


def main(chosen: argparse.Namespace) -> None:
    """Write a page of slides for each lecture, and what they need beside them."""
    need_checkout("nbconvert", "mathjax", "sphinx_revealjs")
    folder = chosen.out or home() / "slides"
    copy_mathjax(folder / "mathjax")
    copy_reveal(folder / "reveal")
    for path in sorted((ROOT / "notebooks").glob(LECTURES)):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        write_atomically(folder / f"{path.stem[:2]}.html", page(slides_of(notebook, path.parent)))
    print(f"Slides: open {shown(folder)}/01.html and the others in any browser; F is full screen.")


def copy_reveal(folder: Path) -> None:
    """reveal.js, its plainest theme and the font of that."""
    published = files_of("sphinx_revealjs") / "_static" / "revealjs" / "dist"
    fonts = "theme/fonts/source-sans-pro"
    shutil.copytree(published / fonts, folder / fonts, dirs_exist_ok=True)
    for name in ("reveal.js", "reveal.css", "reset.css", "theme/white.css"):
        shutil.copy(published / name, folder / name)


def page(slides: list[Slide]) -> str:
    """The slides as one HTML page."""
    from nbconvert.filters import markdown2html
    from pygments.formatters import HtmlFormatter

    def inline(title: str) -> str:
        paragraph = markdown2html(re.sub(r"^(\d+)\.", r"\1\.", title)).strip()  # "1." is no list
        return str(paragraph).removeprefix("<p>").removesuffix("</p>")

    places = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return places.get_template("slides.html").render(
        slides=slides,
        text=markdown2html,
        inline=inline,
        colours=HtmlFormatter(style="friendly").get_style_defs(".highlight"),
    )


# --- from cells to slides ---


def slides_of(notebook: dict[str, Any], folder: Path) -> list[Slide]:
    """The slides of a notebook.

    Args:
        notebook: the JSON of the file, with its outputs.
        folder: where the pictures lie that its texts show.
    """
    slides = [Slide("")]
    for cell in notebook["cells"]:
        kind = cell["metadata"].get("slideshow", {}).get("slide_type")
        if kind in ("skip", "notes"):
            continue
        if kind in ("slide", "subslide"):
            slides.append(Slide(slides[-1].title))
        if cell["cell_type"] == "markdown":
            add_text(slides, "".join(cell["source"]), folder, whole=bool(kind))
        elif cell["cell_type"] == "code":
            add_code(slides, cell, whole=bool(kind))
    return [slide for slide in slides if slide.texts or slide.figure]


def add_text(slides: list[Slide], source: str, folder: Path, whole: bool) -> None:
    """What the slides show of a Markdown cell; all of it if `whole`."""
    for block in blocks(source):
        if heading := re.match(r"(#+) (.+)", block):
            first = heading[1] == "#"  # the question of the notebook stands alone
            slides.append(Slide(heading[2], lines=HEIGHT - 2.5 if first else 0))
        elif picture := re.fullmatch(r"!\[(.*)\]\(([^:)]+)\)", block):
            show(slides, image_of(folder / picture[2], picture[1]), FIGURE)
        elif is_list(block):
            for item in re.split(r"\n(?=[-*] |\d+\. )", block):
                add(slides, item)
        elif whole or tells(block) or not (slides[-1].texts or slides[-1].figure):
            add(slides, block)


def tells(block: str) -> bool:
    """Whether a slide shows a block that is not the first of its section."""
    if block.startswith(("<", "**Needs", "**Check")):  # for those who run the notebook
        return False
    return block.startswith(("**", "|")) or "$$" in block


def add_code(slides: list[Slide], cell: dict[str, Any], whole: bool) -> None:
    """What the slides show of a code cell: figures, tables, and code that is short."""
    code = "".join(cell["source"])
    printed = "".join("".join(output.get("text", [])) for output in cell["outputs"]).rstrip()
    short = len(code.splitlines()) <= SHORT and 0 < len(printed.splitlines()) <= PRINTED
    check = slides[-1].title == "Exercises" or re.search(r"\bassert\b|\bexpect\(", code)
    hidden = {"hide-input", "parameters"} & set(cell["metadata"].get("tags", []))
    if whole or (short and not check and not hidden):
        add(slides, f"```python\n{code}\n```" + (f"\n\n```\n{printed}\n```" if printed else ""))
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" in data:
            alt = output["metadata"].get("image/png", {}).get("alt", slides[-1].title)
            source = "data:image/png;base64," + "".join(data["image/png"]).strip()
            show(slides, _image(source, alt), FIGURE)
        elif "text/html" in data:
            table = "".join(data["text/html"])
            show(slides, table, table.count("<tr"))


LINK = re.compile(
    r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]*\)"
)  # to a file: there is none beside slides


def add(slides: list[Slide], text: str) -> None:
    """Put a text on the last slide, or on a new one of the same title where that is full."""
    text = LINK.sub(r"\1", text)
    height = sum(map(lines_of, re.split(r"\n\n(?=\$\$|```)", text)))
    if slides[-1].figure or (slides[-1].texts and slides[-1].lines + height > HEIGHT):
        slides.append(Slide(slides[-1].title))
    slides[-1].texts.append(text)
    slides[-1].lines += height


def show(slides: list[Slide], figure: str, height: float) -> None:
    """Put a figure or a table below the text of the last slide, or on a new one."""
    if slides[-1].figure or slides[-1].lines + height > HEIGHT:
        slides.append(Slide(slides[-1].title))
    slides[-1].figure = figure


def lines_of(text: str) -> float:
    """About how high a text is on a slide, in lines of text, with the space below it."""
    if text.startswith("$$"):
        return 3 + 1.5 * text.count(r"\\")
    if text.startswith("```"):
        return 1 + 0.8 * len(text.splitlines())
    return 0.6 + sum(-(-len(line) // WIDTH) for line in text.splitlines())


BLOCK = re.compile(
    r"^<details>.*?</details>|^```.*?^```|^\$\$.*?\$\$[^\n]*|^#+ [^\n]+"
    r"|(?:^\|[^\n]+\n?)+|(?:^(?!\$\$|```|#+ |\||<details>)[^\n]+\n?)+",
    re.DOTALL | re.MULTILINE,
)


def blocks(source: str) -> Iterator[str]:
    """The blocks of a Markdown text, an equation together with the paragraph before it."""
    held = ""
    for block in map(str.strip, BLOCK.findall(source)):
        if held and block.startswith("$$"):
            held += f"\n\n{block}"
            continue
        if held:
            yield held
        held = block
        if block.startswith(("#", "<")):
            yield block
            held = ""
    if held:
        yield held


def is_list(block: str) -> bool:
    """Whether a block is a list, or a line that introduces one."""
    return re.search(r"^([-*]|\d+\.) ", block, re.MULTILINE) is not None


def image_of(path: Path, alt: str) -> str:
    """A picture's file inside an element of the page."""
    kind = {".svg": "svg+xml", ".png": "png", ".jpg": "jpeg"}[path.suffix]
    return _image(f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}", alt)


def _image(source: str, alt: str) -> str:
    """As high as the slide allows (`r-stretch` of reveal.js)."""
    return f'<img class="r-stretch" src="{source}" alt="{html.escape(alt)}">'
