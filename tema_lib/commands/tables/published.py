"""Systems by the rules of a published protocol, beside what the protocol's authors report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import mean

from tema_lib.commands.tables.comparison import Named, best_settings, comparisons, mark, rows_of
from tema_lib.records import Record

COLUMNS = [(domain, metric) for domain in "AB" for metric in ("HR@10", "MRR")]
# What a released project says it reaches by its own protocol on these data; not run here.
REPORTED = {
    ("fk_abxi", "abxi"): ("ABXI, as its README reports", (0.3243, 0.1655, 0.2438, 0.1219)),
}


def published(records: Iterable[Named]) -> str:
    """Markdown: a table for each data set that was ranked by a published protocol; "" for none.

    Stars mark what differs from TEMA-LLM in MRR among the sampled items, both domains pooled.
    """
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for _, record in best_settings(list(records)):
        protocol = record["config"].get("protocol", "ours")
        if protocol != "ours":
            groups[record["data"]["name"], protocol].append(record)
    parts = []
    for (data, protocol), group in sorted(groups.items()):
        rows = rows_of(group)
        differences = comparisons(rows, "MRR", "AB", ranks="ranks_sampled")
        lines = [
            f"**{data}**, ranked among 999 sampled items by the protocol `{protocol}`",
            "",
            f"| system | {' | '.join(map(' '.join, COLUMNS))} | MRR minus tema's | seeds |",
            "|---|" + "---:|" * (len(COLUMNS) + 2),
        ]
        if (data, protocol) in REPORTED:
            name, values = REPORTED[data, protocol]
            lines.append(f"| *{name}* | {' | '.join(f'{value:.4f}' for value in values)} | - | - |")
        for label, runs in rows:
            values = tuple(
                mean(run["metrics"]["sampled_999"][domain][metric] for run in runs)
                for domain, metric in COLUMNS
            )
            found = differences.get(label)
            difference = f"{found.difference:+.4f}{mark(found.corrected)}" if found else "-"
            cells = " | ".join(f"{value:.4f}" for value in values)
            lines.append(f"| {label} | {cells} | {difference} | {len(runs)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
