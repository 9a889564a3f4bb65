"""Data preparation beside the usual pandas way: a million review lines to 5-core sequences.

    python benchmarks/data.py                     # writes results/bench_data.json
    python benchmarks/data.py --large 10000000    # also ten million lines prepared, and as many
                                                  # rows of own tables read, for the peak memory

The usual way is `pandas.read_json(lines=True)`, then drop_duplicates and groupby until nothing
changes.  Two careful ways are measured beside it: json.loads for each line with only the three keys
kept, and the same with ids turned into numbers first.  The lines are generated.  Each way runs in a
process of its own, in turns; CPU time is that of the process with its threads.  The results must be
equal row by row.
"""

import argparse
import gzip
import hashlib
import json
import os
import pathlib
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
WORDS = [
    f"{a}{b}"
    for a in ("", "re", "un", "over", "out")
    for b in [
        "good",
        "bad",
        "cup",
        "pan",
        "tea",
        "salt",
        "heat",
        "blend",
        "lid",
        "box",
        "taste",
        "price",
        "week",
        "gift",
        "year",
        "color",
        "size",
    ]
]


def generate(folder, lines, seed):
    """Write two gzipped review files in the 2014 form, half of the lines each.

    Items have a long tail, a few users are very active, and one review in 50 is repeated.
    """
    rng = random.Random(seed)
    users, items = lines // 16, lines // 40
    # Far more text than gzip's window of 32 KiB.
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(20, 110))) for _ in range(20_000)]
    for number, name in enumerate(("reviews_A.json.gz", "reviews_B.json.gz")):
        with gzip.open(folder / name, "wt", encoding="utf-8", compresslevel=1) as file:
            previous = None
            for _ in range(lines // 2):
                user = int(users * rng.random() ** 2)
                item = min(int(items * rng.random() ** 3), items - 1)
                if previous and rng.random() < 0.02:
                    user, item = previous
                previous = user, item
                text = texts[int(rng.random() * len(texts))]
                day = 1_300_000_000 // 86_400 + rng.randrange(900)
                file.write(
                    json.dumps(
                        {
                            "reviewerID": f"A{user * 7919 % 10**12:012d}X",
                            "asin": f"{'B0' if number else '0'}{item:0{8 if number else 9}d}",
                            "reviewerName": f"reader {user}",
                            "helpful": [0, 1],
                            "reviewText": text,
                            "overall": float(rng.randrange(1, 6)),
                            "summary": text[:24],
                            "unixReviewTime": day * 86_400,
                            "reviewTime": "04 13, 2013",
                        }
                    )
                    + "\n"
                )


def with_pandas(folder, out):
    import pandas as pd

    core_of(
        [
            pd.read_json(folder / f"reviews_{domain}.json.gz", lines=True, dtype=False)
            .rename(
                columns={"reviewerID": "user_id", "asin": "item_id", "unixReviewTime": "timestamp"}
            )
            .assign(domain=domain)
            for domain in "AB"
        ],
        out,
    )


def with_keys(folder, out, codes=False):
    """Three keys of each line; with `codes`, ids are turned into numbers first."""
    import pandas as pd

    tables = []
    for domain in "AB":
        rows = []
        with gzip.open(folder / f"reviews_{domain}.json.gz", "rt", encoding="utf-8") as file:
            for line in file:
                review = json.loads(line)
                rows.append((review["reviewerID"], review["asin"], review["unixReviewTime"]))
        tables.append(
            pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).assign(domain=domain)
        )
    core_of(tables, out, codes)


