"""What `make test` runs: lint and weights, then unit tests, the papermill chain and nbval.

Prints durations; fails if any part fails.

    python tools/check.py           everything
    python tools/check.py --lint    format, rules and types only (`make lint`)
    python tools/check.py --quick   lint, and the tests that mirror what was changed
    python tools/check.py --record  everything; its durations go to results/bench_tests.json, and
                                    from there into the table of CONTRIBUTING.md
"""

import argparse
import ast
import functools
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
CHAIN = ROOT / "build" / "chain"  # what the notebook chain makes; nbval shares the trained systems
RECORD = ROOT / "results" / "bench_tests.json"
LISTED = 8  # the longest files, in the table of CONTRIBUTING.md
# The committed numbers were made with one thread, and two threads on a busy core are slower.
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TEMA_CHAIN": str(CHAIN),
}
# Two processes, each given whole test files or notebooks; with more, memory would be the limit.
# Files start in our order, the longest first: a long one that starts late ends alone.
PROCESSES = min(2, os.cpu_count() or 1)
PARALLEL = ["-n", str(PROCESSES), "--no-loadscope-reorder", "-q", "-rfEs"]
LINT = (
    ("format", ["-m", "ruff", "format", "--check", "--quiet"]),
    ("rules", ["-m", "ruff", "check"]),
    ("types", ["-m", "mypy"]),
)
WEIGHTS = ("model weights", ["-m", "tema_lib.encoders.weights"])
TESTS = "tests, notebook chain, committed outputs"
REPORT = ROOT / "build" / "tests.xml"  # how long each test took, as pytest says

# --- how long each test file takes ---


def record():
    """The committed durations; before the first record there are none."""
    if not RECORD.is_file():
        return {"files": {}}
    return json.loads(RECORD.read_text(encoding="utf-8"))


def longest_first(names, seconds):
    """Files in the order of their recorded seconds; a file that is not recorded may be long."""
    return sorted(names, key=lambda name: (-seconds.get(name, float("inf")), name))


def file_seconds(report):
    """{test file or notebook: seconds of all its tests} of a JUnit report."""
    seconds = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        name = case.get("file", "").replace("\\", "/")
        seconds[name] = seconds.get(name, 0.0) + float(case.get("time", 0))
    return {name: round(total, 1) for name, total in seconds.items()}


def tests():
    """(name, arguments of Python) of what comes after lint and weights: all tests.

    The notebooks come last (`tests/conftest.py`), when the chain has trained what they share.
    """
    folder = ROOT / "notebooks"
    found = [*folder.glob("[0-9]*.ipynb"), *folder.glob("assignments/*/*.ipynb")]
    notebooks = sorted(path.relative_to(ROOT).as_posix() for path in found)
    report = ["--durations=8", "-o", "junit_family=xunit1", f"--junit-xml={REPORT}"]
    return TESTS, ["-m", "pytest", "tests", "--nbval", *notebooks, *PARALLEL, *report]


# --- what a change is checked with ---

# Every change is checked for the direction of imports and for words that are no longer used.
ALWAYS = ("tests/test_house.py", "tests/test_words.py")
# What has no test file of its own name.
OTHERS = {
    "CONTRIBUTING.md": "tests/tools/test_check.py",
    "Makefile": "tests/test_makefile.py",
    "benchmarks/": "tests/test_benchmarks.py",
    "constraints.txt": "tests/test_project.py",
    "data/synthetic/": "tests/datasets/synthetic/test_generator.py",
    "data/tags/": "tests/tags/test_shipped_exports.py",
    "docs/": "tests/commands/test_readme.py",
    "environment.yml": "tests/test_project.py",
    "pyproject.toml": "tests/test_project.py",
    "README.md": "tests/commands/test_readme.py",
    "results/": "tests/test_records.py",
    "tema_lib/__main__.py": "tests/test_cli.py",
}
# They run notebooks, install, or start a browser.
LONG = {"tests/test_notebooks.py", "tests/test_own_data.py", "tests/test_browser.py"}


