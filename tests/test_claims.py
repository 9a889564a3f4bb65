"""The map of claims: every pointer leads somewhere, and what is said of ablations is so."""

import ast
import re
from importlib import import_module

import nbformat
import pytest

from tema_lib.ablation import differences, read_plan, runs_of
from tema_lib.commands.readme import MAIN_PLAN
from tema_lib.workspace import ROOT

STATUS = {"shown", "shown in part", "not shown", "not testable"}


def rows():
    """The cells of each row of the map."""
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    part = text.split("## Claim by claim")[1].split("## Caveats")[0]
    lines = [line for line in part.splitlines() if re.match(r"\| (?!claim|system, claim)", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


ROWS = rows()


def test_the_map_has_the_claims_of_the_paper_and_of_its_relatives():
    assert len(ROWS) >= 20
    assert {row[1] for row in ROWS} == STATUS


def resolved(name):
    """The object of a dotted name."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"nothing is called {name}")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_pointer_of_a_claim_leads_somewhere(row):
    claim, status, code, lecture, test, measured = row
    assert status in STATUS, claim
    assert resolved(code.strip("`")).__doc__
    number, section = re.fullmatch(r"(\d\d), section (\d+)", lecture).groups()
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    text = "\n".join(
        cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"
    )
    assert re.search(rf"^## {section}\. ", text, re.MULTILINE), (
        f"{path.name} has no section {section}"
    )
    file, _, function = test.strip("`").partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert not function or function in names, f"{file} has no {function}"
    assert measured


def test_readme_and_the_map_say_what_the_ablations_say():
    plan = read_plan(MAIN_PLAN)
    runs = runs_of(plan, MAIN_PLAN.with_suffix(""))
    assert {len(records) for records in runs.values()} == {len(plan.seeds)} == {5}
    assert set(runs) == set(plan.variants)
    found = differences(plan, runs)
    level = {name for name, one in found.items() if one.corrected > 0.05}
    assert {
        "without text",
        "without pictures",
        "ids and tags alone",
        "uniform tag weights",
    } <= level
    assert {"small, list not refined", "small, one round", "small, two rounds"} <= level
    assert {"merged sequence alone", "uniform tag weights"} <= level
    worse = {name for name, one in found.items() if one.corrected < 0.01 and one.difference < 0}
    assert {"without tags", "without ids", "fixed weights of the sequences"} <= worse
    assert {"no late fusion", "shuffled tags", "title words as tags"} <= worse
    assert all(one.difference < 0 for name, one in found.items() if name not in level)
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    assert "texts and pictures can be left out; uniform weights of the tags are level" in readme
    assert "no round of refining the small model's list is worth anything" in readme
