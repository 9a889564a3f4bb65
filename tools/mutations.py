"""Put small errors into the library, one at a time, and see whether the tests notice.

    python tools/mutations.py draw                  draw 20 anew and write tests/mutations.json
    python tools/mutations.py run results.json      test each of them at HEAD
    python tools/mutations.py run results.json --commit 1a2b3c --only 3 7
    python tools/mutations.py show results.json     one line a mutation, one column a commit

A mutation is a file, one of its lines as it stands, and that line with the error; so it can be made
in every commit that has the line. It is caught by the tests that mirror the file, else by the whole
suite without notebooks; else it has survived, and a test is missing. Each runs in a git worktree of
its own. A run that is stopped goes on: what is in the results is not tested again.
"""

import argparse
import ast
import importlib.util
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import check  # noqa: E402  (beside this file)

DRAWN = ROOT / "tests" / "mutations.json"
LONG = ("tests/test_notebooks.py", "tests/test_own_data.py")  # they run notebooks
PYTEST = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:nbval"]
MINUTES = 30  # a mutation may well loop for ever: then it is caught

# --- what can be changed ---

FLIPPED = {
    ast.Lt: ("<", ">"),
    ast.Gt: (">", "<"),
    ast.LtE: ("<=", ">="),
    ast.GtE: (">=", "<="),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}
BOUNDARY = {
    ast.Lt: ("<", "<="),
    ast.Gt: (">", ">="),
    ast.LtE: ("<=", "<"),
    ast.GtE: (">=", ">"),
}
SWAPPED = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
}
# What only speaks: its words, and the numbers in them, are no behaviour.
SPEAKS = re.compile(
    r"(print|warn|warnings\.warn|exit|sys\.exit|say|add_argument|error|tqdm|\w*Error)$"
)


def mutations(source):
    """All (operator, line number from 1, the line with the error) of a module's source."""
    lines, found = source.split("\n"), []
    for node in _behaviour(ast.parse(source)):
        for operator, at, end, new in _changes(node, source):
            (row, left), (last, right) = at, end
            line = lines[row - 1].encode()
            if row == last:
                changed = (line[:left] + new.encode() + line[right:]).decode()
                if changed != line.decode() and _compiles(lines, row, changed):
                    found.append((operator, row, changed))
    return found


