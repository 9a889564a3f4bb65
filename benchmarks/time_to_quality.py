"""How long until a model ranks as well as a known library's does in the end?

    python benchmarks/time_to_quality.py --data FOLDER/fk_core5 [--peers rectools recbole]

The SASRec of each library is trained with four settings of our search (`tema_lib.tuning`); of each
it takes what it has: width, layers, dropout, learning rate and epochs.
All sides stop after five epochs without a better validation MRR, and `tema_lib.evaluation.ranking`
ranks the validation targets after every epoch of all.  The target is the best validation MRR of a
library's best trial.  Then the CPU seconds until each reaches it, validation included: the library
in that trial, our SASRec and TEMA-LLM with the best of the same four.  One thread each, one seed.
What comes before training is in none, but for RecTools' own preparation of the data inside `fit`.

Finished trials of the libraries are kept in build/parity/; writes
results/bench_time_to_quality.json.
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
# With what their settings are completed: RecBole's batches are of rows, one for each prefix. Its
# default number of them, 2,048, takes 4.4 GB on `fk_mini` already.
PEERS = {"rectools": {}, "recbole": {"rows": 256}}
TRIALS = (0, 1, 9, 11)
PATIENCE = 5


def reached(mrr, seconds, target):
    """CPU seconds until the target MRR is reached; None if it never is."""
    above = np.flatnonzero(np.asarray(mrr) >= target)
    return round(float(seconds[above[0]]), 1) if len(above) else None


def trial(run, peer, number):
    """({setting of the network}, [validation MRR], [CPU seconds]) after each epoch of a trial."""
    from tema_lib.tuning import setting

    given = {"hidden": run.hidden, "epochs": run.epochs} | setting(number)
    shape = parity.SHAPE | {name: given[name] for name in ("hidden", "layers", "dropout")}
    training = parity.TRAINING | {name: given[name] for name in ("learning_rate", "epochs")}
    settings = shape | training | {"patience": PATIENCE, "seed": 0} | PEERS[peer]
    identity = json.dumps([settings, run.raw.sha256], sort_keys=True)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:10]
    path = parity.KEPT / f"{run.raw.name}-{peer}-trial-{number}-{fingerprint}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        half = path.with_suffix(".half.npz")
        parity.train_peer(peer, run, settings, half)
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
        sys.exit(
            f"{system} lacks trials of {run.raw.name}: tema tune --numbers "
            + " ".join(map(str, TRIALS))
        )
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
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument(
        "--out", type=Path, default=parity.ROOT / "results" / "bench_time_to_quality.json"
    )
    chosen = parser.parse_args()
    from tema_lib.experiment import Experiment
    from tema_lib.records import commit_and_state, write_json

    run = Experiment(chosen.data, replies="export")
    if run.split.name != "leave-one-out":
        sys.exit(f"{run.raw.name} brings its own split; this comparison needs leave-one-out.")
    libraries = {}
    for peer in chosen.peers:
        trials = {}
        for number in TRIALS:
            settings, mrr, seconds = trials[number] = trial(run, peer, number)
            print(f"{peer}, trial {number}: {max(mrr):.4f}, {seconds[-1]:.0f} s", flush=True)
        best = max(trials, key=lambda number: max(trials[number][1]))
        settings, mrr, seconds = trials[best]
        libraries[peer] = {
            "trial": best,
            "settings": settings,
            "target_mrr": round(max(mrr), 6),
            "seconds": reached(mrr, seconds, max(mrr)),
            "whole_training": round(seconds[-1], 1),
            "all_trials": {str(number): round(max(one[1]), 6) for number, one in trials.items()},
            "ours": {},
        }
    for system in OURS:
        number, mrr, seconds = ours(run, system)
        for peer, library in libraries.items():
            mine = reached(mrr, seconds, library["target_mrr"])
            library["ours"][system] = {
                "trial": number,
                "seconds": mine,
                "times_as_fast": mine and round(library["seconds"] / mine, 1),
                "valid_mrr": round(max(mrr), 6),
                "whole_training": round(float(seconds[-1]), 1),
            }
            print(f"{system}, to {peer}'s quality: {library['ours'][system]}", flush=True)
    commit, dirty = commit_and_state()
    record = {
        "kind": "benchmark",
        "name": "time_to_quality",
        "data": {"name": run.raw.name, "sha256": run.raw.sha256},
        "libraries": libraries,
        "commit": commit,
        "dirty": dirty,
        "command": f"python benchmarks/time_to_quality.py --data FOLDER/{run.raw.name}",
    }
    write_json(chosen.out, record)


if __name__ == "__main__":
    main()
