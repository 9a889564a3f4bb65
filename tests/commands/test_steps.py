"""The steps of a run: remarks are passed on, an unchanged notebook is not run again."""

import json
import sys
import warnings
from dataclasses import replace

import nbformat
import pytest

from tema_lib.commands import steps
from tema_lib.commands.steps import Setting
from tema_lib.workspace import ROOT


@pytest.fixture
def setting(tmp_path):
    for name in ("executed", "pages", "results"):
        (tmp_path / name).mkdir()
    return Setting(
        data="synthetic",
        seed=0,
        domains="",
        tags="",
        replies="shipped",
        systems="",
        epochs=None,
        command="make run SEED=0",
        executed=tmp_path / "executed",
        pages=tmp_path / "pages",
        results=tmp_path / "results",
    )


def notebook(path, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def test_what_a_step_prints_is_a_remark_and_a_foreign_warning_is_none():
    def step(value):
        print("trained anew")
        print("\r 50%|█████     |", end="", file=sys.stderr)
        print("\r100%|██████████|", file=sys.stderr)
        print("made again", file=sys.stderr)
        warnings.warn("theirs", FutureWarning, stacklevel=1)
        warnings.warn_explicit("ours", UserWarning, str(ROOT / "tema_lib" / "training.py"), 1)
        return value

    done = steps.timed(step, 5)
    assert (done.value, done.remarks) == (5, ["trained anew", "made again", "ours"])
    assert done.seconds >= 0


def test_a_notebook_runs_once_until_something_changes(setting, tmp_path):
    path = notebook(
        tmp_path / "00_small.ipynb",
        'data = ""\nseed = 1',
        "import time; print(data, seed, time.time())",
    )
    executed, page = setting.executed / path.name, setting.pages / "00_small.html"

    def shown():
        steps.run_notebook(setting, path)
        return executed.read_text()

    first = shown()
    assert "synthetic 0 " in first
    assert "synthetic 0 " in page.read_text()
    assert shown() == first
    path.write_text(path.read_text().replace("print(data", "print( data"))
    second = shown()
    assert second != first
    page.unlink()
    assert shown() != second
    setting = replace(setting, seed=1)
    assert "synthetic 1 " in shown()
    executed.write_text("{")
    assert json.loads(shown())


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("raise ValueError('the table is empty')", "cell 3: the table is empty"),
        ("assert 1 > 2, 'too small'", "a check of the notebook failed: too small"),
        ("1 / 0", "an unexpected error, ZeroDivisionError: division by zero"),
        ("import os; os._exit(3)", "the notebook's Python was killed"),
    ],
)
def test_a_notebook_that_fails_says_where_in_one_sentence(source, sentence, setting, tmp_path):
    path = notebook(tmp_path / "00_bad.ipynb", 'data = ""\nseed = 1', source)
    with pytest.raises(SystemExit, match=sentence):
        steps.run_notebook(setting, path)
    assert not list(setting.pages.iterdir())


def test_a_notebook_without_parameters_is_refused(setting, tmp_path):
    path = notebook(tmp_path / "00_bare.ipynb", "data = 1")
    with pytest.raises(SystemExit, match="does not set seed"):
        steps.run_notebook(setting, path)
