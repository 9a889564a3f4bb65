"""Run all notebooks in order on one data set, keep the executed copies and an HTML page of each, print the metric table.

Everything made lies under build/: run/<data>/ (executed notebooks), html/<data>/ (open index.html), artifacts/<data>/
(what one notebook leaves for the next; a second run reuses it), results/<data>/ (run records; results/<data>-fast/ with --fast),
and for all data sets together replies.sqlite (what a language model answered). <data> is the folder's name with the beginning of its
tables' hash, so that two folders of one name never share a file.
"""

import argparse
import html
import os
import pathlib
import shutil
import subprocess
import sys
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Before torch: one thread repeats its numbers to the last digit; several, waiting, shall not spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        default="synthetic",
        help="'synthetic', or a folder with interactions.tsv and items.tsv",
    )
    parser.add_argument(
        "--systems",
        default="",
        help="names of the systems to train, separated by spaces; empty: all",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--tags",
        default="live",
        help="live (the language model is asked), export, export:MODEL (a file in data/tags/ for these tables), or such a file",
    )
    parser.add_argument(
        "--domains",
        default="",
        help='what domains A and B are called, "movies,books"; else dataset.json says',
    )
    parser.add_argument(
        "--fast", action="store_true", help="short training, few live replies of the language model"
    )
    return parser.parse_args()


def data_set(value):
    """(parameter for the notebooks, name of the output folders); a folder becomes absolute, since kernels run elsewhere.

    Says what is wrong with the folder at once, not after the weights and inside a notebook.
    """
    if value == "synthetic":
        return value, value
    folder = pathlib.Path(value).expanduser().resolve()
    if not folder.is_dir():
        sys.exit(
            f"DATA={value}: there is no such folder. Give one that holds interactions.tsv and items.tsv, or leave DATA out."
        )
    from tema_lib.data.dataset import DataError
    from tema_lib.experiment import Experiment

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `check` tells them
            return str(folder), Experiment(str(folder)).name
    except DataError as error:
        sys.exit(str(error))


def check(data, systems, fast=True, seed=0, **choices):
    """(the run, what should be known of its data before a number is believed); what is wrong with data, tags or names is said at once."""
    from tema_lib.data.summary import data_quality_warnings
    from tema_lib.experiment import Experiment
    from tema_lib.models.systems import system_named

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            for name in systems:
                system_named(name)
            run = Experiment(data, fast, seed, **choices)
            run.check()
        except (ValueError, OSError) as error:
            sys.exit(sentence(error))
    return run, [
        *dict.fromkeys(str(warning.message) for warning in warned),
        *data_quality_warnings(run.raw),
    ]


def sentence(error):
    """An error for the reader; what the system says about a file gets the name of the file."""
    if isinstance(error, OSError) and error.errno and error.strerror:
        return f"{error.filename or 'A file'} cannot be read or written: {error.strerror.lower()}."
    return str(error)


def web_page(executed, page):
    """Write the executed notebook as one HTML file with its pictures inside; only MathJax, for the equations, comes from the network."""
    from nbconvert import HTMLExporter

    text, _ = HTMLExporter().from_filename(str(executed))
    unfinished = page.with_suffix(".part")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, page)


def execute(path, executed, parameters):
    """Run one notebook; on an error say which cell failed and where the whole story stands, and stop."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    declared = papermill.inspect_notebook(
        str(path)
    )  # papermill would only mumble about unknown names
    missing = {"fast", "data", "seed"} - set(declared)
    if missing:
        sys.exit(
            f"{path.name}: the cell tagged `parameters` does not set {', '.join(sorted(missing))}."
        )
    try:
        papermill.execute_notebook(
            path,
            executed,
            {k: v for k, v in parameters.items() if k in declared},
            kernel_name="python3",
            cwd=str(path.parent),
            progress_bar=sys.stderr.isatty(),
            log_output=False,
            start_timeout=120,
            extra_arguments=["--IPKernelApp.log_level=40"],
        )  # no warning about unencrypted loopback sockets
    except papermill.PapermillExecutionError as error:
        sys.exit(
            f"\n{path.name} stopped in cell {error.exec_count}: {said(error)}\n"
            f"The notebook with the full traceback: {executed.relative_to(ROOT)}\n"
            f"After the repair, the same command goes on with what is already made."
        )
    except DeadKernelError:
        sys.exit(
            f"\n{path.name}: the notebook's Python was ended, often for lack of memory. Close other programs or take fewer items."
        )
    except OSError as error:
        sys.exit(
            f"\n{executed} cannot be written ({error.strerror or error}): make room, and run the same command again."
        )


def said(error):
    """What a notebook's error says, for a reader who did not write it."""
    first = (error.evalue.strip().splitlines() or [""])[0]
    if first and error.ename in (
        "DataError",
        "ValueError",
        "FileNotFoundError",
        "ConnectionError",
        "OSError",
    ):
        return first
    if error.ename == "AssertionError":
        return "a check of the notebook failed" + (f": {first}" if first else "")
    return f"an error that nobody foresaw, {error.ename}" + (f": {first}" if first else "")


