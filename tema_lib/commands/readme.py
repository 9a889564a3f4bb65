"""`tema readme`: render the tables of README and docs/ from the records in results/.

README.md holds a few systems of each data set, docs/results.md all of them, docs/recipe.md the
search for settings, docs/performance.md the comparison of speed. Each table is between two marker
comments.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from tema_lib.evaluation.significance import Comparison, compare
from tema_lib.models.systems import ALIASES
from tema_lib.records import values_of
from tema_lib.tuning import SPACE
from tema_lib.workspace import ROOT, in_checkout, write_atomically

Record = dict[str, Any]
Named = tuple[str, Record]  # a record with its path relative to the project

RESULTS = ROOT / "results"
SPEED = RESULTS / "bench_speed.json"
HEADLINE = (
    "popularity",
    "co-occurrence",
    "sasrec",
    "llm4cdsr",
    "tema-merged",
    "tema-no-tags",
    "tema-shuffled-tags",
    "tema-small-tags",
    "tema-title-words",
    "tema",
)
REFERENCE = "tema"
MINUS = "NDCG@10 minus tema's"
NEW = "target never seen"  # the slice of new items
ENOUGH = 100  # cases that a slice needs for a comparison
# Columns of the table of tests: metric, domains, slice.
TESTED = {
    "A NDCG@10": ("NDCG@10", "A", ""),
    "B NDCG@10": ("NDCG@10", "B", ""),
    "both NDCG@10": ("NDCG@10", "AB", ""),
    "cross-domain transition NDCG@10": ("NDCG@10", "AB", "cross-domain transition"),
    "targets seen in training NDCG@10": ("NDCG@10", "AB", "target seen"),
    "never seen HR@10": ("HR@10", "AB", NEW),
}
TASKS = {
    "full_ce": "learn: exact softmax over 25,000 items, targets",
    "bce": "learn: one drawn candidate, targets",
    "ranking": "rank among 25,000 items, exactly, users",
}
SHOWN = ("NDCG@10", "HR@10", "MRR")
SETTINGS = tuple(SPACE)
NONE_YET = "*No run record is committed yet: `make run` prints this table for your own machine.*"


def main(chosen: argparse.Namespace) -> None:
    """Rewrite what is between the markers; with --check, only compare."""
    if not in_checkout():
        sys.exit("README.md and results/ are in the checkout: run `tema readme` there.")
    records = evaluation_records()
    tables = {
        "README.md": marked("results", table(best_settings(records), HEADLINE), "results/"),
        "docs/results.md": marked("all-results", all_results(records), named(records)),
        "docs/recipe.md": marked("trials", f"{trials()}\n\n{tag_forms()}", "results/tuning/"),
        "docs/performance.md": marked("speed", speed(), "results/bench_speed.json"),
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
        print(f"{files}: rendered from {len(records)} run records and the benchmark of speed")
    elif records:
        print(f"{files} agree with {len(records)} records")
    else:
        print("no evaluation record in results/ yet: nothing to compare")


def all_results(records: list[Named]) -> str:
    """The tables of all systems, then the tests of those with their best trials."""
    return f"{table(records)}\n\n{tests(records)}"


def best_settings(records: list[Named]) -> list[Named]:
    """Of each data set the records with the best trials, where it has such; else all it has."""
    tuned = {record["data"]["name"] for _, record in records if "trial" in record["config"]}
    return [
        (path, record)
        for path, record in records
        if "trial" in record["config"] or record["data"]["name"] not in tuned
    ]


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


def table(records: Iterable[Named], systems: tuple[str, ...] = ()) -> str:
    """Markdown: one table for each data set, split and way of setting, the best system first.

    Args:
        records: with their paths.
        systems: those to show; () for all.  The tests are corrected for all that there are.
    """
    groups = defaultdict(list)
    for _, record in records:
        tuned = "trial" in record["config"]
        groups[record["data"]["name"], str(record["split"]), tuned].append(record)
    parts = []
    for (data, split, tuned), group in sorted(groups.items()):
        columns = [(domain, metric) for domain in "AB" for metric in SHOWN]
        head = " | ".join(f"{domain} {metric}" for domain, metric in columns)
        rows = rows_of(group)
        differences = comparisons(rows, "NDCG@10", "AB")
        settings = "each system with its best trial" if tuned else "all systems with one setting"
        lines = [
            f"**{data}**, split: {split}; full ranking among all items of the target's domain; "
            f"{settings}",
            "",
            f"| system | {head} | {MINUS} | new items HR@10 | seeds |",
            "|---|" + "---:|" * (len(columns) + 3),
        ]
        for label, runs in rows:
            if systems and runs[0]["system"] not in systems:
                continue
            cells = " | ".join(cell(runs, domain, metric) for domain, metric in columns)
            seeds = len({run["seed"] for run in runs})
            found = differences.get(label)
            difference = f"{found.difference:+.4f}{mark(found.corrected)}" if found else "-"
            lines.append(f"| {label} | {cells} | {difference} | {new_items(runs)} | {seeds} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) or NONE_YET


def comparisons(
    rows: Iterable[tuple[str, list[Record]]], metric: str, domains: str, part: str = ""
) -> dict[str, Comparison]:
    """Every row minus TEMA-LLM on the same test cases, each averaged over its seeds.

    Empty where TEMA-LLM's records hold no ranks or no such part.

    Args:
        rows: (label, records over seeds).
        metric: as in `metric_of_ranks`.
        domains: "A", "B" or "AB" for both pooled.
        part: the name of a slice; "" for all cases.
    """
    values = {label: values_of(runs, metric, part) for label, runs in rows}
    pooled = {
        label: np.concatenate([found[domain] for domain in domains])
        for label, found in values.items()
        if found
    }
    return compare(pooled.pop(REFERENCE), pooled) if REFERENCE in pooled else {}


def tests(records: Iterable[Named]) -> str:
    """Markdown: what each system has less or more than TEMA-LLM, by domain and slice, with tests.

    Paired t tests over the test cases, each averaged over its seeds; Holm's correction for the rows
    of a column.  A part with fewer than `ENOUGH` cases has their number and no comparison.
    """
    groups = defaultdict(list)
    for _, record in records:
        if "trial" in record["config"]:
            groups[record["data"]["name"], str(record["split"])].append(record)
    parts = []
    for (data, _), group in sorted(groups.items()):
        rows = rows_of(group)
        columns = {}
        for name, choice in TESTED.items():
            if found := comparisons(rows, *choice):
                columns[name] = {label: tested(one) for label, one in found.items()}
        if not columns:
            continue
        lines = [
            f"**{data}**: mean difference from tema, its standard error, and p",
            "",
            f"| system | {' | '.join(columns)} |",
            "|---|" + "---:|" * len(columns),
        ]
        for label, _ in rows:
            if label != REFERENCE:
                cells = " | ".join(found.get(label, "-") for found in columns.values())
                lines.append(f"| {label} | {cells} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) or "*No comparison with the best trials is committed yet.*"


def tested(found: Comparison) -> str:
    """A cell of `tests`; of too few cases their number."""
    if found.cases < ENOUGH:
        return f"{found.cases} cases"
    return f"{found.difference:+.4f} ± {found.error:.4f} ({p_text(found.corrected)})"


def p_text(p: float) -> str:
    """ "p = .034", "p < .001" """
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def mark(p: float) -> str:
    """The stars of a p value; nothing where it could not be computed."""
    return "\\*\\*" if p < 0.01 else "\\*" if p < 0.05 else ""


def new_items(runs: list[Record]) -> str:
    """HR@10 of never-seen targets, the mean of both domains; a dash where they are too few."""
    parts = [run.get("slices", {}).get(NEW, {"cases": 0}) for run in runs]
    if min(part["cases"] for part in parts) < ENOUGH:
        return "-"
    return f"{mean(part['full'][domain]['HR@10'] for part in parts for domain in 'AB'):.2f}"


def trials(folder: Path = RESULTS / "tuning") -> str:
    """Markdown: for each data set the validation MRR of every trial, a column a system."""
    found = defaultdict(list)
    for path in sorted(folder.glob("*/*.json")):
        found[path.parent.name].append(json.loads(path.read_text(encoding="utf-8")))
    parts = []
    for data, records in sorted(found.items()):
        reached = {
            record["system"]: {t["number"]: max(t["valid_mrr"]) for t in record["trials"]}
            for record in records
        }
        names = list(reached)
        options: dict[int, dict[str, Any]] = {}
        for done in (t for record in records for t in record["trials"]):
            options.setdefault(done["number"], done["options"])  # see docs/recipe.md on trial 0
        lines = [
            f"**{data}**, best validation MRR of a trial; bold: the best trial of a system",
            "",
            f"| trial | {' | '.join(SETTINGS)} | {' | '.join(names)} | mean |",
            "|---|" + "---:|" * (len(SETTINGS) + len(names) + 1),
        ]
        for number, given in sorted(options.items()):
            values = [reached[name].get(number) for name in names]
            cells = [
                ""
                if value is None
                else f"**{value:.4f}**"
                if value == max(reached[name].values())
                else f"{value:.4f}"
                for name, value in zip(names, values)
            ]
            settings = " | ".join(f"{given[name]:g}" if name in given else "" for name in SETTINGS)
            # A mean over other systems than in the next row would compare nothing.
            average = "" if None in values else f"{mean(map(float, filter(None, values))):.4f}"
            lines.append(f"| {number} | {settings} | {' | '.join(cells)} | {average} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) or "*No trial is committed yet.*"


def tag_forms(path: Path = RESULTS / "bench_tag_forms.json") -> str:
    """Markdown: other ways to use tags, by their best validation MRR, a row each."""
    if not path.is_file():
        return ""
    found = defaultdict(list)
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        found[row["data"], row["form"]].append(row["valid_mrr"])
    lines = [
        "**TEMA-LLM with one change**, best validation MRR (`benchmarks/tag_forms.py`)",
        "",
        "| data | form | mean | lowest | highest | seeds |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for (data, form), values in found.items():
        numbers = f"{mean(values):.4f} | {min(values):.4f} | {max(values):.4f}"
        lines.append(f"| {data} | {form} | {numbers} | {len(values)} |")
    return "\n".join(lines)


def rows_of(records: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    """One row for each system and configuration: (label, records over seeds)."""
    systems: dict[str, dict[frozenset[tuple[str, str]], list[Record]]] = {}
    for record in records:
        config = frozenset(flat(record.get("config", {})).items())
        systems.setdefault(record["system"], {}).setdefault(config, []).append(record)
    rows = []
    for system, variants in systems.items():
        shared = frozenset.intersection(*variants)  # what differs between variants is shown
        for config, runs in variants.items():
            special = (f"{key}={value.strip(chr(34))}" for key, value in sorted(config - shared))
            difference = ", ".join(special)
            name = " = ".join([system, *ALIASES.get(system, ())])
            rows.append((f"{name} ({difference})" if difference else name, runs))

    def score(run: Record) -> float:
        return mean(run["metrics"]["full"][domain]["NDCG@10"] or 0 for domain in "AB")

    return sorted(rows, key=lambda row: (-mean(map(score, row[1])), row[0]))


def flat(config: Record, prefix: str = "") -> dict[str, str]:
    """{"a": {"b": 1}, "seed": 0} -> {"a.b": "1"}: choices, without the outcomes of a seed."""
    entries: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            entries |= flat(value, f"{prefix}{key}.")
        elif key not in ("seed", "best_epoch", "epochs_run", "trial", "protocol"):
            entries[prefix + key] = json.dumps(value)
    return entries


def cell(runs: list[Record], domain: str, metric: str) -> str:
    """The mean over seeds; NDCG@10 of several seeds shows the lowest and highest too."""
    values = [run["metrics"]["full"][domain][metric] for run in runs]
    if None in values:
        return "no case"
    if metric == "NDCG@10" and len(values) > 1:
        # A range of numbers has an en dash.
        return f"{mean(values):.4f} ({min(values):.4f}–{max(values):.4f})"  # noqa: RUF001
    return f"{mean(values):.4f}"


def speed(path: Path = SPEED) -> str:
    """The table of speed, or how to get one."""
    if not path.is_file():
        return "*`make bench` writes this table.*"
    return speed_table(json.loads(path.read_text(encoding="utf-8")))


def speed_table(record: Record) -> str:
    """Markdown: the work of each library in a CPU-second, and how many times that is ours."""
    peers = [name for name in record["versions"] if name != "ours"]
    versions = [f"{name} {record['versions'][name].get(name, '')}".strip() for name in peers]
    lines = [
        f"| in one CPU-second of one thread | this project | {' | '.join(versions)} |",
        "|---|---:|" + "---:|" * len(peers),
    ]
    ratios, kept = record["ratios"], record["ratios_memory_kept"]
    for task, words in TASKS.items():
        speeds = record["per_cpu_second"][task]
        cells = []
        for peer in peers:
            if peer not in speeds:
                cells.append("")
                continue
            name = f"{task}_vs_{peer}"
            cells.append(f"{speeds[peer]:,.0f}: **{ratios[name]:.1f}x** ({kept[name]:.1f}x)")
        lines.append(f"| {words} | {speeds['ours']:,.0f} | {' | '.join(cells)} |")
    share = record["share_of_limit"]
    return "\n".join(
        [
            *lines,
            "",
            f"TEMA-LLM's own step (four modalities, three sequences, 25,000 items): "
            f"{record['tema_targets_per_cpu_second']:,} targets per CPU-second. Share of what the "
            f"arithmetic alone would take: learning {share['full_ce']:.0%}, ranking "
            f"{share['ranking']:.0%} ({share['ranking, least work']:.0%} of a limit that leaves "
            f"out the states no ranking needs). RecBole's ranking with batches of 128 users in "
            f"place of its default: {ratios['ranking_vs_recbole_small_batches']:.1f}x.",
        ]
    )
