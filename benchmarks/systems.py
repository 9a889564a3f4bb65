"""What does a system cost?  Parameters, and CPU seconds of an epoch and of ranking all test cases.

    python benchmarks/systems.py --data synthetic FOLDER/fk_mini

With the configuration of `make run` and one thread; the mean of the given number of epochs, each
with its ranking of the validation cases, as in the training loop.  CPU time, so that other work on
the machine does not count.  What the systems read (features, tags, profiles) is taken from
build/artifacts/<data>/ and made first if it is missing; that is not counted.  Writes
results/bench_systems.json (kind `benchmark`).
"""

import argparse
import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

PROFILED = ("llm4cdsr", "llm4cdsr-no-contrastive")  # they read profiles that a model has written


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["synthetic"])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_systems.json")
    chosen = parser.parse_args()
    from importlib.metadata import version

    import torch

    from tema_lib import records
    from tema_lib.evaluation.ranking import evaluate
    from tema_lib.experiment import Experiment
    from tema_lib.models.systems import SYSTEMS
    from tema_lib.notebook import setup
    from tema_lib.training import train

    setup()
    found = {}
    for data in chosen.data:
        run = Experiment(data, replies="export")
        os.environ["TEMA_ARTIFACTS"] = str(ROOT / "build" / "artifacts" / run.name)
        costs = {}
        for name in SYSTEMS:
            if name in PROFILED and not run.synthetic:
                continue  # thousands of answers first
            model, config = run.build(name), replace(run.training, epochs=chosen.epochs)
            began = time.process_time()
            epochs = train(model, run.split, run.domain_of_item, config).epochs
            learned = time.process_time()
            evaluate(model, run.split.test, run.domain_of_item)
            costs[name] = {
                "parameters": sum(parameter.numel() for parameter in model.parameters()),
                "train": round((learned - began) / max(1, epochs), 3),
                "rank": round(time.process_time() - learned, 3),
            }
            print(
                f"{run.raw.name:9}{name:24}{costs[name]['parameters']:12,}"
                f"{costs[name]['train']:10.2f} s an epoch{costs[name]['rank']:10.2f} s to rank",
                flush=True,
            )
        found[run.raw.name] = {
            "sha256": run.raw.sha256,
            "items": run.items.count,
            "users": len(run.split.test),
            "hidden": run.hidden,
            "systems": costs,
        }
    names = " ".join(name if name == "synthetic" else f"FOLDER/{name}" for name in found)
    commit, dirty = records.commit_and_state()
    records.write_json(
        chosen.out,
        {
            "kind": "benchmark",
            "name": "systems",
            "data": found,
            "epochs": chosen.epochs,
            "versions": {"torch": version("torch"), "python": platform.python_version()},
            "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
            "threads": torch.get_num_threads(),
            "commit": commit,
            "dirty": dirty,
            "command": f"python benchmarks/systems.py --data {names} --epochs {chosen.epochs}",
        },
    )


if __name__ == "__main__":
    main()
