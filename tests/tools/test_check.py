"""`make test QUICK=1` finds the tests of a change; the table of durations says what is recorded."""

import subprocess

import pytest

from tema_lib.workspace import ROOT
from tests.helpers.sources import LIBRARY
from tools import check

TESTS = check.test_files()
IMPORTS = check.imports_of(TESTS)


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("tema_lib/tags/refine.py", ["tests/tags/test_refine.py"]),
        ("tema_lib/training.py", ["tests/test_training.py"]),
        ("tests/tags/test_refine.py", ["tests/tags/test_refine.py"]),
        ("tema_lib/explain/display/figures/cases.py", ["tests/explain/test_figures.py"]),
        ("tools/check.py", ["tests/tools/test_check.py"]),
        ("benchmarks/growth.py", ["tests/test_benchmarks.py"]),
        ("docs/tags.md", ["tests/commands/test_readme.py"]),
        ("pyproject.toml", ["tests/test_project.py"]),
        ("notebooks/pipeline.svg", []),
        (
            "tema_lib/llm/server.py",
            [
                "tests/llm/test_server.py",
                "tests/llm/test_server_errors.py",
                "tests/llm/test_server_fields.py",
            ],
        ),
    ],
)
def test_a_change_is_tested_by_what_mirrors_it(changed, tests):
    assert check.tests_for(changed, TESTS, IMPORTS) == tests


def test_what_has_no_mirror_is_tested_by_what_imports_it_else_by_its_folder():
    tests = ["tests/a/b/test_two.py", "tests/a/test_one.py", "tests/test_three.py"]
    imports = {
        tests[2]: {"tema_lib.a.x", "tests.helpers.x"},
        "tema_lib/a/one.py": {"tema_lib.a.z"},
    }
    assert check.tests_for("tema_lib/a/x.py", tests, imports) == tests[2:]
    assert check.tests_for("tests/helpers/x.py", tests, imports) == tests[2:]
    assert check.tests_for("tema_lib/a/z.py", tests, imports) == tests[1:2]
    assert check.tests_for("tema_lib/a/y.py", tests, imports) == tests[:2]
    assert check.tests_for("tema_lib/a/b/c/d/__init__.py", tests, imports) == tests[:1]
    assert check.tests_for("tema_lib/y.py", tests, imports) == []
    assert check.tests_for("tests/a/conftest.py", tests, imports) == tests[:2]
    assert check.tests_for("tests/conftest.py", tests, imports) == tests


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_has_tests(path):
    assert 0 < len(check.tests_for(path.relative_to(ROOT).as_posix(), TESTS, IMPORTS)) < 30


def test_what_is_changed_is_what_differs_from_the_last_commit_else_what_that_changed(
    tmp_path, monkeypatch
):
    def git(*arguments):
        given = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(given, cwd=tmp_path, check=True, capture_output=True)

    git("init")
    for name in ("first.py", "second é.py"):
        (tmp_path / name).write_text("1")
        git("add", ".")
        git("commit", "--message", name)
    monkeypatch.setattr(check, "ROOT", tmp_path)
    assert check.changed_files() == ["second é.py"]
    (tmp_path / "first.py").write_text("2")
    (tmp_path / "third.py").write_text("new")
    assert check.changed_files() == ["first.py", "third.py"]


def test_a_quick_check_says_what_it_leaves_out(monkeypatch):
    changed = ["tema_lib/tags/refine.py", "tests/test_notebooks.py", "LICENSE"]
    monkeypatch.setattr(check, "changed_files", lambda: changed)
    (_, command), lines = check.quick()
    chosen = {word for word in command if word.startswith("tests/")}
    assert chosen == {"tests/tags/test_refine.py", *check.ALWAYS}
    said = "\n".join(lines)
    assert "left out, since it takes minutes: tests/test_notebooks.py" in said
    assert "no test mirrors or imports LICENSE" in said
    assert f"left out: {len(TESTS) - 3} of {len(TESTS)} test files, the notebooks" in said


def test_a_part_that_fails_fails_the_check(monkeypatch, capsys):
    good, bad = ("one", ["-c", "pass"]), ("other", ["-c", "raise SystemExit(3)"])
    monkeypatch.setattr(check, "quick", lambda: (good, ["left out: much"]))
    monkeypatch.setattr(check, "LINT", (good,))
    assert check.main(["--quick"]) == 0
    said = capsys.readouterr().out
    assert said.count("passed") == 2
    assert "left out: much" in said
    monkeypatch.setattr(check, "LINT", (bad,))
    assert check.main(["--lint"]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_parts_side_by_side_are_told_apart_and_without_weights_nothing_else_runs(
    monkeypatch, capfd, tmp_path
):
    waits = (  # the first ends once the second has begun: one after the other would hang
        f"import pathlib, sys, time; begun = pathlib.Path({str(tmp_path / 'begun')!r})\n"
        "while not begun.exists(): time.sleep(0.01)\nsys.exit('one ends')"
    )
    begins = f"import pathlib, sys; pathlib.Path({str(tmp_path / 'begun')!r}).touch()"
    parts = [("one", ["-c", waits]), ("other", ["-c", begins + "; sys.exit('other ends')"])]
    assert [code for _, code, _ in check.side_by_side(parts)] == [1, 1]
    said = capfd.readouterr().out
    assert said.index("one ends") < said.index("== other") < said.index("other ends")

    monkeypatch.setattr(
        check, "CHAIN", tmp_path / "chain"
    )  # it would delete the chain of this very run
    monkeypatch.setattr(check, "LINT", (("lint", ["-c", "pass"]),))
    monkeypatch.setattr(check, "WEIGHTS", ("model weights", ["-c", "raise SystemExit(1)"]))
    monkeypatch.setattr(check, "tests", lambda: ("tests", ["-c", "print('never')"]))
    assert check.main([]) == 1
    said = capfd.readouterr().out
    assert "could not be fetched" in said
    assert "NOT RUN" in said
    assert "never\n" not in said


def test_the_longest_files_start_first(tmp_path):
    seconds = {"a": 1.5, "b": 20.0}
    assert check.longest_first(["a", "b", "new"], seconds) == ["new", "b", "a"]
    report = tmp_path / "report.xml"
    cases = [("tests/test_a.py", 1.0), ("tests/test_b.py", 2.25), ("tests/test_a.py", 0.5)]
    report.write_text(
        "<testsuites><testsuite>"
        + "".join(f'<testcase file="{file}" time="{time}"/>' for file, time in cases)
        + "</testsuite></testsuites>"
    )
    assert check.file_seconds(report) == {"tests/test_a.py": 1.5, "tests/test_b.py": 2.2}


def test_the_table_of_durations_is_the_record():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert check.rendered(text, check.record()) == text, "run `python tools/check.py --record`"
    durations = {
        "processes": 2,
        "hardware": {"cores": 4},
        "parts": [["types", 20], ["format", 1]],
        "whole": 21,
        "files": {f"tests/test_{n}.py": float(n) for n in range(1, 12)},
    }
    shown = check.rendered(text, durations)
    assert "| **all** (the first four side by side) | **21** |" in shown
    assert "2 processes on 4 cores" in shown
    assert "| `tests/test_11.py` | 11 |" in shown
    assert "test_3.py" not in shown
    assert check.rendered(shown, check.record()) == text
