"""Ablations: what each change costs or gains, with its interval, on the same test cases."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import numpy as np

from tema_lib.ablation import Plan, read_plan
from tema_lib.commands.tables.comparison import new_items, p_text
from tema_lib.evaluation.significance import Comparison, compare
from tema_lib.records import Record, values_of

CROSSING = "cross-domain transition"


def ablations(plan: Path, folder: Path) -> str:
    """Markdown: a row for each variant of a plan, in its order; "" where there is no record.

    Args:
        plan: a TOML file (`tema_lib.ablation`).
        folder: of the records.
    """
    whole = read_plan(plan)
    runs = runs_of(whole, folder)
    if not runs:
        return ""
    found = differences(whole, runs)
    crossing = differences(whole, runs, CROSSING)
    lines = [
        f"**{whole.data}**, options of trial {whole.trial}; NDCG@10 in the full ranking; the "
        "difference from what a variant is compared with over both domains, its 95 % interval, "
        "and p after Holm's correction for all rows",
        "",
        "| variant | A | B | compared with | difference | p | cross-domain transitions "
        "| new items HR@10 | seeds |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for name, records in runs.items():
        cells = [
            name,
            *(
                f"{mean(record['metrics']['full'][d]['NDCG@10'] for record in records):.4f}"
                for d in "AB"
            ),
            whole.variants[name].against or "-",
            interval_text(found.get(name)),
            p_text(found[name].corrected) if name in found else "-",
            interval_text(crossing.get(name)),
            new_items(records),
            str(len(records)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def runs_of(plan: Plan, folder: Path) -> dict[str, list[Record]]:
    """{variant: its records, a seed each}, in the order of the plan."""
    paths = {
        name: [folder / variant.file(seed) for seed in plan.seeds]
        for name, variant in plan.variants.items()
    }
    runs = {
        name: [json.loads(path.read_text(encoding="utf-8")) for path in own if path.is_file()]
        for name, own in paths.items()
    }
    return {name: records for name, records in runs.items() if records}


def differences(
    plan: Plan, runs: dict[str, list[Record]], part: str = "", metric: str = "NDCG@10"
) -> dict[str, Comparison]:
    """{variant: its difference from what it is compared with}, over the seeds that both have.

    Holm's correction is for all variants of the plan together.
    """
    gaps = {}
    for name, records in runs.items():
        against = runs.get(plan.variants[name].against, [])
        seeds = {run["seed"] for run in records} & {run["seed"] for run in against}
        own, other = (pooled(made, seeds, metric, part) for made in (records, against))
        if own is not None and other is not None:
            gaps[name] = own - other
    return compare(np.zeros_like(next(iter(gaps.values()))), gaps) if gaps else {}


def pooled(records: list[Record], seeds: set[int], metric: str, part: str) -> np.ndarray | None:
    """A metric of every test case of both domains, averaged over seeds; None without records."""
    runs = [run for run in records if run["seed"] in seeds]
    found = values_of(runs, metric, part) if runs else None
    return None if found is None else np.concatenate([found["A"], found["B"]])


def interval_text(found: Comparison | None) -> str:
    """ "-.0123 (-.0145 to -.0101)" """
    if found is None:
        return "-"
    low, high = (found.difference + sign * 1.96 * found.error for sign in (-1, 1))
    return f"{found.difference:+.4f} ({low:+.4f} to {high:+.4f})"
