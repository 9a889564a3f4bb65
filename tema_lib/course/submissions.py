"""What a class has handed in.

`folder/<student>/<assignment>/<assignment>.ipynb`, or `folder/<student>/<assignment>.ipynb`.
Status: ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HandedIn:
    """One student's notebook for one assignment; whether it is a notebook is found out later."""

    student: str
    assignment: str
    path: Path


def handed_in(folder: Path, assignments: Sequence[str]) -> tuple[list[HandedIn], list[str]]:
    """(all submissions by student and assignment, lines about what is none).

    Links are not followed: one could lead to a file of the grader's.
    """
    found, strange = [], []
    for home in sorted(folder.iterdir()):
        if home.name.startswith("."):
            continue
        if home.is_symlink() or not home.is_dir():
            strange.append(f"{home.name}: no folder of a student")
            continue
        for path in _notebooks(home):
            name = path.stem
            if name in assignments:
                found.append(HandedIn(home.name, name, path))
            else:
                strange.append(f"{home.name}: no assignment is called {name}")
    return _one_of_each(found, strange), strange


def _notebooks(home: Path) -> Iterable[Path]:
    """The notebooks of a student, those in a folder of their own name first."""
    for inner in sorted(home.iterdir()):
        if inner.is_dir() and not inner.is_symlink() and not inner.name.startswith("."):
            yield from sorted(inner.glob("*.ipynb"))
    yield from sorted(home.glob("*.ipynb"))


def _one_of_each(found: list[HandedIn], strange: list[str]) -> list[HandedIn]:
    """The first of each student and assignment; a line about every other one."""
    kept: dict[tuple[str, str], HandedIn] = {}
    for one in found:
        if kept.setdefault((one.student, one.assignment), one) is not one:
            strange.append(f"{one.student}: two of {one.assignment}; {one.path} is left out")
    return sorted(kept.values(), key=lambda one: (one.student, one.assignment))
