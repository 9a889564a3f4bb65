"""An assignment as its author wrote it, and what a student made of it.

Sources are in nbgrader's format: `nbgrader` in a cell's metadata says whether it is locked, is a
solution, or is a test with points; comments mark the solution and the hidden tests in it.
Status: ours.
"""

from __future__ import annotations

import ast
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

LARGEST = 20 * 2**20  # bytes of a notebook that is handed in
HIDDEN = ("BEGIN HIDDEN TESTS", "END HIDDEN TESTS")  # anywhere in a line, as for nbgrader


class NotANotebook(ValueError):
    """What was handed in cannot be read as a notebook; the message says why."""


@dataclass(frozen=True)
class Cell:
    """A cell, with what nbgrader's metadata say of it.

    Attributes:
        id: nbgrader's grade_id; "" for a cell of the student's own.
        kind: "test", "solution", "locked" (imports, data), "by hand" (a person marks it), or "own".
        points: of a test, or of a cell that is marked by hand.
    """

    id: str
    kind: str
    source: str
    is_code: bool
    points: float = 0.0

    @cached_property
    def hidden_lines(self) -> frozenset[int]:
        """Numbers of the lines of hidden tests, their marks included; the first line is 1."""
        found, inside = [], False
        for number, line in enumerate(self.source.splitlines(), 1):
            inside = inside or HIDDEN[0] in line
            if inside:
                found.append(number)
            inside = inside and HIDDEN[1] not in line
        return frozenset(found)

    @property
    def visible_source(self) -> str:
        """The text without hidden tests, as the student's copy has it."""
        lines = enumerate(self.source.splitlines(), 1)
        return "\n".join(line for number, line in lines if number not in self.hidden_lines)


@dataclass(frozen=True)
class Assignment:
    """The author's notebook: `notebooks/assignments/<name>/<name>.ipynb`."""

    name: str
    cells: tuple[Cell, ...]

    @classmethod
    def read(cls, path: Path) -> Assignment:
        """NotANotebook if this cannot be read, ValueError if a grade id occurs twice."""
        cells = tuple(_cell(cell) for cell in read_cells(path))
        names = [cell.id for cell in cells if cell.id]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{path}: two cells have the grade id {twice[0]}")
        return cls(path.stem, cells)

    @property
    def tests(self) -> tuple[Cell, ...]:
        """The cells that are marked by running them."""
        return tuple(cell for cell in self.cells if cell.kind == "test")

    @property
    def points(self) -> float:
        """Of tests, and of what is marked by hand."""
        return sum(cell.points for cell in self.cells)

    @property
    def functions(self) -> tuple[str, ...]:
        """Names that students define: the functions of the solution cells."""
        return tuple(
            node.name
            for cell in self.cells
            if cell.kind == "solution" and cell.is_code
            for node in ast.parse(cell.source).body
            if isinstance(node, ast.FunctionDef)
        )


@dataclass(frozen=True)
class Submission:
    """A student's notebook."""

    cells: tuple[Cell, ...]

    @classmethod
    def read(cls, path: Path) -> Submission:
        """Raises NotANotebook, with a sentence for the student."""
        return cls(tuple(_cell(cell) for cell in read_cells(path)))

    def merged(self, assignment: Assignment) -> Iterator[Cell]:
        """The cells that are run, tests left out.

        Locked cells are the author's, whatever the student did to them, solutions the student's;
        the student's own cells keep their place before the next cell of the author's. Of two cells
        with one grade id the last one counts, as with nbgrader.
        """
        known = {cell.id: cell for cell in assignment.cells if cell.id}
        last = {cell.id: cell for cell in self.cells if cell.id in known}
        before: dict[str, list[Cell]] = {}
        waiting: list[Cell] = []
        for cell in self.cells:
            own = Cell("", "own", cell.source, cell.is_code)
            if last.get(cell.id) is cell:
                before[cell.id], waiting = [*before.get(cell.id, []), *waiting], []
            elif cell.id in last:  # an earlier copy is run before the last one
                before.setdefault(cell.id, []).append(own)
            else:
                waiting.append(own)
        for name, original in known.items():
            yield from before.get(name, [])
            if original.kind == "locked":
                yield original
            elif original.kind == "solution" and name in last:
                yield Cell(name, "solution", last[name].source, last[name].is_code)
        yield from waiting

    def lacks(self, assignment: Assignment) -> list[str]:
        """Grade ids of solution cells that are not there."""
        have = {cell.id for cell in self.cells}
        wanted = [cell.id for cell in assignment.cells if cell.kind in ("solution", "by hand")]
        return [name for name in wanted if name not in have]


def read_cells(path: Path) -> list[Any]:
    """The cells of a notebook of any version of the format, as nbformat has them.

    Raises NotANotebook, with a sentence.
    """
    try:
        # A link could name any file of ours; a pipe would wait for ever.
        careful = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
        handle = os.open(path, os.O_RDONLY | careful)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NotANotebook(f"{path.name} is no file")
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise NotANotebook(f"{path.name} cannot be read, or is a link") from error
    if len(content) > LARGEST:
        raise NotANotebook(f"{path.name} is larger than {LARGEST >> 20} MiB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cells without an id of their own, or with one twice
            notebook = nbformat.reads(content.decode("utf-8"), as_version=4)
            nbformat.validate(notebook)
        return list(notebook.cells)
    except RecursionError as error:
        raise NotANotebook(f"{path.name} is no notebook: nested too deeply") from error
    except Exception as error:  # nbformat passes on whatever a wrong field makes it stumble over
        raise NotANotebook(f"{path.name} is no notebook that can be read") from error


def _cell(cell: Any) -> Cell:
    """A cell of nbformat, by its metadata; metadata that say nonsense make it the student's own."""
    about = cell.metadata.get("nbgrader")
    about = about if isinstance(about, dict) else {}
    name, points = about.get("grade_id"), about.get("points", 0)
    if about.get("grade") and not about.get("solution"):
        kind = "test"
    elif about.get("grade") or about.get("task"):
        kind = "by hand"
    elif about.get("solution"):
        kind = "solution"
    else:
        kind = "locked" if about.get("locked") else "own"
    if not isinstance(name, str) or not name or kind == "own":
        return Cell("", "own", cell.source, cell.cell_type == "code")
    scored = kind in ("test", "by hand") and isinstance(points, int | float)
    return Cell(name, kind, cell.source, cell.cell_type == "code", float(points) if scored else 0.0)
