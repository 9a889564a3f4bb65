"""A bug in the place of what it replaces, everywhere in the project, and back again.

Status: ours.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tema_lib.museum.exhibits import EXHIBITS


@contextmanager
def in_place(name: str) -> Iterator[None]:
    """Inside the block, the project and its loaded tests have the bug of one exhibit.

    A method is replaced in its class; a function under every name that a loaded module has for it.

    Raises:
        KeyError: no exhibit has this name.
    """
    exhibit = EXHIBITS[name]
    module, _, path = exhibit.place.partition(":")
    owner, (*outer, last) = importlib.import_module(module), path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    right = getattr(owner, last)
    places = [(owner, last)] if outer else [*_names_of(right)]
    for holder, name in places:
        setattr(holder, name, exhibit.placed)
    try:
        yield
    finally:
        for holder, name in places:
            setattr(holder, name, right)


def _names_of(right: object) -> Iterator[tuple[object, str]]:
    """(module, name) of everything that is this function, but for the museum's own modules."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("tema_lib", "tests")) and not name.startswith("tema_lib.museum"):
            yield from [(module, key) for key, value in vars(module).items() if value is right]
