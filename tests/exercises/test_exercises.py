"""Every exercise of the notebooks: its solution passes, the stub and trivial answers do not."""

import importlib
import importlib.util
import inspect
import re

import nbformat
import pytest

from tema_lib.exercises.check import verdict
from tema_lib.workspace import ROOT

MODULES = sorted(
    path.stem
    for path in (ROOT / "tema_lib" / "exercises").glob("*.py")
    if path.stem not in ("__init__", "check")
)
# What needs no thought: constants, the input given back, everything the same.
TRIVIAL = {
    "zero": lambda *given: 0,
    "one": lambda *given: 1,
    "half": lambda *given: 0.5,
    "true": lambda *given: True,
    "false": lambda *given: False,
    "nothing": lambda *given: [],
    "text": lambda *given: "",
    "first": lambda *given: given[0],
    "last": lambda *given: given[-1],
    "given": lambda *given: given,
    "zeros": lambda *given: given[0] * 0,
    "ones": lambda *given: given[0] * 0 + 1,
    "uniform": lambda *given: given[0] * 0 + 1 / len(given[0]),
}


def checks(module):
    """{name: check} of a module: its public functions, each named as what the student writes."""
    loaded = importlib.import_module(f"tema_lib.exercises.{module}")
    return {
        name: function
        for name, function in inspect.getmembers(loaded, inspect.isfunction)
        if function.__module__ == loaded.__name__ and not name.startswith("_")
    }


def notebook_of(module):
    """The notebook that imports a module of exercises."""
    needle = re.compile(rf"from tema_lib\.exercises import {module}\b")
    found = [
        path for path in (ROOT / "notebooks").glob("0*.ipynb") if needle.search(path.read_text())
    ]
    assert len(found) == 1, f"{module}: {found}"
    return found[0]


def solutions(notebook):
    path = ROOT / "notebooks" / "solutions" / f"{notebook.stem}.py"
    spec = importlib.util.spec_from_file_location(f"solutions_{notebook.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXERCISES = [(module, name) for module in MODULES for name in checks(module)]


@pytest.mark.parametrize(("module", "name"), EXERCISES)
def test_the_solution_passes(module, name):
    answer = getattr(solutions(notebook_of(module)), name)
    assert verdict(checks(module)[name], answer) == "solved"


@pytest.mark.parametrize(("module", "name"), EXERCISES)
def test_trivial_answers_do_not(module, name):
    for answer in TRIVIAL.values():
        assert verdict(checks(module)[name], answer).startswith("not solved yet: ")


@pytest.mark.parametrize(("module", "name"), EXERCISES)
def test_the_notebook_has_the_stub_and_asks_the_check(module, name):
    cells = nbformat.read(notebook_of(module), 4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    stubs = [cell for cell in code if re.search(rf"^def {name}\(", cell, re.M)]
    assert len(stubs) == 1, f"{name}: one stub, please"
    body = inspect.cleandoc(re.split(r'"""\n|:\n', stubs[0].split("def ")[-1])[-1])
    assert body == "return None", f"{name}: the stub says {body!r}"
    assert any(f"verdict({module}.{name}, {name})" in cell for cell in code)


@pytest.mark.parametrize("module", MODULES)
def test_a_notebook_has_no_other_answers_than_those_that_are_checked(module):
    notebook = notebook_of(module)
    known = {name for name, _ in inspect.getmembers(solutions(notebook), inspect.isfunction)}
    assert set(checks(module)) <= known
