"""Mutations change what a program does, and nothing else; the drawn ones can be made."""

import json
import os
import subprocess

import pytest

from tema_lib.workspace import ROOT
from tools import check, mutations

DRAWN = json.loads((ROOT / "tests" / "mutations.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = a < b", {"x = a > b", "x = a <= b"}),
        ("x = a in b", {"x = a not in b"}),
        ("x = a is not None", {"x = a is None"}),
        ("x = a + b", {"x = a - b"}),
        ("x = a + 'é' + b", set()),
        ("x = not a", {"x = (a)"}),
        ("x = 'é' if a else b", {"x = 'é' if True else b", "x = 'é' if False else b"}),
        ("x = a and b", {"x = a or b"}),
        ("x = 3", {"x = 4"}),
        ("x = 0.5", {"x = 1.0"}),
        ("x = True", {"x = False"}),
        ("x = f(a, b=c)", {"x = f(a)"}),
        ("x = f(b=c)", {"x = f()"}),
        ("def f(x: int = 3) -> int: return x", {"def f(x: int = 4) -> int: return x"}),
        ("x: Literal[3]", set()),
        ("x: int = 3", {"x: int = 4"}),
        ("print(3, a < b)", set()),
        ("raise ValueError(f'{a + 3}')", set()),
        ("warnings.warn(a, stacklevel=2)", set()),
        ("'''if 3 < 4'''", set()),
    ],
)
def test_a_line_is_changed_where_it_decides_what_happens(line, expected):
    assert {changed for _, _, changed in mutations.mutations(line)} == expected


def test_the_drawn_mutations_are_of_every_kind_and_change_one_line_that_can_be_read():
    assert [one["number"] for one in DRAWN] == list(range(1, 21))
    assert len({one["path"] for one in DRAWN}) == 20
    assert len({one["operator"] for one in DRAWN}) >= 7
    for one in DRAWN:
        assert one["line"] != one["mutated"]
        path = ROOT / one["path"]
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if text.split("\n").count(one["line"]) == 1:
            compile(text.replace(one["line"], one["mutated"]), one["path"], "exec")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with one module of which half is tested, and two drawn mutations."""
    folder = tmp_path / "project"
    for name, text in {
        "tema_lib/sums.py": "def add(a, b):\n    return a + b\n\n\ndef less(a, b):\n"
        "    return a < b\n",
        "tests/test_sums.py": "from tema_lib.sums import add\n\n\ndef test_add():\n"
        "    assert add(2, 3) == 5\n",
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for command in (["init"], ["add", "."], ["commit", "--message", "all"]):
        given = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *command]
        subprocess.run(given, cwd=folder, check=True, capture_output=True)
    drawn = [
        ("    return a + b", "    return a - b"),
        ("    return a < b", "    return a > b"),
        ("    return a", "    return b"),
    ]
    (folder / "drawn.json").write_text(
        json.dumps(
            [
                {"number": n, "path": "tema_lib/sums.py", "operator": "", "line": a, "mutated": b}
                for n, (a, b) in enumerate(drawn, 1)
            ]
        )
    )
    monkeypatch.setattr(mutations, "ROOT", folder)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # none is needed: a quicker start
    monkeypatch.setattr(check, "ENVIRONMENT", dict(os.environ))
    monkeypatch.setattr(mutations, "DRAWN", folder / "drawn.json")
    return folder


def test_a_mutation_is_caught_or_survives_and_what_is_known_is_not_tested_again(
    project, tmp_path, monkeypatch, capsys
):
    results = tmp_path / "results.json"
    mutations.main(["run", str(results), "--processes", "1"])
    known = json.loads(results.read_text())
    (commit,) = known
    outcomes = {key.split(" | ")[1]: found for key, found in known[commit].items() if key != "none"}
    assert outcomes["return a + b"]["outcome"] == "caught"
    assert outcomes["return a + b"]["by"] == "mirror"
    assert outcomes["return a + b"]["test"] == "tests/test_sums.py::test_add"
    assert outcomes["return a < b"]["outcome"] == "survived"
    assert outcomes["return a"] == {"outcome": "no such line"}
    # The checkout and the other worktrees are as they were.
    assert (project / "tema_lib" / "sums.py").read_text().count("a + b") == 1
    assert mutations._git("worktree", "list").count("\n") == 1
    monkeypatch.setattr(mutations, "outcome", lambda *_: pytest.fail("it is known"))
    mutations.main(["run", str(results)])
    capsys.readouterr()
    mutations.main(["show", str(results)])
    assert "caught: 1, survived: 1, no such line: 1" in capsys.readouterr().out


def test_where_a_test_fails_without_a_mutation_nothing_is_said(project, tmp_path):
    (project / "tests" / "test_sums.py").write_text("def test_add():\n    assert False\n")
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-a", "-m", "bad"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    with pytest.raises(SystemExit, match=r"tests/test_sums.py::test_add fails: nothing"):
        mutations.main(["run", str(tmp_path / "results.json"), "--processes", "1"])
