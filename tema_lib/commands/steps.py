"""The steps of `tema run`, each a function that runs in a process of its own, with one thread.

A process keeps its experiment from step to step. What one step makes, the next finds in files:
replies in their store, features in the cache, trained systems in the artefacts, records in the
results. So a run that was stopped goes on, and a second run has little to do.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tema_lib.commands.output import shown
from tema_lib.workspace import ROOT, write_atomically

if TYPE_CHECKING:
    from tema_lib.experiment import Experiment


ASK = "language model"  # how the names of the steps begin that ask one


@dataclass(frozen=True)
class Setting:
    """What a run was asked for, and where it writes."""

    data: str
    seed: int
    domains: str
    tags: str
    replies: str
    systems: str
    epochs: int | None
    command: str  # for the records
    executed: Path
    pages: Path
    results: Path


@dataclass(frozen=True)
class Done:
    """What came of a step: its wall time, and what a reader should know of it."""

    seconds: float
    remarks: list[str]
    value: Any = None


def timed(step: Callable[..., Any], *arguments: Any) -> Done:
    """Run a step. Its lines and our own warnings become remarks; its bars, which would cross those
    of other processes, and the warnings of other libraries go.
    """
    start, said = time.perf_counter(), io.StringIO()
    with (
        warnings.catch_warnings(record=True) as warned,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        warnings.simplefilter("always")
        value = step(*arguments)
    lines = [line for line in said.getvalue().split("\n") if line.strip() and "\r" not in line]
    ours = [str(w.message) for w in warned if Path(w.filename).is_relative_to(ROOT / "tema_lib")]
    return Done(time.perf_counter() - start, [*lines, *ours], value)


@cache
def experiment_of(setting: Setting) -> Experiment:
    """The experiment of this process."""
    from tema_lib.experiment import Experiment
    from tema_lib.reproducibility import seed_everything

    seed_everything(setting.seed)
    return Experiment(
        setting.data,
        setting.seed,
        setting.domains,
        setting.tags,
        setting.replies,
        setting.epochs,
    )


def ask_about_items(setting: Setting, part: int, parts: int) -> None:
    """The language model's replies about one item in `parts`, into the store."""
    from tema_lib.llm.local import LocalModel
    from tema_lib.tags.draft import ask_ahead

    run = experiment_of(setting)
    with run.replies() as store:
        chosen = range(1 + part, run.items.count + 1, parts)
        ask_ahead(run.items, chosen, LocalModel(), store, run.tag_config)


def encode_items(setting: Setting) -> None:
    """Text and image features, into the cache."""
    run = experiment_of(setting)
    run.text, run.image  # noqa: B018  (made when they are first read)


def write_tags(setting: Setting) -> None:
    """The small model's refined list, and its tags of every item."""
    experiment_of(setting).small_tags  # noqa: B018  (made when they are first read)


def train_and_rank(setting: Setting, system: str) -> None:
    """One system, from its checkpoint where there is one, and its record."""
    from tema_lib.records import write_json

    record = experiment_of(setting).record(system, setting.command)
    write_json(setting.results / f"{system}-{setting.seed}.json", record)


def interpret(setting: Setting, systems: list[str]) -> list[str]:
    """What the results say, in sentences."""
    from tema_lib.evaluation.interpretation import interpretation

    run = experiment_of(setting)
    return interpretation({name: run.ranks(name) for name in systems})


def run_notebook(setting: Setting, path: Path) -> None:
    """Execute a notebook and write its HTML page; nothing, where nothing has changed since."""
    executed, page = setting.executed / path.name, setting.pages / f"{path.stem}.html"
    mark = _stamp(setting, path)
    if page.is_file() and _stamp_of(executed) == mark:
        return
    execute(path, executed, asdict(setting))
    content = json.loads(executed.read_text(encoding="utf-8"))
    content["metadata"]["stamp"] = mark
    write_atomically(executed, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    web_page(executed, page)


def execute(path: Path, executed: Path, parameters: dict[str, Any]) -> None:
    """Run one notebook; on an error say which cell failed, and stop."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    # papermill only warns about unknown names
    declared = papermill.inspect_notebook(str(path))
    if missing := {"data", "seed"} - set(declared):
        sys.exit(
            f"{path.name}: the cell tagged `parameters` does not set {', '.join(sorted(missing))}."
        )
    try:
        papermill.execute_notebook(
            path,
            executed,
            {name: value for name, value in parameters.items() if name in declared},
            kernel_name="python3",
            cwd=str(path.parent),
            progress_bar=False,
            log_output=False,
            start_timeout=120,
            # no warning about unencrypted loopback sockets, nothing about a taught interrupt
            extra_arguments=["--IPKernelApp.log_level=50"],
        )
    except papermill.PapermillExecutionError as error:
        sys.exit(
            f"{path.name} stopped in cell {error.exec_count}: {said(error)}\n"
            f"The notebook with the full traceback: {shown(executed)}\n"
            f"Once that is fixed, the same command goes on with what is already made."
        )
    except DeadKernelError:
        sys.exit(
            f"{path.name}: the notebook's Python was killed, often for lack of memory. Close "
            "other programs or take fewer items."
        )
    except OSError as error:
        sys.exit(
            f"{executed} cannot be written ({error.strerror or error}): make room, and run the "
            "same command again."
        )


def said(error: Any) -> str:
    """What a notebook's error says, for a reader who did not write it."""
    first = (error.evalue.strip().splitlines() or [""])[0]
    ours = ("DataError", "ValueError", "FileNotFoundError", "ConnectionError", "OSError")
    if first and error.ename in ours:
        return first
    if error.ename == "AssertionError":
        return "a check of the notebook failed" + (f": {first}" if first else "")
    return f"an unexpected error, {error.ename}" + (f": {first}" if first else "")


def web_page(executed: Path, page: Path) -> None:
    """Write the executed notebook as one HTML file with its pictures inside.

    Only MathJax, for the equations, comes from the network.
    """
    from nbconvert import HTMLExporter

    text, _ = HTMLExporter().from_filename(str(executed))
    write_atomically(page, text)


def _stamp(setting: Setting, path: Path) -> str:
    """A hash of everything that decides what a notebook shows."""
    run = experiment_of(setting)
    digest = hashlib.sha256(run.raw.sha256.encode())
    digest.update(json.dumps(asdict(setting), default=str, sort_keys=True).encode())
    files = [path, *sorted((ROOT / "results").rglob("*.json"))]
    files += sorted(file for file in (ROOT / "tema_lib").rglob("*") if file.suffix != ".pyc")
    for file in files:
        if file.is_file():
            digest.update(file.as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _stamp_of(executed: Path) -> str:
    """The stamp in an executed notebook; "" where there is none."""
    try:
        return str(json.loads(executed.read_text(encoding="utf-8"))["metadata"]["stamp"])
    except (OSError, ValueError, KeyError):
        return ""
