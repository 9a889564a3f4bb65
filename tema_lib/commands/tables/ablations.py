"""Ablations: what each change costs or gains, with its interval, on the same test cases."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from tema_lib.ablation import differences, read_plan, runs_of
from tema_lib.commands.tables.comparison import new_items, p_text
from tema_lib.evaluation.significance import Comparison

TRANSITION = "cross-domain transition"


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
    transitions = differences(whole, runs, TRANSITION)
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
            interval_text(transitions.get(name)),
            new_items(records),
            str(len(records)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def interval_text(found: Comparison | None) -> str:
    """ "-.0123 (-.0145 to -.0101)" """
    if found is None:
        return "-"
    low, high = (found.difference + sign * 1.96 * found.error for sign in (-1, 1))
    return f"{found.difference:+.4f} ({low:+.4f} to {high:+.4f})"
