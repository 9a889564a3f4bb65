"""The self-check of notebook 08: its answers pass, and neither a stub nor a trivial test does."""

import importlib.util
import re

import nbformat
import pytest

from tema_lib.museum.check import verdict
from tema_lib.museum.exhibits import EXHIBITS
from tema_lib.workspace import ROOT

NAME = "08_museum_of_bugs"
STUB = "    # your asserts\n"


def solutions():
    path = ROOT / "notebooks" / "solutions" / f"{NAME}.py"
    spec = importlib.util.spec_from_file_location("solutions_08", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def function_name(exhibit):
    return "test_" + exhibit.lower().replace(" ", "_")


CELLS = [
    cell.source
    for cell in nbformat.read(ROOT / "notebooks" / f"{NAME}.ipynb", 4).cells
    if cell.cell_type == "code"
]
ANSWERS = solutions()


@pytest.mark.parametrize("name", EXHIBITS)
def test_an_answer_passes_and_catches_all_its_bugs(name):
    assert verdict(name, getattr(ANSWERS, function_name(name))).startswith("solved: ")


@pytest.mark.parametrize("name", EXHIBITS)
def test_trivial_tests_are_not_solutions(name):
    def passes(function):
        pass

    def fails(function):
        raise AssertionError("no")

    def stops(function):
        raise KeyError("oh")

    says = {test: verdict(name, test) for test in (passes, fails, stops)}
    assert says[passes] == "not solved yet: it passes with the broken function, too"
    assert says[fails] == "not solved yet: it fails with the right function, AssertionError: no"
    assert says[stops] == "not solved yet: it fails with the right function, KeyError: 'oh'"


def test_a_test_that_stumbles_over_the_bug_is_told_so_and_a_relative_that_passes_is_named():
    right = EXHIBITS["stable sort"].right

    def stumbles(rank):
        if rank is not right:
            raise TypeError("what?")

    def only_the_exhibit(rank):
        assert rank.__name__ != "rank_in_a_stable_sort"

    assert verdict("stable sort", stumbles).endswith(
        "with `rank_in_a_stable_sort` it stops with TypeError: what?"
    )
    assert verdict("stable sort", only_the_exhibit) == (
        "not solved yet: it catches the exhibit, but not its relative "
        "(the opposite one; the target loses every tie)"
    )


@pytest.mark.parametrize("name", EXHIBITS)
def test_the_notebook_shows_each_exhibit_and_has_an_empty_test_for_it(name, capsys):
    assert f'show_bug("{name}")' in CELLS
    (stub,) = [cell for cell in CELLS if f"def {function_name(name)}(" in cell]
    assert STUB in stub
    scope = {"verdict": verdict}
    exec(compile(stub, NAME, "exec"), scope)  # our own, committed cell
    assert capsys.readouterr().out.startswith("not solved yet: it passes with")


def test_the_notebook_and_the_museum_have_the_same_exhibits_in_the_same_order():
    shown = [name for cell in CELLS for name in re.findall(r'^show_bug\("(.*)"\)$', cell)]
    assert shown == list(EXHIBITS)
