"""The ledger has a row for each field, with what its alternatives do by the records."""

from dataclasses import fields

from tema_lib.ablation import differences, read_plan, runs_of
from tema_lib.choices import CONFIGS
from tema_lib.commands.readme import MAIN_PLAN
from tema_lib.commands.tables.ablations import interval_text
from tema_lib.commands.tables.choices import choices, written


def test_every_field_has_a_row_with_its_default_and_its_alternatives():
    text = choices(MAIN_PLAN)
    plan = read_plan(MAIN_PLAN)
    found = differences(plan, runs_of(plan, MAIN_PLAN.with_suffix("")))
    for name, config in CONFIGS.items():
        part = text.split(f"**{name}**")[1].split("\n\n**")[0]
        rows = [line.split(" | ") for line in part.splitlines() if line.startswith("| `")]
        assert [row[0] for row in rows] == [f"| `{own.name}`" for own in fields(config)]
        assert [row[2] for row in rows] == [written(own.default) for own in fields(config)]
    (late,) = (line for line in text.splitlines() if line.startswith("| `late_fusion`"))
    assert f"no late fusion: {interval_text(found.get('no late fusion'))}" in late
    assert "| yes |" in late


def test_defaults_are_written_as_words():
    assert [written(value) for value in (True, False, ("A", "B"), 0.1, "both")] == [
        "yes",
        "no",
        "A, B",
        "0.1",
        "both",
    ]
