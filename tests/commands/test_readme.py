"""`tema readme`: the tables say what the records say."""

import json
import re
from argparse import Namespace

import numpy as np
import pytest

from tema_lib.commands import readme
from tema_lib.workspace import ROOT


def record(system, seed, value, **config):
    metrics = {domain: {"NDCG@10": value, "HR@10": 2 * value, "MRR": value / 2} for domain in "AB"}
    return {
        "kind": "evaluation",
        "system": system,
        "data": {"name": "toy"},
        "split": "leave-one-out",
        "seed": seed,
        "config": {"seed": seed, **config},
        "metrics": {"full": metrics},
    }


def test_a_table_averages_seeds_and_names_what_differs_between_variants():
    text = readme.table(
        [
            ("a", record("tema", 0, 0.10, tags="llm")),
            ("b", record("tema", 1, 0.20, tags="llm")),
            ("c", record("tema", 0, 0.05, tags="none")),
            ("d", record("popularity", 0, 0.01)),
        ]
    )
    rows = [line for line in text.splitlines() if line.startswith(("| tema", "| pop"))]
    first = "| tema (tags=llm) | 0.1500 (0.1000\N{EN DASH}0.2000) | 0.3000 | 0.0750 |"
    assert rows[0].startswith(first)
    assert rows[0].endswith("| 2 |")
    assert rows[1].startswith("| tema (tags=none) | 0.0500 |")
    assert rows[2].startswith("| popularity | 0.0100 |")


def test_new_items_have_a_column_where_there_are_enough_of_them():
    enough, few = record("tema", 0, 0.1), record("sasrec", 0, 0.1)
    full = {"A": {"HR@10": 0.2}, "B": {"HR@10": 0.4}}
    enough["slices"] = {readme.NEW: {"cases": 100, "full": full}}
    few["slices"] = {readme.NEW: {"cases": 99, "full": full}}
    rows = readme.table([("a", enough), ("b", few)]).splitlines()
    assert [row.split(" | ")[-2] for row in rows if row.startswith("| ")] == [
        "new items HR@10",
        "-",
        "0.30",
    ]


def tuned_config(made):
    """The part of a record that says which trial it is of."""
    return {"config": made["config"] | {"trial": 1}, "slices": {}}


def test_what_differs_from_the_reference_is_marked():
    rng = np.random.default_rng(0)
    ranks = {"tema": rng.integers(1, 5, 300), "sasrec": rng.integers(3, 30, 300)}
    ranks["llm-emf"] = np.where(np.arange(300) % 100, ranks["tema"], 2)
    records = []
    for system, cases in ranks.items():
        for seed in (0, 1):
            made = record(system, seed, 0.1)
            text = " ".join(map(str, cases))
            made["ranks"] = {"A": text, "B": text}
            records.append((system, made))
    cells = {
        row.split(" | ")[0].removeprefix("| "): row.split(" | ")[-3]
        for row in readme.table(records).splitlines()
        if row.startswith("| ")
    }
    assert cells["tema"] == "-"
    gain = 1 / np.log2(1 + ranks["sasrec"]) * (ranks["sasrec"] <= 10)
    gain = gain.mean() - (1 / np.log2(1 + ranks["tema"])).mean()
    assert cells["sasrec"] == rf"{gain:+.4f}\*\*"
    assert re.fullmatch(r"[-+]0\.00\d\d", cells["llm-emf"])  # of 3 cases in 300: not significant
    few = readme.table(records, ("tema", "llm-emf"))  # corrected for the system that is not shown
    assert f"| {cells['llm-emf']} |" in few
    assert "| sasrec" not in few
    assert "p < .001" in readme.tests([(path, made | tuned_config(made)) for path, made in records])
    assert [readme.mark(p) for p in (0.009, 0.04, 0.06, float("nan"))] == [r"\*\*", r"\*", "", ""]
    del records[0][1]["ranks"]  # of a record from before December 2026
    rows = readme.rows_of([made for _, made in records])
    assert readme.comparisons(rows, "NDCG@10", "AB") == {}


