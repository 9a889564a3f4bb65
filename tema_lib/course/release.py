"""From sources to what students get, by nbgrader itself: a course folder ready for `nbgrader`.

    source/       copies of the sources, as nbgrader wants them (for the author only)
    release/      the students' copies: solutions are stubs, hidden tests are gone
    exchange/     the same, laid out so that `nbgrader fetch` and `nbgrader submit` find it
    gradebook.db  nbgrader's grade book, with every cell that gives points (for the author only)

Status: ours.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from pathlib import Path

from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from tema_lib.workspace import write_atomically

COURSE = "tema-llm"
# A mark in another spelling, which nbgrader takes for a remark.
LEFT = re.compile(r"#+ *(begin|end) *(hidden +tests?|solutions?)", re.IGNORECASE)
SETTINGS = '''"""Read by nbgrader's own commands when they run in this folder."""

from pathlib import Path

here = Path(__file__).resolve().parent
c = get_config()
c.CourseDirectory.root = str(here)
c.CourseDirectory.course_id = "{course}"
c.CourseDirectory.db_url = f"sqlite:///{{here}}/gradebook.db"
c.Exchange.root = str(here / "exchange")
'''


class ReleaseError(RuntimeError):
    """nbgrader cannot make a student's copy; the message is nbgrader's."""


def release(source: Path, course: Path) -> Path:
    """Make one assignment's copy for students, and put it into the exchange.

    Args:
        source: `<name>/<name>.ipynb`; the files beside it go to the students too.
        course: the course folder; marks that its grade book holds already are kept.

    Returns:
        the student's copy.

    Raises:
        ReleaseError: nbgrader refuses the notebook, or a solution or hidden test would be left.
    """
    name = source.stem
    copy = course / "source" / name
    shutil.rmtree(copy, ignore_errors=True)
    unwanted = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
    shutil.copytree(source.parent, copy, ignore=unwanted)
    write_atomically(course / "nbgrader_config.py", SETTINGS.format(course=COURSE))
    api = nbgrader(course)
    _succeeded(api.generate_assignment(name), name)
    made = course / "release" / name / f"{name}.ipynb"
    if left := LEFT.search(made.read_text(encoding="utf-8")):
        made.unlink()
        raise ReleaseError(
            f"{name}: nbgrader does not read the line {left[0]!r} as a mark, and what it marks "
            "would be in the students' copy. Write ### BEGIN HIDDEN TESTS or ### BEGIN SOLUTION."
        )
    shutil.rmtree(course / "exchange" / COURSE / "outbound" / name, ignore_errors=True)
    _succeeded(api.release_assignment(name), name)
    return made


def nbgrader(course: Path) -> NbGraderAPI:
    """nbgrader, at work in a course folder.

    A new grade book is made by the program `alembic`, which nbgrader looks for on the PATH: it is
    beside our Python, whether or not the environment is activated.
    """
    programs = str(Path(sys.executable).parent)
    if programs not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])
    settings = Config()
    settings.CourseDirectory.root = str(course)
    settings.CourseDirectory.course_id = COURSE
    settings.CourseDirectory.db_url = f"sqlite:///{course}/gradebook.db"
    settings.Exchange.root = str(course / "exchange")
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    return NbGraderAPI(CourseDirectory(config=settings), config=settings)


def _succeeded(result: dict, name: str) -> None:
    if not result["success"]:
        said = str(result.get("log") or result.get("error")).strip()
        raise ReleaseError(f"{name}: nbgrader says\n{said}")
