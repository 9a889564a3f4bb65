"""How fast is this project beside RecBole, RecTools and RePlay, and how far from what the machine can do?

    python benchmarks/speed.py [--rounds 5] [--seconds 6]
    make bench

All train and rank the same synthetic world (20,000 users, 25,000 items, the shape of Food-Kitchen) with a SASRec of the same shape: width
64, two layers, two heads, dropout .2, windows of 50, batches of 128, Adam. Every contender is a warm process of one thread in an
environment of its own (made under build/peers/ when absent); they work in turn, slice by slice, so that a busy machine slows all.
CPU time counts. Round 0 is dropped; a ratio is the median of the rounds' ratios. Writes results/bench_speed.json (kind `benchmark`).
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import peers                                                     # noqa: E402
from world import SHAPE, synthetic                               # noqa: E402

# Who takes part in what; the unit is what a task answers with.
TASKS = {"full_ce": ("ours", "recbole", "rectools", "replay"), "bce": ("ours", "rectools"), "ranking": ("ours", "recbole", "rectools", "replay"),
         "domain_ce": ("ours",), "sampled": ("ours",), "ranking_999": ("ours",), "tema": ("ours",), "tema_ranking": ("ours",), "limits": ("ours",)}
RATIOS = {"full_ce_vs_replay": ("full_ce", "replay"), "full_ce_vs_rectools": ("full_ce", "rectools"), "full_ce_vs_recbole": ("full_ce", "recbole"),
          "bce_vs_rectools": ("bce", "rectools"), "ranking_vs_replay": ("ranking", "replay"), "ranking_vs_recbole": ("ranking", "recbole"),
          "ranking_vs_rectools": ("ranking", "rectools")}


class Contender:
    """A warm process that is given a task and a time, and answers with what it did."""

    def __init__(self, name, path):
        python = sys.executable if name == "ours" else peers.environment(name)
        script = ROOT / "benchmarks" / ("ours.py" if name == "ours" else f"peer_{name}.py")
        self.name = name
        self.log = open(path.parent / f"{name}.log", "w")
        self.process = subprocess.Popen([str(python), str(script), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})
        self.versions = self.answer()["versions"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} stopped; its last words are in {self.log.name}.")
        return json.loads(line)

    def __call__(self, task, seconds):
        self.process.stdin.write(f"{task} {seconds}\n")
        self.process.stdin.flush()
        done = self.answer()
        if "error" in done:
            raise SystemExit(f"{self.name}: {done['error']}")
        return done


def speed(done):
    """Targets or users per CPU-second."""
    return done.get("targets", done.get("users", 0)) / done["cpu_seconds"]


def floors(machine, data):
    """Seconds that the arithmetic alone takes, per target of exact cross-entropy and per ranked user, at the rates measured in the same run.

    Cross-entropy: three products with the item table (forward, two backward), one exp for each logit, the encoder forward and backward
    for one token, and Adam's share of a step: parameters, gradients and two moments read, three of them written.
    Ranking: one product with the item table, one counting pass, and the encoder: all tokens in each layer but the last, of which
    only keys, values and one position are needed.
    """
    items, width, layers = data["n_items"], data["hidden"], data["layers"]
    token = 2 * 12 * width ** 2                                  # FLOP of one layer for one token: 4 maps of attention, 8 of the network
    gemm, exp, count, copy = (machine[name] * 1e9 for name in ("gemm_gflops", "exp_g", "count_g", "copy_gbytes"))
    ce = 3 * 2 * items * width / gemm + items / exp + 3 * layers * token / gemm + 7 * 4 * items * width / data["targets_a_step"] / copy
    encoder = data["mean_length"] * ((layers - 1) * token + 2 * 2 * width ** 2) + token
    return {"full_ce": ce, "ranking": (2 * items * width + encoder) / gemm + items / count}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="CPU seconds of one slice")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_speed.json")
    chosen = parser.parse_args()
    folder = ROOT / "build" / "bench_speed"
    folder.mkdir(parents=True, exist_ok=True)
    path = synthetic(folder / "world.npz")
    contenders = {name: Contender(name, path) for name in ("ours", *peers.PINS)}
    from ours import techniques

    from tema_lib import results

    plain = {f"without {name}": task for name, (task, *_) in techniques().items()}
    rounds = []
    for number in range(chosen.rounds + 1):
        done = {}
        for task, names in TASKS.items():
            for name in (names if number % 2 else names[::-1]):                   # nobody always goes first
                done.setdefault(task, {})[name] = contenders[name](task, chosen.seconds)
        for task, fast in plain.items():
            done[task] = {"ours": contenders["ours"](task, chosen.seconds / 2), "beside": contenders["ours"](fast, chosen.seconds / 2)}
        for task, by in done.items():
            print(f"round {number}  {task:48s}" + "  ".join(f"{name} {speed(one):8.0f}" for name, one in by.items() if task != "limits"), flush=True)
        if number:
            rounds.append(done)
    middle = lambda values: statistics.median(list(values))
    ratios = {name: round(middle(speed(one[task]["ours"]) / speed(one[task][peer]) for one in rounds), 2) for name, (task, peer) in RATIOS.items()}
    effects = {task.removeprefix("without "): {"task": fast, "without": round(middle(speed(one[task]["ours"]) for one in rounds), 1),
               "with": round(middle(speed(one[task]["beside"]) for one in rounds), 1),
               "ratio": round(middle(speed(one[task]["beside"]) / speed(one[task]["ours"]) for one in rounds), 2)} for task, fast in plain.items()}
    train = [one["full_ce"]["ours"] for one in rounds]
    data = {**SHAPE, "users": 20_000, "n_items": 25_000, "n_a": 10_000}
    import numpy as np

    with np.load(path) as world:
        data["events"] = len(world["items"])
        data["mean_length"] = round(float(np.minimum(np.diff(world["offsets"]) - 1, SHAPE["max_length"]).mean()), 2)
    data["targets_a_step"] = round(sum(one["targets"] for one in train) / sum(one["sequences"] for one in train) * SHAPE["batch"])
    share, floor = {}, {}
    for task in ("full_ce", "ranking"):
        floor[task] = round(middle(1e6 * floors(one["limits"]["ours"]["detail"], data)[task] for one in rounds), 2)
        share[task] = round(middle(floors(one["limits"]["ours"]["detail"], data)[task] * speed(one[task]["ours"]) for one in rounds), 3)
    commit, dirty = results.commit_and_state()
    record = {
        "kind": "benchmark", "name": "speed", "ratios": ratios, "share_of_limit": share, "limit_microseconds": floor,
        "per_cpu_second": {task: {name: round(middle(speed(one[task][name]) for one in rounds), 1) for name in names} for task, names in TASKS.items() if task != "limits"},
        "tema_targets_per_cpu_second": round(middle(speed(one["tema"]["ours"]) for one in rounds)), "effects": effects,
        "rounds": rounds, "shape": data, "seed": 0, "versions": {name: contender.versions for name, contender in contenders.items()},
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count()}, "threads": 1, "commit": commit, "dirty": dirty,
        "command": f"python benchmarks/speed.py --rounds {chosen.rounds} --seconds {chosen.seconds:g}"}
    results.write_json(chosen.out, record)
    print("\n".join([f"{name:24s}{value:8.2f} x" for name, value in ratios.items()] + [f"share of limit, {name:10s}{value:6.1%}" for name, value in share.items()]
                    + [f"TEMA-LLM {record['tema_targets_per_cpu_second']} targets per CPU-second"] + [f"{name:40s}{one['ratio']:6.2f} x" for name, one in effects.items()]
                    + [f"{chosen.out.name} written"]))
    for contender in contenders.values():
        contender.process.stdin.close()
        contender.process.wait()


if __name__ == "__main__":
    main()
