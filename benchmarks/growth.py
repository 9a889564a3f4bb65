"""How do time and memory grow with items, users and the length of sequences?

    python benchmarks/growth.py
    make bench-growth

TEMA-LLM (id, text, image, tags; three sequences; width 64, batch 256) learns and ranks random
sequences.  One dimension grows at a time, one, four and sixteen times; each point runs in a process
of its own, so that its peak memory is its own.  An exponent is the slope of log cost over log size;
1 means proportional.  An epoch is the cost of a target times the targets of an epoch; ranking is
measured whole.  Features have 128 numbers, as `reduce_features` leaves them.  Writes
results/bench_growth.json (kind `benchmark`) and results/bench_growth.png.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

BASE = {"items": 15_625, "users": 5_000, "length": 1.0, "max_length": 50}
AXES = {
    "items": [{"items": items} for items in (15_625, 62_500, 250_000)],
    "users": [{"users": users} for users in (5_000, 20_000, 80_000)],
    "length": [{"length": length, "max_length": 200} for length in (1.0, 4.0, 16.0)],
}


def one_point(items, users, length, max_length, seconds):
    """Seconds per target, per ranked user, of an epoch and of ranking everybody; peak memory."""
    import numpy as np
    import ours
    import peers
    import torch
    from random_sequences import write_sequences

    from tema_lib.evaluation.protocols import Protocol
    from tema_lib.evaluation.ranking import evaluate
    from tema_lib.models.tema import Tema, TemaConfig

    torch.set_num_threads(1)
    folder = ROOT / "build" / "bench_growth"
    folder.mkdir(parents=True, exist_ok=True)
    path = write_sequences(
        folder / f"{items}-{users}-{length}.npz",
        users=users,
        items_a=items * 2 // 5,
        items_b=items - items * 2 // 5,
        stretch=length,
        max_length=max_length,
    )
    data = peers.load(path)
    sequences, domain = ours.sequences_of(data)
    torch.manual_seed(0)
    model = Tema(
        ours.item_inputs(domain, 0, widths=(128, 128)),
        TemaConfig(hidden=data.hidden, heads=data.heads, max_length=data.max_length),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = ours.training(
        model, sequences.without_last(2), domain, data, batch=256, clip=5.0, weight_decay=0.01
    )
    for _ in range(2):  # warm
        step(0)
    began = time.process_time()
    done = step(seconds)
    per_target = (time.process_time() - began) / done["targets"]
    after_training = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    evaluate(model, sequences, domain, protocol=Protocol(negatives=0))
    per_user = (time.process_time() - began) / users
    targets = int((np.minimum(np.diff(data.offsets) - 2, data.max_length + 1) - 1).clip(0).sum())
    return {
        "items": items,
        "users": users,
        "length": length,
        "mean_length": round(len(data.items) / users, 1),
        "targets_an_epoch": targets,
        "seconds_per_1000_targets": round(1000 * per_target, 4),
        "seconds_per_1000_users_ranked": round(1000 * per_user, 4),
        "seconds_an_epoch": round(per_target * targets, 1),
        "seconds_ranking_all": round(per_user * users, 2),
        "peak_mib": {
            "inputs and model": before // 1024,
            "training": after_training // 1024,
            "training and ranking": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        },
    }


def exponent(sizes, costs):
    """Slope of a straight line through log cost over log size, least squares."""
    import numpy as np

    return round(float(np.polyfit(np.log(sizes), np.log(costs), 1)[0]), 3)


def plot(points, exponents, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(style="whitegrid", context="notebook", font_scale=0.85)
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    kinds = {
        "items": (
            "seconds_per_1000_targets",
            "seconds_per_1000_users_ranked",
            "CPU seconds per thousand",
        ),
        "users": ("seconds_an_epoch", "seconds_ranking_all", "CPU seconds in all"),
        "length": ("seconds_an_epoch", "seconds_ranking_all", "CPU seconds in all"),
    }
    for ax, (axis, (train, rank, label)) in zip(axes, kinds.items()):
        mine = points[axis]
        sizes = [point["mean_length"] if axis == "length" else point[axis] for point in mine]
        for key, name, colour, marker in (
            (train, "training", "#0072B2", "o"),
            (rank, "ranking", "#E69F00", "s"),
        ):
            ax.loglog(
                sizes,
                [point[key] for point in mine],
                marker=marker,
                color=colour,
                label=f"{name}, grows as size^{exponents[axis][key]:.2f}",
            )
        ax.set(
            xlabel={"items": "items", "users": "users", "length": "mean length of a sequence"}[
                axis
            ],
            ylabel=label,
        )
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.minorticks_off()
        ax.legend(frameon=False, fontsize=8)
    sizes = [point["items"] for point in points["items"]]
    for key, colour, marker in (
        ("inputs and model", "#999999", "^"),
        ("training and ranking", "#009E73", "D"),
    ):
        axes[3].plot(
            sizes,
            [point["peak_mib"][key] / 1024 for point in points["items"]],
            marker=marker,
            color=colour,
            label=key,
        )
    axes[3].axhline(3, color="#D55E00", linestyle=":", label="our limit: 3 GiB")
    axes[3].set(xlabel="items", ylabel="peak memory, GiB", ylim=(0, 3.4))
    axes[3].set_xticks(sizes, [f"{size // 1000}k" for size in sizes])
    axes[3].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="CPU seconds of training at each point"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_growth.json")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.point:
        return print(json.dumps(one_point(**json.loads(chosen.point), seconds=chosen.seconds)))
    points = {}
    for axis, changes in AXES.items():
        for change in changes:
            done = subprocess.run(
                [
                    sys.executable,
                    __file__,
                    "--point",
                    json.dumps(BASE | change),
                    "--seconds",
                    str(chosen.seconds),
                ],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                sys.exit(f"{change}: {done.stderr.strip().splitlines()[-1]}")
            points.setdefault(axis, []).append(json.loads(done.stdout))
            print(axis, points[axis][-1], flush=True)
    costs = (
        "seconds_per_1000_targets",
        "seconds_per_1000_users_ranked",
        "seconds_an_epoch",
        "seconds_ranking_all",
    )
    exponents = {
        axis: {
            cost: exponent(
                [point["mean_length"] if axis == "length" else point[axis] for point in mine],
                [point[cost] for point in mine],
            )
            for cost in costs
        }
        for axis, mine in points.items()
    }
    from importlib.metadata import version

    from tema_lib import records

    commit, dirty = records.commit_and_state()
    records.write_json(
        chosen.out,
        {
            "kind": "benchmark",
            "name": "growth",
            "points": points,
            "exponents": exponents,
            "peak_mib_at_250000_items": points["items"][-1]["peak_mib"]["training and ranking"],
            "shape": {
                "system": "tema",
                "hidden": 64,
                "batch": 256,
                "features": 128,
                "tags_an_item": 5,
                "max_length": "50; 200 where the length grows",
            },
            "versions": {"torch": version("torch"), "python": platform.python_version()},
            "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
            "threads": 1,
            "seed": 0,
            "commit": commit,
            "dirty": dirty,
            "command": "make bench-growth",
        },
    )
    plot(points, exponents, chosen.out.with_suffix(".png"))
    print(
        f"peak at 250,000 items: {points['items'][-1]['peak_mib']['training and ranking']} MiB; "
        f"exponents {exponents}; {chosen.out.name} and its plot written"
    )
    return None


if __name__ == "__main__":
    main()
