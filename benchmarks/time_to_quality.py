"""How long until a model ranks as well as a known library's does in the end?

    python benchmarks/time_to_quality.py --data FOLDER/fk_core5

RecTools' SASRec is trained with the first four settings of our search (`tema_lib.tuning`); of each
it takes what it has: width, layers, dropout, learning rate and epochs.  Both sides stop after five
epochs without a better validation MRR, and `tema_lib.evaluation.ranking` ranks the validation
targets after every epoch of both.  The target is the best validation MRR of RecTools' best trial.
Then the CPU seconds until each reaches it, validation included: RecTools in that trial, our SASRec
and TEMA-LLM with the best of the same four.  One thread each, one seed.  What comes before training
is in neither, but for RecTools' own preparation of the data inside `fit`.

Finished trials of RecTools are kept in build/parity/; writes results/bench_time_to_quality.json.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import parity

OURS = ("sasrec", "tema")
TRIALS = range(4)
PATIENCE = 5


def reached(mrr, seconds, target):
    """CPU seconds until the target MRR is reached; None if it never is."""
    above = np.flatnonzero(np.asarray(mrr) >= target)
    return round(float(seconds[above[0]]), 1) if len(above) else None


def rectools(run, number, seed=0):
    """({setting of the network}, [validation MRR], [CPU seconds]) after each epoch of a trial."""
    from tema_lib.tuning import setting

    given = {"hidden": run.hidden, "epochs": run.epochs} | setting(number)
    shape = parity.SHAPE | {name: given[name] for name in ("hidden", "layers", "dropout")}
    training = parity.TRAINING | {name: given[name] for name in ("learning_rate", "epochs")}
    settings = {"shape": shape, "training": training | {"patience": PATIENCE}}
    identity = json.dumps([settings, run.raw.sha256, seed], sort_keys=True)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:10]
    path = parity.KEPT / f"{run.raw.name}-rectools-trial-{number}-{fingerprint}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        half = path.with_suffix(".half.npz")
        parity.train_rectools(run, settings, seed, half)
        half.replace(path)
    with np.load(path) as file:
        about = json.loads(str(file["about"]))
    return settings, *about["after_each_epoch"]


def ours(run, system):
    """(number of the best of those trials, [validation MRR], [CPU seconds]) after each epoch."""
    from tema_lib import training
    from tema_lib.tuning import best, read_trials, setting, trials_folder

    record = read_trials(trials_folder() / run.raw.name / f"{system}.json") or {"trials": []}
    record["trials"] = [trial for trial in record["trials"] if trial["number"] in TRIALS]
    if len(record["trials"]) < len(TRIALS):
        sys.exit(f"{system} lacks trials of {run.raw.name}: tema tune --trials {len(TRIALS)}")
    number = best(record)["number"]
    own = run.with_options(setting(number))
    model = own.build(system)
    with mock.patch.object(training.time, "perf_counter", time.process_time):
        history = training.train(model, own.split, own.domain_of_item, own.training)
    return number, [epoch["mean"] for epoch in history.valid_mrr], np.cumsum(history.seconds)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--out", type=Path, default=parity.ROOT / "results" / "bench_time_to_quality.json"
    )
    chosen = parser.parse_args()
    from tema_lib.experiment import Experiment
    from tema_lib.records import commit_and_state, write_json

    run = Experiment(chosen.data, replies="export")
    if run.split.name != "leave-one-out":
        sys.exit(f"{run.raw.name} brings its own split; this comparison needs leave-one-out.")
    trials = {}
    for number in TRIALS:
        settings, mrr, seconds = rectools(run, number)
        trials[number] = {"settings": settings, "valid_mrr": max(mrr), "curve": (mrr, seconds)}
        print(f"rectools, trial {number}: {max(mrr):.4f}, {seconds[-1]:.0f} s", flush=True)
    best = max(trials, key=lambda number: trials[number]["valid_mrr"])
    target = trials[best]["valid_mrr"]
    seconds = reached(*trials[best]["curve"], target)
    rows = [{"system": "rectools", "trial": best, "seconds": seconds}]
    for system in OURS:
        number, mrr, seconds = ours(run, system)
        row = {"system": system, "trial": number, "seconds": reached(mrr, seconds, target)}
        rows.append(
            row | {"valid_mrr": round(max(mrr), 6), "whole_training": round(seconds[-1], 1)}
        )
    for row in rows:
        row["times_as_fast"] = row["seconds"] and round(rows[0]["seconds"] / row["seconds"], 1)
        print(row, flush=True)
    commit, dirty = commit_and_state()
    record = {
        "kind": "benchmark",
        "name": "time_to_quality",
        "data": {"name": run.raw.name, "sha256": run.raw.sha256},
        "target_mrr": round(target, 6),
        "rectools": {
            str(number): {"settings": one["settings"], "valid_mrr": round(one["valid_mrr"], 6)}
            for number, one in trials.items()
        },
        "rows": rows,
        "commit": commit,
        "dirty": dirty,
        "command": f"python benchmarks/time_to_quality.py --data FOLDER/{run.raw.name}",
    }
    write_json(chosen.out, record)


if __name__ == "__main__":
    main()
