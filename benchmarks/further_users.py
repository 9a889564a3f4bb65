"""The tuned systems rank further users of the synthetic data, whom no training has seen.

    python benchmarks/further_users.py --systems "sasrec tema" --seeds 0 1 2 3 4 [--users 6000]

The generator draws more users over the same items; each has its last interaction as the target.
The systems are those of `tema evaluate --tuned`: trained on the synthetic data with the settings
of their best trials, and taken from their checkpoints where these are.  Writes a run record for
each system and seed into results/further-users/; those that are there are not made again.
"""

import argparse
import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SEED = 1  # of the generator; the synthetic data set has 0
USERS = 6000
SPLIT = "last event of users that no training has seen"


def further_interactions(users):
    """The table of the events of so many further users."""
    import pandas as pd

    from tema_lib.datasets.synthetic.config import DEFAULT
    from tema_lib.datasets.synthetic.items import make_items
    from tema_lib.datasets.synthetic.users import make_users

    drawn = make_users(make_items(DEFAULT, 0), replace(DEFAULT, users=users), SEED)
    rows = [(u.user_id, item.item_id, item.domain, time) for u in drawn for item, time in u.events]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "domain", "timestamp"])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", default="")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "further-users")
    chosen = parser.parse_args()

    from tema_lib.commands.common import use_own_artifacts
    from tema_lib.data.sequences import build_sequences
    from tema_lib.experiment import Experiment
    from tema_lib.records import write_json
    from tema_lib.tuning import trials_folder, tuned

    run = Experiment("synthetic", replies="export")
    use_own_artifacts(run)
    table = further_interactions(chosen.users)
    further = build_sequences(replace(run.raw, interactions=table), run.items)
    digest = hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
    for seed in chosen.seeds:
        for system in run.systems(chosen.systems):
            path = chosen.out / f"{system}-{seed}.json"
            own, number = tuned(run.with_seed(seed), system, trials_folder())
            if path.is_file():
                known = json.loads(path.read_text(encoding="utf-8"))
                if (known["data"]["sha256"], known["config"]["trial"]) != (digest, number):
                    sys.exit(f"{path} is of other users or another trial: move it away.")
                continue
            own.train(system)  # with the split of the synthetic data
            own.split = replace(own.split, test=further, name=SPLIT)
            command = f"python benchmarks/further_users.py --systems {system} --seeds {seed}"
            if chosen.users != USERS:
                command += f" --users {chosen.users}"
            record = own.record(system, command)
            record["data"] = {"name": f"{chosen.users:,} further users", "sha256": digest}
            record["config"]["trial"] = number
            write_json(path, record)
            ndcg = {domain: record["metrics"]["full"][domain]["NDCG@10"] for domain in "AB"}
            print(f"{system:24} seed {seed}: NDCG@10 {ndcg}", flush=True)


if __name__ == "__main__":
    main()