def changed_files():
    """Paths that differ from the last commit; of a clean tree, those that this commit changed."""

    def git(*arguments):
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return [name for name in done.stdout.split("\0") if name]

    here = git("diff", "--name-only", "-z", "HEAD")
    here += git("ls-files", "-z", "--others", "--exclude-standard")
    return sorted(set(here)) or git("diff", "--name-only", "-z", "HEAD~1", "HEAD")


def test_files():
    """All test files, by their path in the checkout."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*.py"))


def mirrors(name, tests):
    """The test files that are named after a module.

    `tema_lib/tags/refine.py` is mirrored by `tests/tags/test_refine.py`, and by any
    `tests/tags/test_refine_*.py`.
    """
    path = pathlib.PurePosixPath(name)
    inside = path if path.parts[0] == "tools" else path.relative_to(path.parts[0])
    mirror = ("tests" / inside.parent / f"test_{path.stem}").as_posix()
    return [test for test in tests if re.fullmatch(rf"{re.escape(mirror)}(_\w+)?\.py", test)]


def tests_for(name, tests, imports):
    """The test files for a changed file.

    Its mirror; else those that import it, or are named after its folder; else the mirrors of what
    imports it; else those in its folder.

    Args:
        name: the changed file.
        tests: all test files.
        imports: {test file or module of the library: full names of the modules that it imports}.
    """
    if name in tests:
        return [name]
    path = pathlib.PurePosixPath(name)
    if listed := [test for start, test in OTHERS.items() if name.startswith(start)]:
        return [test for test in listed if test in tests]
    if path.parts[0] not in ("tema_lib", "tests", "tools") or path.suffix != ".py":
        return []
    if found := mirrors(name, tests):
        return found
    module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    importing = [file for file, modules in imports.items() if module in modules]
    if found := [test for test in tests if test in importing]:
        return found
    if found := [test for test in tests if test.endswith(f"/test_{path.parent.name}.py")]:
        return found
    if found := {test for file in importing for test in mirrors(file, tests)}:
        return sorted(found)
    folder = "tests" / path.relative_to(path.parts[0]).parent
    while folder != pathlib.PurePosixPath("tests") or path.parts[0] == "tests":
        if found := [test for test in tests if folder in pathlib.PurePosixPath(test).parents]:
            return found
        folder = folder.parent
    return []


def imports_of(tests, root=ROOT):
    """{test file or module of the library: full names of the modules that it imports}."""
    library = [path.relative_to(root).as_posix() for path in root.glob("tema_lib/**/*.py")]
    return {name: imported(root / name) for name in [*library, *tests]}


@functools.cache
def imported(path):
    """Full names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def quick():
    """(part that runs the tests for what was changed, lines about what is left out)."""
    tests, changed = test_files(), changed_files()
    imports = imports_of(tests)
    chosen, alone = set(ALWAYS), []
    for name in changed:
        found = tests_for(name, tests, imports)
        chosen |= set(found)
        alone += [] if found else [name]
    left = sorted(chosen & LONG)
    chosen = longest_first(chosen - LONG, record()["files"])
    lines = [
        f"changed: {', '.join(changed)}",
        *(f"no test mirrors or imports {name}" for name in alone),
        *(f"left out, since it takes minutes: {name}" for name in left),
        f"left out: {len(tests) - len(chosen)} of {len(tests)} test files, the notebooks in a "
        "chain, and their stored outputs; `make test` runs everything",
    ]
    return ("tests for this change", ["-m", "pytest", *chosen, "-q", "-rfEs"]), lines


# --- the record of the durations ---


