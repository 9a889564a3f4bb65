"""The graded assignments: right answers get all points, stubs, wrong and trivial ones what is due.

Sources are `notebooks/assignments/<name>/<name>.ipynb`, in nbgrader's format. `wrong/<name>/` holds
typical wrong answers: functions that replace the right ones, and the `MARKS` that are intended.
"""

import ast
import functools
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from tema_lib.workspace import ROOT

SOURCES = sorted((ROOT / "notebooks" / "assignments").glob("*/*.ipynb"))
WRONG = sorted((Path(__file__).parent / "wrong").glob("*/*.py"))
HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
AUTOMATIC = [path.stem for path in SOURCES if path.stem != "a7_project"]  # marked by a person
each_assignment = pytest.mark.parametrize("name", AUTOMATIC)


@functools.cache
def notebook(name):
    return nbformat.read(ROOT / "notebooks" / "assignments" / name / f"{name}.ipynb", 4)


def about(cell):
    """nbgrader's metadata of a cell; empty for a cell that nbgrader leaves alone."""
    return cell.metadata.get("nbgrader", {})


def solutions(name):
    return [cell for cell in notebook(name).cells if about(cell).get("solution")]


def graded_cells(name):
    return [cell for cell in notebook(name).cells if about(cell).get("grade")]


def points(name):
    """{grade id: points} of all cells that give some."""
    scored = [about(cell) for cell in notebook(name).cells if about(cell).get("points")]
    return {one["grade_id"]: one["points"] for one in scored}


@functools.cache
def functions(name):
    """The names that students define."""
    return [
        node.name
        for cell in solutions(name)
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.FunctionDef)
    ]


def without(source, marks, instead=()):
    """A text without what is between two marks, as nbgrader cuts it out, and what stands there."""
    lines, inside = [], False
    for line in source.split("\n"):
        if line.strip() == marks[0]:
            inside = True
            lines += [line[: line.index("#")] + one for one in instead]
        elif line.strip() == marks[1]:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def stub(source):
    return without(source, SOLUTION, ("# YOUR CODE HERE", "raise NotImplementedError()"))


def answers(name, change=lambda source: source):
    """What a submission defines: locked cells and the changed text of the solutions, all run."""
    namespace = {}
    for cell in notebook(name).cells:
        if about(cell).get("solution"):
            exec(change(cell.source), namespace)
        elif about(cell).get("locked") and cell.cell_type == "code" and not about(cell)["grade"]:
            exec(cell.source, namespace)
    return namespace


@functools.cache
def compiled(source):
    return compile(source, "tests", "exec")


def passes(source, namespace):
    """Whether a cell of tests does; its own names do not reach other cells."""
    try:
        exec(compiled(source), dict(namespace))
    except Exception:
        return False
    return True


def marks(name, namespace):
    """{grade id: points} that a submission gets."""
    return {
        about(cell)["grade_id"]: about(cell)["points"] * passes(cell.source, namespace)
        for cell in graded_cells(name)
    }


# --- the notebooks ---


