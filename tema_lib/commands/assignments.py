"""`tema assignments`: students' copies of all assignments, and a course folder for nbgrader."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tema_lib.commands.output import sentence, shown
from tema_lib.course.notebooks import Assignment, NotANotebook
from tema_lib.workspace import ROOT, home

SOURCES = ROOT / "notebooks" / "assignments"


def main(chosen: argparse.Namespace) -> None:
    """Make every copy; the first that cannot be made ends it with a sentence."""
    course = (chosen.out or home() / "assignments").expanduser().resolve()
    paths = sources(chosen.sources)
    from tema_lib.course.release import ReleaseError, release

    try:
        for path in paths:
            assignment = Assignment.read(path)
            copy = release(path, course)
            print(f"{assignment.name:24} {assignment.points:4g} points  {shown(copy)}", flush=True)
    except (ReleaseError, ValueError, OSError) as error:
        sys.exit(sentence(error))
    print(f"\nFor students: {shown(course / 'release')}, or the exchange beside it.")
    print(f"Not for students: {shown(course / 'source')} and the grade book hold the hidden tests.")


def sources(folder: Path | None) -> list[Path]:
    """The assignments of a folder, by default those of the checkout, `<name>/<name>.ipynb` each.

    Raises SystemExit, with a sentence, if there is none.
    """
    folder = (folder or SOURCES).expanduser()
    found = sorted(path for path in folder.glob("*/*.ipynb") if path.stem == path.parent.name)
    if not found:
        sys.exit(f"{folder} holds no assignment: a notebook a1/a1.ipynb, for example.")
    return found


def read(paths: list[Path]) -> dict[str, Assignment]:
    """{name: assignment}; SystemExit, with a sentence, for a source that cannot be read."""
    try:
        return {path.stem: Assignment.read(path) for path in paths}
    except (NotANotebook, ValueError) as error:
        sys.exit(f"Among the assignments: {error}.")
