"""The house: imports point one way, no import changes a user's settings, nothing is unpickled."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from tema_lib.workspace import ROOT
from tests.helpers.sources import LIBRARY, imported, tracked_files

# Along the pipeline. A module imports from lines before its own and, within a line, from its
# neighbours; never from later ones, and no two import each other.
ORDER = (
    ("__init__", "workspace", "reproducibility"),
    ("data",),
    ("datasets",),
    ("encoders",),
    ("distributed",),
    ("llm",),
    ("tags",),
    ("models",),
    ("checkpoints", "training", "evaluation", "recommendation"),
    ("shipped_replies",),
    ("records",),
    ("explain",),
    ("pipeline",),
    ("experiment", "serving"),
    ("tuning", "ablation", "choices"),
    ("museum", "exercises"),
    ("notebook",),
    ("course",),
    ("cli", "commands", "__main__"),
)
# Only notebooks import these.
FOR_NOTEBOOKS = ("tema_lib.notebook", "tema_lib.explain.display.widgets")


def test_imports_point_one_way():
    position = {wing: i for i, line in enumerate(ORDER) for wing in line}
    needs = {}
    for path in LIBRARY:
        wing = path.relative_to(ROOT / "tema_lib").with_suffix("").parts[0]
        assert wing in position, f"tema_lib/{wing}: give it a place in ORDER"
        if wing == "__init__":  # the public face names everything, and imports nothing
            continue
        for module in imported(path):
            _, _, other = module.removesuffix(".py").partition("tema_lib.")
            other = other.split(".")[0]
            if other not in position or other == wing:
                continue
            assert position[other] <= position[wing], (
                f"{path.relative_to(ROOT)} imports {module}: against the direction of the pipeline"
            )
            needs.setdefault(wing, set()).add(other)
    for wing, others in needs.items():
        mutual = [other for other in others if wing in needs.get(other, ())]
        assert not mutual or {wing, *mutual} == {"cli", "commands"}, (
            f"{wing} and {mutual}: a circle"
        )


def test_what_is_for_notebooks_is_imported_by_notebooks_only():
    for path in LIBRARY:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found = [module for module in imported(path) if module.startswith(FOR_NOTEBOOKS)]
        assert not found or name.startswith(FOR_NOTEBOOKS), f"{name} imports {found}"


# --- threads and environment ---


def printed(code, given):
    """What a fresh Python prints whose environment says nothing about threads but what is given."""
    silent = ("OMP_", "MKL_", "TEMA_")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(silent)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=bare | given | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("given", [{}, {"OMP_NUM_THREADS": "2"}])
def test_an_import_changes_neither_the_environment_nor_the_threads(given):
    """Who uses the library in a program of their own keeps their own threads."""
    own = printed("import torch; print(torch.get_num_threads())", given)
    code = (
        "import os; before = dict(os.environ)\n"
        "import tema_lib; now = dict(os.environ)\n"
        "import tema_lib.experiment, torch\n"
        "named = [name for name in os.environ if 'OMP' in name or 'MKL' in name]\n"
        "print(torch.get_num_threads(), before == now, named)"
    )
    assert printed(code, given) == [*own, "True", str(list(given))]


@pytest.mark.parametrize(("given", "threads"), [({}, "1"), ({"OMP_NUM_THREADS": "2"}, "2")])
def test_notebooks_compute_with_one_thread_unless_told_otherwise(given, threads):
    code = "import torch; from tema_lib import notebook; notebook.setup()\n"
    assert printed(code + "print(torch.get_num_threads())", given) == [threads]


WINGS = "experiment|notebook|models|training|evaluation|encoders"
HEAVY = re.compile(rf"^\s+(import torch|from tema_lib\.({WINGS})\b)", re.MULTILINE)
# speed.py and parity.py start these, with an environment.
WORKERS = ("ours.py", "parity_recbole.py", "parity_rectools.py", "peer_")
PROGRAMS = [
    path
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
    if "__main__" in path.read_text(encoding="utf-8")
    and HEAVY.search(path.read_text(encoding="utf-8"))
    and not path.name.startswith(WORKERS)
]


@pytest.mark.parametrize(
    ("given", "threads"), [({}, "1"), ({"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "ACTIVE"}, "2")]
)
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_a_benchmark_sets_threads_before_torch_is_there(path, given, threads):
    code = (
        f"import os, runpy, sys; sys.path[:0] = [{str(path.parent)!r}]\n"
        f"runpy.run_path({str(path)!r}, run_name='read')\n"
        "print('torch' in sys.modules, os.environ['OMP_NUM_THREADS'])\n"
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    assert printed(code, given) == ["False", threads, given.get("OMP_WAIT_POLICY", "PASSIVE")]


def test_all_programs_that_compute_are_among_these():
    computing = {"systems.py", "growth.py", "tagging.py", "parity.py", "batches.py", "prompts.py"}
    assert computing <= {path.name for path in PROGRAMS}


# --- nothing is unpickled ---


def code_of(path):
    """Python source of a module, or of a notebook's code cells without its magics."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)


PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
PROCESSES = {"subprocess.run", "subprocess.call", "subprocess.Popen"}


def unsafe(source):
    """What a file does that could run code out of a downloaded or a student's file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        found += [f"import {name}" for name in modules if name.split(".")[0] in PICKLERS]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in {"eval", "exec"} or name.endswith((".read_pickle", ".to_pickle")):
            found.append(name)
        loads = name in {"torch.load", "load_state_dict_from_file"}
        if loads and options.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if options.get("allow_pickle", "False") != "False":
            found.append("allow_pickle")
        if options.get("trust_remote_code", "False") != "False":
            found.append("trust_remote_code")
        if name == "yaml.load":
            found.append("yaml.load instead of yaml.safe_load")
        if name in PROCESSES and options.get("shell", "False") != "False":
            found.append("a shell")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load('m.pt')",
        "np.load(p, allow_pickle=True)",
        "AutoModel.from_pretrained(n, trust_remote_code=True)",
        "pd.read_pickle(p)",
        "eval(reply)",
    ],
)
def test_the_search_for_unsafe_loads_finds_them(source):
    assert unsafe(source)


# It subclasses `pickle.Unpickler` to refuse every class and function that a file names.
READS_PICKLES_AS_DATA = ROOT / "tema_lib/datasets/published/llmcdsr.py"
# It runs the cells of students' notebooks, in a sandbox, and the tests of their author.
RUNS_CELLS = ROOT / "tema_lib/course/worker.py"
ALLOWED = {READS_PICKLES_AS_DATA: ["import pickle"], RUNS_CELLS: ["exec"]}


def test_nothing_is_unpickled():
    safe = "torch.load(p, weights_only=True); np.load(p, allow_pickle=False); model.eval()"
    assert not unsafe(safe)
    tools = sorted((ROOT / "tools").glob("*.py"))
    notebooks = sorted((ROOT / "notebooks").rglob("*.ipynb"))
    for path in [*LIBRARY, *tools, *notebooks]:
        if ".ipynb_checkpoints" not in path.parts:
            assert unsafe(code_of(path)) == ALLOWED.get(path, []), path.relative_to(ROOT)


OTHER_CODE = (".html", ".css", ".js", ".toml", ".yml", ".yaml", "Makefile", ".ci/run")


def test_no_line_of_other_code_is_wider_than_100_columns():
    """Python and the notebooks' code are checked by ruff (E501)."""
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked_files()
        if path.as_posix().endswith(OTHER_CODE)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 100
    ]
    assert not wide
