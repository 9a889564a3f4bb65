"""The search for settings: every trial, and one change at a time, by validation MRR."""

from __future__ import annotations

import json
from collections import defaultdict
from operator import itemgetter
from pathlib import Path
from statistics import mean
from typing import Any

from tema_lib.tuning import SPACE

SETTINGS = tuple(SPACE)


def trials(folder: Path) -> str:
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


def changes(path: Path) -> str:
    """Markdown: systems with one change each, a row a change."""
    if not path.is_file():
        return ""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        found[row["data"], row["system"], row["change"]].append(row)
    lines = [
        "**One change at a time** (ablations and additions), best validation MRR, its difference "
        "from the system as it is in the same seeds, and HR@10 of the validation targets that "
        "training has not seen (`benchmarks/changes.py`)",
        "",
        "| data | system | change | mean | difference by seed | new items HR@10 | of | seeds |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for (data, system, change), rows in found.items():
        rows.sort(key=itemgetter("seed"))
        whole = {row["seed"]: row["valid_mrr"] for row in found[data, system, "as it is"]}
        differences = [f"{row['valid_mrr'] - whole[row['seed']]:+.4f}" for row in rows]
        told = "" if change == "as it is" else ", ".join(differences)
        new = f"{mean(row['new_hr'] for row in rows):.2f}" if rows[0]["new_cases"] else "-"
        average = f"{mean(row['valid_mrr'] for row in rows):.4f}"
        cells = [data, system, change, average, told, new, str(rows[0]["new_cases"])]
        lines.append(f"| {' | '.join(cells)} | {len(rows)} |")
    return "\n".join(lines)
