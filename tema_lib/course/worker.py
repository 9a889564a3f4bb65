"""Inside the sandbox: runs the cells of a submission, and calls its functions with plain data.

It trusts nothing it runs and protects nothing: the sandbox around this process does. The channel
to the grader is taken away from standard input and output first, so that a `print` cannot disturb
it. Students' code may still find the channel; all that it can say there is a wrong answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import types
from collections.abc import Iterator
from typing import IO, Any

from tema_lib.course import messages

LONGEST_TEXT = 500  # letters of an error message


class TimeUp(BaseException):
    """Not an Exception: a student's `except Exception` lets it pass."""


def main() -> None:
    """Set the limits of this process, then answer requests until there are no more."""
    limit(json.loads(sys.argv[1]))
    requests, replies = take_channel()
    notebook = types.ModuleType("__main__")  # where dataclasses and others look for a cell's names
    sys.modules["__main__"] = notebook
    namespace = vars(notebook)
    namespace["display"] = print
    own = os.getpid()
    messages.write(replies, {"ready": True})
    while True:
        try:
            request = messages.read(requests)
        except EOFError:
            return
        reply = answer(request, namespace)
        if os.getpid() != own:  # a fork of student's code, which has come back to us
            os._exit(0)
        send(replies, {"number": request["number"], **reply})


def limit(limits: dict[str, int]) -> None:
    """Memory, processor time, size of files, and processes where that works, as {name: limit}."""
    if os.name != "posix":
        return
    import resource

    for name, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower limit may hold already
            resource.setrlimit(getattr(resource, name), (most, most))


def take_channel() -> tuple[IO[bytes], IO[bytes]]:
    """Requests and replies; standard input, output and errors lead nowhere afterwards."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    return requests, replies


def answer(request: dict[str, Any], namespace: dict[str, Any]) -> dict[str, Any]:
    """{"value": what came out} or {"error": what went wrong}."""
    try:
        with time_limit(request["seconds"]):
            if "run" in request:
                run(request["run"], namespace, request["cell"])
                return {"value": None}
            return {"value": messages.encode(call(request, namespace))}
    except TimeUp:
        return {"error": ["TimeUp", f"took longer than {request['seconds']:g} s", ""]}
    except BaseException as error:  # also SystemExit, and what a student derives from BaseException
        return {"error": described(error)}


def run(source: str, namespace: dict[str, Any], cell: str) -> None:
    """Run a cell. Where it is no Python, lines of IPython's own (% and !) are left out."""
    name = f"<cell {cell}>"
    try:
        code = compile(source, name, "exec")
    except SyntaxError:
        plain = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)
        code = compile(plain, name, "exec")
    exec(code, namespace)


def call(request: dict[str, Any], namespace: dict[str, Any]) -> Any:
    name = request["call"]
    if name not in namespace:
        raise NameError(f"there is no function {name}")
    return namespace[name](
        *messages.decode(request["arguments"]), **messages.decode(request["named"])
    )


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt Python code after some seconds; the grader ends what cannot be interrupted."""
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    def interrupt(*_: Any) -> None:
        raise TimeUp

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def described(error: BaseException) -> list[str]:
    """[class, message, where], whatever the error's own methods do."""
    where, trace = "", error.__traceback__
    while trace is not None:
        if (name := trace.tb_frame.f_code.co_filename).startswith("<cell "):
            where = f"line {trace.tb_lineno} of {name[1:-1]}"
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and not where:
        where = f"line {error.lineno}"
    try:
        text = str(error.msg if isinstance(error, SyntaxError) else error)[:LONGEST_TEXT]
    except BaseException:
        text = ""
    return [type(error).__name__[:100], text, where[:100]]


def send(replies: IO[bytes], message: dict[str, Any]) -> None:
    """A reply; what is too large to be sent becomes an error."""
    try:
        messages.write(replies, message)
    except (messages.NotPlain, ValueError) as error:  # ValueError: an integer of too many digits
        refused = {"number": message["number"], "error": described(error)}
        messages.write(replies, refused)
