"""`tema readme`: render the tables of README and docs/ from the records in results/.

README.md holds a few systems of each data set, docs/results.md all of them, docs/recipe.md the
search for settings, docs/ablations.md what each part contributes, docs/choices.md the ledger of
unstated choices, docs/performance.md the comparison of speed, docs/serving.md how long a question
takes, docs/teaching/ how long the steps of a run take. Each table is between two marker comments.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tema_lib.commands.tables.ablations import ablations
from tema_lib.commands.tables.choices import choices
from tema_lib.commands.tables.comparison import Named, best_settings, table, tests
from tema_lib.commands.tables.durations import durations
from tema_lib.commands.tables.published import published
from tema_lib.commands.tables.search import changes, trials
from tema_lib.commands.tables.serving import serving
from tema_lib.commands.tables.speed import speed
from tema_lib.workspace import ROOT, in_checkout, write_atomically

RESULTS = ROOT / "results"
MAIN_PLAN = RESULTS / "ablations" / "synthetic.toml"
HEADLINE = (
    "popularity",
    "co-occurrence",
    "sasrec-per-domain",
    "sasrec",
    "llm4cdsr",
    "tema-merged",
    "tema-no-tags",
    "tema-shuffled-tags",
    "tema-small-tags",
    "tema-title-words",
    "tema",
)


def main(chosen: argparse.Namespace) -> None:
    """Rewrite what is between the markers; with --check, only compare."""
    if not in_checkout():
        sys.exit("README.md and results/ are in the checkout: run `tema readme` there.")
    records = evaluation_records()
    tables = {
        "README.md": marked("results", headline(records), "results/"),
        "docs/results.md": marked("all-results", all_results(records), named(records)),
        "docs/recipe.md": marked("trials", search(), "results/tuning/"),
        "docs/ablations.md": marked("ablations", all_ablations(), "results/ablations/"),
        "docs/choices.md": marked("choices", choices(MAIN_PLAN), "results/ablations/"),
        "docs/performance.md": marked(
            "speed", speed(RESULTS / "bench_speed.json"), "results/bench_speed.json"
        ),
        "docs/serving.md": marked(
            "serving", serving(RESULTS / "bench_serving.json"), "results/bench_serving.json"
        ),
        "docs/teaching/README.md": marked(
            "steps", durations(RESULTS / "bench_run.json"), "results/bench_run.json"
        ),
    }
    for file, block in tables.items():
        path = ROOT / file
        text = path.read_text(encoding="utf-8")
        name = block.split(":")[0].removeprefix("<!-- ")
        pattern = re.compile(rf"<!-- {name}:start.*?-->\n.*?<!-- {name}:end -->", re.DOTALL)
        found = list(pattern.finditer(text))
        if len(found) != 1:
            sys.exit(
                f"{file}: the comments `{name}:start` and `{name}:end` must each be there once, "
                "in this order."
            )
        rendered = text[: found[0].start()] + block + text[found[0].end() :]
        if rendered != text and chosen.check:
            sys.exit(f"{file}: a table differs from the records in results/; run `tema readme`.")
        if rendered != text:
            write_atomically(path, rendered)
    files = ", ".join(tables)
    if not chosen.check:
        print(f"{files}: rendered from {len(records)} run records and three benchmarks")
    elif records:
        print(f"{files} agree with {len(records)} records")
    else:
        print("no evaluation record in results/ yet: nothing to compare")


def search() -> str:
    """The tables of all trials and of one change at a time."""
    return joined(trials(RESULTS / "tuning"), changes(RESULTS / "bench_changes.json"))


def all_ablations() -> str:
    """The tables of all plans."""
    plans = sorted(MAIN_PLAN.parent.glob("*.toml"))
    return joined(*(ablations(plan, plan.with_suffix("")) for plan in plans))


def headline(records: list[Named]) -> str:
    """The tables of some systems, then those by published protocols."""
    return joined(table(best_settings(records), HEADLINE), published(records, HEADLINE))


def all_results(records: list[Named]) -> str:
    """The tables of all systems, then the tests of those with their best trials."""
    return joined(table(records), published(records), tests(records))


def joined(*tables: str) -> str:
    """Those tables that there are."""
    return "\n\n".join(filter(None, tables))


def evaluation_records(folder: Path = RESULTS) -> list[Named]:
    """The run records below a folder, sorted by path; records of other kinds are left out."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder.parent).as_posix()
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SystemExit(
                f"{name}: not readable as JSON ({error}); restore it or run the evaluation again"
            ) from None
        if isinstance(record, dict) and record.get("kind") == "evaluation":
            found.append((name, record))
    return found


def marked(name: str, content: str, source: str) -> str:
    """A table between its markers; the first marker names what it was rendered from."""
    return (
        f"<!-- {name}:start, rendered by `tema readme` from {source or 'nothing yet'} -->\n\n"
        f"{content}\n\n<!-- {name}:end -->"
    )


def named(records: Iterable[Named]) -> str:
    """Every record by name, a line a folder."""
    folders = defaultdict(list)
    for path, _ in records:
        folder, _, file = path.rpartition("/")
        folders[folder].append(file)
    return "".join(f"\n{folder}: {' '.join(files)}" for folder, files in sorted(folders.items()))
