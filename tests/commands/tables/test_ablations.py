"""The table of ablations says what its records say, each variant against what it changes."""

import json

import numpy as np
import pytest

from tema_lib.ablation import differences, read_plan, runs_of
from tema_lib.commands.tables.ablations import ablations, interval_text

PLAN = """
data = "toy"
trial = 7
seeds = [0, 1]
[variants.whole]
[variants.worse]
[variants.part]
against = "worse"
[variants.missing]
"""


@pytest.fixture
def made(tmp_path):
    """200 cases a domain: the target is first with the whole, second without something."""
    path = tmp_path / "toy.toml"
    path.write_text(PLAN, encoding="utf-8")
    rng = np.random.default_rng(0)
    for name, rank in (("whole", 1), ("worse", 2), ("part", 2)):
        for seed in (0, 1):
            cases = rank + (rng.random(200) < 0.3)
            text = " ".join(map(str, cases))
            ndcg = float((1 / np.log2(1 + cases)).mean())
            record = {
                "variant": name,
                "seed": seed,
                "metrics": {"full": {d: {"NDCG@10": ndcg, "HR@10": 1.0} for d in "AB"}},
                "ranks": {"A": text, "B": text},
                "slices": {
                    "few": {"cases": 99, "ranks": {"A": text, "B": text}},
                    "every other": {
                        "cases": 200,
                        "ranks": {d: " ".join(map(str, cases[::2])) for d in "AB"},
                    },
                },
            }
            out = tmp_path / "toy" / f"{name}-{seed}.json"
            out.parent.mkdir(exist_ok=True)
            out.write_text(json.dumps(record), encoding="utf-8")
    return path, tmp_path / "toy"


def test_each_variant_is_compared_with_what_it_changes(made):
    path, folder = made
    plan = read_plan(path)
    runs = runs_of(plan, folder)
    assert list(runs) == ["whole", "worse", "part"]
    found = differences(plan, runs)
    assert set(found) == {"worse", "part"}
    means = {
        name: np.mean([run["metrics"]["full"]["A"]["NDCG@10"] for run in records])
        for name, records in runs.items()
    }
    assert found["worse"].difference == pytest.approx(means["worse"] - means["whole"])
    assert found["part"].difference == pytest.approx(means["part"] - means["worse"])
    assert found["worse"].cases == 400
    assert found["worse"].corrected < 1e-6
    assert found["part"].corrected > 0.01
    whole = ablations(path, folder).split("by slice")[0]
    rows = [line.split(" | ") for line in whole.splitlines() if "| " in line]
    (worse,) = (row for row in rows if row[0] == "| worse")
    assert worse[3] == "whole"
    one = found["worse"]
    low, high = one.difference - 1.96 * one.error, one.difference + 1.96 * one.error
    assert worse[4] == f"{one.difference:+.4f} ({low:+.4f} to {high:+.4f})"
    assert worse[5] == "p < .001"
    assert worse[-1] == "2 |"


def test_slices_with_enough_cases_have_a_column(made):
    path, folder = made
    whole = ablations(path, folder).split("by slice")[1]
    head = next(line for line in whole.splitlines() if line.startswith("| variant"))
    assert head == "| variant | every other (200) |"
    plan = read_plan(path)
    found = differences(plan, runs_of(plan, folder), "every other")
    assert f"| worse | {interval_text(found['worse'])} |" in whole
    assert "| whole |" not in whole


def test_only_seeds_that_both_have_are_compared(made):
    path, folder = made
    (folder / "worse-1.json").unlink()
    plan = read_plan(path)
    runs = runs_of(plan, folder)
    first = [run["metrics"]["full"]["A"]["NDCG@10"] for run in (runs["worse"][0], runs["whole"][0])]
    assert differences(plan, runs)["worse"].difference == pytest.approx(first[0] - first[1])
    for one in folder.iterdir():
        one.unlink()
    assert ablations(path, folder) == ""
