"""How long a question takes."""

from __future__ import annotations

import json
from pathlib import Path

from tema_lib.records import Record


def serving(path: Path) -> str:
    """The table of answering times, or how to get one."""
    if not path.is_file():
        return "*`python benchmarks/serving.py` writes this table.*"
    return serving_table(json.loads(path.read_text(encoding="utf-8")))


def serving_table(record: Record) -> str:
    """Markdown: how long an answer takes in each way to ask, then what many clients at once get."""
    inside, http = record["milliseconds in process"], record["milliseconds over HTTP"]
    rows = {
        "`predictor.recommend`": inside["one question"],
        "the program of `torch.export`": inside["one question, torch.export"],
        "`tema serve`, over HTTP": http["one question"],
    }
    ((many, at_once),) = [(name, row) for name, row in http.items() if "clients" in name]
    ((batch, mean),) = [(name, row["mean"]) for name, row in inside.items() if "mean" in row]
    return "\n".join(
        [
            f"| one question, {record['items']:,} items, one thread | median | 99th percentile |",
            "|---|---:|---:|",
            *(
                f"| {way} | {row['p50']:.1f} ms | {row['p99']:.1f} ms |"
                for way, row in rows.items()
            ),
            "",
            f"{many.capitalize()} on {record['hardware']['cores']} cores: {at_once['a second']} "
            f"answers a second, {at_once['lost']} of {at_once['requests']:,} lost, at most "
            f"{at_once['peak_mib']} MiB. {batch.capitalize()}, exactly: {mean:.1f} ms.",
        ]
    )