def write_record(results, whole):
    """Durations of every part and of all, and of the test files that take a second or more."""
    sys.path.insert(0, str(ROOT))
    from tema_lib.records import commit_and_state, write_json

    seconds = file_seconds(REPORT)
    commit, dirty = commit_and_state()
    durations = {
        "kind": "benchmark",
        "name": "tests",
        "processes": PROCESSES,
        "parts": [[name, round(taken)] for name, _, taken in results],
        "whole": round(whole),
        "files": {name: taken for name, taken in seconds.items() if taken >= 1},
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
        "commit": commit,
        "dirty": dirty,
        "command": "python tools/check.py --record",
    }
    write_json(RECORD, durations)
    path = ROOT / "CONTRIBUTING.md"
    path.write_text(rendered(path.read_text(encoding="utf-8"), durations), encoding="utf-8")


def rendered(text, durations):
    """A text with the table of durations between its two markers."""
    start, end = "<!-- durations:start", "<!-- durations:end -->"
    head, rest = text.split(start)
    marker, tail = rest.partition("\n")[0], rest.split(end)[1]
    return f"{head}{start}{marker}\n\n{table(durations)}\n\n{end}{tail}"


def table(durations):
    """Markdown: seconds of every part of `make test`, and of the longest test files."""
    if not durations["files"]:
        return "*No durations are recorded yet: `python tools/check.py --record` does.*"
    longest = longest_first(durations["files"], durations["files"])[:LISTED]
    return "\n".join(
        [
            f"| part of `make test`, {durations['processes']} processes on "
            f"{durations['hardware']['cores']} cores | seconds |",
            "|---|---:|",
            *(f"| {name} | {seconds} |" for name, seconds in durations["parts"]),
            f"| **all** (the first four side by side) | **{durations['whole']}** |",
            "",
            "| file, in one process | seconds |",
            "|---|---:|",
            *(f"| `{name}` | {durations['files'][name]:.0f} |" for name in longest),
        ]
    )


# --- running ---


def side_by_side(parts):
    """(name, exit code, seconds) of parts that run at once; each shows its output when it ends."""
    start = time.time()
    running = [
        (
            name,
            command,
            subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=ENVIRONMENT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ),
        )
        for name, command in parts
    ]
    results = []
    for name, command, process in running:
        said, _ = process.communicate()
        print(f"\n== {name}: python {' '.join(command)}\n{said}", end="", flush=True)
        results.append((name, process.returncode, time.time() - start))
    return results


def alone(name, command):
    """(name, exit code, seconds) of a part that shows its output as it comes."""
    print(f"\n== {name}: python {' '.join(command)}", flush=True)
    start = time.time()
    code = subprocess.call([sys.executable, *command], cwd=ROOT, env=ENVIRONMENT)
    return name, code, time.time() - start


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--lint", action="store_true", help="format, rules and types only")
    only.add_argument("--quick", action="store_true", help="lint, and the tests for what changed")
    only.add_argument("--record", action="store_true", help="everything, and keep the durations")
    chosen = parser.parse_args(arguments)
    start = time.time()
    first, then, about = list(LINT), [], []
    if chosen.quick:
        part, about = quick()
        then = [part]
    elif not chosen.lint:
        first, then = [*LINT, WEIGHTS], [tests()]
        shutil.rmtree(CHAIN, ignore_errors=True)
    results = side_by_side(first)
    if any(name == WEIGHTS[0] and code for name, code, _ in results):
        print(
            "\nThe model weights could not be fetched, so nothing after this could be tested. "
            "See the message above.",
            flush=True,
        )
    else:
        results += [alone(*part) for part in then]

    print("\n== summary")
    for name, code, seconds in results:
        print(f"{'passed' if code == 0 else 'FAILED':7} {seconds:6.0f} s  {name}")
    for name, _ in [*first, *then][len(results) :]:
        print(f"{'NOT RUN':7} {'':8}  {name}")
    if about:
        print(*about, sep="\n")
    elif not chosen.lint and not os.environ.get("TEMA_REAL_DATA"):
        print(
            "skipped: every test that needs real data (set TEMA_REAL_DATA to a folder that holds "
            "the data sets)"
        )
    print(f"total   {time.time() - start:6.0f} s")
    failed = any(code for _, code, _ in results)
    if chosen.record and not failed:
        write_record(results, time.time() - start)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
