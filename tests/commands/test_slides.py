"""`tema slides`: every lecture's figures and equations are there, and nothing is cut off."""

import json

import pytest

from tema_lib.commands.slides import HEIGHT, LECTURES, blocks, page, slides_of
from tema_lib.workspace import ROOT
from tests.helpers.browser import chromium, watched
from tests.helpers.commands import tema
from tests.helpers.sites import dead_links, loaded_from_elsewhere, pages_below

LAPTOP = {"width": 1280, "height": 720}
SMALLEST = 60  # per cent of the size of letters, on the slide with the longest table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The slides of all lectures, made once."""
    path = tmp_path_factory.mktemp("lectures") / "slides"
    done = tema("slides", "--out", path)
    assert (done.returncode, done.stderr) == (0, "")
    return path


def lectures():
    return sorted(ROOT.glob(f"notebooks/{LECTURES}"))


# --- all lectures ---


def test_the_slides_show_every_figure_and_link_to_no_file(folder):
    assert [path.stem for path in sorted(folder.glob("*.html"))] == [f"0{n}" for n in range(1, 7)]
    for path in lectures():
        outputs = [
            output
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
            for output in cell.get("outputs", [])
        ]
        figures = sum("image/png" in output.get("data", {}) for output in outputs)
        text = (folder / f"{path.stem[:2]}.html").read_text(encoding="utf-8")
        assert text.count('src="data:image/png') == figures > 4
        assert text.count("<section>") > 15
    pages = pages_below(folder)
    assert not dead_links(pages)
    assert not loaded_from_elsewhere(folder, pages)
    assert not [link for p in pages.values() for link in p.links if not link.startswith("http")]


def test_in_a_browser_formulas_and_figures_are_there_and_nothing_is_cut_off(folder):
    with chromium() as browser:
        for path in sorted(folder.glob("*.html")):
            show, complaints = watched(browser, offline=True)
            show.set_viewport_size(LAPTOP)
            show.goto(path.as_uri())
            show.wait_for_function("window.Reveal && Reveal.isReady()")
            seen = show.evaluate("""() => [...Array(Reveal.getTotalSlides()).keys()].map(n => {
                Reveal.slide(n);
                const slide = Reveal.getCurrentSlide();
                const image = slide.querySelector("img");
                return {
                    height: slide.scrollHeight, width: slide.scrollWidth,
                    letters: parseInt(slide.style.fontSize || "100"),
                    image: image ? [image.naturalWidth, image.clientHeight] : [999, 999],
                    formulas: slide.querySelectorAll("mjx-container[display=true]").length,
                    raw: /\\$\\$|\\*\\*/.test(slide.innerText),
                };
            })""")
            assert not complaints
            for number, slide in enumerate(seen, 1):
                where = f"{path.name}, slide {number}: {slide}"
                assert slide["height"] <= LAPTOP["height"], where
                assert slide["width"] <= LAPTOP["width"], where
                assert slide["letters"] >= SMALLEST, where
                assert slide["image"][0] > 100, where
                assert slide["image"][1] > 150, where
                assert not slide["raw"], where
            assert sum(slide["formulas"] for slide in seen) > 0


# --- what is a slide ---


def notebook_of(*cells):
    return {"cells": list(cells)}


def text(source, **metadata):
    return {"cell_type": "markdown", "metadata": metadata, "source": source}


def code(source, printed="", **metadata):
    outputs = [{"output_type": "stream", "text": [printed]}] if printed else []
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": outputs}


def kind(name):
    return {"slideshow": {"slide_type": name}}


def shown(*cells):
    """(title, texts) of each slide."""
    found = slides_of(notebook_of(*cells), ROOT / "notebooks")
    return [(slide.title, slide.texts) for slide in found]


def test_a_slide_has_the_first_paragraph_equations_and_what_is_bold():
    source = "## 1. A\n\nFirst.\n\nSecond.\n\nIt is\n\n$$ a \n= b $$\n\n**Third**"
    assert shown(text(f"{source}\n\n<details>a hint</details>")) == [
        ("1. A", ["First.", "It is\n\n$$ a \n= b $$", "**Third**"])
    ]


def test_short_code_is_shown_with_what_it_printed_and_checks_are_not():
    long = "\n".join(f"x{n} = 1" for n in range(9))
    cells = code("print(1)", "1\n"), code("assert x", "ok\n"), code(long, "1\n"), code("x = 1")
    (slide,) = shown(text("# A"), *cells)
    assert slide == ("A", ["```python\nprint(1)\n```\n\n```\n1\n```"])


def test_a_slide_type_decides():
    cells = (
        text("## A\n\nFirst."),
        text("Skipped **and** bold.", **kind("skip")),
        text("**Notes**", **kind("notes")),
        text("Shown, since it says so.", **kind("-")),
        text("On a new slide.\n\nAll of it.", **kind("subslide")),
        code("\n".join("abcdefgh"), **kind("fragment")),
    )
    first, second = shown(*cells)
    assert first[1] == ["First.", "Shown, since it says so."]
    assert second[1][:2] == ["On a new slide.", "All of it."]
    assert "a\nb\nc" in second[1][2]


def test_a_long_list_goes_on_on_the_next_slide():
    points = [f"- point {n} " + 150 * "x" for n in range(20)]
    found = slides_of(notebook_of(text("## A\n\n" + "\n".join(points))), ROOT)
    assert len(found) > 3
    assert [item for slide in found for item in slide.texts] == points
    assert all(slide.lines <= HEIGHT and slide.title == "A" for slide in found)


def test_links_to_files_are_text():
    cell = text("# T\n\n[02](02_tags.ipynb) and [a paper](https://example.org).")
    html = page(slides_of(notebook_of(cell), ROOT))
    assert '02 and <a href="https://example.org">a paper</a>' in html


def test_a_number_in_a_title_stays_a_number():
    html = page(slides_of(notebook_of(text("# T\n\nQ"), text("## 1. `A` & B\n\nText.")), ROOT))
    assert "<h2>1. <code>A</code> &amp; B</h2>" in html


def test_blocks_of_a_text():
    source = "# A\nText\nhere\n\n$$ x $$\n| a |\n| b |\n```\ncode\n\nmore\n```\n- one\n- two"
    assert list(blocks(source)) == [
        "# A",
        "Text\nhere\n\n$$ x $$",
        "| a |\n| b |",
        "```\ncode\n\nmore\n```",
        "- one\n- two",
    ]
