"""How much faster is tagging than one greedy generation per item, and are the replies the same?

    python benchmarks/tagging.py [--items 256] [--rounds 2]
    make bench-tagging

Reads 256 titles of `fk_mini` (in the folder that TEMA_REAL_DATA names), or of the synthetic data
set if that is absent.  The plain path is transformers' own generate(), item by item, with the same
constraints and the same early stop; the fast path shares the beginning of the prompt and answers in
batches.  Both run in float32 with one thread, alternating in chunks; CPU time counts, so a busy
machine slows both alike.  Writes results/bench_tagging.json (kind `benchmark`).
"""

import argparse
import os
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=256)
    parser.add_argument(
        "--rounds",
        type=int,
        default=2,
        help="the fast path is measured this often; the plain path's chunks are between",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_tagging.json")
    chosen = parser.parse_args()
    from importlib.metadata import version

    import torch

    from tema_lib import records
    from tema_lib.experiment import Experiment
    from tema_lib.llm.local import LocalModel, common_prefix
    from tema_lib.notebook import setup
    from tema_lib.tags.draft import prompt_for

    setup()
    real = Path(os.environ.get("TEMA_REAL_DATA", "")) / "fk_mini"
    run = Experiment(
        str(real) if os.environ.get("TEMA_REAL_DATA") and real.is_dir() else "synthetic"
    )
    half = chosen.items // 2
    chosen_items = [int(item) for domain in (0, 1) for item in run.items.of_domain(domain)[:half]]
    llm, config = LocalModel(), run.tag_config
    domains = [
        [
            prompt_for(run.items, item, config)
            for item in chosen_items
            if run.items.domain_of_item[item] == domain
        ]
        for domain in (0, 1)
    ]
    prompts = [prompt for domain in domains for prompt in domain]

    def fast():
        began = time.process_time()
        replies = [reply for domain in domains for reply in llm.generate(domain)]
        return replies, time.process_time() - began

    llm.generate(domains[0][:2])  # warm
    llm.generate_plain(prompts[0])
    fast_seconds, plain_replies = [], []
    plain_seconds = 0.0
    for turn in range(chosen.rounds):
        replies, spent = fast()
        fast_seconds.append(spent)
        print(f"fast  {len(prompts) / spent:6.2f} items per CPU second", flush=True)
        part = prompts[
            turn * len(prompts) // chosen.rounds : (turn + 1) * len(prompts) // chosen.rounds
        ]
        began = time.process_time()
        plain_replies += [llm.generate_plain(prompt) for prompt in part]
        spent = time.process_time() - began
        plain_seconds += spent
        print(f"plain {len(part) / spent:6.2f} items per CPU second", flush=True)
    mean_fast = sum(fast_seconds) / len(fast_seconds)
    identical = sum(one == other for one, other in zip(replies, plain_replies))
    short_llm = LocalModel(dtype="bfloat16")
    began = time.process_time()
    short = [reply for domain in domains for reply in short_llm.generate(domain)]
    short_seconds = time.process_time() - began
    commit, dirty = records.commit_and_state()
    tokens = [llm.generator.tokens(prompt) for prompt in domains[0]]
    record = {
        "kind": "benchmark",
        "name": "tagging",
        "data": run.raw.name,
        "items": len(prompts),
        "ratio": round(plain_seconds / mean_fast, 2),
        "identical": identical == len(prompts),
        "identical_items": identical,
        "items_per_cpu_second": {
            "plain": round(len(prompts) / plain_seconds, 3),
            "fast": round(len(prompts) / mean_fast, 3),
            "fast in bfloat16": round(len(prompts) / short_seconds, 3),
        },
        "bfloat16_identical_items": sum(one == other for one, other in zip(replies, short)),
        "cpu_seconds": {
            "plain": round(plain_seconds, 1),
            "fast, each round": [round(spent, 1) for spent in fast_seconds],
        },
        "prompt_tokens": {
            "shared": common_prefix(tokens),
            "own, mean": round(sum(map(len, tokens)) / len(tokens) - common_prefix(tokens), 1),
        },
        "model": llm.name,
        "batch": llm.batch,
        "style": config.style,
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "transformers")}
        | {"python": platform.python_version()},
        "commit": commit,
        "dirty": dirty,
        "command": "make bench-tagging",
    }
    records.write_json(chosen.out, record)
    print(
        f"{record['ratio']} times the plain path, {identical} of {len(prompts)} replies "
        f"identical; bfloat16: {record['items_per_cpu_second']['fast in bfloat16']} items per CPU "
        f"second, {record['bfloat16_identical_items']} identical\n{chosen.out}"
    )


if __name__ == "__main__":
    main()
