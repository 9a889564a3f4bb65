"""`tema run`: all notebooks in order, with papermill; or, with --replay, none of them."""

from __future__ import annotations

import argparse
import html
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tema_lib.commands import replay
from tema_lib.commands.common import check, data_set
from tema_lib.commands.output import say, shown
from tema_lib.experiment import Experiment
from tema_lib.models.systems import SYSTEMS
from tema_lib.records import print_table
from tema_lib.replay import LIVE_ITEMS, LIVE_USERS
from tema_lib.workspace import ROOT, home, in_checkout, write_atomically

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")) if in_checkout() else []


def main(chosen: argparse.Namespace) -> None:
    """Run the notebooks on the chosen data, and print where everything is and the table."""
    if chosen.replay:
        return replay.main(chosen)
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    data = data_set(chosen.data)
    if not NOTEBOOKS:
        sys.exit(
            "There are no notebooks here, they are in the checkout: run this command there, or "
            "`tema run --replay`, which needs none."
        )
    if not find_spec("papermill"):
        sys.exit("The notebooks need more packages: pip install 'tema-lib[notebooks]'.")
    systems = chosen.systems.split()
    experiment, remarks = check(
        data, systems, chosen.fast, chosen.seed, domains=chosen.domains, tags=chosen.tags
    )
    parameters = {
        "fast": chosen.fast,
        "data": data,
        "seed": chosen.seed,
        "domains": chosen.domains,
        # Kernels run in another folder.
        "tags": str(experiment.export.resolve()) if experiment.export else "live",
    }
    if systems:
        parameters["systems"] = " ".join(systems)

    name = experiment.name
    executed, pages = home() / "run" / name, home() / "html" / name
    results = home() / "results" / (name + "-fast" * chosen.fast)
    for folder in (executed, pages, results):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        TEMA_ARTIFACTS=str(home() / "artifacts" / name),
        TEMA_RESULTS=str(results),
        PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    )

    start = time.time()
    length, tags = "fast" if chosen.fast else "full", replay.tags_named(experiment)
    print(f"Data: {name}; {length}; seed {chosen.seed}; tags: {tags}.", flush=True)
    say("Look at", remarks)
    print("Model weights", flush=True)
    if subprocess.call([sys.executable, "-m", "tema_lib.encoders.weights"], cwd=ROOT) != 0:
        sys.exit("The model weights could not be fetched; the message above says why.")
    seconds = {"weights": time.time() - start}
    for path in NOTEBOOKS:
        began = time.time()
        execute(path, executed / path.name, parameters)
        web_page(executed / path.name, pages / f"{path.stem}.html")
        seconds[path.stem] = time.time() - began
        print(f"{path.stem:42} {seconds[path.stem]:6.0f} s", flush=True)
    write_index(pages, name, seconds)

    print("\nSeconds")
    for part, value in seconds.items():
        print(f"  {part:40} {value:6.0f}")
    print(f"  {'total':40} {time.time() - start:6.0f}\n", flush=True)
    trained = {
        path.stem.rpartition("-")[0]
        for path in results.glob(f"*-{chosen.seed}.json")
        if path.stat().st_mtime >= start
    }
    say("Skipped", passed_over(experiment, trained) or ["nothing"])
    anew = [line for path in NOTEBOOKS for line in trained_anew(executed / path.name)]
    say("Look at", [*remarks, *dict.fromkeys(anew)])
    print()
    print_table(results)
    print(
        f"\nExecuted notebooks  {shown(executed)}/"
        f"\nHTML                {shown(pages / 'index.html')}"
        f"\nRun records         {shown(results)}/"
    )
    return None


def execute(path: Path, executed: Path, parameters: dict[str, Any]) -> None:
    """Run one notebook; on an error say which cell failed, and stop."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    # papermill only warns about unknown names
    declared = papermill.inspect_notebook(str(path))
    if missing := {"fast", "data", "seed"} - set(declared):
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
            progress_bar=sys.stderr.isatty(),
            log_output=False,
            start_timeout=120,
            # no warning about unencrypted loopback sockets
            extra_arguments=["--IPKernelApp.log_level=40"],
        )
    except papermill.PapermillExecutionError as error:
        sys.exit(
            f"\n{path.name} stopped in cell {error.exec_count}: {said(error)}\n"
            f"The notebook with the full traceback: {shown(executed)}\n"
            f"Once that is fixed, the same command goes on with what is already made."
        )
    except DeadKernelError:
        sys.exit(
            f"\n{path.name}: the notebook's Python was killed, often for lack of memory. Close "
            "other programs or take fewer items."
        )
    except OSError as error:
        sys.exit(
            f"\n{executed} cannot be written ({error.strerror or error}): make room, and run the "
            "same command again."
        )


def web_page(executed: Path, page: Path) -> None:
    """Write the executed notebook as one HTML file with its pictures inside.

    Only MathJax, for the equations, comes from the network.
    """
    from nbconvert import HTMLExporter

    text, _ = HTMLExporter().from_filename(str(executed))
    write_atomically(page, text)


def write_index(pages: Path, name: str, seconds: dict[str, float]) -> None:
    """The page that links the pages of all notebooks."""
    pictures = ROOT / "notebooks" / "pipeline.svg"  # notebook 00 shows it
    if pictures.exists():
        shutil.copy(pictures, pages)
    links = "".join(
        f'<li><a href="{path.stem}.html">{html.escape(path.stem)}</a>, '
        f"{seconds[path.stem]:.0f} s</li>\n"
        for path in NOTEBOOKS
    )
    title = f"TEMA-LLM on {html.escape(name)}"
    write_atomically(
        pages / "index.html",
        f"<!doctype html><meta charset='utf-8'><title>{title}</title>\n"
        f"<h1>{title}</h1>\n<ol start='0'>\n{links}</ol>\n",
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


def passed_over(run: Experiment, trained: Collection[str]) -> list[str]:
    """What this run did not do, one line each.

    Args:
        trained: names of the systems that left a record.
    """
    lines = []
    if run.fast:
        lines.append("full training (fast: few epochs)")
    if run.fast and run.synthetic and not run.export:
        lines.append(
            f"live replies for all but {LIVE_ITEMS} items a domain (fast: the others are shipped)"
        )
    if run.synthetic and "llm4cdsr" in trained and not run.export:
        lines.append(f"live profiles for all but {LIVE_USERS} users (the others are shipped)")
    if not any(run.items.description):
        lines.append("descriptions: these data have none")
    if not any(run.items.image):
        lines.append("pictures: these data have none, so items are fused without them")
    if run.truth is None:
        lines.append("comparisons with a known truth: these data have none")
    if missing := [name for name in SYSTEMS if name not in trained]:
        lines.append(f"systems {', '.join(missing)}")
    return lines


def trained_anew(executed: Path) -> list[str]:
    """The lines in which a notebook says why an earlier training could not be used."""
    import nbformat

    texts = [
        output.text
        for cell in nbformat.read(executed, 4).cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream"
    ]
    return [
        line
        for text in texts
        for line in text.splitlines()
        if ": trained anew, " in line or "its training starts anew" in line
    ]
