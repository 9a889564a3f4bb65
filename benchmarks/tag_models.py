"""Tags of a small and of a large language model, on the same items, with the same measures.

    python benchmarks/tag_models.py --data synthetic FOLDER/fk_mini FOLDER/fk_core5

Reads the exports in data/tags/; nobody is asked. The controls are measured beside them: each
model's tags shuffled, and words of the titles. Writes results/bench_tag_models.json.
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def rows_of(run):
    """A row for each model, its tags shuffled, and the words of the titles."""
    from prompts import measures

    from tema_lib.tags.controls import control_tags

    for tags in (run.small_tags, run.tags):
        kinds = ["", "shuffled", *(["title words"] if tags is run.tags else [])]
        for kind in kinds:
            some = control_tags(tags, kind, run.catalogue, run.tag_config) if kind else tags
            model = "" if kind == "title words" else tags.model
            yield {
                "data": run.raw.name,
                "model": model,
                "control": kind,
                **measures(some, run, run.tag_config.style),
            }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["synthetic"], help="'synthetic' or folders")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_tag_models.json")
    chosen = parser.parse_args()

    from tema_lib import records
    from tema_lib.experiment import Experiment

    rows = []
    for data in chosen.data:
        for row in rows_of(Experiment(data, replies="export")):
            rows.append(row)
            print(row, flush=True)
    commit, dirty = records.commit_and_state()
    names = " ".join(Path(data).name for data in chosen.data)
    records.write_json(
        chosen.out,
        {
            "kind": "benchmark",
            "name": "tag_models",
            "rows": rows,
            "commit": commit,
            "dirty": dirty,
            "command": f"python benchmarks/tag_models.py --data {names}",
        },
    )


if __name__ == "__main__":
    main()
