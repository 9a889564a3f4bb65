"""Systems by the rules of a published protocol, beside what the protocol's authors report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import mean

from tema_lib.commands.tables.comparison import Named, best_settings, comparisons, rows_of, starred
from tema_lib.records import Record

COLUMNS = [(domain, metric) for domain in "AB" for metric in ("HR@10", "MRR")]
# What a released project says it reaches by its own protocol on these data; not run here.
REPORTED = {
    ("fk_abxi", "abxi"): ("ABXI, as its README reports", (0.3243, 0.1655, 0.2438, 0.1219)),
}


def published(records: Iterable[Named], systems: tuple[str, ...] = ()) -> str:
    """Markdown: a table for each data set that was ranked by a published protocol; "" for none.

    The best system first, by MRR among the sampled items.  Stars mark what differs from TEMA-LLM
    there, both domains pooled.

    Args:
        records: with their paths.
        systems: those to show; () for all.
    """
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for _, record in best_settings(list(records)):
        protocol = record["config"].get("protocol", "ours")
        if protocol != "ours":
            groups[record["data"]["name"], protocol].append(record)
    parts = []
    for (data, protocol), group in sorted(groups.items()):
        rows = sorted(rows_of(group), key=lambda row: -sum(means(row[1])[1::2]))
        differences = comparisons(rows, "MRR", "AB", ranks="ranks_sampled")
        fewest = min(r["candidates"]["sampled_999"][d]["fewest"] for r in group for d in "AB")
        lines = [
            f"**{data}**, {fewest} candidates, drawn and ranked by the protocol `{protocol}`",
            "",
            f"| system | {' | '.join(map(' '.join, COLUMNS))} | MRR minus tema's | seeds |",
            "|---|" + "---:|" * (len(COLUMNS) + 2),
        ]
        if (data, protocol) in REPORTED:
            name, values = REPORTED[data, protocol]
            lines.append(f"| *{name}* | {' | '.join(f'{value:.4f}' for value in values)} | - | - |")
        for label, runs in rows:
            if systems and runs[0]["system"] not in systems:
                continue
            cells = " | ".join(f"{value:.4f}" for value in means(runs))
            lines.append(f"| {label} | {cells} | {starred(differences.get(label))} | {len(runs)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def means(runs: list[Record]) -> tuple[float, ...]:
    """The columns of a system: means over its seeds, among the sampled items."""
    return tuple(
        mean(run["metrics"]["sampled_999"][domain][metric] for run in runs)
        for domain, metric in COLUMNS
    )
