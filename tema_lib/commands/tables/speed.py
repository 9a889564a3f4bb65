"""The comparison of speed with other libraries."""

from __future__ import annotations

import json
from pathlib import Path

from tema_lib.records import Record

TASKS = {
    "full_ce": "learn: exact softmax over 25,000 items, targets",
    "bce": "learn: one drawn candidate, targets",
    "ranking": "rank among 25,000 items, exactly, users",
}


def speed(path: Path) -> str:
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
