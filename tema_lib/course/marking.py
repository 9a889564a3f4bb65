"""Marks of one submission: the author's tests run here, the student's functions in the sandbox.

In the tests each function of the student's is a stand-in that sends its arguments into the sandbox
and brings back plain data. So a hidden test never enters the sandbox, and what is compared here
is a genuine number, list or array, whose `==` is Python's own. Status: ours.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tema_lib.course.isolation import Isolation
from tema_lib.course.notebooks import Assignment, Cell, Submission
from tema_lib.course.sandbox import Limits, Sandbox, Stopped, SubmissionError
from tema_lib.course.worker import run

LONGEST = 500  # letters of a message


@dataclass(frozen=True)
class Mark:
    """What one cell got.

    Attributes:
        cell: its grade id.
        points: None where a person has to mark it.
        most: the points that it can bring.
        message: what failed; "" where nothing did.
    """

    cell: str
    points: float | None
    most: float
    message: str = ""


@dataclass(frozen=True)
class Marks:
    """What a submission got.

    Attributes:
        cells: one mark for each test and each cell marked by hand, in the notebook's order.
        notes: what else its student, and its marker, should know.
    """

    assignment: str
    cells: tuple[Mark, ...]
    notes: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Points so far."""
        return sum(mark.points or 0.0 for mark in self.cells)

    @property
    def most(self) -> float:
        """Points that can be had by tests, and by hand."""
        return sum(mark.most for mark in self.cells)

    @property
    def by_hand(self) -> float:
        """Points about which a person still has to decide."""
        return sum(mark.most for mark in self.cells if mark.points is None)


def unreadable(assignment: Assignment, why: str) -> Marks:
    """Nothing for what is no notebook."""
    return Marks(assignment.name, tuple(_every(assignment, 0.0, why)), (why,))


def mark(
    assignment: Assignment,
    submission: Submission,
    isolation: Isolation | None,
    limits: Limits | None = None,
) -> Marks:
    """Load a submission in a sandbox of its own, and run the tests.

    Nothing that the submission does is an error here. A test that fails loses its own points only;
    once the sandbox has been ended, all other tests get nothing. A sandbox that does not start
    (CannotStart) is nobody's fault, and an error.

    Args:
        assignment: the author's notebook.
        submission: the student's.
        isolation: how the sandbox is shut in; None for not at all.
        limits: time, memory, files and processes.
    """
    notes = [f"cell {name} is missing" for name in submission.lacks(assignment)]
    if not assignment.tests:
        return Marks(assignment.name, tuple(_every(assignment, None, "")), tuple(notes))
    try:
        with Sandbox(isolation, limits or Limits()) as sandbox:
            notes += _load(submission, assignment, sandbox)
            marks = tuple(_run_tests(assignment, sandbox))
    except Stopped as stopped:
        notes.append(f"The notebook was stopped: {stopped}.")
        marks = tuple(_every(assignment, 0.0, f"the notebook was stopped: {stopped}"))
    else:
        if sandbox.ended:
            notes.append(f"The notebook was stopped: {sandbox.ended}.")
    return Marks(assignment.name, marks, tuple(dict.fromkeys(notes)))


def _every(assignment: Assignment, points: float | None, why: str) -> Iterator[Mark]:
    for cell in assignment.cells:
        if cell.kind == "test":
            yield Mark(cell.id, points, cell.points, why)
        elif cell.kind == "by hand":
            yield Mark(cell.id, None, cell.points)


def _load(submission: Submission, assignment: Assignment, sandbox: Sandbox) -> Iterator[str]:
    """Run the cells; notes on those that fail, and the rest is run all the same."""
    place = "at the top"
    for cell in submission.merged(assignment):
        place = cell.id or (place if place.startswith(("after", "at")) else f"after {place}")
        if cell.is_code:
            try:
                sandbox.run(cell.source, place)
            except SubmissionError as error:
                if error.kind != "NotImplementedError":  # a test will say so
                    yield f"Cell {place}: {error}"


def _run_tests(assignment: Assignment, sandbox: Sandbox) -> Iterator[Mark]:
    """Locked cells and tests in the author's order, in a namespace of this process.

    All that a student may read comes first, then the hidden tests: a function could remember their
    inputs and put them into its next error message.
    """
    namespace: dict[str, Any] = {"__name__": "tests", "display": print}
    namespace |= {name: functools.partial(sandbox.call, name) for name in assignment.functions}
    failed, before = {}, {}
    for cell in assignment.cells:
        if cell.kind == "locked" and cell.is_code:
            # One that shows what the student's functions do fails where they do.
            with contextlib.suppress(Exception), _quiet():
                run(cell.source, namespace, cell.id)
        elif cell.kind == "test":
            before[cell.id] = dict(namespace)
            failed[cell.id] = _failure(cell, cell.visible_source, namespace, hidden=False)
    for cell in assignment.cells:
        if cell.kind == "test":
            if cell.hidden_lines and not failed[cell.id]:
                failed[cell.id] = _failure(cell, cell.source, before[cell.id], hidden=True)
            message = failed[cell.id]
            yield Mark(cell.id, 0.0 if message else cell.points, cell.points, message)
        elif cell.kind == "by hand":
            yield Mark(cell.id, None, cell.points)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the author's cells print or warn of is not for the grader's terminal."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _failure(cell: Cell, source: str, namespace: dict[str, Any], hidden: bool) -> str:
    """What failed in a test, as the student may read it; "" if nothing did."""
    try:
        with _quiet():
            run(source, namespace, cell.id)
    except Exception as error:
        words = _words(error, source, _line(error, cell), hidden)
        return words if len(words) <= LONGEST else words[:LONGEST] + " ..."
    return ""


def _line(error: Exception, cell: Cell) -> int:
    """The line of the test at which it failed."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == f"<cell {cell.id}>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _words(error: Exception, source: str, line: int, hidden: bool) -> str:
    """Of a hidden test only words that its author wrote: a student's could hold its inputs."""
    if isinstance(error, Stopped):
        return f"the notebook was stopped: {error}"
    if isinstance(error, SubmissionError):
        return _words_of_submission(error, hidden)
    if isinstance(error, AssertionError):
        said = _fixed_message(source, line) if hidden else str(error)
        return said or ("a hidden test failed" if hidden else f"line {line} of this test failed")
    if hidden:
        return f"what your function returns could not be compared ({type(error).__name__})"
    return f"what your function returns could not be compared ({type(error).__name__}: {error})"


def _words_of_submission(error: SubmissionError, hidden: bool) -> str:
    if error.kind == "NotImplementedError":
        return "not solved yet (NotImplementedError)"
    if error.kind == "TimeUp":
        return "your function took too long and was interrupted"
    if not hidden:
        return f"your code raised {error}"
    known = isinstance(getattr(builtins, error.kind, None), type)
    return f"your code raised {error.kind if known else 'an error'} in a hidden test"


def _fixed_message(source: str, line: int) -> str:
    """The message of the assert in this line, with "..." for what is filled in."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Assert) or node.end_lineno is None or node.msg is None:
            continue
        if node.lineno <= line <= node.end_lineno:
            parts = node.msg.values if isinstance(node.msg, ast.JoinedStr) else [node.msg]
            return "".join(
                str(part.value) if isinstance(part, ast.Constant) else "..." for part in parts
            )
    return ""
