"""Does the sandbox protect here? Each protection is tried before anything is graded.

A kernel, a container or an administrator may refuse any of what the sandbox is made of, so that
version numbers say little. Status: ours.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from tema_lib.course.isolation import Isolation, ways
from tema_lib.course.sandbox import CannotStart, Limits, Sandbox, Stopped, SubmissionError
from tema_lib.workspace import PACKAGE

PROTECTIONS = (
    "other files (hidden tests, the grade book, other submissions) cannot be read",
    "the library, Python and the system's settings cannot be changed",
    "the network cannot be reached",
    "other processes cannot be seen or ended",
    "the number of processes is limited",
    "memory is limited",
)
PROBE = '''
import mmap, os, socket

def sees(paths):
    return any(os.path.exists(path) for path in paths)

def opens(paths):
    """Whether one of them can be opened for writing; nothing is written."""
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY))
            return True
        except OSError:
            pass
    return False

def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False

def sees_process(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False
    except PermissionError:
        return True

def processes(most):
    """How many can live at once, of so many that are tried."""
    read, write = os.pipe()
    children = []
    try:
        for _ in range(most):
            child = os.fork()
            if child == 0:
                os.close(write)
                os.read(read, 1)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    os.close(write)
    for child in children:
        os.waitpid(child, 0)
    return len(children)

def allocates(size):
    try:
        mmap.mmap(-1, size).close()  # pages that nobody touches
        return True
    except OSError:
        return False
'''


def missing(isolation: Isolation | None, limits: Limits, private: Sequence[Path]) -> list[str]:
    """The protections that do not hold with this isolation; one that cannot be tried does not.

    Args:
        isolation: what is tried; None for a process that is not shut in.
        limits: those of the submissions.
        private: files that exist, and that no submission may see.
    """
    ours = [str(PACKAGE / "__init__.py"), os.__file__, "/proc/sys/kernel/core_pattern"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            with Sandbox(isolation, limits) as sandbox:
                sandbox.run(PROBE)
                call = sandbox.call
                holds = (
                    not call("sees", [str(path) for path in private]),
                    not call("opens", ours),
                    not call("connects", server.getsockname()[1]),
                    not call("sees_process", os.getpid()),
                    call("processes", 2 * limits.processes) <= limits.processes,
                    not call("allocates", limits.memory),
                )
        except (CannotStart, Stopped, SubmissionError, OSError):
            return list(PROTECTIONS)
    return [name for name, held in zip(PROTECTIONS, holds) if not held]


def best_isolation(limits: Limits, private: Sequence[Path]) -> tuple[Isolation | None, list[str]]:
    """(the way that protects best, the protections that it lacks); None where there is no way."""
    tried: list[tuple[int, Isolation | None, list[str]]] = []
    hidden = tuple(sorted({path.resolve().parent for path in private}))
    for isolation in (*ways(hidden), None):
        lacks = missing(isolation, limits, private)
        if not lacks:
            return isolation, []
        tried.append((len(lacks), isolation, lacks))
    _, isolation, lacks = min(tried, key=lambda entry: entry[0])
    return (isolation, lacks) if len(lacks) < len(PROTECTIONS) else (None, lacks)
