"""The peers of `make bench`: the pins of their environments, and what all workers share.

    python benchmarks/peers.py recbole rectools replay    # makes environments under build/peers/

`environment(name)` gives the Python of a peer and makes it if it is absent.  The workers
(peer_recbole.py, peer_rectools.py, peer_replay.py) run under that Python, so this file needs the
standard library alone, and `load` numpy.  A worker takes the path of an .npz file and writes JSON
lines: one {"ready": true, ...}, then one answer for every line `TASK SECONDS` that it reads.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

FOLDER = Path(__file__).resolve().parents[1] / "build" / "peers"
TORCH = "torch==2.13.0"
# duckdb: our evaluator ranks for RecBole and RecTools (parity_*.py), and its package reads tables.
# RecBole imports ray; ray 2.6 needs pkg_resources, which setuptools 82 dropped, and has no wheel
# for Python 3.12.
PINS = {
    "recbole": [
        "recbole==1.2.1",
        "setuptools==79.0.1",
        "numpy==1.26.4",
        "pandas==2.1.4",
        "scipy==1.13.1",
        "ray==2.6.3",
        "duckdb==2.0.0",
    ],
    "rectools": [
        "rectools[torch]==0.19.0",
        "numpy==1.26.4",
        "pandas==2.3.3",
        "scipy==1.17.1",
        "pytorch-lightning==2.5.2",
        "duckdb==2.0.0",
    ],
    "replay": [
        "replay-rec[torch]==0.22.0",
        "numpy==2.4.6",
        "pandas==2.3.3",
        "polars==1.44.2",
        "pyarrow==23.0.1",
        "scikit-learn==1.8.0",
        "lightning==2.6.6",
    ],
}
# For the environment of every worker, ours included: glibc then keeps freed memory. Without it,
# logits of batch x length x items (640 MB) get fresh pages from the kernel in every step, which
# takes up to half the CPU time.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
CHECK = """
import sys
from importlib.metadata import version
for pin in sys.argv[1:]:
    name, wanted = pin.split("==")
    found = version(name.split("[")[0])
    assert found.split("+")[0] == wanted  # torch may call itself 2.13.0+cpu
"""


def environment(name, folder=FOLDER):
    """The Python of a peer's environment, which is made again if its pins have changed.

    The file `ready` is written last and holds the pins.
    """
    if name not in PINS:
        raise ValueError(f"No peer is called {name!r}; there are {', '.join(PINS)}.")
    home, pins = Path(folder) / name, [TORCH, *PINS[name]]
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready, wanted = home / "ready", "\n".join(pins) + "\n"
    if ready.is_file() and ready.read_text() == wanted and python.exists():
        return python
    if not ready.is_file() and python.exists() and complete(python, pins):
        print(f"{name}: the environment is complete", flush=True)
    else:
        print(f"{name}: a new environment with {' '.join(pins)}", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        torch_index = os.environ.get("TORCH_INDEX")  # as in the Makefile
        index = ["--index-url", torch_index] if torch_index else []
        pip = [python, "-m", "pip", "install", "--quiet"]
        # torch first and alone, so that its own index serves nothing else; the second step names
        # it again and so keeps it.
        for step in ([sys.executable, "-m", "venv", home], [*pip, *index, TORCH], [*pip, *pins]):
            done = subprocess.run([str(word) for word in step], capture_output=True, text=True)
            if done.returncode:
                lines = (done.stderr + done.stdout).splitlines()
                why = next(
                    (line for line in lines if line.lower().startswith("error")), "no reason given"
                )
                raise RuntimeError(
                    f"The environment of {name} could not be made with Python "
                    f"{sys.version.split()[0]} (3.11 is known to work): {why}"
                )
        if not complete(python, pins):
            raise RuntimeError(
                f"The packages of {name} were installed but do not fit together (see `pip check`)."
            )
    ready.write_text(wanted)
    return python


def complete(python, pins):
    """Whether every pin is installed in exactly that version and nothing is missing."""
    return all(
        subprocess.run([str(python), *words], capture_output=True).returncode == 0
        for words in (["-c", CHECK, *pins], ["-m", "pip", "check"])
    )


def load(path):
    """The .npz as a namespace; per event also its user, position, and how many events follow.

    The last event is the test target, the one before it the validation target, all others are for
    training.
    """
    import numpy as np

    with np.load(path, allow_pickle=False) as file:
        data = SimpleNamespace(
            **{name: file[name] if file[name].ndim else file[name].item() for name in file.files}
        )
    length = np.diff(data.offsets)
    data.user = np.repeat(np.arange(len(length)), length)
    data.position = np.arange(len(data.items)) - np.repeat(data.offsets[:-1], length)
    data.following = np.repeat(length, length) - 1 - data.position
    return data


def endless(loader):
    """The batches of a loader, epoch after epoch; the state stays between two calls of a task."""
    while True:
        yield from loader


def for_seconds(batches, seconds):
    """Batches until this process has spent the CPU seconds; always at least one."""
    end = time.process_time() + seconds
    while True:
        yield next(batches)
        if time.process_time() >= end:
            return


def serve(prepare):
    """Run a worker; `prepare(path)` gives versions and {task: function of seconds -> dict}."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the library prints goes to stderr
    for name in ("OMP", "MKL", "OPENBLAS", "ARROW"):
        # Read when torch, numpy and arrow are imported, in `prepare`.
        os.environ[f"{name}_NUM_THREADS"] = "1"

    def answer(**fields):
        print(json.dumps(fields), file=answers, flush=True)

    versions, tasks = prepare(sys.argv.pop(1))
    prepared = time.process_time()
    for work in (*tasks.values(),) * 3:
        work(0)  # a batch each, not counted: memory is slow until it was touched once
    answer(ready=True, versions=versions, prepare_cpu_seconds=round(prepared, 3))
    for line in sys.stdin:
        task, _, seconds = line.strip().rpartition(" ")
        try:
            seconds = float(seconds)
            work = tasks[task]
        except (KeyError, ValueError):
            known = ", ".join(tasks)
            answer(error=f"expected `TASK SECONDS` with one of {known}, got {line.strip()!r}")
            continue
        start = time.process_time()
        done = work(seconds)
        answer(task=task, cpu_seconds=round(time.process_time() - start, 4), **done)


if __name__ == "__main__":
    for peer in sys.argv[1:] or PINS:
        print(environment(peer))
