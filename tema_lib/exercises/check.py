"""Whether an exercise is solved: properties of the answer are tried, and what is wrong is said.

A check is a function with the name of what the student writes. It takes the student's function,
calls it, and asserts properties that every right answer has; the message of an assertion is a hint.

Status: ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Answer = Callable[..., Any]


class Unwritten(Exception):
    """The student's function still returns `None`."""


def verdict(check: Callable[[Answer], None], answer: Answer) -> str:
    """What an answer is worth, in one sentence: "solved", or "not solved yet" and what is wrong.

    The random numbers of torch are the same each time, and those of the notebook go on as if
    nothing had been asked.

    Args:
        check: takes the student's function, and raises AssertionError where it is wrong.
        answer: the student's function.
    """

    def asked(*arguments: Any, **named: Any) -> Any:
        value = answer(*arguments, **named)
        if value is None:
            raise Unwritten
        return value

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            check(asked)
        except Unwritten:
            return "not solved yet: it returns None"
        except AssertionError as error:
            return f"not solved yet: {error}"
        except Exception as error:
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            return f"not solved yet: it stops with {said}"
    return "solved"