def passed_over(run, trained):
    """What this run did not do, one line each; `trained`: names of the systems that left a record."""
    from tema_lib.experiment import LIVE_ITEMS, LIVE_USERS
    from tema_lib.models.systems import SYSTEMS

    lines = []
    if run.fast:
        lines.append("full training (fast: few epochs)")
    if run.fast and run.synthetic:
        lines.append(
            f"live replies for all but {LIVE_ITEMS} items a domain (fast: the others are shipped)"
        )
    if run.synthetic and "llm4cdsr" in trained:
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


def trained_anew(executed):
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


def say(title, lines):
    """A title and its lines, or nothing where there is no line."""
    for line in [title, *(f"  {line}" for line in lines)] if lines else []:
        print(line, flush=True)


def main():
    chosen = arguments()
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    data, name = data_set(chosen.data)
    if not NOTEBOOKS:
        sys.exit("There are no notebooks in notebooks/: is the checkout complete?")
    systems = chosen.systems.split()
    experiment, remarks = check(
        data, systems, chosen.fast, chosen.seed, domains=chosen.domains, tags=chosen.tags
    )
    parameters = {
        "fast": chosen.fast,
        "data": data,
        "seed": chosen.seed,
        "domains": chosen.domains,
        "tags": str(experiment.export.resolve()) if experiment.export else "live",
    }  # kernels run elsewhere
    if systems:
        parameters["systems"] = " ".join(systems)

    build = ROOT / "build"
    run, pages, results = (
        build / "run" / name,
        build / "html" / name,
        build / "results" / (name + "-fast" * chosen.fast),
    )
    for folder in (run, pages, results):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        TEMA_ARTIFACTS=str(build / "artifacts" / name),
        TEMA_RESULTS=str(results),
        PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    )

    start = time.time()
    print(
        f"Data: {name}; {'fast' if chosen.fast else 'full'}; seed {chosen.seed}; tags: {experiment.export.name if experiment.export else 'live'}.",
        flush=True,
    )
    say("Look at", remarks)
    print("Model weights", flush=True)
    if subprocess.call([sys.executable, "-m", "tema_lib.encoders.weights"], cwd=ROOT) != 0:
        sys.exit("The model weights could not be had; the message above says why.")
    seconds = {"weights": time.time() - start}
    for path in NOTEBOOKS:
        began = time.time()
        execute(path, run / path.name, parameters)
        web_page(run / path.name, pages / f"{path.stem}.html")
        seconds[path.stem] = time.time() - began
        print(f"{path.stem:42} {seconds[path.stem]:6.0f} s", flush=True)
    if (ROOT / "notebooks" / "pipeline.svg").exists():
        shutil.copy(ROOT / "notebooks" / "pipeline.svg", pages)  # notebook 00 shows it
    links = "".join(
        f'<li><a href="{p.stem}.html">{html.escape(p.stem)}</a>, {seconds[p.stem]:.0f} s</li>\n'
        for p in NOTEBOOKS
    )
    (pages / "index.html").write_text(
        f"<!doctype html><meta charset='utf-8'><title>TEMA-LLM on {html.escape(name)}</title>\n"
        f"<h1>TEMA-LLM on {html.escape(name)}</h1>\n<ol start='0'>\n{links}</ol>\n",
        encoding="utf-8",
    )

    print("\nSeconds")
    for part, value in seconds.items():
        print(f"  {part:40} {value:6.0f}")
    print(f"  {'total':40} {time.time() - start:6.0f}\n", flush=True)
    from tema_lib.records import print_table

    trained = {
        path.stem.rpartition("-")[0]
        for path in results.glob(f"*-{chosen.seed}.json")
        if path.stat().st_mtime >= start
    }
    say("Skipped", passed_over(experiment, trained) or ["nothing"])
    say(
        "Look at",
        [
            *remarks,
            *dict.fromkeys(line for path in NOTEBOOKS for line in trained_anew(run / path.name)),
        ],
    )
    print()
    print_table(results)
    print(
        f"\nExecuted notebooks  {run.relative_to(ROOT)}/\nHTML                {(pages / 'index.html').relative_to(ROOT)}"
        f"\nRun records         {results.relative_to(ROOT)}/"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
