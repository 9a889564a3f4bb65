"""Run records: what was run, on what, and what came out (`results/README.md` describes every key)."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tema_lib.evaluation.intervals import interval
from tema_lib.evaluation.metrics import METRICS
from tema_lib.evaluation.ranking import Ranks
from tema_lib.models.systems import ALIASES
from tema_lib.workspace import ROOT, in_checkout

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
DOMAINS = ("A", "B")


def metrics_of(ranks: Ranks, sampled: bool = False) -> dict[str, dict[str, float | None]]:
    """{"A": {"MRR": ..., ...}, "B": {...}}, means over the cases of each domain; None for a domain without cases."""
    return {
        name: {
            metric: _rounded(ranks.of_domain(index).metric(metric, sampled)) for metric in METRICS
        }
        for index, name in enumerate(DOMAINS)
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)  # JSON has no NaN


def evaluation_record(
    system: str,
    ranks: Ranks,
    *,
    data: dict,
    split: str,
    seed: int,
    config: dict,
    seconds: dict,
    command: str,
    slices: dict[str, Ranks] | None = None,
) -> dict:
    """One record of kind `evaluation`.  Intervals are 95 % bootstrap over test cases; slices carry their own metrics and sizes."""
    bounds = {
        name: {
            metric: [
                _rounded(bound)
                for bound in interval(ranks.of_domain(index).values(metric), resamples=1000)
            ]
            for metric in ("MRR", "NDCG@10", "HR@10")
        }
        for index, name in enumerate(DOMAINS)
    }

    def count(own):
        return {
            "cases": len(own),
            "fewest": int(own.min()) if len(own) else None,
            "most": int(own.max()) if len(own) else None,
        }

    def spread(column):
        return {name: count(column[ranks.domain == index]) for index, name in enumerate(DOMAINS)}

    commit, dirty = commit_and_state()
    return {
        "kind": "evaluation",
        "system": system,
        "data": data,
        "split": split,
        "seed": seed,
        "config": config,
        "metrics": {"full": metrics_of(ranks), "sampled_999": metrics_of(ranks, sampled=True)},
        "intervals": {"full": bounds},
        "slices": {
            name: {"cases": len(part), "full": metrics_of(part)}
            for name, part in (slices or {}).items()
        },
        "candidates": {
            "full": spread(ranks.candidates),
            "sampled_999": spread(ranks.candidates_sampled),
        },
        "ties": round(float(ranks.tied.mean()), 6),
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy")}
        | {"python": platform.python_version()},
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "commit": commit,
        "dirty": dirty,
        "command": command,
    }


def commit_and_state() -> tuple[str, bool]:
    """HEAD and whether tracked files differ from it; ("unknown", True) outside of a git checkout."""

    def ask(*words):
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    if not in_checkout():  # an installed package must not name the repository it was installed in
        return "unknown", True
    try:
        return ask("rev-parse", "HEAD"), bool(ask("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def check_record(record: dict) -> None:
    """Raises ValueError with the first thing that is wrong with a record."""
    if record.get("kind") == "benchmark":
        return
    if record.get("kind") != "evaluation":
        raise ValueError(
            f"kind is {record.get('kind')!r}: a record is an evaluation or a benchmark."
        )
    if missing := EVALUATION_KEYS - set(record):
        raise ValueError(
            f"keys {sorted(missing)} are missing from the record of {record.get('system')}."
        )
    for protocol in ("full", "sampled_999"):
        for domain in DOMAINS:
            for metric in METRICS:
                value, cases = (
                    record["metrics"][protocol][domain][metric],
                    record["candidates"][protocol][domain]["cases"],
                )
                if value is None and not cases:
                    continue
                if value is None or not 0 <= value <= 1:
                    raise ValueError(
                        f"{protocol} {domain} {metric} is {value}: a metric lies between 0 and 1."
                    )


def write_json(path: Path, content: dict) -> Path:
    """Write atomically, keys in order, so that equal runs give equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(
        json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    os.replace(temporary, path)
    return path


def read_records(folder: Path) -> list[dict]:
    """All checked records of kind `evaluation` below a folder, in file order."""
    records = []
    for path in sorted(folder.rglob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record.get("kind") == "evaluation":
                check_record(record)
                records.append(record)
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
            raise ValueError(f"{path} is no run record: delete it and run again.") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return records


def read_benchmark(name: str) -> dict:
    """A committed benchmark record by file name, such as "bench_tagging.json"."""
    path = ROOT / "results" / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: results/README.md says which command writes it."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def metric_table(records: list[dict], protocol: str = "full") -> str:
    """A markdown table: a row for each system, per domain; mean over the seeds, with their number."""
    shown = ("NDCG@10", "HR@10", "MRR")
    lines = [
        "| system | "
        + " | ".join(f"{domain} {metric}" for domain in DOMAINS for metric in shown)
        + " | seeds |",
        "|---|" + "---:|" * (2 * len(shown) + 1),
    ]
    systems = {}
    for record in records:
        systems.setdefault(record["system"], []).append(record)

    def mean(name: str, domain: str, metric: str) -> float:
        values = [record["metrics"][protocol][domain][metric] for record in systems[name]]
        return math.nan if None in values else sum(values) / len(values)

    known = [
        domain
        for domain in DOMAINS
        if not any(math.isnan(mean(name, domain, "NDCG@10")) for name in systems)
    ]
    for name in sorted(
        systems, key=lambda name: sum(mean(name, domain, "NDCG@10") for domain in known)
    ):
        values = [mean(name, domain, metric) for domain in DOMAINS for metric in shown]
        cells = ["no case" if math.isnan(value) else f"{value:.4f}" for value in values]
        lines.append(
            f"| {' = '.join([name, *ALIASES.get(name, ())])} | "
            + " | ".join(cells)
            + f" | {len(systems[name])} |"
        )
    return "\n".join(lines)


def print_table(folder: Path) -> None:
    """Print the metric table of a run: exact full ranking inside the target's domain."""
    records = read_records(folder)
    if not records:
        raise SystemExit(f"{folder} holds no run records: notebook 06 writes them.")
    for sha256 in dict.fromkeys(
        record["data"]["sha256"] for record in records
    ):  # never a mean over two versions of the data
        group = [record for record in records if record["data"]["sha256"] == sha256]
        print(
            f"{group[0]['data']['name']} (tables {sha256[:8]}): full ranking inside the target's domain, {group[0]['split']}, "
            f"best system last\n\n{metric_table(group)}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(
            "python -m tema_lib.records FOLDER: print the table of the run records in a folder."
        )
    print_table(Path(sys.argv[1]))
