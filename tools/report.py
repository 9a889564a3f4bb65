"""Render the README's result table from the run records in results/.

    python tools/report.py            rewrite what stands between the two marker comments
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
README = ROOT / "README.md"
RESULTS = ROOT / "results"
BLOCK = re.compile(r"<!-- results:start.*?-->\n.*?<!-- results:end -->", re.DOTALL)
SHOWN = ("NDCG@10", "HR@10", "MRR")
NONE_YET = "*No run record is committed yet: `make run` prints this table for your own machine.*"


def evaluation_records(folder=RESULTS):
    """[(path relative to the project, record)], sorted by path; records of other kinds are left out."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SystemExit(f"{path.relative_to(folder.parent)}: not readable as JSON ({error}); restore it or run the evaluation again")
        if isinstance(record, dict) and record.get("kind") == "evaluation":
            found.append((path.relative_to(folder.parent).as_posix(), record))
    return found


def flat(config, prefix=""):
    """{"a": {"b": 1}, "seed": 0} -> {"a.b": 1}"""
    entries = {}
    for key, value in config.items():
        if isinstance(value, dict):
            entries |= flat(value, f"{prefix}{key}.")
        elif key not in ("seed", "best_epoch", "epochs_run"):          # outcomes of a seed, not choices
            entries[prefix + key] = json.dumps(value)
    return entries


def rows_of(records):
    """One row for each system and configuration -> (label, records over seeds), best mean NDCG@10 first."""
    configs = defaultdict(lambda: defaultdict(list))                     # system -> configuration -> records
    for record in records:
        configs[record["system"]][frozenset(flat(record.get("config", {})).items())].append(record)
    rows = []
    for system, variants in configs.items():
        shared = frozenset.intersection(*variants)                       # what tells the variants apart goes into the label
        for config, runs in variants.items():
            difference = ", ".join(f"{key}={value.strip(chr(34))}" for key, value in sorted(config - shared))
            rows.append((f"{system} ({difference})" if difference else system, runs))
    score = lambda run: mean(run["metrics"]["full"][d]["NDCG@10"] for d in "AB")
    return sorted(rows, key=lambda row: (-mean(map(score, row[1])), row[0]))


def cell(runs, domain, metric):
    values = [run["metrics"]["full"][domain][metric] for run in runs]
    spread = f" ({min(values):.4f}–{max(values):.4f})" if metric == "NDCG@10" and len(values) > 1 else ""
    return f"{mean(values):.4f}{spread}"


def table(records):
    """Markdown: one table for each data set and split."""
    groups = defaultdict(list)
    for _, record in records:
        groups[record["data"]["name"], str(record["split"])].append(record)
    parts = []
    for (data, split), group in sorted(groups.items()):
        lines = [f"**{data}**, split: {split}; full ranking among all items of the target's domain", "",
                 "| system | " + " | ".join(f"{d} {m}" for d in "AB" for m in SHOWN) + " | seeds |",
                 "|---|" + "---:|" * (2 * len(SHOWN) + 1)]
        for label, runs in rows_of(group):
            lines.append(f"| {label} | " + " | ".join(cell(runs, d, m) for d in "AB" for m in SHOWN)
                         + f" | {len({run['seed'] for run in runs})} |")
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


def main(arguments):
    if unknown := set(arguments) - {"--check"}:
        raise SystemExit(f"unknown option {' '.join(sorted(unknown))}; there is only --check")
    readme = README.read_text(encoding="utf-8")
    if len(BLOCK.findall(readme)) != 1:
        raise SystemExit("README.md: the comments `results:start` and `results:end` have to stand there once, in this order")
    records = evaluation_records()
    rendered = BLOCK.sub(lambda _: block(records), readme)
    if "--check" in arguments:
        if rendered != readme:
            raise SystemExit("README.md: the result table differs from the records in results/; run `make report`")
        print(f"README.md agrees with {len(records)} records" if records else "no evaluation record in results/ yet: nothing to compare")
        return
    unfinished = README.with_suffix(".part")
    unfinished.write_text(rendered, encoding="utf-8")
    os.replace(unfinished, README)
    print(f"README.md: result table rendered from {len(records)} records")


if __name__ == "__main__":
    main(sys.argv[1:])