def core_of(tables, out, codes=False):
    """Both domains' tables -> first interactions, 5-core, interactions.tsv."""
    import pandas as pd

    table = (
        pd.concat(tables)
        .sort_values("timestamp", kind="stable")
        .drop_duplicates(["user_id", "item_id"])
    )
    user, item = "user_id", "item_id"
    if codes:
        table = table.assign(
            user=table["user_id"].factorize()[0], item=table["item_id"].factorize()[0]
        )
        user, item = "user", "item"
    while True:
        size = len(table)
        table = table[table.groupby(item)[item].transform("size") >= 5]
        counts = table.groupby([user, "domain"]).size().unstack(fill_value=0)
        table = table[table[user].isin(counts.index[(counts >= 5).all(axis=1)])]
        if len(table) == size:
            break
    table = table.sort_values(["user_id", "timestamp"], kind="stable")
    table[["user_id", "item_id", "domain", "timestamp"]].to_csv(
        out / "interactions.tsv", sep="\t", index=False
    )


def with_codes(folder, out):
    with_keys(folder, out, codes=True)


def with_ours(folder, out):
    from tema_lib.datasets.amazon.preparation import Limits, Source, prepare

    prepare(
        {domain: Source(folder / f"reviews_{domain}.json.gz") for domain in "AB"}, out, Limits(5, 5)
    )


WAYS = {
    "pandas": with_pandas,
    "pandas_keys": with_keys,
    "pandas_codes": with_codes,
    "ours": with_ours,
}


def one_way(way, folder):
    """In a child process: run one way, print CPU and wall seconds, peak MiB and a hash."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        out, wall = pathlib.Path(out), time.perf_counter()
        WAYS[way](folder, out)
        wall = time.perf_counter() - wall
        spent = [
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        cpu = sum(use.ru_utime + use.ru_stime for use in spent)
        # The order inside one time stamp may differ; the interactions may not.
        rows = sorted((out / "interactions.tsv").read_text().splitlines()[1:])
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS, KiB on Linux
        peak = max(use.ru_maxrss for use in spent) / unit
        print(
            json.dumps(
                {
                    "cpu": round(cpu, 2),
                    "wall": round(wall, 2),
                    "peak_mib": round(peak),
                    "rows": len(rows),
                    "sha256": hashlib.sha256("\n".join(rows).encode()).hexdigest(),
                }
            )
        )


def write_own_tables(folder, rows, seed):
    """Write interactions.tsv and items.tsv: users in turn, a long tail, one row in 50 repeated."""
    rng = random.Random(seed)
    items = max(rows // 40, 2)

    def name(item):
        return f"{'0B'[item % 2]}{item:09d}\t{'AB'[item % 2]}"

    with open(folder / "items.tsv", "w", encoding="utf-8") as file:
        file.write("item_id\tdomain\ttitle\n")
        file.writelines(
            f"{name(item)}\t{' '.join(rng.choices(WORDS, k=9))}\n" for item in range(items)
        )
    with open(folder / "interactions.tsv", "w", encoding="utf-8") as file:
        file.write("user_id\titem_id\tdomain\ttimestamp\n")
        item = 0
        for row in range(rows):
            if row % 50:
                item = int(items * rng.random() ** 3)
            when = 1_300_000_000 + row % 16 * 86_400 + rng.randrange(86_400)
            file.write(f"A{row // 16:012d}X\t{name(item)}\t{when}\n")


def peak():
    """Peak memory of this process in MiB; on Linux, ru_maxrss would begin with the parent's."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return round(int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10)
    return round(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        / (2**20 if sys.platform == "darwin" else 2**10)
    )


def read_own(folder):
    """In a child process: read the tables, build sequences; peak MiB after each stage."""
    from tema_lib.data.dataset import encode_ids
    from tema_lib.datasets.load import read_data

    before, cpu = peak(), time.process_time()
    raw = read_data(folder)
    found = {
        "rows": len(raw.interactions),
        "dropped": raw.dropped,
        "cpu": round(time.process_time() - cpu, 2),
        "import_mib": before,
        "read_mib": peak(),
    }
    from tema_lib.data.sequences import build_sequences

    users = len(build_sequences(raw, encode_ids(raw)))
    print(json.dumps(found | {"users": users, "sequences_mib": peak()}))