def _compiles(lines, row, changed):
    try:
        compile("\n".join([*lines[: row - 1], changed, *lines[row:]]), "mutated", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _behaviour(node):
    """The nodes below one that decide what a program does: no annotation, message or docstring."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            if isinstance(child, ast.Raise | ast.JoinedStr | ast.Assert | ast.AnnAssign) and not (
                isinstance(child, ast.AnnAssign) and child.value
            ):
                continue
            if isinstance(child, ast.Call) and SPEAKS.search(ast.unparse(child.func)):
                continue
            yield child
            yield from _behaviour(child)


def _changes(node, source):
    """(operator, (row, column), (row, column), what stands there then) for one node."""
    here = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
    end = (getattr(node, "end_lineno", 0), getattr(node, "end_col_offset", 0))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for name, table in (("comparison flipped", FLIPPED), ("boundary moved", BOUNDARY)):
            if type(node.ops[0]) in table:
                yield from _between(source, name, node.left, node.comparators[0], table, node.ops)
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPPED and not _is_text(node):
        yield from _between(source, "operator swapped", node.left, node.right, SWAPPED, [node.op])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not removed", here, end, f"({ast.get_source_segment(source, node.operand)})"
    if isinstance(node, ast.BoolOp):
        word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:]):
            yield from _token(source, "and and or swapped", left, right, word, other)
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        test = node.test
        at = (test.lineno, test.col_offset), (test.end_lineno, test.end_col_offset)
        if not isinstance(node, ast.While):
            yield "condition forced", *at, "True"
        yield "condition forced", *at, "False"
    if isinstance(node, ast.Call):
        for word in node.keywords:
            if word.arg:
                yield from _dropped(source, word)
    if isinstance(node, ast.Constant) and (new := _other(node.value)) is not None:
        yield "constant changed", here, end, new


def _is_text(node):
    """Whether a sum or product is one of texts."""
    return any(
        isinstance(part, ast.JoinedStr)
        or (isinstance(part, ast.Constant) and isinstance(part.value, str | bytes))
        for part in ast.walk(node)
    )


def _between(source, name, left, right, table, operators):
    yield from _token(source, name, left, right, *table[type(operators[0])])


def _token(source, name, left, right, token, new):
    """The operator between two operands that stand on one line."""
    if left.end_lineno != right.lineno:
        return
    line = source.split("\n")[left.end_lineno - 1].encode()
    gap = line[left.end_col_offset : right.col_offset].decode()
    if gap.count(token) != 1:
        return
    start = left.end_col_offset + len(gap[: gap.index(token)].encode())
    row = left.end_lineno
    yield name, (row, start), (row, start + len(token)), new


def _dropped(source, word):
    """A keyword argument with the comma before it, or behind it where it is the first."""
    if word.lineno != word.end_lineno:
        return
    line = source.split("\n")[word.lineno - 1].encode()
    before, after = line[: word.col_offset].decode(), line[word.end_col_offset :].decode()
    if found := re.search(r",\s*$", before):
        left, right = len(before[: found.start()].encode()), word.end_col_offset
    elif found := re.match(r",\s*", after):
        left = word.col_offset
        right = word.end_col_offset + len(found.group().encode())
    else:
        left, right = word.col_offset, word.end_col_offset
    yield "argument dropped", (word.lineno, left), (word.lineno, right), ""


def _other(value):
    """Another value of a constant, as text; None where a change means nothing."""
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int):
        return str(value + 1)
    if isinstance(value, float):
        return repr(value * 2) if value else "1.0"
    return None


# --- drawing ---


def library(commit):
    """{path: source} of the library's modules in a commit."""
    names = _git("ls-tree", "-r", "--name-only", commit, "tema_lib").split("\n")
    return {name: _git("show", f"{commit}:{name}") for name in names if name.endswith(".py")}


def draw(count, seed, commits):
    """Mutations of lines that every one of the commits has, once: one a module, of all kinds.

    Packages take turns, so that a small one is not forgotten; so do the operators.
    """
    sources = [library(commit) for commit in commits]
    generator = random.Random(seed)
    modules = [name for name in sources[0] if all(name in other for other in sources)]
    generator.shuffle(modules)
    packages = {}
    for name in modules:
        packages.setdefault(pathlib.PurePosixPath(name).parent, []).append(name)
    turns = [
        queue[turn]
        for turn in range(len(modules))
        for queue in packages.values()
        if turn < len(queue)
    ]
    chosen, used = [], []
    for name in turns:
        if len(chosen) == count:
            break
        candidates = [
            (operator, line, changed)
            for operator, row, changed in mutations(sources[0][name])
            for line in [sources[0][name].split("\n")[row - 1]]
            if all(other[name].split("\n").count(line) == 1 for other in sources)
        ]
        if not candidates:
            continue
        rarest = min({operator for operator, *_ in candidates}, key=lambda o: (used.count(o), o))
        operator, line, changed = generator.choice([c for c in candidates if c[0] == rarest])
        used.append(operator)
        chosen.append({"path": name, "operator": operator, "line": line, "mutated": changed})
    return [{"number": number, **one} for number, one in enumerate(chosen, 1)]


def _git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


# --- running ---


class Tree:
    """A worktree of a commit, in which one file at a time is another."""

    def __init__(self, folder, commit):
        self.folder = folder
        _git("worktree", "add", "--detach", str(folder), commit)

    def write(self, name, text):
        """Replace a file; Python must not take its compiled copy for that of the new text."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        pathlib.Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)

    def clean(self):
        """What one run has made and cached says nothing about the next."""
        build = self.folder / "build"
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir()
        if (ROOT / "build" / "pretrained").exists():
            (build / "pretrained").symlink_to((ROOT / "build" / "pretrained").resolve())
        if (ROOT / "build" / "cache").is_dir():  # encoded pictures: a copy, which may be spoiled
            shutil.copytree(ROOT / "build" / "cache", build / "cache")

    def pytest(self, *arguments):
        """(exit status, None where it took too long; the first test that failed)."""
        environment = {**check.ENVIRONMENT, "PYTHONPATH": str(self.folder)}
        environment.setdefault("HF_HUB_OFFLINE", "1")
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [sys.executable, *PYTEST, *arguments],
                cwd=self.folder,
                env=environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(60 * MINUTES)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if process.poll() is None:  # also when we are stopped
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            said.seek(0)
            text = said.read()
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", text, re.MULTILINE)
        return status, failed[1] if failed else text.strip().split("\n")[-1][:200]


def outcome(tree, mutation, processes):
    """What became of one mutation; of None, whether all tests pass without one."""
    start = time.time()
    tree.clean()
    if mutation:
        path = tree.folder / mutation["path"]
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        if lines.count(mutation["line"]) != 1:
            return {"outcome": "no such line"}
        lines[lines.index(mutation["line"])] = mutation["mutated"]
        tree.write(mutation["path"], "\n".join(lines))
    names = [
        path.relative_to(tree.folder).as_posix() for path in tree.folder.glob("tests/**/test_*.py")
    ]
    tests = [name for name in sorted(names) if name not in LONG]
    rest = [
        "tests",
        *(f"--ignore={name}" for name in LONG),
        *(["-n", str(processes)] if processes > 1 else []),
    ]
    stages = [("suite", rest)]
    if mutation:
        imports = check.imports_of(tests, tree.folder)
        stages.insert(0, ("mirror", check.tests_for(mutation["path"], tests, imports)))
    found = {"outcome": "survived"}
    for stage, arguments in stages:
        status, said = tree.pytest(*arguments)
        if status != 0:
            found = {
                "outcome": "caught",
                "by": stage,
                "test": "timeout" if status is None else said,
            }
            break
    return found | {"seconds": round(time.time() - start)}


def run(path, commit, only, processes):
    """Test the mutations that are not in the results yet, and keep each outcome at once."""
    commit = _git("rev-parse", commit).strip()
    drawn = json.loads(DRAWN.read_text(encoding="utf-8"))
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known = results.setdefault(commit, {})
    wanted = [one for one in drawn if not only or one["number"] in only]
    wanted = [one for one in wanted if _key(one) not in known]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = Tree(pathlib.Path(folder) / "tree", commit)
        try:
            if wanted and not only and "none" not in known:
                known["none"] = outcome(tree, None, processes)
                check_whole(known["none"])
                _keep(path, results)
            for one in wanted:
                original = _git("show", f"{commit}:{one['path']}") if _has(commit, one) else ""
                try:
                    known[_key(one)] = outcome(tree, one, processes)
                finally:
                    if original:
                        tree.write(one["path"], original)
                _keep(path, results)
                print(f"{one['number']:3} {told(known[_key(one)])}  {one['path']}", flush=True)
        finally:
            _git("worktree", "remove", "--force", str(tree.folder))


def check_whole(result):
    """Where a test fails without any mutation, every mutation would count as caught."""
    if result["outcome"] != "survived":
        sys.exit(f"Without a mutation {result['test']} fails: nothing can be said.")


def _has(commit, mutation):
    return mutation["path"] in _git("ls-tree", "-r", "--name-only", commit, "tema_lib").split("\n")


def _key(mutation):
    return " | ".join(mutation[part].strip() for part in ("path", "line", "mutated"))


def _keep(path, results):
    whole = path.with_name(f"{path.name}.unfinished")
    whole.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(whole, path)


def told(result):
    """An outcome in a few words."""
    if not result:
        return "not tested"
    words = [result["outcome"]]
    if result["outcome"] == "caught":
        words.append(f"by {result['test'] if result['by'] == 'suite' else 'its mirror'}")
    return " ".join([*words, f"in {result['seconds']} s" if "seconds" in result else ""]).strip()


def show(path):
    """Each mutation with its outcome at every commit."""
    results = json.loads(path.read_text(encoding="utf-8"))
    drawn = json.loads(DRAWN.read_text(encoding="utf-8"))
    for one in drawn:
        print(f"{one['number']:3} {one['path']}: {one['operator']}")
        print(f"    - {one['line'].strip()}\n    + {one['mutated'].strip()}")
        for commit, known in results.items():
            print(f"    {commit[:7]} {told(known.get(_key(one)))}")
    for commit, known in results.items():
        outcomes = [known.get(_key(one), {}).get("outcome") for one in drawn]
        counts = {word: outcomes.count(word) for word in ("caught", "survived", "no such line")}
        print(commit[:7], ", ".join(f"{word}: {count}" for word, count in counts.items()))


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw", help="draw anew, and write tests/mutations.json")
    drawing.add_argument("--seed", type=int, default=0)
    drawing.add_argument("--count", type=int, default=20)
    drawing.add_argument(
        "--commits", nargs="+", default=["HEAD"], help="each must have the lines (default: HEAD)"
    )
    running = commands.add_parser("run", help="test the drawn mutations")
    running.add_argument("results", type=pathlib.Path, help="JSON file that outcomes are kept in")
    running.add_argument("--commit", default="HEAD")
    running.add_argument("--only", type=int, nargs="+", default=[], help="numbers of mutations")
    running.add_argument("--processes", type=int, default=check.PROCESSES)
    showing = commands.add_parser("show", help="compare the commits of the results")
    showing.add_argument("results", type=pathlib.Path)
    chosen = parser.parse_args(arguments)
    if chosen.command == "draw":
        drawn = draw(chosen.count, chosen.seed, chosen.commits)
        DRAWN.write_text(json.dumps(drawn, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    elif chosen.command == "run":
        run(chosen.results.resolve(), chosen.commit, set(chosen.only), chosen.processes)
    else:
        show(chosen.results)


if __name__ == "__main__":
    main()