def test_all_seven_are_there():
    assert [path.stem for path in SOURCES] == [
        "a1_data_preparation",
        "a2_tag_parsing",
        "a3_attention",
        "a4_fusion",
        "a5_metrics",
        "a6_explanation",
        "a7_project",
    ]
    assert all(path.parent.name == path.stem for path in SOURCES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_metadata_are_what_nbgrader_expects(path):
    cells = notebook(path.stem).cells
    nbformat.validate(notebook(path.stem))
    graded = [cell for cell in cells if about(cell)]
    names = [about(cell)["grade_id"] for cell in graded]
    assert len(names) == len(set(names))
    for cell in graded:
        own = about(cell)
        assert re.fullmatch(r"[a-z][a-z0-9_]*", own["grade_id"])
        assert own["schema_version"] == 3
        assert own["cell_type"] == cell.cell_type
        assert own["locked"] != own["solution"], "students change solutions, and nothing else"
        assert (own["grade"] or own["task"]) == ("points" in own)
        assert not (own["grade"] and own["task"])
        assert own.get("points", 1) > 0
    said = re.search(r"\*\*Points\*\*: (\d+)", cells[0].source)
    assert int(said[1]) == sum(points(path.stem).values())


@each_assignment
def test_the_text_of_each_part_says_its_points(name):
    parts = [cell.source for cell in notebook(name).cells if cell.source.startswith("## Part")]
    said = [[int(n) for n in re.findall(r"\d+", re.search(r"\((.*) points", p)[1])] for p in parts]
    assert [n for part in said for n in part] == list(points(name).values())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_they_are_committed_as_they_ran(path):
    source = notebook(path.stem)
    code = [cell for cell in source.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [cell for cell in source.cells if "execution" in cell.metadata]
    assert source.metadata.kernelspec.name == "python3"


# --- the cells of tests ---

STATEMENTS = (ast.Import, ast.ImportFrom, ast.Assign, ast.AugAssign, ast.Assert, ast.Expr)
BLOCKS = (ast.For, ast.While, ast.If)


@each_assignment
def test_a_cell_of_tests_is_plain_and_every_assert_helps(name):
    for cell in graded_cells(name):
        tree = ast.parse(cell.source)
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        inside = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
        assert not [node for node in inside if not isinstance(node, STATEMENTS + BLOCKS)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert):
                words = ast.unparse(node.msg) if node.msg else ""
                assert len(words) > 15, f"{ast.unparse(node)}: what does this tell a student?"
                assert not re.search(r"\{(right|expected|exact)", words), "this gives it away"


@each_assignment
def test_no_function_is_handed_to_a_student_s_function(name):
    """The grader can pass on plain data only."""
    for cell in graded_cells(name):
        tree = ast.parse(cell.source)
        called = [id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        assert [node for node in names if node.id in functions(name)]
        assert not [n for n in names if n.id in functions(name) and id(n) not in called]


@each_assignment
def test_visible_tests_come_first_and_hidden_ones_end_the_cell(name):
    for cell in graded_cells(name):
        visible, _, rest = cell.source.partition(HIDDEN[0])
        assert "\nassert " in visible
        assert "assert " in rest
        assert rest.endswith(HIDDEN[1])
        assert without(cell.source, HIDDEN).rstrip() == visible.rstrip()


# --- marks ---


@each_assignment
def test_the_right_answers_get_all_points(name):
    assert marks(name, answers(name)) == points(name)


@each_assignment
def test_the_stubs_get_nothing(name):
    for cell in solutions(name):
        assert "raise NotImplementedError()" in stub(cell.source)
        assert "SOLUTION" not in stub(cell.source)
    assert set(marks(name, answers(name, stub)).values()) == {0}


@pytest.mark.parametrize("path", WRONG, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_wrong_answer_loses_its_own_points_only(path):
    name, text = path.parent.name, path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    namespace = answers(name)
    exec(text, namespace)
    assert marks(name, namespace) == namespace["MARKS"]
    assert 0 < sum(namespace["MARKS"].values()) < sum(points(name).values())


@each_assignment
def test_three_wrong_answers_are_there(name):
    assert len([path for path in WRONG if path.parent.name == name]) >= 3


# --- trivial answers ---


def filled(answer, number):
    """An answer of the right shape with one number everywhere."""
    if isinstance(answer, torch.Tensor):
        return torch.full_like(answer, number)
    if isinstance(answer, np.ndarray):
        return np.full_like(answer, number)
    if isinstance(answer, list | tuple):
        return type(answer)(filled(part, number) for part in answer)
    if isinstance(answer, dict):
        return {key: filled(part, number) for key, part in answer.items()}
    return type(answer)(number) if isinstance(answer, bool | int | float) else answer and "x"


def key(value):
    """Something to compare arguments by."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return np.asarray(value).tobytes(), tuple(value.shape)
    if isinstance(value, dict):
        return tuple((name, key(part)) for name, part in value.items())
    return tuple(map(key, value)) if isinstance(value, list | tuple) else value


def remembered(right, visible, namespace, name):
    """{arguments: answer} of what the visible tests of a cell ask a function."""
    answered = {}

    def recording(*arguments):
        return answered.setdefault(key(arguments), right(*arguments))

    exec(visible, {**namespace, name: recording})
    return answered


def trivial_answers(right, answered):
    """{what it does: a function that has not understood the question}"""
    first = next(iter(answered.values()))
    fakes = {
        f"always {value!r}": lambda *_, value=value: value
        for value in (None, True, 0, 1.0, "", [], {})
    }
    fakes["the first answer again"] = lambda *_: first
    for position in range(right.__code__.co_argcount):
        fakes[f"echo of argument {position}"] = lambda *given, place=position: given[place]
    for number in (0, 1, 0.5):
        fakes[f"{number} everywhere"] = lambda *given, number=number: filled(right(*given), number)
        fakes[f"visible answers, else {number} everywhere"] = lambda *given, number=number: (
            answered.get(key(given), filled(right(*given), number))
        )
    fakes["visible answers, else the first"] = lambda *given: answered.get(key(given), first)
    return fakes


@each_assignment
def test_trivial_answers_get_nothing(name):
    """Constant, uniform, echoed, or learned from the visible tests, for one function at a time."""
    right = answers(name)
    for cell in graded_cells(name):
        called = [one for one in functions(name) if re.search(rf"\b{one}\(", cell.source)]
        for one in called:
            answered = remembered(right[one], without(cell.source, HIDDEN), right, one)
            for what, fake in trivial_answers(right[one], answered).items():
                assert not passes(cell.source, {**right, one: fake}), f"{one}: {what}"
