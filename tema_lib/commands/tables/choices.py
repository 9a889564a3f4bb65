"""The ledger of unstated choices, with what the alternatives do."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from tema_lib.ablation import differences, read_plan, runs_of
from tema_lib.choices import CHOICES, CONFIGS
from tema_lib.commands.tables.ablations import interval_text
from tema_lib.commands.tables.comparison import p_text


def choices(plan: Path) -> str:
    """Markdown: the ledger, a table for each configuration.

    Args:
        plan: of the ablations; its records are in the folder of its name.
    """
    whole = read_plan(plan)
    found = differences(whole, runs_of(whole, plan.with_suffix("")))
    parts = []
    for name, config in CONFIGS.items():
        lines = [
            f"**{name}** (`{config.__name__}`)",
            "",
            "| field | choice | default | status | elsewhere "
            "| alternative: NDCG@10 minus that with the default |",
            "|---|---|---|---|---|---|",
        ]
        for own in fields(config):
            choice = CHOICES[name][own.name]
            measured = "; ".join(
                f"{variant.removeprefix('small, ')}: {interval_text(found.get(variant))}, "
                f"{p_text(found[variant].corrected) if variant in found else 'not yet'}"
                for variant in choice.variants
            )
            cells = [
                f"`{own.name}`",
                choice.what,
                written(own.default),
                choice.status,
                choice.elsewhere or "-",
                measured or choice.why,
            ]
            lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def written(value: Any) -> str:
    """A default as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
