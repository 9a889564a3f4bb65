"""Whether a test catches a bug: it passes with the right function and fails with each broken one.

Status: ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tema_lib.museum.exhibits import EXHIBITS, Function


def verdict(name: str, test: Callable[[Function], Any]) -> str:
    """What a test is worth, in one sentence that begins with "solved" or "not solved yet".

    Args:
        name: of an exhibit.
        test: takes the function that it tests, and raises AssertionError where that is broken.

    Raises:
        KeyError: no exhibit has this name.
    """
    exhibit = EXHIBITS[name]
    if error := _error(test, exhibit.right):
        return f"not solved yet: it fails with the right function, {_said(error)}"
    for number, broken in enumerate(exhibit.broken):
        error = _error(test, broken)
        if error is None and number == 0:
            return "not solved yet: it passes with the broken function, too"
        if error is None:
            bug = (broken.__doc__ or "").splitlines()[0].removeprefix("BUG: ")
            return (
                f"not solved yet: it catches the exhibit, but not its relative ({bug.rstrip('.')})"
            )
        if not isinstance(error, AssertionError):
            return f"not solved yet: with `{broken.__name__}` it stops with {_said(error)}"
    caught = "the broken function" if len(exhibit.broken) == 1 else "both broken functions"
    return f"solved: it passes with the right function and fails with {caught}"


def _error(test: Callable[[Function], Any], function: Function) -> Exception | None:
    """What the test raises; the random numbers of torch are the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            test(function)
        except Exception as error:
            return error
    return None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
