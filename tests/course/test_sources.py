"""The course's own assignments in the sandbox: right, untouched and typically wrong answers.

So all that their tests send to a function, and get back, is plain data.
"""

import ast
from pathlib import Path

import pytest

from tema_lib.commands.assignments import SOURCES
from tema_lib.course.marking import mark
from tema_lib.course.notebooks import Assignment, Cell, Submission
from tema_lib.course.release import release

ASSIGNMENTS = sorted(SOURCES.glob("a[1-6]_*/*.ipynb"))
WRONG = sorted((Path(__file__).parents[1] / "assignments" / "wrong").glob("*/*.py"))
each_assignment = pytest.mark.parametrize("path", ASSIGNMENTS, ids=lambda path: path.stem)


def of(assignment, *own):
    """The author's copy as a submission, with cells of the student's own at its end."""
    graded = [cell for cell in assignment.cells if cell.id]
    return Submission((*graded, *(Cell("", "own", source, is_code=True) for source in own)))


@each_assignment
def test_right_answers_get_all_points(path, shut_in):
    assignment = Assignment.read(path)
    marks = mark(assignment, of(assignment), shut_in)
    assert [one.message for one in marks.cells if one.message] == []
    assert marks.score == marks.most > 0


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder, with one grade book for all assignments."""
    return tmp_path_factory.mktemp("course")


@each_assignment
def test_a_copy_that_nobody_has_touched_gets_nothing(path, shut_in, course):
    """It is made by nbgrader, and its hidden tests are gone."""
    copy = release(path, course)
    assert "HIDDEN" not in copy.read_text(encoding="utf-8")
    marks = mark(Assignment.read(path), Submission.read(copy), shut_in)
    assert marks.score == 0
    assert {one.message for one in marks.cells} == {"not solved yet (NotImplementedError)"}


@pytest.mark.parametrize("path", WRONG, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_wrong_answer_gets_its_part_and_is_told_why(path, shut_in):
    name, text = path.parent.name, path.read_text(encoding="utf-8")
    (intended,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "MARKS"
    ]
    assignment = Assignment.read(SOURCES / name / f"{name}.ipynb")
    marks = mark(assignment, of(assignment, text), shut_in)
    assert {one.cell: one.points for one in marks.cells} == intended
    for one in marks.cells:
        assert bool(one.message) == (one.points < one.most)
