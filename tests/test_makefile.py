"""What is given to `make run DATA=...` reaches the program letter by letter.

By the real make and the real shell.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(
    shutil.which("make") is None, reason="there is no make on this machine"
)
RECORDER = """import json, os, sys
print(json.dumps([sys.argv[1:], os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]]))
"""
AWKWARD = [
    "plain",
    "with two  spaces",
    """both "kinds" of 'quotes'""",
    "it's",
    'an open " quote',
    "$HOME and $(HOME) and ${HOME}",
    "$",
    "$$ two",
    "$(unclosed",
    "`date`",
    "$(shell date)",
    "#hash, a # b",
    "semi;colon & ampersand | pipe > file",
    "100%",
    "back\\slash\\",
    "a*b?c[d]",
    "~/home",
    "-dash",
    "--help",
    "a=b:c",
    "brackets (round) {curly} <angle>",
    "!history",
    "Ünïcode 食べ物 🍵",
    "comma, $(1),2",
]
STAMPS = tuple(f".venv/ready{extra}" for extra in ("", "-lab", "-llm", "-course", "-book", "-test"))


@pytest.fixture
def project(tmp_path):
    """A folder with our Makefile and a finished environment; its programs print what they got."""
    folder = tmp_path / "a project"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    for name in (
        "tema_lib/__main__.py",
        "tools/environment.py",
        "tools/check.py",
        "benchmarks/speed.py",
        "benchmarks/data.py",
        "jupyter.py",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(RECORDER)
    (folder / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / ".venv" / "bin" / "python").chmod(0o755)
    for name in ("tema_lib/__init__.py", "pyproject.toml", "setup.py", "constraints.txt", *STAMPS):
        (folder / name).touch()
    return folder


def make(project, *arguments, **environment):
    bare = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH")
    }
    return subprocess.run(
        ["make", *arguments], cwd=project, env=bare | environment, capture_output=True, text=True
    )


def given(project, *arguments, **environment):
    """The arguments that the program of a target got."""
    done = make(project, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[0]


@pytest.mark.parametrize("value", AWKWARD)
def test_an_awkward_value_arrives_as_it_was_typed(project, value):
    assert given(
        project, "run", f"DATA={value}", f"SYSTEMS={value}", f"TAGS={value}", f"REPLIES={value}"
    ) == [
        "run",
        f"--data={value}",
        f"--systems={value}",
        "--seed=0",
        f"--tags={value}",
        f"--replies={value}",
    ]
    assert given(project, "tags", f"DATA={value}", f"LLM={value}", f"OUT={value}") == [
        "tags",
        f"--data={value}",
        f"--llm={value}",
        f"--out={value}",
    ]
    assert given(project, "data", f"PAIR={value}", f"OUT={value}", f"FROM={value}") == [
        "data",
        f"--pair={value}",
        "--year=2014",
        f"--out={value}",
        f"--events={value}",
    ]
    assert given(project, "grade", f"SUBMISSIONS={value}") == ["grade", "--", value]
    by_environment = given(project, "run", DATA=value)
    assert by_environment == ["run", f"--data={value}", "--systems=", "--seed=0"]


def test_a_value_reaches_the_set_up_of_the_environment(project):
    (project / ".venv" / "ready").unlink()
    python = project / "my $python"
    shutil.copy(project / ".venv" / "bin" / "python", python)
    index = """https://mirror.example/$whl?a='b'&c="d";#cpu"""
    assert given(project, ".venv/ready", f"TORCH_INDEX={index}", f"PYTHON={python}") == [
        f"--torch-index={index}",
        "notebooks",
    ]


EVERY = ["notebooks", "lab", "llm", "course", "book", "serve", "portable", "test"]


@pytest.mark.parametrize(
    ("arguments", "extras"),
    [
        (["run"], ["notebooks"]),
        (["data"], ["notebooks"]),
        (["report"], ["notebooks"]),
        (["lab"], ["notebooks", "lab"]),
        (["tags"], ["notebooks"]),
        (["tags", "LLM=gpt2"], ["notebooks"]),
        (["tags", "LLM=http://127.0.0.1:8000/v1"], ["notebooks", "llm"]),
        (["tags", "LLM=https://api.example/v1#model"], ["notebooks", "llm"]),
        (["assignments"], ["notebooks", "course"]),
        (["grade", "SUBMISSIONS=in"], ["notebooks", "course"]),
        (["book"], ["notebooks", "llm", "book"]),
        (["slides"], ["notebooks", "llm", "book"]),
        (["lint"], EVERY),
        (["test"], EVERY),
        (["bench-data"], EVERY),
    ],
)
def test_each_command_installs_what_it_needs_once(project, arguments, extras):
    for name in STAMPS:
        (project / name).unlink()
    set_up, command = map(json.loads, make(project, *arguments).stdout.splitlines())
    assert set_up[0] == ["--torch-index=", *extras]
    assert "--torch-index=" not in command[0]


