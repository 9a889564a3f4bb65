"""Draw rows of the tables at random, and make each again by the command in its record.

    python tools/reproduce.py [--rows 5] [--seed 0] [--data FOLDER ...]

Prints NDCG@10 of both domains as recorded and as reached now, and fails where they differ by more
than .001.  Rows of real data are drawn only where their folders are named.
"""

import argparse
import json
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 0.001


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="folders of real data")
    parser.add_argument("--only", default="", help="records whose path contains this")
    chosen = parser.parse_args()
    folders = {folder.name: folder for folder in chosen.data}
    rows = drawn(candidates({"synthetic", *folders}, chosen.only), chosen.rows, chosen.seed)
    apart = [abs(difference(path, folders)) for path in rows]
    print(f"{len(rows)} rows, the largest difference {max(apart, default=0):.6f}")
    sys.exit(any(one > TOLERANCE for one in apart))


def candidates(names, only=""):
    """Records of evaluations and ablations on these data that `tema` makes, sorted by path."""
    found = []
    for path in sorted((ROOT / "results").rglob("*.json")):
        if only in path.as_posix():
            record = json.loads(path.read_text(encoding="utf-8"))
            command = record.get("command", "")
            if command.startswith("tema e") and record["data"]["name"] in names:
                found.append(path)
    return found


def drawn(paths, count, seed):
    """So many of the paths, at random."""
    return random.Random(seed).sample(paths, min(count, len(paths)))


def difference(path, folders):
    """The larger difference of NDCG@10 in A and B between a record and the same run now."""
    record = json.loads(path.read_text(encoding="utf-8"))
    name = record["data"]["name"]
    words = shlex.split(record["command"].removeprefix("tema "))
    words = [str(folders.get(word, word)) for word in words if word != "--data" or name in folders]
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "tema_lib", *words, "--out", scratch]
        if record["kind"] == "ablation":
            command += ["--variants", record["variant"]]
            command += ["--data", str(folders[name])] if name in folders else []
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        (made,) = Path(scratch).rglob("*.json")
        now = json.loads(made.read_text(encoding="utf-8"))
    before, after = (
        [run["metrics"]["full"][domain]["NDCG@10"] for domain in "AB"] for run in (record, now)
    )
    print(f"{path.parent.name}/{path.name}: {before} then, {after} now", flush=True)
    return max(abs(one - other) for one, other in zip(before, after))


if __name__ == "__main__":
    main()
