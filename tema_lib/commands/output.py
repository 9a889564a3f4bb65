"""What every command says in the same way: a path, a list, one sentence about an error."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tema_lib.workspace import ROOT


def sentence(error: Exception) -> str:
    """An error for the reader; what the system says about a file gets the name of the file."""
    if isinstance(error, OSError) and error.errno and error.strerror:
        named = error.filename or "A file"
        return f"{named} cannot be read or written: {error.strerror.lower()}."
    return str(error)


def say(title: str, lines: Iterable[str]) -> None:
    """A title and its lines, or nothing where there is no line."""
    if lines := list(lines):
        print(title, *(f"  {line}" for line in lines), sep="\n", flush=True)


def shown(path: Path) -> str:
    """A path as it is shown: relative to the checkout where it is inside."""
    path = path.resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
