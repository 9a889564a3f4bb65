"""How long does one question take, alone, over HTTP, and among two hundred?

    python benchmarks/serving.py

An untrained TEMA-LLM (width 64, id, text and tags; what it has learned changes no time) of random
items is exported and asked for ten items after random histories of 1 to 50 events.  In process it
computes with one thread: a batch of 1, with 25,000 items; a batch of 256, with 250,000, where the
product with all items of a domain is the limit.  The portable program of `torch.export` gets the
same questions.  `tema serve` is asked over one kept connection, and by 200 clients at once.  Writes
results/bench_serving.json (kind `benchmark`).
"""

import argparse
import http.client
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ITEMS, MANY = 25_000, 250_000
TAGS, LONGEST, CLIENTS = 500, 50, 200


def exported(count):
    """What a folder of a random catalogue would hold."""
    import torch

    from tema_lib.data.dataset import DOMAINS
    from tema_lib.models.inputs import ItemInputs
    from tema_lib.models.item_embedding import Projection
    from tema_lib.models.tema import Tema, TemaConfig
    from tema_lib.serving.folder import FORMAT, Exported, Item, card_config, tag_tensors

    torch.manual_seed(0)
    draw = torch.randint(1, TAGS + 1, (count, 5)).tolist()
    tags = tuple(f"tag {number}" for number in range(1, TAGS + 1))
    items = tuple(
        Item(
            f"i{row}",
            DOMAINS[row % 2],
            f"Item number {row}",
            dict.fromkeys((tags[tag - 1] for tag in own), 1 / len(set(own))),
        )
        for row, own in enumerate(draw)
    )
    domains = torch.tensor([-1, *(DOMAINS.index(item.domain) for item in items)])
    present = torch.arange(count + 1) > 0
    inputs = ItemInputs(
        domains,
        torch.randn(count + 1, 128),
        present,
        tag_vectors=torch.randn(TAGS + 1, 128),
        **tag_tensors(items, tags),
    )
    config = TemaConfig(modalities=("id", "text", "tags"), feature_width=0)
    weights = Tema(inputs, config).state_dict()
    card = {
        "format": FORMAT,
        "system": "tema",
        "model": "Tema",
        "config": card_config(config),
        "data": {"name": "random", "sha256": ""},
        "domains": ["domain A", "domain B"],
        "encoders": {},
    }
    whole = Projection(torch.zeros(128), torch.eye(128), torch.tensor(1.0))
    return Exported(card, items, tags, inputs, {"text": whole}, weights)


def histories(count, items):
    """Random histories as item ids."""
    import random

    draw = random.Random(0)
    return [
        [f"i{draw.randrange(items)}" for _ in range(draw.randint(1, LONGEST))] for _ in range(count)
    ]


def milliseconds(seconds):
    """The median and the 99th percentile of times in seconds."""
    import numpy as np

    return {
        "p50": round(1e3 * float(np.quantile(seconds, 0.5)), 3),
        "p99": round(1e3 * float(np.quantile(seconds, 0.99)), 3),
        "requests": len(seconds),
    }


def timed(ask, questions):
    """Seconds of each question, after a tenth of them as a warm-up."""
    spent = []
    for number, question in enumerate(questions[: len(questions) // 10] + questions):
        start = time.perf_counter()
        ask(number, question)
        spent.append(time.perf_counter() - start)
    return spent[len(questions) // 10 :]


def in_process(requests, folder):
    """One question at a time; and many, with ten times the items."""
    import torch

    from tema_lib.serving.folder import write_exported
    from tema_lib.serving.portable import torch_program
    from tema_lib.serving.predictor import Predictor

    torch.set_num_threads(1)
    content = exported(ITEMS)
    predictor = Predictor(content)
    asked = histories(requests, ITEMS)
    found = {
        "one question": milliseconds(
            timed(lambda i, history: predictor.recommend(history, "AB"[i % 2]), asked)
        )
    }
    write_exported(content, folder)
    torch_program(predictor, folder / "model.pt2")
    program = torch.export.load(folder / "model.pt2").module()
    padded = torch.zeros(1, LONGEST, dtype=torch.long)

    def by_program(number, history):
        padded.zero_()
        ids = torch.tensor([int(item[1:]) + 1 for item in history])
        padded[0, : len(ids)] = ids
        return program(padded, torch.tensor([number % 2])).topk(10)

    with torch.inference_mode():
        found["one question, torch.export"] = milliseconds(timed(by_program, asked))
    many = Predictor(exported(MANY))
    rows = histories(1024, MANY)
    start = time.perf_counter()
    for first in range(0, len(rows), 256):
        many.recommend_batch(rows[first : first + 256], "A")
    each = 1e3 * (time.perf_counter() - start) / len(rows)
    found["a user of a batch of 256, 250,000 items"] = {"mean": round(each, 3)}
    return found


def over_http(requests, folder):
    """The same through `tema serve`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tema_lib", "serve", str(folder), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(240):
                assert process.poll() is None, "the service has ended"
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.5)
            connection = http.client.HTTPConnection("127.0.0.1", port)
            kept = {"Content-Type": "application/json"}

            def ask(number, history, connection=connection):
                question = json.dumps({"history": history, "domain": "AB"[number % 2]})
                connection.request("POST", "/recommend", question, kept)
                answer = connection.getresponse()
                return answer.status == 200 and len(json.loads(answer.read())["items"]) == 10

            asked = histories(requests, ITEMS)
            alone = milliseconds(timed(ask, asked))

            def client(number):
                own = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
                answered = [ask(number, asked[(number + i) % len(asked)], own) for i in range(10)]
                own.close()
                return answered

            start = time.perf_counter()
            with ThreadPoolExecutor(CLIENTS) as clients:
                of_clients = list(clients.map(client, range(CLIENTS)))
            spent = time.perf_counter() - start
            answered = [one for own in of_clients for one in own]
            status = Path(f"/proc/{process.pid}/status").read_text()
            (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        finally:
            process.terminate()
    return {
        "one question": alone,
        f"{CLIENTS} clients at once": {
            "requests": len(answered),
            "lost": answered.count(False),
            "a second": round(len(answered) / spent),
            "peak_mib": int(peak) // 1024,
        },
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_serving.json")
    chosen = parser.parse_args()
    load = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory() as scratch:
        process = in_process(chosen.requests, Path(scratch))
        http = over_http(chosen.requests, Path(scratch))
    from importlib.metadata import version

    from tema_lib import records

    commit, dirty = records.commit_and_state()
    record = {
        "kind": "benchmark",
        "name": "serving",
        "items": ITEMS,
        "milliseconds in process": process,
        "milliseconds over HTTP": http,
        "load_before": load,
        "versions": {"torch": version("torch"), "python": platform.python_version()},
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
        "threads": 1,
        "seed": 0,
        "commit": commit,
        "dirty": dirty,
        "command": "python benchmarks/serving.py",
    }
    records.write_json(chosen.out, record)
    print(json.dumps({**process, **{f"HTTP, {name}": one for name, one in http.items()}}, indent=1))


if __name__ == "__main__":
    main()
