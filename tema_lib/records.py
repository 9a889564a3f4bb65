"""Run records: what was run, on what, and what came out (`results/README.md` lists every key)."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tema_lib.evaluation.intervals import interval
from tema_lib.evaluation.metrics import METRICS, metric_of_ranks
from tema_lib.evaluation.ranking import Ranks
from tema_lib.models.systems import ALIASES
from tema_lib.workspace import ROOT, in_checkout, write_atomically

Record = dict[str, Any]

EVALUATION_KEYS = {
    "kind",
    "system",
    "data",
    "split",
    "seed",
    "config",
    "metrics",
    "intervals",
    "slices",
    "candidates",
    "ties",
    "versions",
    "hardware",
    "seconds",
    "commit",
    "dirty",
    "command",
}
TRIALS_KEYS = {"kind", "system", "data", "seed", "tags_sha256", "trials", "commit", "dirty"}
TRIAL_KEYS = {"number", "options", "valid_mrr", "best_epoch", "cpu_seconds", "parameters"}
DOMAINS = ("A", "B")
SHOWN = ("NDCG@10", "HR@10", "MRR")  # in tables


def metrics_of(ranks: Ranks, sampled: bool = False) -> dict[str, dict[str, float | None]]:
    """Means over the cases of each domain, {"A": {"MRR": ..., ...}, "B": {...}}.

    None for a domain without cases.
    """
    return {
        name: {
            metric: _rounded(ranks.of_domain(index).metric(metric, sampled)) for metric in METRICS
        }
        for index, name in enumerate(DOMAINS)
    }


def _rounded(value: float) -> float | None:
    """Six digits; None for NaN, which JSON lacks."""
    return None if math.isnan(value) else round(value, 6)


def _bounds(ranks: Ranks) -> dict[str, list[float | None]]:
    """95 % bootstrap intervals over the cases, by metric."""
    bounds = {}
    for metric in ("MRR", "NDCG@10", "HR@10"):
        low, high = interval(ranks.values(metric), resamples=1000)
        bounds[metric] = [_rounded(low), _rounded(high)]
    return bounds


def _spread(counts: np.ndarray, domain: np.ndarray) -> dict[str, dict[str, int | None]]:
    """Per domain, how many cases there are, and the fewest and the most candidates of one."""
    spread: dict[str, dict[str, int | None]] = {}
    for index, name in enumerate(DOMAINS):
        own = counts[domain == index]
        spread[name] = {
            "cases": len(own),
            "fewest": int(own.min()) if len(own) else None,
            "most": int(own.max()) if len(own) else None,
        }
    return spread


def evaluation_record(
    system: str,
    ranks: Ranks,
    *,
    data: dict[str, str],
    split: str,
    seed: int,
    config: dict[str, Any],
    seconds: dict[str, float],
    command: str,
    slices: dict[str, Ranks] | None = None,
    sampled_ranks: bool = False,
) -> Record:
    """One record of kind `evaluation`.

    Args:
        system: a name in `SYSTEMS`.
        ranks: of all test cases.
        data: `name` and `sha256` of the tables.
        split: name of the split.
        seed: of the run.
        config: of model and training, and where the tags come from.
        seconds: wall time by part.
        command: what to type to get the record again.
        slices: by name, parts of the test cases that get metrics of their own.
        sampled_ranks: keep the ranks among sampled items, too.
    """
    commit, dirty = commit_and_state()
    versions = {name: version(name) for name in ("torch", "transformers", "numpy")}
    record = {
        "kind": "evaluation",
        "system": system,
        "data": data,
        "split": split,
        "seed": seed,
        "config": config,
        "metrics": {"full": metrics_of(ranks), "sampled_999": metrics_of(ranks, sampled=True)},
        "intervals": {
            "full": {name: _bounds(ranks.of_domain(index)) for index, name in enumerate(DOMAINS)}
        },
        "slices": {
            name: {"cases": len(part), "full": metrics_of(part), "ranks": ranks_by_domain(part)}
            for name, part in (slices or {}).items()
        },
        "candidates": {
            "full": _spread(ranks.candidates, ranks.domain),
            "sampled_999": _spread(ranks.candidates_sampled, ranks.domain),
        },
        "ranks": ranks_by_domain(ranks),
        "ties": round(float(ranks.tied.mean()), 6),
        "versions": versions | {"python": platform.python_version()},
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "commit": commit,
        "dirty": dirty,
        "command": command,
    }
    return record | ({"ranks_sampled": ranks_by_domain(ranks, True)} if sampled_ranks else {})


def ranks_by_domain(ranks: Ranks, sampled: bool = False) -> dict[str, str]:
    """The ranks of all test cases in their order, by domain: {"A": "1 17 2.5", "B": ...}"""
    parts = {name: ranks.of_domain(index) for index, name in enumerate(DOMAINS)}
    return {
        name: " ".join(f"{rank:.9g}" for rank in (part.rank_sampled if sampled else part.rank))
        for name, part in parts.items()
    }


def values_of(
    runs: list[Record], metric: str, part: str = "", ranks: str = "ranks"
) -> dict[str, np.ndarray] | None:
    """A metric of every test case of a system, averaged over its records (seeds).

    Args:
        runs: of one system and the same test cases.
        metric: as in `metric_of_ranks`.
        part: the name of a slice; "" for all cases.
        ranks: "ranks" of the full ranking, or "ranks_sampled".

    Returns:
        float [cases] for domains "A" and "B"; None if a record holds no such ranks: those from
        before December 2026 hold none, and few hold sampled ones.
    """
    parts = [run["slices"].get(part, {}) if part else run for run in runs]
    if not all(ranks in held for held in parts):
        return None
    return {
        domain: np.mean(
            [
                metric_of_ranks(np.array(held[ranks][domain].split(), np.float64), metric)
                for held in parts
            ],
            axis=0,
        )
        for domain in DOMAINS
    }


def commit_and_state() -> tuple[str, bool]:
    """HEAD, and whether tracked files differ from it; ("unknown", True) outside of a checkout."""

    def ask(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    if not in_checkout():  # an installed package must not name the repository it was installed in
        return "unknown", True
    try:
        return ask("rev-parse", "HEAD"), bool(ask("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def check_record(record: Record) -> None:
    """Accept a complete record.

    Raises:
        ValueError: with the first thing that is wrong.
    """
    if record.get("kind") == "benchmark":
        return
    if record.get("kind") == "trials":
        check_trials(record)
        return
    if record.get("kind") not in ("evaluation", "ablation"):
        raise ValueError(
            f"kind is {record.get('kind')!r}: a record is an evaluation, an ablation, trials or a "
            "benchmark."
        )
    if missing := EVALUATION_KEYS - set(record):
        raise ValueError(
            f"keys {sorted(missing)} are missing from the record of {record.get('system')}."
        )
    for protocol in ("full", "sampled_999"):
        for domain in DOMAINS:
            cases = record["candidates"][protocol][domain]["cases"]
            for metric in METRICS:
                value = record["metrics"][protocol][domain][metric]
                if value is None and not cases:
                    continue
                if value is None or not 0 <= value <= 1:
                    raise ValueError(
                        f"{protocol} {domain} {metric} is {value}: a metric is between 0 and 1."
                    )


def check_trials(record: Record) -> None:
    """Accept a record of trials that holds validation metrics only; raises ValueError."""
    if missing := TRIALS_KEYS - set(record):
        raise ValueError(
            f"keys {sorted(missing)} are missing from the trials of {record.get('system')}."
        )
    for trial in record["trials"]:
        if strange := set(trial) ^ TRIAL_KEYS:
            raise ValueError(
                f"trial {trial.get('number')} has other keys than a trial: {sorted(strange)}."
            )


def write_json(path: Path, content: Record) -> Path:
    """Write the whole file or nothing, keys sorted, so that equal runs give equal files."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())
    return path


