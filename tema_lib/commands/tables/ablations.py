"""Ablations: what each change costs or gains, with its interval, on the same test cases."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from tema_lib.ablation import Plan, differences, read_plan, runs_of
from tema_lib.commands.tables.comparison import ENOUGH, new_items, p_text
from tema_lib.evaluation.significance import Comparison
from tema_lib.records import Record


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
    lines = [
        f"**{whole.data}**, options of trial {whole.trial}; NDCG@10 in the full ranking; the "
        "difference from what a variant is compared with over both domains, its 95 % interval, "
        "and p after Holm's correction for all rows",
        "",
        "| variant | A | B | compared with | difference | p | new items HR@10 | seeds |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
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
            new_items(records),
            str(len(records)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", by_slice(whole, runs)])


def by_slice(plan: Plan, runs: dict[str, list[Record]]) -> str:
    """Markdown: the same differences in each slice of the test cases that has enough of them."""
    held = next(iter(runs.values()))[0]["slices"]
    cases = {part: one["cases"] for part, one in held.items() if one["cases"] >= ENOUGH}
    if not cases:
        return ""
    found = {part: differences(plan, runs, part) for part in cases}
    lines = [
        f"**{plan.data}, by slice**: the same differences; slices of at least {ENOUGH} cases",
        "",
        f"| variant | {' | '.join(f'{part} ({count})' for part, count in cases.items())} |",
        "|---|" + "---:|" * len(cases),
    ]
    for name in runs:
        if plan.variants[name].against:
            cells = [interval_text(found[part].get(name)) for part in cases]
            lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def interval_text(found: Comparison | None) -> str:
    """ "-.0123 (-.0145 to -.0101)" """
    if found is None:
        return "-"
    low, high = (found.difference + sign * 1.96 * found.error for sign in (-1, 1))
    return f"{found.difference:+.4f} ({low:+.4f} to {high:+.4f})"
