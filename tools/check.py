"""What `make test` runs: lint, weights, unit tests with the papermill chain, then nbval.

Prints durations; fails if any part fails.

    python tools/check.py           everything
    python tools/check.py --lint    format, rules and types only (`make lint`)
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The committed numbers were made with one thread, and two threads on a busy core are slower.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
# Two processes, each given whole test files or notebooks; with more, memory would be the limit.
PARALLEL = ["-n", str(min(2, os.cpu_count() or 1)), "-q", "-rs"]
LINT = (
    ("format", ["-m", "ruff", "format", "--check", "--quiet"]),
    ("rules", ["-m", "ruff", "check"]),
    ("types", ["-m", "mypy"]),
)
TESTS = (
    ("model weights", ["-m", "tema_lib.encoders.weights"]),
    ("unit tests and notebook chain", ["-m", "pytest", "tests", "--durations=8", *PARALLEL]),
    ("committed notebook outputs", ["-m", "pytest", "--nbval", "notebooks/", *PARALLEL]),
)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lint", action="store_true", help="format, rules and types only")
    lint_only = parser.parse_args(arguments).lint
    parts = LINT if lint_only else LINT + TESTS
    results = []
    for name, command in parts:
        print(f"\n== {name}: python {' '.join(command)}", flush=True)
        start = time.time()
        code = subprocess.call([sys.executable, *command], cwd=ROOT, env=ENVIRONMENT)
        results.append((name, code, time.time() - start))
        if code and name == "model weights":
            print(
                "\nThe model weights could not be fetched, so nothing after this could be tested. "
                "See the message above.",
                flush=True,
            )
            break

    print("\n== summary")
    for name, code, seconds in results:
        print(f"{'passed' if code == 0 else 'FAILED':7} {seconds:6.0f} s  {name}")
    for name, _ in parts[len(results) :]:
        print(f"{'NOT RUN':7} {'':8}  {name}")
    if not lint_only and not os.environ.get("TEMA_REAL_DATA"):
        print(
            "skipped: every test that needs real data (set TEMA_REAL_DATA to a folder that holds "
            "the data sets)"
        )
    print(f"total   {sum(seconds for *_, seconds in results):6.0f} s")
    return 1 if any(code for _, code, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main())
