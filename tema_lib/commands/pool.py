"""Steps that run side by side, each in a process with one thread.

The standard library's topological sorter says which are ready, its pool of processes runs them, and
a line says of each that it begins.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from multiprocessing import active_children, get_context
from typing import Any, Self, TypeVar

from tqdm import tqdm

from tema_lib.commands.steps import ASK, Done, timed
from tema_lib.llm.store import ReplyStore
from tema_lib.workspace import replies_path

Result = TypeVar("Result")

# What the processes and kernels of a run find: no bars in a log, no chatter, one thread each.
QUIET = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker",  # of stopped steps
}


@dataclass(frozen=True)
class Step:
    """One step: what is called in another process, and the steps that come before it."""

    does: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    after: tuple[str, ...] = ()


def processes() -> int:
    """How many steps run at a time: what the processors allow, at most four (one GiB each)."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(4, (usable or 1) // int(os.environ.get("OMP_NUM_THREADS", "1"))))


def run_all(todo: dict[str, Step], expected: dict[str, float]) -> dict[str, Done]:
    """Run all steps, as many at a time as there are processes.

    Raises:
        SystemExit: with the sentence of the first step that failed; the others are stopped.
    """
    order = TopologicalSorter({name: step.after for name, step in todo.items()})
    order.prepare()
    about = f", about {sum(expected.values()) / processes() / 60:.1f} minutes" if expected else ""
    print(f"{len(todo)} steps, {processes()} at a time{about}", flush=True)
    done: dict[str, Done] = {}
    with pool() as workers, Progress(expected) as progress:
        waiting: list[str] = []
        running: dict[Future[Done], str] = {}
        while order.is_active():
            waiting += order.get_ready()
            waiting.sort(key=list(todo).index)
            while waiting and len(running) < processes():
                name = waiting.pop(0)
                step = todo[name]
                progress.started(name)
                running[workers.submit(timed, step.does, *step.arguments)] = name
            finished, _ = wait(running, progress.patience, return_when=FIRST_COMPLETED)
            progress.show(list(running.values()))
            for future in finished:
                name = running.pop(future)
                done[name] = result_of(future, [name, *running.values()])
                order.done(name)
                progress.finished(name)
    return done


def result_of(future: Future[Result], names: Sequence[str]) -> Result:
    """What a step gave.

    Args:
        names: of the step, then of those that run beside it.

    Raises:
        SystemExit: with one sentence, where it failed.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        sys.exit(
            f"A process was killed ({', '.join(names)}), often for lack of memory. Close other "
            "programs and run the same command again: what is made stays."
        )
    except (ValueError, OSError, RuntimeError, ArithmeticError) as error:
        sys.exit(f"{names[0]} failed: {error}")


@contextmanager
def pool() -> Iterator[ProcessPoolExecutor]:
    """Processes with an interpreter of their own; whatever ends the run ends them too.

    A scheduler or service that stops the run sends SIGTERM, at which Python would leave them alive.
    """

    def stopped(*_: object) -> None:
        sys.exit("Stopped. What is made stays: the same command goes on from here.")

    os.environ.update(QUIET)  # their bars would cross
    before = signal.signal(signal.SIGTERM, stopped)
    workers = ProcessPoolExecutor(processes(), mp_context=get_context("spawn"))
    try:
        # All start at once: Python 3.11 may not notice the death of one that comes later.
        list(workers.map(abs, range(processes())))
        yield workers
    except BaseException:
        for child in active_children():
            child.terminate()
        raise
    finally:
        workers.shutdown(cancel_futures=True)
        signal.signal(signal.SIGTERM, before)


class Progress:
    """What a run is doing: a line for each step, and a bar of expected seconds on a terminal.

    In a log, where a bar would be noise, a line tells every five minutes that it goes on.

    Args:
        expected: seconds by step; without any there is no bar.
    """

    def __init__(self, expected: dict[str, float]) -> None:
        self.expected = expected
        self.begun: dict[str, float] = {}
        self.over = 0.0  # expected seconds of the steps that have ended
        self.start = time.perf_counter()
        terminal = bool(expected) and sys.stdout.isatty()
        self.patience = 1.0 if terminal else 300.0  # seconds
        self.bar = tqdm(
            total=sum(expected.values()),
            bar_format="{percentage:3.0f} %|{bar}| {desc}",
            disable=not terminal,
            leave=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def started(self, name: str) -> None:
        """Say what begins, and about how long it will take."""
        self.begun[name] = time.perf_counter()
        about = f", about {self.expected[name]:.0f} s" if name in self.expected else ""
        self._line(name + about)

    def show(self, running: Sequence[str]) -> None:
        """Move the bar, or add a line if nothing has begun or ended for long."""
        now = time.perf_counter()
        spent = [(self.expected.get(name, 0.0), now - self.begun[name]) for name in running]
        self.bar.n = min(self.over + sum(map(min, spent)), self.bar.total or 0.0)
        self.bar.set_description_str(_answered(running) or ", ".join(running))
        if self.bar.disable and spent and min(seconds for _, seconds in spent) > self.patience:
            self._line(f"still at work: {', '.join(running)}. {_answered(running)}".strip())

    def finished(self, name: str) -> None:
        """Count a step that has ended."""
        self.over += self.expected.get(name, 0.0)

    def _line(self, text: str) -> None:
        tqdm.write(f"[{time.perf_counter() - self.start:4.0f} s] {text}")
        sys.stdout.flush()


def _answered(running: Sequence[str]) -> str:
    """How many replies the store holds, while the language model is asked."""
    if not any(name.startswith(ASK) for name in running):
        return ""
    with ReplyStore(replies_path()) as store:
        return f"{len(store):,} replies in the store"
