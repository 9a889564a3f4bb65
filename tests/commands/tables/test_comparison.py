"""Tables of systems say what their records say, and mark what differs significantly."""

import re

import numpy as np

from tema_lib.commands.tables import comparison


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
    text = comparison.table(
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


def test_a_field_that_came_later_makes_no_row_of_its_own():
    later = {"modalities": ["id"], "across": "attention"}
    older, newer = record("tema", 0, 0.1, model={"modalities": ["id"]}), record("tema", 1, 0.2)
    newer["config"]["model"] = later
    assert [label for label, _ in comparison.rows_of([older, newer])] == ["tema"]
    newer["config"]["model"] = later | {"across": "fixed"}
    labels = {label for label, _ in comparison.rows_of([older, newer])}
    assert labels == {"tema (model.across=attention)", "tema (model.across=fixed)"}


def test_new_items_have_a_column_where_there_are_enough_of_them():
    enough, few = record("tema", 0, 0.1), record("sasrec", 0, 0.1)
    full = {"A": {"HR@10": 0.2}, "B": {"HR@10": 0.4}}
    enough["slices"] = {comparison.NEW: {"cases": 100, "full": full}}
    few["slices"] = {comparison.NEW: {"cases": 99, "full": full}}
    rows = comparison.table([("a", enough), ("b", few)]).splitlines()
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
        for row in comparison.table(records).splitlines()
        if row.startswith("| ")
    }
    assert cells["tema"] == "-"
    gain = 1 / np.log2(1 + ranks["sasrec"]) * (ranks["sasrec"] <= 10)
    gain = gain.mean() - (1 / np.log2(1 + ranks["tema"])).mean()
    assert cells["sasrec"] == rf"{gain:+.4f}\*\*"
    assert re.fullmatch(r"[-+]0\.00\d\d", cells["llm-emf"])  # of 3 cases in 300: not significant
    few = comparison.table(
        records, ("tema", "llm-emf")
    )  # corrected for the system that is not shown
    assert f"| {cells['llm-emf']} |" in few
    assert "| sasrec" not in few
    assert "p < .001" in comparison.tests(
        [(path, made | tuned_config(made)) for path, made in records]
    )
    assert [comparison.mark(p) for p in (0.009, 0.04, 0.06, float("nan"))] == [
        r"\*\*",
        r"\*",
        "",
        "",
    ]
    del records[0][1]["ranks"]  # of a record from before December 2026
    rows = comparison.rows_of([made for _, made in records])
    assert comparison.comparisons(rows, "NDCG@10", "AB") == {}


def test_a_test_is_corrected_for_the_systems_that_a_table_leaves_out_too():
    """Two equal systems with p .045: corrected for both neither is marked, whoever is shown."""
    records = []
    for system, second in (("tema", 0), ("llm-emf", 2), ("autocdsr", 2)):
        text = " ".join(["2"] * second + ["1"] * (300 - second))
        records.append((system, record(system, 0, 0.1) | {"ranks": {"A": text, "B": text}}))
    alone = comparison.comparisons(
        comparison.rows_of([made for _, made in records[:2]]), "NDCG@10", "AB"
    )
    assert comparison.mark(alone["llm-emf"].corrected) == r"\*"
    for systems in ((), ("tema", "llm-emf")):
        (row,) = [
            r for r in comparison.table(records, systems).splitlines() if r[:9] == "| llm-emf"
        ]
        assert "| -0.0025 |" in row


def test_the_best_trials_are_chosen_where_there_are_some():
    frame, tuned = record("tema", 0, 0.1), record("tema", 0, 0.2, trial=3)
    other = record("tema", 0, 0.3)
    other["data"] = {"name": "else"}
    named = [("a", frame), ("b", tuned), ("c", other)]
    assert comparison.best_settings(named) == [("b", tuned), ("c", other)]
    assert "toy**, split: leave-one-out; full ranking among all items of the target's domain; " in (
        comparison.table(named)
    )
    assert comparison.table(named).count("with its best trial") == 1
    assert comparison.table(named).count("all systems with one setting") == 2
