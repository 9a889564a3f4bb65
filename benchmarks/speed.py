"""How fast is this project beside RecBole, RecTools and RePlay, and how far from the limit?

    python benchmarks/speed.py [--rounds 5] [--seconds 6]
    make bench

All train and rank the same random sequences (20,000 users, 25,000 items, the shape of Food-Kitchen)
with a SASRec of the same shape: width 64, two layers, two heads, dropout .2, windows of 50, batches
of 128, Adam.  Every contender is a warm process of one thread in an environment of its own (made
under build/peers/ if absent); they take turns, slice by slice, so that a busy machine slows all
alike.  CPU time counts.  Round 0 is dropped; a ratio is the median of the rounds' ratios.  Writes
results/bench_speed.json (kind `benchmark`).
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

import peers  # noqa: E402  # after sys.path
from random_sequences import SHAPE, write_sequences  # noqa: E402  # after sys.path

# Who takes part in what; the unit is what a task answers with.
TASKS = {
    "full_ce": ("ours", "recbole", "rectools", "replay"),
    "bce": ("ours", "rectools"),
    "ranking": ("ours", "recbole", "rectools", "replay"),
    "ranking_small_batches": ("recbole",),
    "domain_ce": ("ours",),
    "sampled": ("ours",),
    "ranking_999": ("ours",),
    "tema": ("ours",),
    "tema_ranking": ("ours",),
    "limits": ("ours",),
}
RATIOS = {
    f"{task}_vs_{peer}": (task, task, peer)
    for task in ("full_ce", "bce", "ranking")
    for peer in TASKS[task][1:]
} | {"ranking_vs_recbole_small_batches": ("ranking", "ranking_small_batches", "recbole")}


class Contender:
    """A warm process that is given a task and a time, and answers with what it did."""

    def __init__(self, name, path, environment):
        python = sys.executable if name == "ours" else peers.environment(name)
        script = ROOT / "benchmarks" / ("ours.py" if name == "ours" else f"peer_{name}.py")
        self.name, self.log = name, path.parent / f"{name}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [str(python), str(script), str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "OMP_WAIT_POLICY": "PASSIVE",
                    **environment,
                },
            )
        self.versions = self.answer()["versions"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} stopped; its last words are in {self.log}.")
        done = json.loads(line)
        if "error" in done:
            raise SystemExit(f"{self.name}: {done['error']}")
        return done

    def __call__(self, task, seconds):
        self.process.stdin.write(f"{task} {seconds}\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def work(path, tasks, rounds, seconds, plain=None, environment=None):
    """Every contender's answer to every task, in turn, as (rounds, versions).

    `plain`, {task without a technique: task}, is measured in the first three rounds.
    """
    plain = plain or {}
    contenders = {name: Contender(name, path, environment or {}) for name in ("ours", *peers.PINS)}
    done = []
    for number in range(rounds + 1):
        one = {}
        for task, names in tasks.items():
            for name in names if number % 2 else names[::-1]:  # nobody always goes first
                one.setdefault(task, {})[name] = contenders[name](
                    task, seconds if len(names) > 1 else seconds / 2
                )
        if 0 < number <= 3:
            for task, fast in plain.items():
                pair = [("without", task), ("with", fast)]
                one[task] = {
                    side: contenders["ours"](which, seconds / 2)
                    for side, which in (pair if number % 2 else pair[::-1])
                }
        for task, by in one.items():
            print(
                f"round {number}  {task:56s}"
                + "  ".join(
                    f"{name} {speed(answer):8.0f}"
                    for name, answer in by.items()
                    if task != "limits"
                ),
                flush=True,
            )
        if number:
            done.append(one)
    versions = {name: contender.versions for name, contender in contenders.items()}
    for contender in contenders.values():
        contender.end()
    return done, versions


def ratios_of(rounds):
    return {
        name: round(
            statistics.median(speed(one[task]["ours"]) / speed(one[other][peer]) for one in rounds),
            2,
        )
        for name, (task, other, peer) in RATIOS.items()
        if other in rounds[0]
    }


def speed(done):
    """Targets or users per CPU second."""
    return done.get("targets", done.get("users", 0)) / done["cpu_seconds"]


def least_seconds(machine, data):
    """Seconds that the arithmetic alone takes, at the rates measured in the same run.

    Per target of exact cross-entropy: three products with the item table (forward, two backward),
    one exp for each logit, the encoder forward and backward for one token, and Adam's share of a
    step: parameters, gradients and two moments read, three of them written.

    Per ranked user: one product with the item table, one counting pass, and the encoder over all
    tokens.  "ranking, least work" leaves out what no ranking needs: of the last layer it computes
    only keys, values and one position.
    """
    items, width, layers = data["n_items"], data["hidden"], data["layers"]
    token = 2 * 12 * width**2  # FLOP of a layer for a token: 4 maps of attention, 8 of the network
    gemm, exp, count, copy = (
        machine[name] * 1e9 for name in ("gemm_gflops", "exp_g", "count_g", "copy_gbytes")
    )
    ce = (
        3 * 2 * items * width / gemm
        + items / exp
        + 3 * layers * token / gemm
        + 7 * 4 * items * width / data["targets_a_step"] / copy
    )
    whole = data["mean_length"] * layers * token
    least = data["mean_length"] * ((layers - 1) * token + 2 * 2 * width**2) + token
    ranking = {
        name: (2 * items * width + encoder) / gemm + items / count
        for name, encoder in (("ranking", whole), ("ranking, least work", least))
    }
    return {"full_ce": ce, **ranking}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="CPU seconds of one slice")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_speed.json")
    chosen = parser.parse_args()
    folder = ROOT / "build" / "bench_speed"
    folder.mkdir(parents=True, exist_ok=True)
    path = write_sequences(folder / "sequences.npz")
    from ours import techniques

    from tema_lib import records

    plain = {f"without {name}": task for name, (task, *_) in techniques().items()}
    rounds, versions = work(path, TASKS, chosen.rounds, chosen.seconds, plain)
    print(
        "the same, with memory that the C library keeps, which helps those that allocate much",
        flush=True,
    )
    kept, _ = work(
        path,
        {task: TASKS[task] for task in ("full_ce", "bce", "ranking")},
        2,
        chosen.seconds,
        environment=peers.KEEP_MEMORY,
    )
    middle = statistics.median
    ratios = ratios_of(rounds)
    few = rounds[:3]
    effects = {
        task.removeprefix("without "): {
            "task": fast,
            **{
                side: round(middle(speed(one[task][side]) for one in few), 1)
                for side in ("without", "with")
            },
            "ratio": round(
                middle(speed(one[task]["with"]) / speed(one[task]["without"]) for one in few), 2
            ),
        }
        for task, fast in plain.items()
    }
    train = [one["full_ce"]["ours"] for one in rounds]
    events = peers.load(path)
    lengths = (events.offsets[1:] - events.offsets[:-1] - 1).clip(max=events.max_length)
    data = {name: getattr(events, name) for name in (*SHAPE, "n_items", "n_a")} | {
        "users": len(lengths),
        "events": len(events.items),
        "mean_length": round(float(lengths.mean()), 2),
        "targets_a_step": round(
            sum(one["targets"] for one in train)
            / sum(one["sequences"] for one in train)
            * events.batch
        ),
    }
    share, limits = {}, {}
    for name in ("full_ce", "ranking", "ranking, least work"):
        limit = [least_seconds(one["limits"]["ours"]["detail"], data)[name] for one in rounds]
        limits[name] = round(1e6 * middle(limit), 2)
        share[name] = round(
            middle(
                seconds * speed(one[name.split(",")[0]]["ours"])
                for seconds, one in zip(limit, rounds)
            ),
            3,
        )
    commit, dirty = records.commit_and_state()
    record = {
        "kind": "benchmark",
        "name": "speed",
        "ratios": ratios,
        "ratios_memory_kept": ratios_of(kept),
        "share_of_limit": share,
        "limit_microseconds": limits,
        "per_cpu_second": {
            task: {
                name: round(middle(speed(one[task][name]) for one in rounds), 1) for name in names
            }
            for task, names in TASKS.items()
            if task != "limits"
        },
        "tema_targets_per_cpu_second": round(middle(speed(one["tema"]["ours"]) for one in rounds)),
        "effects": effects,
        "rounds": rounds,
        "rounds_memory_kept": kept,
        "shape": data,
        "seed": 0,
        "versions": versions,
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
        "threads": 1,
        "commit": commit,
        "dirty": dirty,
        "command": f"python benchmarks/speed.py --rounds {chosen.rounds} "
        f"--seconds {chosen.seconds:g}",
    }
    records.write_json(chosen.out, record)
    print(
        "\n".join(
            [f"{name:24s}{value:8.2f} x" for name, value in ratios.items()]
            + [f"share of limit, {name:10s}{value:6.1%}" for name, value in share.items()]
            + [f"TEMA-LLM {record['tema_targets_per_cpu_second']} targets per CPU second"]
            + [f"{name:40s}{one['ratio']:6.2f} x" for name, one in effects.items()]
            + [f"{chosen.out.name} written"]
        )
    )


if __name__ == "__main__":
    main()
