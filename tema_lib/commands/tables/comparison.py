"""Systems beside each other: their metrics, and what differs significantly from TEMA-LLM."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from statistics import mean

import numpy as np

from tema_lib.evaluation.significance import Comparison, compare
from tema_lib.models.systems import ALIASES
from tema_lib.records import Record, values_of

Named = tuple[str, Record]  # a record with its path relative to the project

REFERENCE = "tema"
MINUS = "NDCG@10 minus tema's"
# Fields of a configuration that came later, and what was done before: it makes no row of its own.
LATER = {"model.across": '"attention"', "tags.size": "0"}
NEW = "target never seen"  # the slice of new items
ENOUGH = 100  # cases that a slice needs for a comparison
SHOWN = ("NDCG@10", "HR@10", "MRR")
NONE_YET = "*No run record is committed yet: `make run` prints this table for your own machine.*"
# Columns of the table of tests: metric, domains, slice.
TESTED = {
    "A NDCG@10": ("NDCG@10", "A", ""),
    "B NDCG@10": ("NDCG@10", "B", ""),
    "both NDCG@10": ("NDCG@10", "AB", ""),
    "cross-domain transition NDCG@10": ("NDCG@10", "AB", "cross-domain transition"),
    "targets seen in training NDCG@10": ("NDCG@10", "AB", "target seen"),
    "never seen HR@10": ("HR@10", "AB", NEW),
}


def best_settings(records: list[Named]) -> list[Named]:
    """Of each data set the records with the best trials, where it has such; else all it has."""
    tuned = {record["data"]["name"] for _, record in records if "trial" in record["config"]}
    return [
        (path, record)
        for path, record in records
        if "trial" in record["config"] or record["data"]["name"] not in tuned
    ]


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
            difference = starred(differences.get(label))
            lines.append(f"| {label} | {cells} | {difference} | {new_items(runs)} | {seeds} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) or NONE_YET


def comparisons(
    rows: Iterable[tuple[str, list[Record]]],
    metric: str,
    domains: str,
    part: str = "",
    ranks: str = "ranks",
) -> dict[str, Comparison]:
    """Every row minus TEMA-LLM on the same test cases, each averaged over its seeds.

    Empty where TEMA-LLM's records hold no ranks or no such part.

    Args:
        rows: (label, records over seeds).
        metric: as in `metric_of_ranks`.
        domains: "A", "B" or "AB" for both pooled.
        part: the name of a slice; "" for all cases.
        ranks: "ranks" of the full ranking, or "ranks_sampled".
    """
    values = {label: values_of(runs, metric, part, ranks) for label, runs in rows}
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


def starred(found: Comparison | None) -> str:
    """A difference with the stars of its p value; a dash where there is none."""
    return f"{found.difference:+.4f}{mark(found.corrected)}" if found else "-"


def mark(p: float) -> str:
    """The stars of a p value; nothing where it could not be computed."""
    return "\\*\\*" if p < 0.01 else "\\*" if p < 0.05 else ""


def new_items(runs: list[Record]) -> str:
    """HR@10 of never-seen targets, the mean of both domains; a dash where they are too few."""
    parts = [run.get("slices", {}).get(NEW, {"cases": 0}) for run in runs]
    if min(part["cases"] for part in parts) < ENOUGH:
        return "-"
    return f"{mean(part['full'][domain]['HR@10'] for part in parts for domain in 'AB'):.2f}"


def rows_of(records: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    """One row for each system and configuration: (label, records over seeds)."""
    systems: dict[str, dict[frozenset[tuple[str, str]], list[Record]]] = {}
    for record in records:
        config = frozenset((LATER | flat(record.get("config", {}))).items())
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
