"""Is our SASRec as good as a known library's?  Ours against RecTools' SASRecModel, like for like.

    python benchmarks/parity.py --data synthetic FOLDER/fk_mini [--seeds 0 1 2]

Both learn from the training events of the leave-one-out split, one merged sequence a user, with the
exact softmax over the whole catalogue.  For both, the learning rate (with the first seed) and the
epoch are chosen by validation MRR, and `tema_lib.evaluation.ranking` ranks the test cases.  The
paired difference is over test cases, seeds averaged, with its standard error (over users, not over
seeds).  Further systems switch one named difference each.

RecTools runs in its own environment (benchmarks/peers.py), started as
benchmarks/parity_rectools.py.  Finished runs are kept in build/parity/ and not repeated; delete it
after a change of the library.  Writes results/bench_parity.json (kind `benchmark`).
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from unittest import mock

import peers

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
KEPT = ROOT / "build" / "parity"
RATES = (1e-3, 3e-3)
SHAPE = {"hidden": 64, "heads": 2, "layers": 2, "max_length": 50, "dropout": 0.2}
TRAINING = {"batch_size": 64, "patience": 10}
# Without what our SASRec has beyond the original's network.
PLAIN = {
    "positions": "from the start",
    "lag_bias": False,
    "domain_heads": False,
    "negatives": "all",
}
OURS = {
    "model": PLAIN | {"similarity": "dot", "loss": "catalogue softmax"},
    "training": {"epochs": 100, "weight_decay": 0.01},
}
SWITCHES = ("schedule", "start", "block", "positions", "input")  # see parity_switches.py
PEERS = ("rectools", "rectools, padding masked")
# What each system is; the first two are compared, the others say what the difference is made of.
SYSTEMS = {
    "ours": OURS,
    "rectools": {"training": {"epochs": 100}},
    # An option of theirs, off by default.
    "rectools, padding masked": {"model": {"key_padding": True}, "training": {"epochs": 100}},
    "ours, all as theirs": {**OURS, "switches": list(SWITCHES)},
    **{f"ours, {switch} as theirs": {**OURS, "switches": [switch]} for switch in SWITCHES},
    "ours, 30 epochs": {
        **OURS,
        "training": {"epochs": 30, "weight_decay": 0.01},
    },  # TrainConfig's own number
    "ours, cosine and domain softmax": {
        "model": PLAIN | {"similarity": "cosine", "loss": "domain softmax", "temperature": 0.07},
        "training": {"epochs": 30, "weight_decay": 0.01},
    },
    "rectools, padding masked, pre-norm blocks": {
        "model": {"key_padding": True, "layers_type": "PreLN"},
        "training": {"epochs": 100},
    },
}


def train_ours(run, settings, seed):
    """(ranks by part, what happened) of one of our models."""
    import torch

    from tema_lib.evaluation.protocols import Protocol
    from tema_lib.evaluation.ranking import evaluate
    from tema_lib.models.sasrec import SASRec, SASRecConfig
    from tema_lib.training import TrainConfig, train

    torch.manual_seed(seed)
    config = SASRecConfig(**settings["shape"], **settings["model"])
    switches = settings.get("switches", ())
    training = settings["training"]
    model, optimizer = SASRec(run.domain_of_item, config), contextlib.nullcontext()
    if switches:
        import parity_switches

        model = parity_switches.Switched(run.domain_of_item, config, switches)
    if "schedule" in switches:
        training = training | parity_switches.SCHEDULE
        optimizer = mock.patch.object(
            torch.optim, "AdamW", partial(torch.optim.AdamW, betas=(0.9, 0.98))
        )
    began, spent = time.perf_counter(), time.process_time()
    with optimizer:
        history = train(model, run.split, run.domain_of_item, TrainConfig(seed=seed, **training))
    seconds, spent = time.perf_counter() - began, time.process_time() - spent

    def rank(part):
        return evaluate(model, part, run.domain_of_item, protocol=Protocol(negatives=0))

    return {"valid": rank(run.split.valid), "test": rank(run.split.test)}, {
        "valid_MRR": history.valid_mrr[history.best]["mean"],
        "best_epoch": history.best,
        "epochs": history.epochs,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(spent, 1),
        "parameters": sum(weights.numel() for weights in model.parameters()),
    }


def train_peer(peer, run, given, path):
    """The same of a library's model, left in the file by its worker, parity_<peer>.py."""
    import numpy as np

    events_file = KEPT / f"{run.raw.name}-{run.raw.sha256[:8]}.npz"
    if not events_file.exists():
        a = int((run.domain_of_item == 0).sum())
        assert run.domain_of_item.tolist() == [-1] + [0] * a + [1] * (run.items.count - a)
        np.savez(
            events_file,
            items=run.split.test.items.numpy(),
            offsets=run.split.test.offsets.numpy(),
            n_items=run.items.count,
            n_a=a,
        )
    done = subprocess.run(
        [
            str(peers.environment(peer)),
            str(ROOT / "benchmarks" / f"parity_{peer}.py"),
            str(events_file),
            str(path),
            json.dumps(given),
        ],
        env={**os.environ, **peers.KEEP_MEMORY, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{peer}: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")


def one_run(run, system, rate, seed):
    """({part: Ranks}, what happened), made or read."""
    import numpy as np

    from tema_lib.evaluation.ranking import Ranks

    settings = {
        "shape": SHAPE,
        **SYSTEMS[system],
        "training": TRAINING | SYSTEMS[system]["training"] | {"learning_rate": rate},
    }
    identity = json.dumps([settings, run.raw.sha256, seed], sort_keys=True)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:10]
    path = KEPT / f"{run.raw.name}-{system.replace(' ', '_')}-{rate}-{seed}-{fingerprint}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        half = path.with_suffix(f".{os.getpid()}.npz")
        if system.startswith("rectools"):
            given = settings["shape"] | settings["training"] | settings.get("model", {})
            train_peer("rectools", run, given | {"seed": seed}, half)
        else:
            found, about = train_ours(run, settings, seed)
            np.savez(
                half,
                about=json.dumps(about),
                **{
                    f"{part}_{name}": getattr(ranks, name)
                    for part, ranks in found.items()
                    for name in ranks.__dataclass_fields__
                },
            )
        os.replace(half, path)
    with np.load(path) as file:
        found = {
            part: Ranks(*(file[f"{part}_{name}"] for name in Ranks.__dataclass_fields__))
            for part in ("valid", "test")
        }
        about = json.loads(str(file["about"]))
    shown = {name: about[name] for name in ("best_epoch", "epochs", "cpu_seconds")} | {
        "valid_MRR": round(about["valid_MRR"], 5),
        "NDCG@10": {
            name: round(found["test"].of_domain(domain).metric("NDCG@10"), 5)
            for domain, name in enumerate("AB")
        },
    }
    print(f"{run.raw.name:9s}{system:44s}lr {rate:<6} seed {seed}  {json.dumps(shown)}", flush=True)
    return found, about


def compare(one, other):
    """Paired difference of NDCG@10, `one` - `other`; seeds are averaged per case."""
    import numpy as np

    def mean(several):
        return np.mean([ranks.values("NDCG@10") for ranks in several], axis=0)

    assert all(
        np.array_equal(ranks.target, one[0].target)
        and np.array_equal(ranks.candidates, one[0].candidates)
        for ranks in (*one, *other)
    )
    difference, domain = mean(one) - mean(other), one[0].domain
    found = {}
    for name, mask in {"all": domain >= 0, "A": domain == 0, "B": domain == 1}.items():
        error = float(difference[mask].std(ddof=1) / mask.sum() ** 0.5)
        found[name] = {
            "cases": int(mask.sum()),
            "difference": round(float(difference[mask].mean()), 5),
            "standard_error": round(error, 5),
            "standard_errors_apart": round(abs(float(difference[mask].mean())) / error, 2),
        }
    return found


def on(data, systems, seeds):
    """All systems on one data set: metrics, differences to RecTools, every run."""
    from tema_lib.experiment import Experiment

    run = Experiment(data)
    if run.split.name != "leave-one-out":
        sys.exit(f"{run.raw.name} brings its own split; this comparison needs leave-one-out.")
    ranks, rows, rates, versions = {}, [], {}, {}
    for system in systems:
        made = {(rate, seeds[0]): one_run(run, system, rate, seeds[0]) for rate in RATES}
        rates[system] = max(RATES, key=lambda rate: made[rate, seeds[0]][1]["valid_MRR"])
        made |= {
            (rates[system], seed): one_run(run, system, rates[system], seed) for seed in seeds[1:]
        }
        ranks[system] = [made[rates[system], seed][0]["test"] for seed in seeds]
        for (rate, seed), (found, about) in made.items():
            versions |= about.pop("versions", {})
            about.pop("after_each_epoch", None)  # for time_to_quality.py
            rows.append(
                {
                    "system": system,
                    "learning_rate": rate,
                    "seed": seed,
                    "NDCG@10": ndcg([found["test"]]),
                    **about,
                    "valid_MRR": round(about["valid_MRR"], 6),
                }
            )
    differences = {
        f"{system} - {peer}": compare(ranks[system], ranks[peer])
        for peer in PEERS
        for system in systems
        if peer in ranks and system not in PEERS
    }
    if set(PEERS) <= set(ranks):
        differences[" - ".join(PEERS)] = compare(*(ranks[peer] for peer in PEERS))
    for name, parts in differences.items():
        print(
            f"{run.raw.name:9s}{name:58s}"
            + "   ".join(
                f"{part} {found['difference']:+.5f} +- {found['standard_error']:.5f} "
                f"({found['standard_errors_apart']:.2f})"
                for part, found in parts.items()
            ),
            flush=True,
        )
    return versions, {
        "sha256": run.raw.sha256,
        "items": run.items.count,
        "users": len(run.split.test),
        "training_events": len(run.split.train.items),
        "NDCG@10": {system: ndcg(several) for system, several in ranks.items()},
        "learning_rate": rates,
        "differences": differences,
        "runs": rows,
    }


def ndcg(several):
    """Mean over the cases and seeds: overall and per domain."""

    def mean(domains):
        return round(
            sum(
                ranks.select((ranks.domain >= domains[0]) & (ranks.domain <= domains[1])).metric(
                    "NDCG@10"
                )
                for ranks in several
            )
            / len(several),
            5,
        )

    return {"all": mean((0, 1)), "A": mean((0, 0)), "B": mean((1, 1))}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["synthetic"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--systems",
        nargs="+",
        default=list(SYSTEMS)[:4],
        choices=list(SYSTEMS),
        metavar="SYSTEM",
        help=f"the first four unless said otherwise, of: {'; '.join(SYSTEMS)}",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_parity.json")
    chosen = parser.parse_args()
    from importlib.metadata import version

    from tema_lib import records
    from tema_lib.notebook import setup

    setup()
    found, versions = {}, {}
    for data in chosen.data:
        theirs, about = on(data, chosen.systems, chosen.seeds)
        found[Path(data).name] = about
        versions |= {
            f"{name} (rectools)" if name != "rectools" else name: value
            for name, value in theirs.items()
        }
    usual = chosen.systems == parser.get_default("systems")
    systems = "" if usual else " --systems " + " ".join(f"'{name}'" for name in chosen.systems)
    names = " ".join(name if name == "synthetic" else f"FOLDER/{name}" for name in found)
    seeds = " ".join(map(str, chosen.seeds))
    commit, dirty = records.commit_and_state()
    records.write_json(
        chosen.out,
        {
            "kind": "benchmark",
            "name": "parity",
            "data": found,
            "seeds": chosen.seeds,
            "config": {
                "shape": SHAPE,
                "training": TRAINING,
                "learning_rates": list(RATES),
                "systems": {name: SYSTEMS[name] for name in chosen.systems},
            },
            "versions": {
                "torch": version("torch"),
                "numpy": version("numpy"),
                "python": platform.python_version(),
                **versions,
            },
            "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
            "threads": 1,
            "commit": commit,
            "dirty": dirty,
            "command": f"python benchmarks/parity.py --data {names} --seeds {seeds}{systems}",
        },
    )
    print(f"{chosen.out.name} written")


if __name__ == "__main__":
    main()
