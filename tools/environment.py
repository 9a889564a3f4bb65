"""Make the virtual environment `.venv`: torch first, then this project with all its extras.

The versions are those of constraints.txt. This runs on the system's own Python, whatever its
version, so it imports nothing but the standard library.
An interrupted set-up is simply run again: pip keeps what is already installed.
"""

import argparse
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin", "python")
OLDEST, NEWEST = (3, 11), (3, 13)  # as in pyproject.toml; a test compares
TORCH = "torch==2.13.0"  # as in constraints.txt; a test compares
PROJECT = ".[notebooks,llm,test]"  # with all extras, as in environment.yml; a test compares


def step(name, command, remedy):
    print("[set-up] " + name, flush=True)
    start = time.time()
    if subprocess.call(command, cwd=ROOT) != 0:
        sys.exit(f"[set-up] failed: {name}. {remedy}")
    print(f"[set-up] {name}: {time.time() - start:.0f} s", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--torch-index",
        default="",
        help="package index for torch only, for instance that of the CPU builds",
    )
    index = arguments.parse_args().torch_index

    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        major, minor = sys.version_info[:2]
        sys.exit(
            f"[set-up] Python {major}.{minor} found, but the project needs Python 3.11, 3.12 or "
            "3.13. Name another one: make run PYTHON=python3.12"
        )
    start = time.time()
    if not os.path.exists(PYTHON):
        step(
            "virtual environment in .venv",
            [sys.executable, "-m", "venv", VENV],
            "On Debian and Ubuntu install the package python3-venv, delete .venv and run the "
            "command again.",
        )
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]
    retry = (
        "Look at pip's message above (often the network or a full disk) and run the command again; "
        "what is installed stays."
    )
    # torch is the one big download, so pip may show its progress bar there
    step(
        TORCH + (" from " + index if index else ""),
        pip + [TORCH] + (["--index-url", index] if index else []),
        retry,
    )
    step("the other packages", [*pip, "--quiet", "-c", "constraints.txt", "-e", PROJECT], retry)
    with open(os.path.join(VENV, "ready"), "w") as stamp:
        stamp.write("the environment is complete; make looks at the date of this file\n")
    print(f"[set-up] ready after {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(
            "\n[set-up] Interrupted. What is installed stays; the same command goes on from here."
        )
    except OSError as error:  # a full disk, a folder or a program that cannot be used
        sys.exit(
            f"[set-up] failed: {error.filename or VENV} ({error.strerror}). Make room, let the "
            "project's folder be written, or delete .venv; then run the command again."
        )