def read_records(folder: Path) -> list[Record]:
    """All records of kind `evaluation` below a folder, checked, in the order of their paths.

    Raises:
        ValueError: names the first broken file.
    """
    records = []
    for path in sorted(folder.rglob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record.get("kind") == "evaluation":
                check_record(record)
                records.append(record)
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
            raise ValueError(f"{path} is not a run record: delete it and run again.") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return records


def by_system(records: list[Record]) -> dict[str, list[Record]]:
    """{system: its records, in the order of their seeds}, systems in the order of the records."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record["system"], []).append(record)
    return {system: sorted(own, key=lambda record: record["seed"]) for system, own in found.items()}


def read_benchmark(name: str) -> Record:
    """A committed benchmark record by its file name, such as "bench_tagging.json".

    Raises:
        FileNotFoundError: if there is none.
    """
    path = ROOT / "results" / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: results/README.md says which command writes it."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def metric_table(records: list[Record], protocol: str = "full") -> str:
    """A Markdown table with a row for each system, best last: means over seeds, by domain.

    Args:
        records: of one data set and split.
        protocol: "full" or "sampled_999".
    """
    runs = by_system(records)

    def mean(system: str, domain: str, metric: str) -> float:
        metrics = [record["metrics"][protocol][domain] for record in runs[system]]
        values = [of_domain[metric] for of_domain in metrics]
        return math.nan if None in values else sum(values) / len(values)

    def ndcg(system: str) -> float:
        values = [mean(system, domain, "NDCG@10") for domain in DOMAINS]
        return sum(value for value, known in zip(values, has_cases) if known)

    columns = [(domain, metric) for domain in DOMAINS for metric in SHOWN]
    names = [f"{domain} {metric}" for domain, metric in columns]
    lines = [f"| system | {' | '.join(names)} | seeds |", "|---|" + "---:|" * (len(columns) + 1)]
    has_cases = [
        not any(math.isnan(mean(system, domain, "NDCG@10")) for system in runs)
        for domain in DOMAINS
    ]
    for system in sorted(runs, key=ndcg):
        values = [mean(system, domain, metric) for domain, metric in columns]
        cells = ["no case" if math.isnan(value) else f"{value:.4f}" for value in values]
        name = " = ".join([system, *ALIASES.get(system, ())])
        lines.append(f"| {name} | {' | '.join(cells)} | {len(runs[system])} |")
    return "\n".join(lines)


def print_table(folder: Path) -> None:
    """Print the metric table of a run: full ranking inside the target's domain.

    Raises:
        SystemExit: if the folder holds no records.
    """
    records = read_records(folder)
    if not records:
        raise SystemExit(f"{folder} holds no run records: notebook 06 writes them.")
    by_tables: dict[str, list[Record]] = {}  # never a mean over two versions of the data
    for record in records:
        by_tables.setdefault(record["data"]["sha256"], []).append(record)
    for sha256, group in by_tables.items():
        print(
            f"{group[0]['data']['name']} (tables {sha256[:8]}): full ranking inside the target's "
            f"domain, {group[0]['split']}, best system last\n\n{metric_table(group)}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python -m tema_lib.records FOLDER: print the table of a folder's run records.")
    print_table(Path(sys.argv[1]))
