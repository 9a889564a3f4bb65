"""The page for a student: marks and messages, own words as text, and no hidden test."""

import re

from tema_lib.course.feedback import page
from tema_lib.course.marking import Mark, Marks, mark
from tests.helpers import assignments
from tests.helpers.assignments import HIDDEN_WORDS, submission

SCRIPT = "<script>alert(1)</script>"


def test_marks_messages_and_own_cells_are_there_and_no_hidden_test(shut_in, tiny, tmp_path):
    first = "def doubled(values):\n    return [2, 4]"
    one = submission(tmp_path, first=first, own="# a remark of mine")
    text = page("ada", tiny, one, mark(tiny, one, shut_in))
    assert "tiny: 3 of 5 points" in text
    assert "large values too, not ..." in text
    assert "# a remark of mine" in text
    assert "every value is multiplied by two" in text  # the visible test
    shown = text.replace("large values too", "")
    assert not [word for word in HIDDEN_WORDS if word in shown]


def test_a_copy_of_the_source_is_shown_without_its_hidden_tests(tiny, tmp_path):
    """A student's test cell is never shown as handed in, but as the author shows it."""
    one = type(submission(tmp_path)).read(
        assignments.write(assignments.source(), tmp_path / "tiny.ipynb")
    )
    text = page("ada", tiny, one, Marks("tiny", tuple(Mark(c.id, 0, c.points) for c in tiny.tests)))
    assert not [word for word in HIDDEN_WORDS if word in text]


def test_what_students_write_is_text_and_the_page_needs_no_network(tiny, tmp_path):
    one = submission(tmp_path, first=f"'{SCRIPT}'", own=SCRIPT)
    marks = Marks("tiny", tuple(Mark(c.id, 0, c.points, SCRIPT) for c in tiny.tests), (SCRIPT,))
    text = page(SCRIPT, tiny, one, marks)
    assert SCRIPT not in text
    assert text.count("&lt;script&gt;alert(1)") == 8
    assert not re.findall(r"""(?:src|href)=["'](?!#)|https?:|@import|url\(""", text)


def test_tests_that_a_student_has_deleted_are_shown_all_the_same(tiny, tmp_path):
    notebook = assignments.handed_in()
    del notebook.cells[3]
    path = assignments.write(notebook, tmp_path / "tiny.ipynb")
    one = type(submission(tmp_path / "b")).read(path)
    marks = Marks("tiny", tuple(Mark(c.id, None, c.points) for c in tiny.tests))
    text = page("ada", tiny, one, marks)
    assert 'id="first_tests"' in text
    assert "by hand" in text
