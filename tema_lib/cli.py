"""The command `tema`, also `python -m tema_lib`: what it can be told, and which module does it.

Nothing heavy is imported here: a question for help, or a wrong option, is answered at once, and the
number of processor threads is set before torch is there.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tema_lib import __version__
from tema_lib.llm.address import is_url

DATA_HELP = "'synthetic', or a folder with interactions.tsv and items.tsv (default: synthetic)"
TAGS_HELP = (
    "whose tags TEMA-LLM is trained on: small (the model that runs here), export:MODEL (a file in "
    "data/tags/ for these tables), or the path of such a file (default: the export of a large "
    "model if there is one, else small)"
)
REPLIES_HELP = (
    "the small model's words: live (it is asked about every item), shipped (synthetic data: about "
    "a few, the others are shipped), or export (its tags are read)"
)
SYSTEMS_HELP = "by name, separated by spaces; all for all (default: those of the lesson)"
EPOCHS_HELP = "train so many epochs at most (default: 10 on the synthetic data, 20 elsewhere)"
SOURCES_HELP = "folder of the assignments (default: notebooks/assignments)"
DOMAINS_HELP = "what A and B are called, such as movies,books (default: the data set says)"


def parser() -> argparse.ArgumentParser:
    """All commands with all their options."""
    whole = argparse.ArgumentParser(
        prog="tema",
        description="TEMA-LLM, reproduced: cross-domain recommendation with LLM tags.",
        epilog="tema COMMAND --help says more about one of them.",
    )
    whole.add_argument("--version", action="version", version=f"tema-lib {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, add_options) in COMMANDS.items():
        own = commands.add_parser(
            name,
            help=summary,
            description=add_options.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(own)
    return whole


def _add_experiment(own: argparse.ArgumentParser) -> None:
    """The options that make an experiment."""
    own.add_argument("--data", default="synthetic", help=DATA_HELP)
    own.add_argument("--seed", type=int, default=0)
    own.add_argument("--tags", default="", help=TAGS_HELP)
    own.add_argument("--replies", help=REPLIES_HELP)
    own.add_argument("--domains", default="", help=DOMAINS_HELP)
    own.add_argument("--epochs", type=int, help=EPOCHS_HELP)


def _run(own: argparse.ArgumentParser) -> None:
    """Run all notebooks in order on one data set; keep the executed copies and an HTML page of
    each, and print the metric table. --replay goes from data to the table without notebooks.

    Everything made is in the workspace (build/ in the checkout): run/<data>/ (executed
    notebooks), html/<data>/ (open index.html), artifacts/<data>/ (what one notebook leaves for the
    next; a second run reuses it), results/<data>/ (run records; <data>-replay/ with --replay), and
    for all data sets together replies.sqlite (what a language model answered). <data> is the
    folder's name with the beginning of its tables' hash.

    Two steps run side by side, each in a process with one thread. Stop a run whenever you like: the
    same command goes on with what is already made.
    """
    _add_experiment(own)
    own.add_argument("--systems", default="", help=f"systems to train, {SYSTEMS_HELP}")
    own.add_argument(
        "--replay",
        action="store_true",
        help="no notebooks and no language model: exported tags and shipped replies, a few systems "
        "(or --systems)",
    )


def _data(own: argparse.ArgumentParser) -> None:
    """Fetch a documented pair of Amazon categories and prepare it: download, join, k-core, titles,
    pictures.

    The downloads are in build/downloads/<year>/, the finished folder in build/data/<pair>-<year>/.
    An interrupted run goes on where it stopped. The files are for research use: read the terms of
    the release, cite it, and pass neither the files nor their titles on. TEMA_AMAZON_ADDRESS names
    another server (a mirror) that has the same files below it.
    """
    own.add_argument("--pair", required=True, help="food-kitchen or movies-books")
    own.add_argument("--year", type=int, default=2014, help="release: 2014, 2018 or 2023")
    own.add_argument(
        "--events",
        default="",
        help="ratings (small; 2014 and 2018), reviews, or reviews_5 (default: the smallest)",
    )
    own.add_argument(
        "--core",
        type=int,
        default=5,
        help="fewest events of an item, and of a user in each domain (default: 5)",
    )
    own.add_argument("--no-pictures", action="store_true", help="leave the pictures out")
    own.add_argument("--out", type=Path, help="where the prepared folder goes")
    own.add_argument("--downloads", type=Path, help="where the official files are kept")


def _tags(own: argparse.ArgumentParser) -> None:
    """Tag every item of a data folder with a language model, and write the compact export that may
    be passed on.

    Every reply is kept in build/replies.sqlite (or $TEMA_REPLIES) as soon as it is there, beside
    those of `tema run`: stop whenever you like and start again, nothing is asked twice, and equal
    titles of two data sets are asked once. A URL is any OpenAI-compatible server; "#name" behind it
    chooses its model, and a key, where it wants one, is read from the environment (TEMA_API_KEY).
    Items that a server refuses are left without tags and listed at the end; --again asks about them
    once more.
    """
    own.add_argument("--data", required=True, help=DATA_HELP)
    own.add_argument(
        "--llm",
        default="smollm2-135m-instruct",
        help="a known name, a folder, a hub id, or the URL of a server",
    )
    own.add_argument(
        "--large",
        action="store_true",
        help="the server has a large model: it writes the list, then tags batches of 60 items, "
        "answering in JSON",
    )
    own.add_argument("--out", type=Path, help="where the export goes (default: data/tags)")
    own.add_argument("--domains", default="", help=DOMAINS_HELP)
    own.add_argument(
        "--dtype",
        default="float32",
        choices=("float32", "bfloat16"),
        help="bfloat16: faster where the processor has matrix units for it, with other words here "
        "and there",
    )
    own.add_argument(
        "--request",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        type=_field,
        help="a field of the request to a server, as JSON or as text; FIELD= takes one away (as "
        "often as needed), such as --request max_tokens= --request max_completion_tokens=64 "
        '--request \'thinking={"type": "disabled"}\'',
    )
    own.add_argument(
        "--again", action="store_true", help="ask once more about items that the server refused"
    )
    own.add_argument(
        "--store",
        type=Path,
        help="where the replies are kept (default: build/replies.sqlite, or $TEMA_REPLIES)",
    )
    own.add_argument(
        "--replies",
        type=Path,
        help="also write all replies of --store as JSON lines, to ship with a course; they hold "
        "the titles",
    )


def _train(own: argparse.ArgumentParser) -> None:
    """Train one system and print its table: the main metrics of each domain, with intervals."""
    own.add_argument("system", help="its name; `tema systems` lists them")
    _add_experiment(own)


def _compare(own: argparse.ArgumentParser) -> None:
    """Is one system better than the others? Paired differences over the same users, several seeds
    together, with 95 % intervals.

        tema compare --systems all
        tema compare --data FOLDER --systems "sasrec co-occurrence" --seeds 0 1

    Trained systems are taken from build/artifacts/<data>/, where `tema run --seed N` leaves them;
    what is missing is trained first.
    """
    own.add_argument("--data", default="synthetic", help=DATA_HELP)
    own.add_argument("--of", default="tema", help="the system that is compared with the others")
    own.add_argument("--systems", default="", help=f"the others, {SYSTEMS_HELP}")
    own.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    own.add_argument("--metric", default="NDCG@10")
    own.add_argument("--epochs", type=int, help=EPOCHS_HELP)


def _evaluate(own: argparse.ArgumentParser) -> None:
    """Train systems with several seeds and rank all test cases: one record of each, as it ends.

        tema evaluate --systems "sasrec tema" --seeds 0 1 2 --out results/synthetic

    Records that are there already are not made again: stop whenever you like, the same command goes
    on. The small model is not asked, its exported tags are read (--replies). With --tuned each
    system has the settings of its best trial (`tema tune`), else all have the same.
    """
    own.add_argument("--data", default="synthetic", help=DATA_HELP)
    own.add_argument("--systems", default="", help=f"systems to evaluate, {SYSTEMS_HELP}")
    own.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    own.add_argument("--tuned", action="store_true", help="with the best trial of each system")
    own.add_argument(
        "--protocol",
        default="ours",
        help="of the sampled ranking: ours, c2dsr, abxi or llmcdsr",
    )
    own.add_argument("--tags", default="", help=TAGS_HELP)
    own.add_argument("--replies", help=REPLIES_HELP)
    own.add_argument("--domains", default="", help=DOMAINS_HELP)
    own.add_argument("--out", type=Path, help="folder of the records (default: in the workspace)")


def _tune(own: argparse.ArgumentParser) -> None:
    """Search for the settings of systems, on validation targets alone: the same trials for each.

        tema tune --systems "sasrec tema" --trials 12

    Every trial is kept as soon as it ends, in results/tuning/<data>/<system>.json (build/results/
    outside of a checkout): stop whenever you like, the same command goes on. Test targets are never
    ranked. A control is given the best settings of what it controls (--numbers).
    """
    own.add_argument("--data", default="synthetic", help=DATA_HELP)
    own.add_argument("--systems", default="", help=f"systems to tune, {SYSTEMS_HELP}")
    own.add_argument("--trials", type=int, default=12, help="of each system (default: 12)")
    own.add_argument(
        "--numbers", type=int, nargs="+", help="which trials to run, in place of the first --trials"
    )
    own.add_argument("--seed", type=int, default=0)
    own.add_argument("--tags", default="", help=TAGS_HELP)
    own.add_argument("--replies", help=REPLIES_HELP)
    own.add_argument("--domains", default="", help=DOMAINS_HELP)
    own.add_argument("--out", type=Path, help="folder of the records")


def _experiments(own: argparse.ArgumentParser) -> None:
    """Ablations: train and rank every variant of a plan with its seeds; a record of each, kept as
    it ends.

        tema experiments results/ablations/synthetic.toml

    A plan names changes to one system; all else is the same for all (`tema_lib.ablation` says how
    to write one). The CPU hours are printed first. Records that are there are not made again: stop
    whenever you like, the same command goes on. It ends with a table: each difference with its
    interval, tested on the same test cases.
    """
    own.add_argument("plan", type=Path, metavar="PLAN", help="a TOML file")
    own.add_argument("--data", help="the folder of the plan's data, where they are not synthetic")
    own.add_argument("--seeds", type=int, nargs="+", help="some of the plan's seeds only")
    own.add_argument("--variants", nargs="+", metavar="VARIANT", help="some of its variants only")
    own.add_argument("--out", type=Path, help="folder of the records (default: named as the plan)")


def _explain(own: argparse.ArgumentParser) -> None:
    """Explain one user's first recommendation: a summary here, the whole story as one HTML file
    that needs no network.

        tema explain --user u0001 --html out.html
        tema explain --user u0001 --html out.html --data FOLDER --seed 1

    The model is the one that `tema run` trained with the same data and seed; it is trained now if
    there is none.
    """
    own.add_argument("--user", required=True, help="the user's id in interactions.tsv")
    own.add_argument("--html", required=True, type=Path, help="the file to write")
    _add_experiment(own)


def _export(own: argparse.ArgumentParser) -> None:
    """Write a trained system as one folder that recommends without training data and without a
    language model; it is trained now if it is not yet.

        tema export tema --out food-kitchen
        python -c "import tema_lib; print(tema_lib.load('food-kitchen').recommend(['A001'], 'B'))"

    Nothing in the folder is code, and export.json holds the SHA-256 of each file.
    """
    own.add_argument("system", help="its name: a TEMA-LLM or a SASRec, such as tema")
    _add_experiment(own)
    own.add_argument(
        "--out", type=Path, help="the folder (default: build/export/<data>-<system>-<seed>)"
    )
    own.add_argument("--torch", action="store_true", help="also model.pt2, for torch.export.load")
    own.add_argument("--onnx", action="store_true", help="also model.onnx, for any ONNX runtime")


def _serve(own: argparse.ArgumentParser) -> None:
    """Answer questions over HTTP from a folder that `tema export` wrote; / is a page to try it.

        tema serve build/export/synthetic-tema-0

    It listens on this machine only, unless --host says otherwise: there is no password, so put it
    behind a server that has one. Histories are neither kept nor logged.
    """
    own.add_argument("folder", type=Path, metavar="FOLDER", help="what `tema export` wrote")
    own.add_argument("--host", default="127.0.0.1")
    own.add_argument("--port", type=int, default=8000)


def _readme(own: argparse.ArgumentParser) -> None:
    """Render the README's tables from the records in results/: metrics from the run records, speed
    from bench_speed.json.

    A number is the mean over seeds; where there are several seeds, NDCG@10 shows its smallest and
    largest value too.
    """
    own.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 1 if the README says anything else than the records",
    )


def _systems(own: argparse.ArgumentParser) -> None:
    """A line for each system: name, file, parameters, status and source.

    Parameters are counted at the size of the synthetic data set (600 items, 1,200 users, width 64)
    with random features in place of encoded ones, so that no weights are needed.
    """


def _assignments(own: argparse.ArgumentParser) -> None:
    """Make the students' copies of the graded assignments, with nbgrader: solutions become stubs,
    hidden tests go.

    build/assignments/ becomes a course folder for nbgrader: release/ and exchange/ are for
    students, source/ and gradebook.db hold the solutions and hidden tests and are not.
    """
    own.add_argument("--sources", type=Path, help=SOURCES_HELP)
    own.add_argument("--out", type=Path, help="the course folder (default: build/assignments)")


def _grade(own: argparse.ArgumentParser) -> None:
    """Mark a class: FOLDER/<student>/<assignment>.ipynb, or .../<assignment>/<assignment>.ipynb.

    Every notebook runs in a sandbox of its own, without network, other files or other processes,
    and with limits on time, memory and processes; the tests run outside of it. Before the first
    one each protection is tried. build/grades/ gets marks.csv, marks_by_cell.csv and a page of
    feedback for each submission; the grade book of `tema assignments` gets the marks too.
    """
    own.add_argument("submissions", type=Path, metavar="FOLDER", help="what was handed in")
    own.add_argument("--sources", type=Path, help=SOURCES_HELP)
    own.add_argument("--out", type=Path, help="where marks and feedback go (default: build/grades)")
    own.add_argument(
        "--unsafe",
        action="store_true",
        help="grade where the sandbox does not hold; what is not enforced is said",
    )


def _book(own: argparse.ArgumentParser) -> None:
    """Build the book: the notebooks as they are committed, the docs and the docstrings as one site
    with a search, in build/book/. It needs no network to be made or to be read.

    A link or a reference that leads nowhere makes it fail.
    """
    own.add_argument("--out", type=Path, help="folder of the site (default: in the workspace)")


def _slides(own: argparse.ArgumentParser) -> None:
    """Make slides of the lectures 01 to 06 from their notebooks, in build/slides/: a page each,
    which any browser shows without a network.

    Headings, first paragraphs, equations, figures, tables and short code are taken from the
    notebook. Where a cell has a slide type (in JupyterLab: Property Inspector), that decides.
    """
    own.add_argument("--out", type=Path, help="folder of the slides (default: in the workspace)")


COMMANDS = {
    "run": ("all notebooks in order; or, with --replay, from data to the table", _run),
    "data": ("fetch two official Amazon categories and prepare them", _data),
    "tags": ("tag every item of a data set, and write the compact export", _tags),
    "train": ("train one system and print its table", _train),
    "tune": ("search for settings on validation targets, the same trials for each system", _tune),
    "evaluate": ("train and rank systems with several seeds; a record each", _evaluate),
    "experiments": ("ablations: the variants of a plan, with several seeds", _experiments),
    "compare": ("paired differences between systems, with intervals", _compare),
    "explain": ("explain a recommendation, as one HTML file", _explain),
    "export": ("a trained system as a folder that recommends by itself", _export),
    "serve": ("an exported system over HTTP, with a page to try it", _serve),
    "readme": ("rewrite the README's tables from results/", _readme),
    "assignments": ("students' copies of the graded assignments, for nbgrader", _assignments),
    "grade": ("mark a folder of submissions, each in a sandbox", _grade),
    "book": ("notebooks, docs and docstrings as one site, without a network", _book),
    "slides": ("lectures as slides, without a network", _slides),
    "systems": ("list all systems: file, size, status and source", _systems),
}


def _field(text: str) -> tuple[str, Any]:
    """(name, value) of FIELD=VALUE; JSON where it can be read so, None where empty, else text."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE, such as max_tokens=64")
    if name in ("model", "messages", "stream", "n"):
        raise argparse.ArgumentTypeError(
            f"{name} is not free: a model is named behind the URL (#name), the rest is our question"
        )
    try:
        return name, json.loads(value, parse_constant=str) if value.strip() else None
    except json.JSONDecodeError:
        return name, value


def set_threads() -> None:
    """Before torch: one thread repeats its numbers to the last digit; several wait passively."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    options = parser()
    chosen = options.parse_args(arguments)
    if chosen.command == "tags":
        if chosen.replies and not chosen.store:
            options.error(
                "--replies needs a --store of its own: the default one may hold titles of other "
                "data, which must not be passed on"
            )
        if (chosen.request or chosen.again) and not is_url(chosen.llm):
            options.error("--request and --again are for a server: give its URL with --llm")
    set_threads()
    return execute(chosen)


def execute(chosen: argparse.Namespace) -> int:
    """Import the command's module, and torch with it, and let it work."""
    status = import_module(f"tema_lib.commands.{chosen.command}").main(chosen)
    return int(status or 0)
