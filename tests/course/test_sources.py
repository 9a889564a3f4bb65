"""The course's own assignments: right answers get all points through the sandbox too."""

import pytest

from tema_lib.commands.assignments import SOURCES
from tema_lib.course.marking import mark
from tema_lib.course.notebooks import Assignment, Submission


@pytest.mark.parametrize("path", sorted(SOURCES.glob("a[1-6]_*/*.ipynb")), ids=lambda p: p.stem)
def test_right_answers_get_all_points(shut_in, path):
    """So all that the tests send to a function, and get back, is plain data."""
    assignment = Assignment.read(path)
    answers = Submission(tuple(cell for cell in assignment.cells if cell.id))
    marks = mark(assignment, answers, shut_in)
    assert [one.message for one in marks.cells if one.message] == []
    assert marks.score == marks.most > 0
