"""Ablations and additions: one change at a time, on validation targets alone.

    python benchmarks/changes.py --data synthetic --seeds 0 1 2 [--changes "no lag bias" ...]

SASRec and TEMA-LLM with the settings of their best trials: a component of the recipe taken away,
another way to use tags, or something that might help new items; no test target is ranked.  Writes
the best validation MRR of each seed, and HR@10 of the validation targets that training has not
seen, into results/bench_changes.json, line by line as they end; what is there is not made again.
"""

import argparse
import json
import os
import sys
import time
from operator import itemgetter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["synthetic"], help="'synthetic' or folders")
    parser.add_argument("--systems", nargs="+", default=["sasrec", "tema"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--changes", nargs="+", metavar="CHANGE", help="some of them only")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_changes.json")
    chosen = parser.parse_args()

    from changed_models import BASELINE, CHANGES, build, new_targets

    from tema_lib import records
    from tema_lib.evaluation.protocols import Protocol
    from tema_lib.evaluation.ranking import evaluate
    from tema_lib.experiment import Experiment
    from tema_lib.training import train
    from tema_lib.tuning import trials_folder, tuned

    if unknown := set(chosen.systems) - set(CHANGES):
        sys.exit(f"system {min(unknown)!r} has no changes: choose from {', '.join(CHANGES)}.")
    names = dict.fromkeys(name for system in chosen.systems for name in CHANGES[system])
    if unknown := set(chosen.changes or ()) - set(names):
        sys.exit(f"change {min(unknown)!r} is unknown: choose from {', '.join(names)}.")
    wanted = {BASELINE, *(chosen.changes or names)}
    found = {"kind": "benchmark", "name": "changes", "rows": []}
    if chosen.out.is_file():
        found = json.loads(chosen.out.read_text(encoding="utf-8"))
    key = itemgetter("data", "system", "change", "seed")
    known = {key(row): row["trial"] for row in found["rows"]}
    for data in chosen.data:
        for system in chosen.systems:
            run, trial = tuned(Experiment(data, replies="export"), system, trials_folder())
            cases = [(seed, name) for seed in chosen.seeds for name in CHANGES[system]]
            for seed, name in cases:
                case = (run.raw.name, system, name, seed)
                if name not in wanted or known.get(case) == trial:
                    continue
                own, model = build(run.with_seed(seed), system, name)
                start = time.process_time()
                history = train(model, own.split, own.domain_of_item, own.training)
                seconds = time.process_time() - start
                ranks = evaluate(
                    model, own.split.valid, own.domain_of_item, protocol=Protocol(negatives=0)
                )
                new = ranks.select(new_targets(own.split.train, ranks.target))
                row = {
                    "data": run.raw.name,
                    "system": system,
                    "change": name,
                    "seed": seed,
                    "trial": trial,
                    "valid_mrr": round(max(epoch["mean"] for epoch in history.valid_mrr), 6),
                    "new_cases": len(new),
                    "new_hr": round(new.metric("HR@10"), 6) if len(new) else None,
                    "best_epoch": history.best,
                    "cpu_seconds": round(seconds, 1),
                }
                found["rows"] = [old for old in found["rows"] if key(old) != case] + [row]
                found["commit"], found["dirty"] = records.commit_and_state()
                folders = " ".join(sorted({row["data"] for row in found["rows"]}))
                found["command"] = f"python benchmarks/changes.py --data {folders}"
                records.write_json(chosen.out, found)
                print(row, flush=True)


if __name__ == "__main__":
    main()
