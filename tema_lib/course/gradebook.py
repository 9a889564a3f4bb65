"""Marks on disk: two tables for a spreadsheet, and nbgrader's grade book for its own pages.

Status: ours.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from tema_lib.course.marking import Marks
from tema_lib.workspace import write_atomically

Graded = tuple[str, Marks]  # student, marks


def write_tables(graded: Sequence[Graded], folder: Path) -> tuple[Path, Path]:
    """Write `marks.csv`, a line per submission, and `marks_by_cell.csv`, a line per test."""
    marks, cells = folder / "marks.csv", folder / "marks_by_cell.csv"
    columns = ["student", "assignment", "score", "max_score", "by_hand", "notes"]
    rows: Iterable[list[object]] = (
        [student, one.assignment, one.score, one.most, one.by_hand, " ".join(one.notes)]
        for student, one in graded
    )
    write_atomically(marks, _table(columns, rows))
    columns = ["student", "assignment", "cell", "score", "max_score", "message"]
    rows = (
        [student, one.assignment, cell.cell, cell.points, cell.most, cell.message]
        for student, one in graded
        for cell in one.cells
    )
    write_atomically(cells, _table(columns, rows))
    return marks, cells


def _table(columns: list[str], rows: Iterable[list[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return text.getvalue()


def _harmless(value: object) -> object:
    """Text on one line that no spreadsheet takes for a formula: it could be a student's."""
    if not isinstance(value, str):
        return value
    line = " ".join(value.split())
    return "'" + line if line.startswith(("=", "+", "-", "@")) else line


def enter(graded: Sequence[Graded], course: Path) -> list[str]:
    """Enter marks into the grade book of a course folder; points given by hand are left alone.

    Args:
        graded: students with their marks.
        course: the folder that `tema assignments` made.

    Returns:
        the assignments that the grade book does not know, or knows with other cells.
    """
    from nbgrader.api import Gradebook, MissingEntry

    from tema_lib.course.release import COURSE

    unknown = []
    with (
        warnings.catch_warnings(),
        Gradebook(f"sqlite:///{course}/gradebook.db", COURSE) as book,
    ):
        warnings.simplefilter("ignore")  # nbgrader's use of SQLAlchemy is not the lecturer's matter
        for student, marks in graded:
            name = marks.assignment
            try:
                book.find_notebook(name, name)
                book.update_or_create_student(student)
                book.update_or_create_submission(name, student)
                for mark in marks.cells:
                    grade = book.find_grade(mark.cell, name, name, student)
                    grade.auto_score = mark.points
                    grade.needs_manual_grade = mark.points is None and grade.manual_score is None
                book.db.commit()
            except MissingEntry:
                book.db.rollback()
                unknown.append(name)
    return sorted(set(unknown))
