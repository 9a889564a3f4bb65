"""What `make test` runs: weights, unit tests with the papermill chain, then nbval. Prints durations; fails if any part fails."""

import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
# One thread: the committed numbers were made with one, and two threads that share a busy core are slower than one.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
PARTS = (
    ("model weights", ["-m", "tema_lib.encoders.weights"]),
    ("unit tests and notebook chain", ["-m", "pytest", "tests", "-q", "-rs", "--durations=8"]),
    ("committed notebook outputs", ["-m", "pytest", "--nbval", "notebooks/", "-q", "-rs"]),
)


def main():
    results = []
    for name, arguments in PARTS:
        print(f"\n== {name}: python {' '.join(arguments)}", flush=True)
        start = time.time()
        code = subprocess.call([sys.executable, *arguments], cwd=ROOT, env=ENVIRONMENT)
        results.append((name, code, time.time() - start))
        if code and name == "model weights":
            print(
                "\nThe model weights could not be had, so nothing after this could be tested. See the message above.",
                flush=True,
            )
            break

    print("\n== summary")
    for name, code, seconds in results:
        print(f"{'passed' if code == 0 else 'FAILED':7} {seconds:6.0f} s  {name}")
    for name, _ in PARTS[len(results) :]:
        print(f"{'NOT RUN':7} {'':8}  {name}")
    if not os.environ.get("TEMA_REAL_DATA"):
        print(
            "skipped: every test that needs real data (set TEMA_REAL_DATA to a folder that holds the data sets)"
        )
    print(f"total   {sum(seconds for *_, seconds in results):6.0f} s")
    return 1 if any(code for _, code, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main())
