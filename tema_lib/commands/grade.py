"""`tema grade`: mark a folder of submissions, each in a sandbox of its own."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tema_lib.commands.assignments import read, sources
from tema_lib.commands.output import say, sentence, shown
from tema_lib.course.feedback import page
from tema_lib.course.formgrader import hand_over
from tema_lib.course.gradebook import Graded, enter, write_tables
from tema_lib.course.isolation import Isolation
from tema_lib.course.marking import Marks, mark, unreadable
from tema_lib.course.notebooks import Assignment, NotANotebook, Submission
from tema_lib.course.protection import best_isolation
from tema_lib.course.sandbox import CannotStart, Limits
from tema_lib.course.submissions import HandedIn, handed_in
from tema_lib.workspace import home, write_atomically


def main(chosen: argparse.Namespace) -> None:
    """Mark all, one after the other; whatever one of them does, the next one is marked."""
    os.environ.setdefault("MPLBACKEND", "agg")  # the authors' cells may draw
    folder = chosen.submissions.expanduser()
    if not folder.is_dir():
        sys.exit(f"SUBMISSIONS={chosen.submissions}: there is no such folder.")
    paths = sources(chosen.sources)
    assignments = read(paths)
    found, strange = handed_in(folder, list(assignments))
    say("Left out", strange)
    if not found:
        sys.exit(f"{folder} holds no submission: <student>/<assignment>.ipynb, for example.")
    course, out = home() / "assignments", (chosen.out or home() / "grades").expanduser()
    limits = Limits()
    private = [*paths, *(one.path for one in found if not one.path.is_symlink())]
    book = course / "gradebook.db"
    isolation = protection(limits, [*private, *([book] if book.is_file() else [])], chosen.unsafe)
    graded = []
    try:
        for student, marks in marked(found, assignments, isolation, limits, out):
            graded.append((student, marks))
            told = f"[{len(graded)}/{len(found)}] {printable(student)}, {marks.assignment}: "
            told += f"{marks.score:g} of {marks.most - marks.by_hand:g}"
            told += f", {marks.by_hand:g} by hand" if marks.by_hand else ""
            print(told, *map(printable, marks.notes), sep="\n    ", flush=True)
        tables = write_tables(graded, out)
    except (CannotStart, OSError) as error:
        sys.exit(sentence(error))
    except KeyboardInterrupt:
        sys.exit("\nInterrupted: no marks were written.")
    print_table(graded)
    print(f"\nMarks: {shown(tables[0])}, {shown(tables[1])}; feedback: {shown(out)}")
    if book.is_file():
        unknown = enter(graded, course)
        for_formgrader(found, {path.stem: path for path in paths}, course)
        print(f"Grade book: {shown(book)}")
        say("Not in the grade book as they are now; run `make assignments` again", unknown)


def protection(limits: Limits, private: Sequence[Path], unsafe: bool) -> Isolation | None:
    """The sandbox that holds here; SystemExit, with what is not enforced, where none does."""
    isolation, lacks = best_isolation(limits, private)
    if lacks and not unsafe:
        sys.exit(
            "\n  ".join(["The sandbox does not hold on this machine. Not enforced here:", *lacks])
            + "\nGrade on Linux, where namespaces and control groups are allowed; or, if you trust "
            "every student, with UNSAFE=1 (--unsafe)."
        )
    say("UNSAFE: grading without full protection. Not enforced here:", lacks)
    return isolation


def marked(
    found: Sequence[HandedIn],
    assignments: dict[str, Assignment],
    isolation: Isolation | None,
    limits: Limits,
    out: Path,
) -> Iterator[Graded]:
    """Each submission with its marks, after its feedback was written."""
    for one in found:
        assignment = assignments[one.assignment]
        try:
            submission = Submission.read(one.path)
            marks = mark(assignment, submission, isolation, limits)
        except NotANotebook as error:
            submission, marks = Submission(()), unreadable(assignment, f"{error}.")
        text = page(one.student, assignment, submission, marks)
        write_atomically(out / one.student / f"{one.assignment}.html", text)
        yield one.student, marks


def for_formgrader(found: Sequence[HandedIn], sources: dict[str, Path], course: Path) -> None:
    """What can be read goes where nbgrader's own pages look for it, to be marked by hand."""
    for one in found:
        with contextlib.suppress(NotANotebook):
            hand_over(one.path, sources[one.assignment], one.student, course)


def print_table(graded: Sequence[Graded]) -> None:
    """Students below each other, assignments side by side."""
    names = sorted({marks.assignment for _, marks in graded})
    students = sorted({student for student, _ in graded})
    given = {(student, marks.assignment): marks for student, marks in graded}
    first = max(map(len, [*map(printable, students), "student"]))
    print("\n" + "  ".join(["student".ljust(first), *names]))
    for student in students:
        cells = [shown_marks(given.get((student, name))).rjust(len(name)) for name in names]
        print("  ".join([printable(student).ljust(first), *cells]))


def shown_marks(marks: Marks | None) -> str:
    """ "7/10", "0/20+20" where 20 more are given by hand, "-" for nothing handed in."""
    if marks is None:
        return "-"
    more = f"+{marks.by_hand:g}" if marks.by_hand else ""
    return f"{marks.score:g}/{marks.most - marks.by_hand:g}{more}"


def printable(text: str) -> str:
    """On one line, without what would steer a terminal: names and errors are the students'."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
