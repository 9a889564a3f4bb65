"""How long the steps of `make run` take."""

from __future__ import annotations

import json
from pathlib import Path

from tema_lib.records import Record


def durations(path: Path) -> str:
    """The table of steps, or how to get one."""
    if not path.is_file():
        return "*`python benchmarks/commands.py` writes this table.*"
    return durations_table(json.loads(path.read_text(encoding="utf-8")))


def durations_table(record: Record) -> str:
    """Markdown: seconds of each notebook and of what comes before them; the whole is wall time."""
    steps: dict[str, float] = record["steps"]
    trained = sum(seconds for name, seconds in steps.items() if name.startswith("train "))
    rows = {
        "asking the small model about every item": steps["language model"],
        "encoding texts and pictures": steps["texts and pictures"],
        "checking, refining and weighing tags": steps["tags"],
        "training the systems of the lesson": trained,
        **{f"notebook {name[:2]}": steps[name] for name in sorted(steps) if name[:1].isdigit()},
    }
    lines = ["| step | seconds |", "|---|---:|"]
    lines += [f"| {name} | {seconds:.0f} |" for name, seconds in rows.items()]
    whole = record["wall_seconds"]["make run"]["median"]
    lines.append(
        f"| **all**, {record['cores']} cores side by side, set-up included | **{whole}** |"
    )
    return "\n".join(lines)
