"""What each device of the recipe is worth: every one taken away alone, on validation targets.

    python benchmarks/devices.py --data synthetic --seeds 0 1 2

A system keeps the settings of its best trial; no test target is ranked.  Then the other way round:
what else might help new items, added to TEMA-LLM.  Writes the best validation MRR of each seed, and
HR@10 of the validation targets that training has not seen, into results/bench_devices.json, line by
line as they end; what is there is not made again.
"""

import argparse
import json
import os
import sys
import time
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_devices.json")
    chosen = parser.parse_args()

    from device_models import CHANGES, build, new_targets

    from tema_lib import records
    from tema_lib.evaluation.protocols import Protocol
    from tema_lib.evaluation.ranking import evaluate
    from tema_lib.experiment import Experiment
    from tema_lib.training import train
    from tema_lib.tuning import trials_folder, tuned

    found = {"kind": "benchmark", "name": "devices", "rows": []}
    if chosen.out.is_file():
        found = json.loads(chosen.out.read_text(encoding="utf-8"))
    known = {
        tuple(row[part] for part in ("data", "system", "change", "seed", "trial"))
        for row in found["rows"]
    }
    for data in chosen.data:
        for system, changes in CHANGES.items():
            run, trial = tuned(Experiment(data, replies="export"), system, trials_folder())
            for seed in chosen.seeds:
                for change in changes:
                    if (run.raw.name, system, change, seed, trial) in known:
                        continue
                    own = run.with_seed(seed)
                    model = build(own, system, change)
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
                        "change": change,
                        "seed": seed,
                        "trial": trial,
                        "valid_mrr": round(max(epoch["mean"] for epoch in history.valid_mrr), 6),
                        "new_cases": len(new),
                        "new_hr": round(new.metric("HR@10"), 6) if len(new) else None,
                        "best_epoch": history.best,
                        "cpu_seconds": round(seconds, 1),
                    }
                    found["rows"].append(row)
                    found["commit"], found["dirty"] = records.commit_and_state()
                    names = " ".join(Path(each).name for each in chosen.data)
                    found["command"] = f"python benchmarks/devices.py --data {names}"
                    records.write_json(chosen.out, found)
                    print(row, flush=True)


if __name__ == "__main__":
    main()
