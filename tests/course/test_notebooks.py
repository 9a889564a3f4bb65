"""Sources and submissions: what is run, in which order, and what is no notebook."""

import json
import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from tema_lib.course import notebooks
from tema_lib.course.notebooks import Assignment, NotANotebook, Submission
from tests.helpers import assignments


def test_a_source_is_read_with_kinds_points_and_functions(tiny):
    assert [cell.kind for cell in tiny.cells] == [
        "own",
        "locked",
        "solution",
        "test",
        "solution",
        "test",
    ]
    assert tiny.points == 5
    assert tiny.functions == ("doubled", "largest")


def test_hidden_lines_are_found_and_left_out(tiny):
    test = tiny.tests[0]
    assert test.hidden_lines == {2, 3, 4, 5}
    assert test.visible_source == assignments.FIRST_TESTS.splitlines()[0]
    assert tiny.tests[1].hidden_lines == frozenset()


def test_hidden_tests_without_an_end_are_hidden_all_the_same():
    cell = notebooks.Cell("a", "test", "x = 1\n  # BEGIN HIDDEN TESTS here\ny = 2\nz = 3", True)
    assert cell.visible_source == "x = 1"


def test_two_cells_of_one_name_are_the_author_s_mistake(tmp_path):
    notebook = assignments.source()
    notebook.cells.append(new_code_cell("again", metadata=notebook.cells[2].metadata))
    path = assignments.write(notebook, tmp_path / "tiny.ipynb")
    with pytest.raises(ValueError, match="two cells have the grade id first"):
        Assignment.read(path)


def merged(notebook, tiny, path):
    submission = Submission.read(assignments.write(notebook, path / "tiny.ipynb"))
    return [cell.source for cell in submission.merged(tiny)], submission.lacks(tiny)


def test_locked_cells_are_the_author_s_and_own_cells_keep_their_place(tiny, tmp_path):
    notebook = assignments.handed_in(first="mine", second="also mine", own="helper")
    notebook.cells[1].source = "import cheating"
    notebook.cells.append(new_code_cell("last"))
    run, lacks = merged(notebook, tiny, tmp_path)
    assert run == [
        "# Two functions",
        "import numpy as np\nTWO = 2",
        "helper",
        "mine",
        "also mine",
        "last",
    ]
    assert lacks == []


def test_cells_that_were_deleted_moved_or_copied(tiny, tmp_path):
    notebook = assignments.handed_in(first="mine")
    copied = new_code_cell("the copy counts", metadata=assignments.about("first", solution=True))
    _, imports, first, first_tests, second, _ = notebook.cells
    notebook.cells = [first, first_tests, copied]
    run, lacks = merged(notebook, tiny, tmp_path)
    assert run == ["import numpy as np\nTWO = 2", "mine", "the copy counts"]
    assert lacks == ["second"]
    notebook.cells = [second, first, imports]
    assert merged(notebook, tiny, tmp_path)[0][0] == imports.source


def test_a_student_s_metadata_decide_nothing(tiny, tmp_path):
    notebook = assignments.handed_in(first="mine")
    for cell in notebook.cells[1:]:
        cell.metadata.nbgrader |= {"locked": 3, "grade": "yes", "points": 99, "solution": None}
    assert merged(notebook, tiny, tmp_path)[0][1:3] == ["import numpy as np\nTWO = 2", "mine"]
    for cell in notebook.cells[1:]:
        cell.metadata.nbgrader = "nonsense"
    assert merged(notebook, tiny, tmp_path)[1] == ["first", "second"]


DEEP = '{"cells": ' + "[" * 100_000


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\0", b"[]", b"{}", b'{"nbformat": 4}', b'{"nbformat": 99}', DEEP.encode()],
)
def test_what_is_no_notebook_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "tiny.ipynb"
    path.write_bytes(content)
    with pytest.raises(NotANotebook, match="tiny.ipynb is no notebook"):
        Submission.read(path)


def test_cells_that_are_none_are_found(tmp_path):
    notebook = nbformat.from_dict(assignments.handed_in())
    notebook.cells[1]["source"] = 5
    path = tmp_path / "tiny.ipynb"
    path.write_text(json.dumps(notebook))
    with pytest.raises(NotANotebook):
        Submission.read(path)


def test_links_folders_and_pipes_are_not_read(tmp_path):
    real = assignments.write(assignments.handed_in(), tmp_path / "real.ipynb")
    (tmp_path / "link.ipynb").symlink_to(real)
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    for name in ("link", "folder", "pipe", "missing"):
        with pytest.raises(NotANotebook, match=f"{name}.ipynb (is no file|cannot be read)"):
            Submission.read(tmp_path / f"{name}.ipynb")


def test_a_very_large_file_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "LARGEST", 100)
    path = assignments.write(assignments.handed_in(), tmp_path / "tiny.ipynb")
    with pytest.raises(NotANotebook, match="larger than"):
        Submission.read(path)
