"""`tema book`: the site is whole, loads nothing from elsewhere, and works from a folder."""

import json
import re

import pytest
from playwright.sync_api import expect

from tema_lib.commands.book import STATE, WIDGET, as_written, need_checkout, without_controls
from tema_lib.workspace import ROOT
from tests.helpers.browser import chromium, watched
from tests.helpers.commands import tema
from tests.helpers.sites import dead_links, loaded_from_elsewhere, pages_below
from tests.helpers.sources import LIBRARY

# Of Sphinx's extensions about each other, by the thousand.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The folder of the site, built once; a warning of Sphinx would be an error."""
    folder = tmp_path_factory.mktemp("site") / "book"
    done = tema("book", "--out", folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(book):
    return pages_below(book)


# --- the whole site ---


def test_every_link_and_anchor_leads_somewhere(pages):
    assert len(pages) > 30
    assert not dead_links(pages)


def test_nothing_is_loaded_from_elsewhere(book, pages):
    assert not loaded_from_elsewhere(book, pages)


def test_every_lecture_and_guide_is_in_the_book(book):
    for path in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        assert (book / path.relative_to(ROOT)).with_suffix(".html").is_file(), path.name


def test_the_explorers_are_pictures_in_the_book(book):
    text = (book / "notebooks" / "05_attention_visualisation.html").read_text(encoding="utf-8")
    assert text.count('class="explorer"') == 3
    assert WIDGET not in text


def test_a_formula_a_figure_and_the_search_work_from_a_folder(book):
    with chromium() as browser:
        page, complaints = watched(browser, offline=True)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((book / "index.html").as_uri())
        expect(page.locator("article h1")).to_contain_text("the book")

        page.get_by_role("link", name="04 Multi-attention").first.click()
        formula = page.locator("mjx-container[display=true] mjx-math").first
        expect(formula).to_be_visible()
        assert formula.bounding_box()["width"] > 100
        figures = page.locator(".cell_output img")
        assert figures.count() > 5
        assert figures.evaluate_all("all => all.every(image => image.naturalWidth > 100)")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

        page.goto((book / "search.html").as_uri() + "?q=occlusion")
        found = page.locator("#search-results li a")
        expect(found.first).to_be_visible()
        assert found.count() > 3
        found.first.click()
        expect(page.locator("article").first).to_contain_text("occlusion", ignore_case=True)
    assert not complaints
    assert not [address for address in asked if not address.startswith(("file:", "data:"))]


# --- its parts ---


def test_every_module_is_on_one_page_of_the_reference():
    text = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("docs/api/*.rst"))
    listed = re.findall(r"automodule:: (\S+)", text)
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in LIBRARY
    }
    missing = sorted(names - {"tema_lib.__main__"} - set(listed))
    assert not missing, f"give each a title and an automodule in docs/api/: {', '.join(missing)}"
    assert sorted(listed) == sorted(names - {"tema_lib.__main__"})


def test_each_term_is_defined_once_and_its_notebook_has_it():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^(\w.*)\n((?:  .+\n)+)", text.split("```")[1], re.MULTILINE)
    assert len(entries) > 60
    terms = [term for term, _ in entries]
    assert len({term.lower() for term in terms}) == len(terms)
    for term, definition in entries:
        (number,) = re.findall(r"\[(\d\d)\]\n$", definition)
        (path,) = ROOT.glob(f"notebooks/{number}_*.ipynb")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        taught = "\n".join("".join(cell["source"]) for cell in cells).lower()
        for word in re.findall(r"[a-z]{3,}", term.lower()):
            assert word.rstrip("s") in taught, f"{term}: {path.name} does not have {word!r}"


def test_an_explorer_becomes_its_pages_in_their_order():
    def model(name, **state):
        return {"model_name": name, "state": state}

    models = {
        "box": model("VBoxModel", children=["IPY_MODEL_list", "IPY_MODEL_inner", "IPY_MODEL_b"]),
        "list": model("DropdownModel", value="u0001"),
        "inner": model("HBoxModel", children=["IPY_MODEL_a"]),
        "a": model("HTMLModel", value="<p>first</p>"),
        "b": model("HTMLModel", value="<p>second</p>"),
    }
    figure = {"data": {"image/png": "..."}}
    outputs = [{"data": {WIDGET: {"model_id": "box"}, "text/plain": "VBox(...)"}}, figure]
    notebook = {
        "metadata": {"widgets": {STATE: {"state": models}}},
        "cells": [{"outputs": outputs}, {"source": "a text has no outputs"}],
    }
    shown = without_controls(notebook)["cells"][0]["outputs"]
    html = '<div class="explorer"><p>first</p>\n<p>second</p></div>'
    assert shown == [{"data": {"text/html": html}}, figure]


def marked(text):
    lines = text.strip("\n").split("\n")
    as_written(None, "module", "", None, None, lines)
    return "\n".join(lines).strip()


def test_code_in_a_docstring_stays_code():
    python = "An example:\n\n    import tema_lib\n    tema_lib.train(model)"
    assert ".. code-block:: python\n\n        import tema_lib" in marked(python)
    assert ".. code-block:: text\n\n        tema run --seed 1" in marked(
        "So:\n\n    tema run --seed 1"
    )


def test_aligned_equations_stay_aligned():
    equations = "F^s   = fused items\nh     = attention over F"
    assert ".. code-block:: text\n\n    F^s   = fused items\n    h     = " in marked(equations)


def test_fields_of_a_docstring_are_listed_and_other_text_is_left_alone():
    fields = "row: which sequence.\nrank, tied: 1 for the best;\n    mid-rank for ties."
    assert marked(fields).startswith("Fields:\n    row: which sequence.\n    rank, tied: 1")
    google = "Args:\n    model: it is evaluated.\n\nReturns:\n    A number."
    assert marked(google) == google
    assert marked("The norm |x| of x.") == r"The norm \|x\| of x."


def test_what_is_missing_is_said():
    with pytest.raises(SystemExit, match="no_such_package is missing: make book installs it"):
        need_checkout("json", "no_such_package")
