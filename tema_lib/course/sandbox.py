"""A process for one submission: it loads the cells, its functions are called, its time is limited.

    with Sandbox(isolation, Limits()) as sandbox:
        sandbox.run("def double(x): return 2 * x")
        sandbox.call("double", 4)

With `isolation=None` the process is not shut in: for the tests, and for UNSAFE=1. Status: ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from types import TracebackType
from typing import Any

from tema_lib.course import messages
from tema_lib.course.isolation import ENVIRONMENT, Isolation, python

START = 60.0  # seconds that Python may need until it is ready, on a machine that is busy
GRACE = 1.0  # seconds between the interruption of a function and the end of its process


def address_space() -> int:
    """Bytes that a process may map: builds of torch for GPUs map several GiB of libraries."""
    return (4 if version("torch").endswith("+cpu") else 16) * 2**30


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    call: float = 10.0  # seconds of one call of a student's function
    cell: float = 60.0  # seconds of one cell
    total: float = 300.0  # seconds of the whole submission
    memory: int = field(default_factory=address_space)  # bytes of each process
    together: int = 4 * 2**30  # bytes that all its processes really use
    file: int = 64 * 2**20  # bytes of one file
    processes: int = 32  # at the same time, their threads included

    def of_process(self, count: bool) -> dict[str, int]:
        """The limits that the system keeps, by their names in `resource`."""
        seconds = int(self.total) + 1
        limits = {"RLIMIT_AS": self.memory, "RLIMIT_CPU": seconds, "RLIMIT_FSIZE": self.file}
        return limits | {"RLIMIT_CORE": 0} | ({"RLIMIT_NPROC": self.processes} if count else {})


class SubmissionError(Exception):
    """A student's code raised an error.

    Attributes:
        kind: the name of its class.
        text: its message.
        where: the line and the cell; "" if unknown.
    """

    def __init__(self, kind: str, text: str, where: str) -> None:
        super().__init__(": ".join(filter(None, (kind, text))) + (f" ({where})" if where else ""))
        self.kind, self.text, self.where = kind, text, where


class CannotStart(RuntimeError):
    """There is no sandbox; the message is the system's. Nothing of a student's has run yet."""


class Stopped(Exception):
    """The sandbox was ended, or ended itself; it answers nothing any more."""


class Sandbox:
    """See above.

    It raises CannotStart where it is entered; `run` and `call` raise SubmissionError, and Stopped
    from the end onwards.
    """

    def __init__(self, isolation: Isolation | None, limits: Limits) -> None:
        self.isolation, self.limits = isolation, limits
        self.ended: str = ""  # why there is no process any more
        self.number = 0
        self.open = contextlib.ExitStack()

    def __enter__(self) -> Sandbox:
        try:
            self._start()
        except BaseException:
            self.open.close()
            raise
        return self

    def _start(self) -> None:
        count = self.isolation is not None and not self.isolation.groups
        limits = self.limits.of_process(count)
        program = python("tema_lib.course.worker", json.dumps(limits))
        if self.isolation is not None:
            shut_in = self.isolation.command(program, self.limits.processes, self.limits.together)
            program = self.open.enter_context(shut_in)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            program,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=ENVIRONMENT if os.name == "posix" else None,
            start_new_session=True,
        )
        self.open.callback(self._end)
        self.replies: queue.Queue[dict[str, Any] | Exception] = queue.Queue(maxsize=1)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        self.deadline = time.monotonic() + START
        try:
            self._receive(START)
        except Stopped as stopped:
            assert self.process.stderr is not None
            said = self.process.stderr.read(2000).decode(errors="replace").strip()
            raise CannotStart(f"The sandbox does not start: {said or stopped}") from None
        self.deadline = time.monotonic() + self.limits.total

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.open.close()

    def run(self, source: str, cell: str = "") -> None:
        """Run a cell; its name is for error messages."""
        self._ask(self.limits.cell, run=source, cell=cell)

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """What a function of the submission returns; NotPlain for arguments that are not data."""
        return self._ask(
            self.limits.call,
            call=name,
            arguments=messages.encode(arguments),
            named=messages.encode(named),
        )

    def _ask(self, seconds: float, **request: Any) -> Any:
        if self.ended:
            raise Stopped(self.ended)
        self.number += 1
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # a closed pipe: the reply says so
            messages.write(
                self.process.stdin, {"number": self.number, "seconds": seconds, **request}
            )
        reply = self._receive(seconds + GRACE)
        if reply.get("number") != self.number or not ({"value", "error"} & set(reply)):
            self._stop("it disturbed the connection to the grader")
        if "value" in reply:
            try:
                return messages.decode(reply["value"])
            except (messages.Malformed, RecursionError):
                self._stop("it disturbed the connection to the grader")
        match reply["error"]:
            case [str(kind), str(text), str(where)]:
                raise SubmissionError(kind, text, where)
        return self._stop("it disturbed the connection to the grader")

    def _receive(self, seconds: float) -> dict[str, Any]:
        left = self.deadline - time.monotonic()
        try:
            reply = self.replies.get(timeout=max(0.0, min(seconds, left)))
        except queue.Empty:
            if left < seconds:
                self._stop(f"all its cells together took longer than {self.limits.total:g} s")
            self._stop(f"it took longer than {seconds - GRACE:g} s and could not be interrupted")
        if isinstance(reply, messages.Malformed):
            self._stop("it disturbed the connection to the grader")
        if isinstance(reply, Exception):
            self._stop("its process ended: too much memory, or an exit")
        return reply  # type: ignore[return-value]

    def _listen(self) -> None:
        """Move replies into the queue; one waits there, so that nobody can fill our memory."""
        assert self.process.stdout is not None
        try:
            while True:
                self.replies.put(messages.read(self.process.stdout))
        except (EOFError, messages.Malformed) as error:
            self.replies.put(error)
        except (OSError, ValueError):  # closed
            self.replies.put(EOFError())

    def _stop(self, why: str) -> Any:
        self.ended = why
        self._end()
        raise Stopped(why)

    def _end(self) -> None:
        """Kill the process; the namespace's other processes end with it."""
        if self.process.poll() is None:
            if os.name == "posix":
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
        self.process.wait()
        while self.listener.is_alive():  # it may wait for a place in the queue
            with contextlib.suppress(queue.Empty):
                self.replies.get(timeout=0.01)
