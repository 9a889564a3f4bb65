"""Render the README's tables from the records in results/: metrics from the run records, speed from bench_speed.json.

    python tools/report.py            rewrite what stands between the marker comments
    python tools/report.py --check    change nothing; exit 1 if the README says anything else than the records

A number is the mean over seeds; where there are several seeds, NDCG@10 shows its smallest and largest value too.
"""

import json
import os
import pathlib
import re
import sys
from collections import defaultdict
from statistics import mean

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tema_lib.models.systems import ALIASES  # noqa: E402

README = ROOT / "README.md"
RESULTS = ROOT / "results"
BLOCKS = {
    name: re.compile(rf"<!-- {name}:start.*?-->\n.*?<!-- {name}:end -->", re.DOTALL)
    for name in ("results", "speed")
}
TASKS = {
    "full_ce": "learn: exact softmax over 25,000 items, targets",
    "bce": "learn: one drawn candidate, targets",
    "ranking": "rank among 25,000 items, exactly, users",
}
SHOWN = ("NDCG@10", "HR@10", "MRR")
NONE_YET = "*No run record is committed yet: `make run` prints this table for your own machine.*"


def evaluation_records(folder=RESULTS):
    """[(path relative to the project, record)], sorted by path; records of other kinds are left out."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SystemExit(
                f"{path.relative_to(folder.parent)}: not readable as JSON ({error}); restore it or run the evaluation again"
            )
        if isinstance(record, dict) and record.get("kind") == "evaluation":
            found.append((path.relative_to(folder.parent).as_posix(), record))
    return found


def flat(config, prefix=""):
    """{"a": {"b": 1}, "seed": 0} -> {"a.b": 1}"""
    entries = {}
    for key, value in config.items():
        if isinstance(value, dict):
            entries |= flat(value, f"{prefix}{key}.")
        elif key not in ("seed", "best_epoch", "epochs_run"):  # outcomes of a seed, not choices
            entries[prefix + key] = json.dumps(value)
    return entries


def rows_of(records):
    """One row for each system and configuration -> (label, records over seeds), best mean NDCG@10 first."""
    configs = defaultdict(lambda: defaultdict(list))  # system -> configuration -> records
    for record in records:
        configs[record["system"]][frozenset(flat(record.get("config", {})).items())].append(record)
    rows = []
    for system, variants in configs.items():
        shared = frozenset.intersection(
            *variants
        )  # what tells the variants apart goes into the label
        for config, runs in variants.items():
            difference = ", ".join(
                f"{key}={value.strip(chr(34))}" for key, value in sorted(config - shared)
            )
            name = " = ".join([system, *ALIASES.get(system, ())])
            rows.append((f"{name} ({difference})" if difference else name, runs))

    def score(run):
        return mean(run["metrics"]["full"][d]["NDCG@10"] or 0 for d in "AB")

    return sorted(rows, key=lambda row: (-mean(map(score, row[1])), row[0]))


def cell(runs, domain, metric):
    values = [run["metrics"]["full"][domain][metric] for run in runs]
    if None in values:
        return "no case"
    spread = (
        f" ({min(values):.4f}–{max(values):.4f})" if metric == "NDCG@10" and len(values) > 1 else ""
    )
    return f"{mean(values):.4f}{spread}"


def table(records):
    """Markdown: one table for each data set and split."""
    groups = defaultdict(list)
    for _, record in records:
        groups[record["data"]["name"], str(record["split"])].append(record)
    parts = []
    for (data, split), group in sorted(groups.items()):
        lines = [
            f"**{data}**, split: {split}; full ranking among all items of the target's domain",
            "",
            "| system | " + " | ".join(f"{d} {m}" for d in "AB" for m in SHOWN) + " | seeds |",
            "|---|" + "---:|" * (2 * len(SHOWN) + 1),
        ]
        for label, runs in rows_of(group):
            lines.append(
                f"| {label} | "
                + " | ".join(cell(runs, d, m) for d in "AB" for m in SHOWN)
                + f" | {len({run['seed'] for run in runs})} |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts) or NONE_YET


def block(records):
    """The table between its markers; the first marker names every record it was rendered from, folder by folder."""
    folders = defaultdict(list)
    for path, _ in records:
        folder, _, file = path.rpartition("/")
        folders[folder].append(file)
    names = "".join(f"\n{folder}: {' '.join(files)}" for folder, files in sorted(folders.items()))
    return f"<!-- results:start, rendered by `make report` from{names or ' nothing yet'} -->\n\n{table(records)}\n\n<!-- results:end -->"


def speed_table(record):
    """Markdown: what each library does in a CPU-second, and how many times that this project does."""
    peers = [name for name in record["versions"] if name != "ours"]
    lines = [
        "| in one CPU-second of one thread | this project | "
        + " | ".join(f"{name} {record['versions'][name].get(name, '')}".strip() for name in peers)
        + " |",
        "|---|---:|" + "---:|" * len(peers),
    ]
    for task, words in TASKS.items():
        speeds = record["per_cpu_second"][task]
        cells = []
        for peer in peers:
            if peer not in speeds:
                cells.append("")
                continue
            name = f"{task}_vs_{peer}"
            cells.append(
                f"{speeds[peer]:,.0f}: **{record['ratios'][name]:.1f}x** ({record['ratios_memory_kept'][name]:.1f}x)"
            )
        lines.append(f"| {words} | {speeds['ours']:,.0f} | " + " | ".join(cells) + " |")
    share = record["share_of_limit"]
    return "\n".join(
        [
            *lines,
            "",
            f"TEMA-LLM's own step (four views, three sequences, 25,000 items): {record['tema_targets_per_cpu_second']:,} targets per CPU-second. "
            f"Share of what the arithmetic alone would take: learning {share['full_ce']:.0%}, ranking {share['ranking']:.0%} ({share['ranking, least work']:.0%} "
            f"of a limit that leaves out the states no ranking needs). "
            f"RecBole's ranking with batches of 128 users in place of its default: {record['ratios']['ranking_vs_recbole_small_batches']:.1f}x.",
        ]
    )


def speed_block(path=RESULTS / "bench_speed.json"):
    text = (
        speed_table(json.loads(path.read_text(encoding="utf-8")))
        if path.is_file()
        else "*`make bench` writes this table.*"
    )
    return f"<!-- speed:start, rendered by `make report` from results/bench_speed.json -->\n\n{text}\n\n<!-- speed:end -->"


def main(arguments):
    if unknown := set(arguments) - {"--check"}:
        raise SystemExit(f"unknown option {' '.join(sorted(unknown))}; there is only --check")
    readme = README.read_text(encoding="utf-8")
    for name, pattern in BLOCKS.items():
        if len(pattern.findall(readme)) != 1:
            raise SystemExit(
                f"README.md: the comments `{name}:start` and `{name}:end` have to stand there once, in this order"
            )
    records = evaluation_records()
    rendered = BLOCKS["results"].sub(lambda _: block(records), readme)
    rendered = BLOCKS["speed"].sub(lambda _: speed_block(), rendered)
    if "--check" in arguments:
        if rendered != readme:
            raise SystemExit(
                "README.md: a table differs from the records in results/; run `make report`"
            )
        print(
            f"README.md agrees with {len(records)} records"
            if records
            else "no evaluation record in results/ yet: nothing to compare"
        )
        return
    unfinished = README.with_suffix(".part")
    unfinished.write_text(rendered, encoding="utf-8")
    os.replace(unfinished, README)
    print(f"README.md: tables rendered from {len(records)} run records and the benchmark of speed")


if __name__ == "__main__":
    main(sys.argv[1:])