def test_a_test_is_corrected_for_the_systems_that_a_table_leaves_out_too():
    """Two equal systems with p .045: corrected for both neither is marked, whoever is shown."""
    records = []
    for system, second in (("tema", 0), ("llm-emf", 2), ("autocdsr", 2)):
        text = " ".join(["2"] * second + ["1"] * (300 - second))
        records.append((system, record(system, 0, 0.1) | {"ranks": {"A": text, "B": text}}))
    alone = readme.comparisons(readme.rows_of([made for _, made in records[:2]]), "NDCG@10", "AB")
    assert readme.mark(alone["llm-emf"].corrected) == r"\*"
    for systems in ((), ("tema", "llm-emf")):
        (row,) = [r for r in readme.table(records, systems).splitlines() if r[:9] == "| llm-emf"]
        assert "| -0.0025 |" in row


def test_readme_has_the_best_trials_where_there_are_some():
    frame, tuned = record("tema", 0, 0.1), record("tema", 0, 0.2, trial=3)
    other = record("tema", 0, 0.3)
    other["data"] = {"name": "else"}
    named = [("a", frame), ("b", tuned), ("c", other)]
    assert readme.best_settings(named) == [("b", tuned), ("c", other)]
    assert "toy**, split: leave-one-out; full ranking among all items of the target's domain; " in (
        readme.table(named)
    )
    assert readme.table(named).count("with its best trial") == 1
    assert readme.table(named).count("all systems with one setting") == 2


def test_trials_are_a_row_each_and_the_best_of_a_system_is_bold(tmp_path):
    options = [dict.fromkeys(readme.SETTINGS, number) for number in (1, 2)]
    for system, reached in (("sasrec", [0.1, 0.3]), ("tema", [0.25])):
        trials = [
            {"number": number, "options": options[number], "valid_mrr": [0.0, mrr]}
            for number, mrr in enumerate(reached)
        ]
        path = tmp_path / "toy" / f"{system}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"system": system, "trials": trials}))
    rows = readme.trials(tmp_path).splitlines()
    assert rows[-2].startswith("| 0 | 1 |")
    assert rows[-2].endswith("| 0.1000 | **0.2500** | 0.1750 |")
    assert rows[-1].endswith("| **0.3000** |  |  |")  # no mean: one system lacks the trial


def test_forms_of_tags_are_a_row_each(tmp_path):
    path = tmp_path / "forms.json"
    rows = [{"data": "toy", "form": "tags", "valid_mrr": value} for value in (0.1, 0.2)]
    path.write_text(json.dumps({"rows": [*rows, {"data": "toy", "form": "other", "valid_mrr": 1}]}))
    assert readme.tag_forms(path).splitlines()[-2:] == [
        "| toy | tags | 0.1500 | 0.1000 | 0.2000 | 2 |",
        "| toy | other | 1.0000 | 1.0000 | 1.0000 | 1 |",
    ]
    assert readme.tag_forms(tmp_path / "none.json") == ""


def test_a_trial_of_defaults_that_are_not_spelled_out_leaves_its_settings_open(tmp_path):
    path = tmp_path / "toy" / "sasrec.json"
    path.parent.mkdir()
    trial = {"number": 0, "options": {}, "valid_mrr": [0.1]}
    path.write_text(json.dumps({"system": "sasrec", "trials": [trial]}))
    row = readme.trials(tmp_path).splitlines()[-1]
    assert row == f"| 0 | {' | '.join([''] * len(readme.SETTINGS))} | **0.1000** | 0.1000 |"


def test_the_headline_table_names_systems_that_exist():
    from tema_lib.models.systems import SYSTEMS

    assert set(readme.HEADLINE) <= set(SYSTEMS)


def test_the_tables_are_what_the_records_say(capsys):
    readme.main(Namespace(check=True))
    if "nothing to compare" in capsys.readouterr().out:
        pytest.skip("no evaluation record in results/ yet")


def test_the_notebook_table_lists_every_notebook():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    notebooks = list((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert notebooks
    for path in notebooks:
        assert f"(notebooks/{path.name})" in text, f"README.md: {path.name} is missing"


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_no_link_is_broken(path):
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (path.parent / link).exists(), f"{path.relative_to(ROOT)}: broken link {link}"
