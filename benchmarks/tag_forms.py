"""What makes tags matter?  Other ways to use them, on validation targets alone.

    python benchmarks/tag_forms.py --data synthetic --seeds 0 1 2

Every form is TEMA-LLM with one change and the settings of TEMA-LLM's best trial; no test target is
ranked.  Writes the best validation MRR of each seed into results/bench_tag_forms.json, form by
form as they end; what is there is not made again.
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
    parser.add_argument("--forms", nargs="+", metavar="FORM", help="some of the forms only")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_tag_forms.json")
    chosen = parser.parse_args()

    from tag_form_models import FORMS, build

    from tema_lib import records
    from tema_lib.experiment import Experiment
    from tema_lib.training import train
    from tema_lib.tuning import trials_folder, tuned

    if unknown := set(chosen.forms or ()) - set(FORMS):
        sys.exit(f"form {min(unknown)!r} is unknown: choose from {', '.join(FORMS)}.")
    found = {"kind": "benchmark", "name": "tag_forms", "rows": []}
    if chosen.out.is_file():
        found = json.loads(chosen.out.read_text(encoding="utf-8"))
    known = {(row["data"], row["form"], row["seed"], row["trial"]) for row in found["rows"]}
    for data in chosen.data:
        run, trial = tuned(Experiment(data, replies="export"), "tema", trials_folder())
        for seed in chosen.seeds:
            for form in chosen.forms or FORMS:
                if (run.raw.name, form, seed, trial) in known:
                    continue
                own = run.with_seed(seed)
                model = build(own, form)
                start = time.process_time()
                history = train(model, own.split, own.domain_of_item, own.training)
                row = {
                    "data": run.raw.name,
                    "form": form,
                    "seed": seed,
                    "trial": trial,
                    "valid_mrr": round(max(epoch["mean"] for epoch in history.valid_mrr), 6),
                    "best_epoch": history.best,
                    "cpu_seconds": round(time.process_time() - start, 1),
                }
                found["rows"].append(row)
                found["commit"], found["dirty"] = records.commit_and_state()
                names = " ".join(Path(each).name for each in chosen.data)
                found["command"] = f"python benchmarks/tag_forms.py --data {names}"
                records.write_json(chosen.out, found)
                print(row, flush=True)


if __name__ == "__main__":
    main()