def measure(way, folder):
    done = subprocess.run(
        [sys.executable, __file__, "--way", way, "--folder", str(folder)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{way} stopped:\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument(
        "--large",
        type=int,
        default=0,
        help="also prepare this many lines, once, and record the peak memory",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "results" / "bench_data.json")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        return (
            read_own(chosen.folder) if chosen.way == "read" else one_way(chosen.way, chosen.folder)
        )

    folder = ROOT / "build" / "bench_data"
    rounds = []
    for lines in [chosen.lines] + [chosen.large] * (chosen.large > 0):
        made = folder / str(lines) / f"seed_{chosen.seed}"
        if not made.exists():  # an interrupted benchmark need not write them again
            shutil.rmtree(made.parent, ignore_errors=True)
            made.parent.mkdir(parents=True)
            print(f"writing {lines:,} lines ...", flush=True)
            generate(made.parent, lines, chosen.seed)
            made.touch()
    for number in range(chosen.rounds):
        rounds.append(
            {
                way: measure(way, folder / str(chosen.lines))
                for way in (list(WAYS)[::-1] if number % 2 else WAYS)
            }
        )
        print(
            f"round {number}: "
            + "; ".join(
                f"{way} {one['cpu']} s, {one['peak_mib']} MiB, {one['rows']} rows"
                for way, one in rounds[-1].items()
            ),
            flush=True,
        )
        if len({one["sha256"] for one in rounds[-1].values()}) > 1:
            sys.exit("The ways give different interactions: nothing was written.")
    large = measure("ours", folder / str(chosen.large)) if chosen.large else {}
    for pair in rounds:
        for result in pair.values():
            result.pop("sha256")
    from tema_lib.records import commit_and_state, write_json

    commit, dirty = commit_and_state()
    ratio, keys, codes = (
        round(statistics.median(pair[way]["cpu"] / pair["ours"]["cpu"] for pair in rounds), 2)
        for way in list(WAYS)[:3]
    )
    record = {
        "kind": "benchmark",
        "lines": chosen.lines,
        "prep_vs_pandas": ratio,
        "peak_mib": max(pair["ours"]["peak_mib"] for pair in rounds),
        "peak_mib_pandas": max(pair["pandas"]["peak_mib"] for pair in rounds),
        "rows": rounds[0]["ours"]["rows"],
        "ratios": {
            "prep_vs_pandas": ratio,
            "prep_vs_pandas_keys": keys,
            "prep_vs_pandas_codes": codes,
        },
        "rounds": rounds,
        "shape": {
            "lines": chosen.lines,
            "core": 5,
            "gzip_mib": round(
                sum(f.stat().st_size for f in (folder / str(chosen.lines)).glob("*.gz")) / 2**20, 1
            ),
        },
        "versions": {name: version(name) for name in ("duckdb", "pandas", "numpy")}
        | {"python": platform.python_version()},
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
        "seed": chosen.seed,
        "commit": commit,
        "dirty": dirty,
        "command": f"make bench-data ROUNDS={chosen.rounds}",
    }
    if chosen.large:
        large.pop("sha256")
        print(f"{chosen.large:,} lines: {large}", flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as tables:
            write_own_tables(pathlib.Path(tables), chosen.large, chosen.seed)
            read = measure("read", tables)
        print(f"{chosen.large:,} rows: {read}", flush=True)
        record["large"] = large | {"lines": chosen.large, "read_data": read}
        record["command"] += f" LARGE={chosen.large}"
    write_json(chosen.out, record)
    print(
        f"pandas / ours, CPU: {ratio:.2f} (only three keys {keys:.2f}, with codes {codes:.2f}); "
        f"peak {record['peak_mib']} MiB against {record['peak_mib_pandas']} MiB; "
        f"{chosen.out.name} written"
    )
    return None


if __name__ == "__main__":
    main()
