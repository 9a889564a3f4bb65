"""Make the virtual environment `.venv`: torch, then this project with the extras that are named.

    python tools/environment.py              all of them
    python tools/environment.py notebooks    those of `make run`

uv installs where it is at hand, else pip; the versions are those of constraints.txt. On Linux
without a GPU torch is the small CPU build. This runs on the system's own Python, whatever its
version, so it imports nothing but the standard library.
An interrupted set-up is simply run again: what is installed stays.
"""

import argparse
import ast
import contextlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
OLDEST, NEWEST = (3, 11), (3, 13)  # as in pyproject.toml; a test compares
TORCH = "torch==2.13.0"  # as in constraints.txt; a test compares
EXTRAS = (
    "notebooks",
    "lab",
    "llm",
    "course",
    "book",
    "serve",
    "portable",
    "test",
)  # as in pyproject.toml; a test compares
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = 5  # seconds that this index has for an answer
GPU_SIGNS = ("/dev/nvidia0", "/proc/driver/nvidia", "/dev/kfd")


def main():
    given = arguments()
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        major, minor = sys.version_info[:2]
        sys.exit(
            f"[set-up] Python {major}.{minor} found, but the project needs Python 3.11, 3.12 or "
            "3.13. Name another one: make run PYTHON=python3.12"
        )
    start = time.time()
    if not installed("pip"):
        step(
            "virtual environment in .venv",
            [sys.executable, "-m", "venv", VENV],
            "On Debian and Ubuntu install the package python3-venv, delete .venv and run the "
            "command again.",
        )
    program, install = installer()
    retry = (
        f"Look at {program}'s message above (often the network or a full disk) and run the command "
        "again; what is installed stays."
    )
    if not installed(TORCH):
        index, why = torch_index(given.torch_index)
        option = "--default-index" if program == "uv" else "--index-url"
        where = [option, index] if index else ["-c", "constraints.txt"]
        if index == CPU_INDEX:  # all that this build needs comes with the other packages
            where.append("--no-deps")
        # The one big download: on a terminal its progress is shown.
        quiet = [] if sys.stdout.isatty() else QUIET[program]
        step(f"{TORCH} {why}", [*install, *quiet, *where, TORCH], retry)
    wanted = ",".join(given.extras)
    step(
        f"the other packages ({wanted}), by {program}",
        [*install, *QUIET[program], "-c", "constraints.txt", "-e", f".[{wanted}]"],
        retry,
    )
    for extra in given.extras:
        name = "ready" if extra == "notebooks" else "ready-" + extra
        with open(os.path.join(VENV, name), "w") as stamp:
            stamp.write(f"[{extra}] is installed; make looks at the date of this file\n")
    print(f"[set-up] ready after {time.time() - start:.0f} s", flush=True)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("extras", nargs="*", help=", ".join(EXTRAS) + " (default: all of them)")
    parser.add_argument(
        "--torch-index", default="", help="package index for torch only, instead of the usual one"
    )
    given = parser.parse_args()
    given.extras = given.extras or list(EXTRAS)
    for extra in given.extras:
        if extra not in EXTRAS:
            parser.error(f"no extra is called {extra!r}; there are {', '.join(EXTRAS)}")
    return given


def step(name, command, remedy):
    print("[set-up] " + name, flush=True)
    if subprocess.call(command, cwd=ROOT) != 0:
        sys.exit(f"[set-up] failed: {name}. {remedy}")


def installed(package):
    """Whether `.venv` has a package: "pip", or "torch==2.13.0" in whatever build."""
    if not os.path.exists(PYTHON):
        return False
    name, _, version = package.partition("==")
    code = f"from importlib.metadata import version; print(version('{name}'))"
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True)
    return done.returncode == 0 and version in ("", done.stdout.strip().split("+")[0])


# --- who installs ---

# Without these, pip and uv tell of each package; errors are shown all the same.
QUIET = {"pip": ["-qq", "--progress-bar", "off"], "uv": ["-q"]}


def installer():
    """uv or pip, and its command."""
    # A module is compiled when it is first imported, and most never are; but where Python may not
    # keep what it compiles, that has to be done now.
    now = sys.dont_write_bytecode
    uv = shutil.which("uv")
    if uv:
        hand_on_to_uv()
        options = ["--compile-bytecode"] if now else []
        return "uv", [uv, "pip", "install", "--python", PYTHON, *options]
    options = ["--disable-pip-version-check", "--compile" if now else "--no-compile"]
    return "pip", [PYTHON, "-m", "pip", "install", *options]


def hand_on_to_uv():
    """Where pip was told to look for packages; uv does not ask pip. What uv was told counts."""
    done = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True)
    said = re.findall(r"^(global|install|:env:)\.([a-z-]+)=(.*)$", done.stdout, re.MULTILINE)
    said.sort(key=lambda line: ("global", "install", ":env:").index(line[0]))
    told = {name: ast.literal_eval(value).split() for _, name, value in said}
    for name, variable, between in (
        ("index-url", "UV_DEFAULT_INDEX", " "),
        ("extra-index-url", "UV_INDEX", " "),
        ("find-links", "UV_FIND_LINKS", ","),
    ):
        if told.get(name):
            os.environ.setdefault(variable, between.join(told[name]))
    if told.get("extra-index-url"):
        # As pip does it: the best version of all places, not that of the first which has any.
        os.environ.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")


# --- where torch comes from ---


def torch_index(given):
    """The index, None for the default one; and why this one, in words."""
    if given:
        return given, "from " + re.sub("//[^/@]*@", "//", given)
    if not sys.platform.startswith("linux"):
        return None, "from the default index"
    sign = gpu()
    if sign:
        return None, f"from the default index, since there is a GPU ({sign})"
    if answers(CPU_INDEX):
        return CPU_INDEX, f"for CPUs from {CPU_INDEX}, since no GPU was found"
    return None, f"from the default index, since {CPU_INDEX} does not answer"


def gpu():
    """What shows that there is a GPU; None if nothing does."""
    return next(filter(os.path.exists, GPU_SIGNS), None) or shutil.which("nvidia-smi")


def answers(index):
    """Whether an index has a page for torch, and says so in time."""
    page = urllib.request.Request(index + "/torch/", headers={"User-Agent": "tema-lib set-up"})
    found = []

    def ask():
        with contextlib.suppress(OSError, http.client.HTTPException):
            urllib.request.urlopen(page, timeout=PATIENCE).close()
            found.append(index)

    # A thread, since a time-out of the request covers neither the name server nor a slow drip.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return bool(found)


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
