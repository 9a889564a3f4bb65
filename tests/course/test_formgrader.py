"""nbgrader's page for points by hand shows submissions, and runs nothing of them."""

import re

import pytest
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader.server_extensions.formgrader import handlers
from traitlets.config import Config

from tema_lib.course.formgrader import hand_over
from tests.helpers import assignments

SCRIPT = "<script>alert(1)</script>"
TEXTS = [
    SCRIPT,
    "<img src=x onerror=alert(1)>",
    "[link](javascript:alert(1))",
    "a paragraph\n\n<b onclick=alert(1)>\n\n```\ncode\n```\n\n<i onclick=alert(1)>",
    "$$<img src=x onerror=alert(1)>$$",
    "</code></pre><script>alert(1)</script>",
]
OUTPUTS = [
    new_output("display_data", data={"text/html": SCRIPT, "text/plain": SCRIPT}),
    new_output("display_data", data={"image/svg+xml": "<svg onload=alert(1)></svg>"}),
    new_output("display_data", data={"image/png": "' onerror='alert(1)"}),
    new_output("display_data", data={"application/javascript": "alert(1)"}),
    new_output("display_data", data={"text/markdown": SCRIPT, "text/latex": SCRIPT}),
    new_output("stream", text=SCRIPT),
    new_output("error", ename=SCRIPT, evalue=SCRIPT, traceback=[SCRIPT]),
]
RUNS = re.compile(r"<script>alert|<[^>&]*\son(error|click|load)=.?alert|href=.javascript:alert")


def formgrader(path):
    """The page of nbgrader's formgrader for a notebook."""
    settings = Config()
    settings.HTMLExporter.template_name = "formgrade"
    settings.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    fields = "assignment_id notebook_id submission_id base_url student last_name first_name"
    resources = dict.fromkeys([*fields.split(), "notebook_path"], "x") | {"index": 0, "total": 1}
    return HTMLExporter(config=settings).from_filename(str(path), resources=resources)[0]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    source = assignments.write(assignments.source(), folder / "tiny.ipynb")
    notebook = assignments.handed_in(first="# my own words")
    for cell in notebook.cells[1:]:
        cell.metadata.nbgrader |= {"points": SCRIPT}
    notebook.cells += map(new_markdown_cell, TEXTS)
    picture = new_output("display_data", data={"image/png": "iVBORw0KGgo="})
    notebook.cells[2].outputs = [*OUTPUTS, picture]
    given = assignments.write(notebook, folder / "given.ipynb")
    return formgrader(given), formgrader(hand_over(given, source, "ada", folder))


def test_nothing_of_a_submission_runs_in_the_lecturer_s_browser(page):
    as_given, ours = page
    assert RUNS.search(as_given)
    assert not RUNS.search(ours)


def test_own_words_text_and_pictures_are_shown(page):
    assert "my own words" in page[1]
    assert "iVBORw0KGgo=" in page[1]
    assert page[1].count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4


def test_marks_are_for_the_author_s_cells(page):
    for name in ("first_tests", "second_tests"):
        assert f'id="{name}"' in page[1]
