"""How long do the README's commands take on a fresh clone, in an empty environment?

    python benchmarks/commands.py                        make run, and make run again
    python benchmarks/commands.py --data FOLDER --test   also make run DATA=FOLDER; .ci/run

Each round clones the last commit into new folders and starts with the environment of a login that
has set nothing but TEMA_REAL_DATA, so the set-up and the weights are part of it. What pip has in
its cache stays. `.ci/run` is `make test`, in a clone of its own, after a look for a browser.
Writes results/bench_run.json (kind `benchmark`) with every wall time, their minimum and median,
the load of the machine before each command, and the seconds of each step, from which `make run`
estimates how long it will take.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch is imported, for this process alone: the commands choose for themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
RECORD = ROOT / "results" / "bench_run.json"
KEPT = ("HOME", "PATH", "LANG", "SHELL", "USER", "TERM", "TEMA_REAL_DATA")  # of the environment


def timed(command, folder):
    """(seconds, load of the machine before, what was printed) of a command that has to succeed."""
    environment = {name: value for name, value in os.environ.items() if name in KEPT}
    load, start = os.getloadavg()[0], time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return time.perf_counter() - start, load, done.stdout + done.stderr


def one_round(commands, said):
    """{command: (seconds, load)} on a clone, and the timings of its first run."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        found, timings = {}, {}
        for name, command in commands.items():
            seconds, load, printed = timed(command, clone)
            said(f"{name:16} {seconds:6.0f} s, load before {load:.1f}", flush=True)
            found[name] = (seconds, load)
            if name == "make run":
                ready = re.search(r"ready after (\d+) s", printed)
                found["set-up"] = (float(ready[1]), load)
                found["after set-up"] = (seconds - found["set-up"][0], load)
                timings = json.loads((clone / "build/run/synthetic/timings.json").read_text())
        return found, timings


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="a data folder to run on as well")
    parser.add_argument("--test", action="store_true", help=".ci/run as well")
    chosen = parser.parse_args()
    commands = {"make run": ["make", "run"], "make run again": ["make", "run"]}
    if chosen.data:
        commands["make run DATA="] = ["make", "run", f"DATA={chosen.data.resolve()}"]
    rounds = []
    for _ in range(chosen.rounds):
        found, timings = one_round(commands, print)
        if chosen.test:
            found |= one_round({".ci/run": [".ci/run"]}, print)[0]
        rounds.append((found, timings))
    write(rounds, chosen.data)


def write(rounds, data):
    """The record: wall times by command, and the median seconds of each step."""
    from tema_lib.commands.steps import ASK
    from tema_lib.experiment import Experiment
    from tema_lib.records import commit_and_state, write_json

    walls = {
        name: {
            "minimum": round(min(found[name][0] for found, _ in rounds)),
            "median": round(statistics.median(found[name][0] for found, _ in rounds)),
            "each": [round(found[name][0]) for found, _ in rounds],
            "load_before": [round(found[name][1], 2) for found, _ in rounds],
        }
        for name in rounds[0][0]
    }
    steps = {}
    for _, timings in rounds:
        seconds = {}
        for name, value in timings["steps"].items():
            whole = ASK if name.startswith(ASK) else name  # its parts together
            seconds[whole] = seconds.get(whole, 0.0) + value
        for name, value in seconds.items():
            steps.setdefault(name, []).append(value)
    run = Experiment("synthetic")
    commit, dirty = commit_and_state()
    record = {
        "kind": "benchmark",
        "name": "commands",
        "command": "python benchmarks/commands.py",
        "data": data.name if data else None,
        "processes": rounds[0][1]["processes"],
        "cores": os.cpu_count(),
        "wall_seconds": walls,
        "probe": round(statistics.median(timings["probe"] for _, timings in rounds), 4),
        "items": run.items.count,
        "events": len(run.raw.interactions),
        "epochs": run.epochs,
        "steps": {name: round(statistics.median(values), 1) for name, values in steps.items()},
        "commit": commit,
        "dirty": dirty,
    }
    write_json(RECORD, record)
    print(f"{RECORD.relative_to(ROOT)}: {json.dumps(walls)}")


if __name__ == "__main__":
    if not shutil.which("make"):
        sys.exit("There is no make on this machine: time the commands by hand.")
    main()