def test_some_command_installs_every_extra():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert list(tomllib.loads(text)["project"]["optional-dependencies"]) == EVERY


def test_what_is_not_given_is_not_passed_on(project):
    plain = ["run", "--data=synthetic", "--systems=", "--seed=0"]
    assert given(project, "run") == plain
    assert given(project, "run", "SEED=3", "SYSTEMS=all", "REPLIES=shipped", "DOMAINS=a,b") == [
        "run",
        "--data=synthetic",
        "--systems=all",
        "--seed=3",
        "--domains=a,b",
        "--replies=shipped",
    ]
    assert given(project, "tags") == ["tags", "--data=synthetic"]
    assert given(project, "report") == ["readme"]
    assert given(project, "assignments") == ["assignments"]
    assert given(project, "grade", "SUBMISSIONS=in", "UNSAFE=0") == ["grade", "--", "in"]
    assert given(project, "grade", "SUBMISSIONS=in", "UNSAFE=1") == [
        "grade",
        "--unsafe",
        "--",
        "in",
    ]
    assert given(project, "book") == ["book"]
    assert given(project, "slides", "OUT=a folder") == ["slides", "--out=a folder"]
    # Served from the root of the checkout, so that links from a notebook to docs/ work.
    assert given(project, "lab") == [
        "lab",
        "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb",
    ]
    assert given(project, "lint") == ["--lint"]
    assert given(project, "test") == given(project, "test", "QUICK=0") == []
    assert given(project, "test", "QUICK=1") == ["--quick"]
    assert given(project, "data", "PAIR=food-kitchen", "PICTURES=0", "CORE=3") == [
        "data",
        "--pair=food-kitchen",
        "--year=2014",
        "--core=3",
        "--no-pictures",
    ]
    assert given(project, "bench") == []
    assert given(project, "bench", "ROUNDS=2") == ["--rounds=2"]
    assert given(project, "bench-data", "LARGE=9") == ["--large=9"]


def test_fields_of_a_request_arrive_one_by_one(project):
    fields = ["max_completion_tokens=200", 'extra={"top_k":1,"*":"$HOME"}', "stop=['a','*']"]
    assert given(project, "tags", f"REQUEST={' '.join(fields)}", "AGAIN=1") == [
        "tags",
        "--data=synthetic",
        "--again",
        *(f"--request={field}" for field in fields),
    ]
    assert given(project, "tags", "AGAIN=0") == ["tags", "--data=synthetic"]


@pytest.mark.parametrize(
    ("arguments", "environment", "threads"),
    [((), {}, "1"), (("THREADS=2",), {}, "2"), ((), {"OMP_NUM_THREADS": "3"}, "3")],
)
def test_threads_are_set_by_one_word(project, arguments, environment, threads):
    assert json.loads(make(project, "run", *arguments, **environment).stdout)[1:] == [
        threads,
        "PASSIVE",
    ]


def test_what_python_compiles_is_kept(project):
    program = "import json, sys\nprint(json.dumps([sys.dont_write_bytecode]))"
    (project / "tema_lib" / "__main__.py").write_text(program)
    assert given(project, "run", PYTHONDONTWRITEBYTECODE="1") is False


def test_help_names_every_variable(project):
    said = make(project).stdout
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    names = next(line for line in lines if line.startswith("GIVEN")).split()[2:]
    # These two are of use to those who know make, and to us.
    assert [name for name in names if f"{name}=" not in said] == ["PYTHON", "ROUNDS"]
    for word in ("AGAIN=", "QUICK=", "SYSTEMS=all", "shipped", "export:<model>"):
        assert word in said
    assert "FAST" not in said


def test_the_real_program_repeats_a_folder_that_is_not_there(project):
    shutil.rmtree(project / "tema_lib")
    shutil.copytree(ROOT / "tema_lib", project / "tema_lib")
    folder = """no such $folder, 'x' and "y"; 100% #1"""
    done = make(project, "run", f"DATA={folder}")
    assert done.returncode == 2
    assert f"DATA={folder}: there is no such folder." in done.stderr
