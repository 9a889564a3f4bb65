"""The ledger of unstated choices is complete, and each alternative is one that was tried."""

from dataclasses import fields

import pytest

from tema_lib.ablation import read_plan
from tema_lib.choices import CHOICES, CONFIGS
from tema_lib.commands.readme import MAIN_PLAN
from tema_lib.tuning import setting


@pytest.mark.parametrize("name", CONFIGS)
def test_every_field_that_the_paper_leaves_open_has_a_row(name):
    assert list(CHOICES[name]) == [own.name for own in fields(CONFIGS[name])]


def test_every_alternative_of_the_ledger_is_a_variant_and_no_reason_is_missing():
    plan = read_plan(MAIN_PLAN)
    for name, config in CONFIGS.items():
        as_it_is = {own.name: own.default for own in fields(config)}
        as_it_is |= {} if name == "Tags" else setting(plan.trial)
        for field, choice in CHOICES[name].items():
            assert bool(choice.variants) != bool(choice.why), field
            assert choice.status in ("stated", "inferred", "ours")
            for variant in choice.variants:
                made = plan.variants[variant]
                changed = made.tag_options if name == "Tags" else made.options
                if made.system == "tema":
                    assert field in changed, f"{variant} leaves {field} as it is"
                    assert changed[field] != as_it_is[field], variant
