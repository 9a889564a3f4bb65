"""The page that a student gets: marks, messages, the own cells, and the tests as far as they show.

It needs no network and holds no hidden test: the tests are the author's, without their hidden
lines, and what a student wrote is text in it, never HTML. Status: ours.
"""

from __future__ import annotations

from importlib.resources import files

import jinja2

from tema_lib.course.marking import Mark, Marks
from tema_lib.course.notebooks import Assignment, Cell, Submission


def page(student: str, assignment: Assignment, submission: Submission, marks: Marks) -> str:
    """The feedback as one HTML file."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("tema_lib.course").joinpath("feedback.html").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        student=student,
        marks=marks,
        cells=_cells(assignment, submission, marks),
        points=points,
    )


def points(number: float) -> str:
    """2.0 -> "2", 0.5 -> "0.5"."""
    return f"{number:g}"


def _cells(
    assignment: Assignment, submission: Submission, marks: Marks
) -> list[tuple[Cell, Mark | None]]:
    """The student's cells in their order, tests as the author wrote them; missing tests last."""
    originals = {cell.id: cell for cell in assignment.cells if cell.id}
    given = {mark.cell: mark for mark in marks.cells}
    shown: list[tuple[Cell, Mark | None]] = []
    tests = {name for name, cell in originals.items() if cell.kind == "test"}
    for cell in submission.cells:
        original = originals.get(cell.id)
        if original is None or original.kind in ("solution", "by hand"):
            # Its kind is what the author says, not what stands in the student's metadata.
            own = Cell(cell.id, "own", cell.source, cell.is_code)
            shown.append((own, given.get(cell.id)))
        elif original.kind == "locked" or cell.id in tests:
            shown.append((original, given.get(cell.id)))
            tests.discard(cell.id)
    return shown + [(originals[name], given[name]) for name in originals if name in tests]
