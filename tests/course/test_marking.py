"""Right answers get their points, wrong ones a message, and no message gives a test away."""

import json

import pytest

from tema_lib.course.marking import mark, unreadable
from tema_lib.course.notebooks import Assignment
from tests.helpers import assignments
from tests.helpers.assignments import HIDDEN_WORDS, submission

STUB = "# YOUR CODE HERE\n    raise NotImplementedError()"


def stubs():
    first, second = "def doubled(values):\n    " + STUB, "def largest(values):\n    " + STUB
    return {"first": first, "second": second}


def test_right_answers_get_all_points_and_stubs_none(shut_in, tiny, tmp_path):
    right = mark(tiny, submission(tmp_path), shut_in)
    assert (right.score, right.most, right.by_hand) == (5, 5, 0)
    assert not [one.message for one in right.cells if one.message]
    assert right.notes == ()
    untouched = mark(tiny, submission(tmp_path, **stubs()), shut_in)
    assert untouched.score == 0
    assert {one.message for one in untouched.cells} == {"not solved yet (NotImplementedError)"}


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("def doubled(values): return values", "every value is multiplied by two"),
        ("def doubled(values): return [2, 4]", "large values too, not ..."),
        ("def doubled(values): return 1 / 0", "ZeroDivisionError: division by zero (line 1 of"),
        ("def doubled(values: return 1", "NameError: there is no function doubled"),
        ("def doubled(): return 1", "takes 0 positional arguments"),
        ("def doubled(values): return {1, 2}", "class set cannot be passed on"),
        ("doubled = 4", "'int' object is not callable"),
    ],
)
def test_a_wrong_answer_loses_its_own_points_with_a_message(
    shut_in, tiny, tmp_path, first, message
):
    marks = mark(tiny, submission(tmp_path, first=first), shut_in)
    assert [one.points for one in marks.cells] == [0, 3]
    assert message in marks.cells[0].message


REMEMBERS = """seen = []
def doubled(values):
    seen.append(values)
    {then}
    return [2 * value for value in values]
"""
LEAKS = [
    "if len(seen) > 2: raise ValueError(str(seen))",
    "if len(seen) > 2: raise type(str(seen), (Exception,), {})",
    "if len(seen) > 2: raise SyntaxError(str(seen))",
    "if len(seen) > 2: return seen",
    "if len(seen) > 2: return {str(seen): object()}",
    "if len(seen) > 2: exec(compile('\\n' * values[0] + '1/0', f'<cell {seen}>', 'exec'))",
]


@pytest.mark.parametrize("then", LEAKS)
def test_a_function_that_remembers_hidden_inputs_cannot_tell_them(shut_in, tiny, tmp_path, then):
    """Not in the hidden test's message, nor in that of a later test that shows all."""
    second = "def largest(values):\n    raise ValueError(str(seen))\n"
    one = submission(tmp_path, first=REMEMBERS.format(then=then), second=second)
    marks = mark(tiny, one, shut_in)
    assert marks.score == 0
    assert "[[1, 2]]" in marks.cells[1].message  # of the visible test it may say what it saw
    told = json.dumps([[cell.message for cell in marks.cells], marks.notes])
    assert not [word for word in HIDDEN_WORDS if word in told]


def test_with_hidden_tests_in_the_author_s_order_it_could(shut_in, tiny, tmp_path):
    """The guard of the test above, taken away: all lines of a test are run at once."""
    open_tests = Assignment(
        tiny.name,
        tuple(
            type(cell)(cell.id, cell.kind, cell.source.replace("HIDDEN", ""), True, cell.points)
            for cell in tiny.cells[1:]
        ),
    )
    one = submission(tmp_path, first=REMEMBERS.format(then=LEAKS[0].replace("2:", "1:")))
    assert "31415" in mark(open_tests, one, shut_in).cells[0].message


def test_own_cells_may_help_and_may_fail(shut_in, tiny, tmp_path):
    first = "def doubled(values): return [helper(value) for value in values]"
    own = "def helper(value): return TWO * value\n%matplotlib inline\n!ls\nassert False, 'oh'"
    marks = mark(tiny, submission(tmp_path, first=first, own=own), shut_in)
    assert marks.score == 5
    assert marks.notes == ("Cell after imports: AssertionError: oh (line 4 of cell after imports)",)


def test_a_cell_that_is_missing_is_its_own_failure(shut_in, tiny, tmp_path):
    notebook = assignments.handed_in()
    del notebook.cells[2]
    path = assignments.write(notebook, tmp_path / "tiny.ipynb")
    marks = mark(tiny, type(submission(tmp_path / "b")).read(path), shut_in)
    assert [one.points for one in marks.cells] == [0, 3]
    assert "there is no function doubled" in marks.cells[0].message
    assert marks.notes == ("cell first is missing",)


def test_what_a_locked_cell_computes_with_students_functions_comes_from_them(shut_in, tmp_path):
    """And not from the author's solution, or a test of it would always pass."""
    notebook = assignments.source()
    notebook.cells[1].source += "\nnumbers = [1, 2]"
    shows = notebook.cells[1].copy()
    shows.source, shows.metadata = "shown = doubled(numbers)", assignments.about("shows", locked=1)
    shows.id = "shows"
    notebook.cells.insert(3, shows)
    notebook.cells[4].source = "assert shown == [2, 4], 'doubled'"
    tiny = Assignment.read(assignments.write(notebook, tmp_path / "tiny.ipynb"))
    wrong = submission(tmp_path / "b", first="def doubled(values): return 7")
    assert mark(tiny, wrong, shut_in).score == 3
    assert mark(tiny, submission(tmp_path / "c"), shut_in).score == 5


def test_what_a_person_marks_is_left_open(tmp_path):
    path = assignments.write(assignments.project(), tmp_path / "project.ipynb")
    marks = mark(Assignment.read(path), submission(tmp_path / "b"), None)
    assert (marks.score, marks.most, marks.by_hand) == (0, 10, 10)
    assert marks.notes == ("cell claim is missing", "cell control is missing")
    assert [one.points for one in marks.cells] == [None, None]


def test_what_is_no_notebook_gets_nothing(tiny):
    marks = unreadable(tiny, "no notebook")
    assert marks.score == 0
    assert [one.message for one in marks.cells] == ["no notebook"] * 2
