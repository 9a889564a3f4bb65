"""Do batches of similar length change what is learned?  Same system and seeds, NDCG@10 per case.

    python benchmarks/batches.py --data FOLDER/fk_core5 [--system sasrec] [--seeds 0 1 2]

Trains the system with the configuration of `make run`, with sorted (`window` 16) and with random
batches (1), and ranks the test cases.  The result is the paired difference over users, seeds
averaged, with its standard error (over users, not over seeds).  Checkpoints are kept in
build/bench_batches/, so a stopped run resumes.  Writes results/bench_batches.json (kind
`benchmark`).
"""

import argparse
import os
import platform
import sys
from dataclasses import asdict, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--system", default="sasrec")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_batches.json")
    chosen = parser.parse_args()
    from importlib.metadata import version

    import numpy as np
    import torch

    from tema_lib import records
    from tema_lib.evaluation.protocols import Protocol
    from tema_lib.evaluation.ranking import evaluate
    from tema_lib.experiment import Experiment
    from tema_lib.notebook import setup
    from tema_lib.training import train

    setup()
    ranks, rows = {}, []
    for seed in chosen.seeds:
        run = Experiment(chosen.data, seed=seed)
        for way, window in (("sorted", run.training.window), ("random", 1)):
            model = run.build(chosen.system)
            config = replace(run.training, window=window)
            checkpoint = (
                ROOT / "build" / "bench_batches" / f"{run.name}-{chosen.system}-{way}-{seed}.pt"
            )
            history = train(
                model,
                run.split,
                run.domain_of_item,
                config,
                checkpoint=checkpoint,
                progress=f"{way} {seed}",
            )
            ranks[way, seed] = evaluate(
                model, run.split.test, run.domain_of_item, protocol=Protocol(negatives=0)
            )
            rows.append(
                {
                    "seed": seed,
                    "batches": way,
                    "window": window,
                    "epochs": history.epochs,
                    "best_epoch": history.best,
                    "training_seconds": round(sum(history.seconds), 1),
                    "NDCG@10": {
                        name: round(ranks[way, seed].of_domain(domain).metric("NDCG@10"), 5)
                        for domain, name in enumerate("AB")
                    },
                }
            )
            print(rows[-1], flush=True)
    mean = {
        way: np.mean([ranks[way, seed].values("NDCG@10") for seed in chosen.seeds], axis=0)
        for way in ("sorted", "random")
    }
    difference = mean["sorted"] - mean["random"]
    domain = ranks["sorted", chosen.seeds[0]].domain
    parts = {"all": np.ones(len(domain), dtype=bool), "A": domain == 0, "B": domain == 1}
    compared = {
        name: {
            "cases": int(mask.sum()),
            "difference": round(float(difference[mask].mean()), 5),
            "standard_error": round(float(difference[mask].std(ddof=1) / mask.sum() ** 0.5), 5),
        }
        for name, mask in parts.items()
    }
    for name, part in compared.items():
        part["standard_errors_apart"] = round(abs(part["difference"]) / part["standard_error"], 2)
        print(
            f"{name:4s}{part['difference']:+.5f} +- {part['standard_error']:.5f} "
            f"({part['standard_errors_apart']} standard errors, {part['cases']} cases)"
        )
    commit, dirty = records.commit_and_state()
    seeds = " ".join(map(str, chosen.seeds))
    records.write_json(
        chosen.out,
        {
            "kind": "benchmark",
            "name": "batches",
            "data": {"name": run.raw.name, "sha256": run.raw.sha256},
            "system": chosen.system,
            "runs": rows,
            "sorted_minus_random": compared,
            "config": asdict(run.training),
            "seeds": chosen.seeds,
            "versions": {"torch": version("torch"), "python": platform.python_version()},
            "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
            "threads": torch.get_num_threads(),
            "commit": commit,
            "dirty": dirty,
            "command": f"python benchmarks/batches.py --data FOLDER/{run.raw.name} "
            f"--system {chosen.system} --seeds {seeds}",
        },
    )


if __name__ == "__main__":
    main()
