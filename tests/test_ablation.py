"""Ablation plans: what a plan may say, and what its records hold."""

import json
import re

import pytest

from tema_lib.ablation import experiment_of, read_plan
from tema_lib.records import check_record
from tema_lib.tuning import setting
from tema_lib.workspace import ROOT
from tests.helpers.commands import tema

ALL = "options = { epochs = 3 }\n"
HEAD = 'data = "synthetic"\ntrial = 7\nseeds = [0]\n'
PLANS = sorted((ROOT / "results" / "ablations").glob("*.toml"))


def plan_of(tmp_path, text, head=HEAD):
    path = tmp_path / "plan.toml"
    path.write_text(head + text, encoding="utf-8")
    return path


def test_a_variant_has_the_options_of_the_trial_and_its_own_change(tmp_path):
    path = plan_of(
        tmp_path,
        '[variants."as it is"]\n'
        '[variants."Merged, alone"]\noptions = { branches = ["merged"], dropout = 0.1 }\n'
        '[variants.small]\ntags = "small"\n'
        '[variants.once]\ntags = "small"\ntag_options = { rounds = 1 }\nagainst = "small"\n',
        HEAD + ALL,
    )
    plan = read_plan(path)
    assert [variant.against for variant in plan.variants.values()] == [
        "",
        "as it is",
        "as it is",
        "small",
    ]
    merged = plan.variants["Merged, alone"]
    assert merged.file(3) == "merged-alone-3.json"
    run = experiment_of(plan, merged, 0, "synthetic")
    assert run.options == setting(7) | {"epochs": 3, "branches": ("merged",), "dropout": 0.1}
    assert run.replies_from == "export"
    once = experiment_of(plan, plan.variants["once"], 0, "synthetic")
    assert once.tag_config.rounds == 1
    assert once.replies_from == "shipped"
    assert once.export is None
    assert [seed for _, seed in plan.cases()] == [0] * 4


@pytest.mark.parametrize(
    ("head", "text", "sentence"),
    [
        (HEAD + "options = { epoch = 3 }\n", "[variants.a]", "has an option 'epoch'"),
        ("data = 3", "", "give data as a str"),
        ('data = ""\n', "[variants.a]", "give data as a str"),
        (HEAD, "", "give variants as a dict"),
        (HEAD + "epochs = 3\n", "[variants.a]", "a plan has no 'epochs'"),
        (HEAD, "[variants.a]\noptions = { droput = 0.1 }", "no configuration has an option"),
        (HEAD, "[variants.a]\ndropout = 0.1", "'a' names 'dropout': choose from against, options"),
        (HEAD, '[variants.a]\nsystem = "tame"', "'tame' is unknown"),
        (HEAD, "[variants.a]\ntag_options = { rounds = 1 }", 'need tags = "small"'),
        (HEAD, '[variants.a]\ntags = "small"\ntag_options = { round = 1 }', "has no 'round'"),
        (HEAD, '[variants.a]\nagainst = "b"', "compared with 'b', which is not"),
        (HEAD, '[variants."a b"]\n[variants."A-B"]', "the same file"),
        (HEAD, "[variants.a", "not readable as TOML"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_in_one_sentence(tmp_path, head, text, sentence):
    path = plan_of(tmp_path, text, head)
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        read_plan(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_committed_plans_and_their_records_belong_together(path):
    plan = read_plan(path)
    assert path.stem == plan.data
    wanted = {variant.file(seed): variant for variant, seed in plan.cases()}
    trial = json.dumps(sorted(setting(plan.trial).items()))
    for made in sorted(path.with_suffix("").glob("*.json")):
        record = json.loads(made.read_text(encoding="utf-8"))
        check_record(record)
        assert wanted[made.name].name == record["variant"]
        assert (record["kind"], record["dirty"]) == ("ablation", False)
        assert record["config"]["trial"] == plan.trial, trial
        held = record["config"]["model"] | record["config"]["training"]
        options = setting(plan.trial) | plan.options | dict(wanted[made.name].options)
        for name, value in options.items():
            if name != "weight_decay" or name in held:
                assert held[name] == (list(value) if isinstance(value, tuple) else value), name


def test_a_plan_that_was_stopped_goes_on_and_ends_with_a_table(tmp_path):
    path = plan_of(
        tmp_path,
        '[variants."as it is"]\noptions = { hidden = 8, epochs = 1 }\n'
        '[variants.fixed]\noptions = { hidden = 8, epochs = 1, across = "fixed" }\n',
    )
    given = ("experiments", path, "--out", tmp_path / "out")
    done = tema(*given)
    assert done.returncode == 0, done.stderr
    assert "2 variants, seeds [0]: 2 records to make; CPU hours: not known" in done.stdout
    made = tmp_path / "out" / "fixed-0.json"
    first = made.read_bytes()
    (tmp_path / "out" / "as-it-is-0.json").unlink()
    done = tema(*given)
    assert "1 records to make; CPU hours: about 0.0" in done.stdout
    assert made.read_bytes() == first
    record = json.loads(first)
    assert (record["variant"], record["config"]["trial"]) == ("fixed", 7)
    assert record["config"]["model"]["across"] == "fixed"
    row = next(line for line in done.stdout.splitlines() if line.startswith("| fixed"))
    assert re.search(r"\| as it is \| [-+]0\.\d{4} \([-+]0\.\d{4} to [-+]0\.\d{4}\) \| p", row)
    done = tema(*given, "--variants", "fixed", "--seeds", "0")
    assert "1 variants, seeds [0]: 0 records to make" in done.stdout
    done = tema(*given, "--variants", "broken")
    assert "has no variant 'broken'" in done.stderr
    done = tema("experiments", path, "--data", tmp_path)
    assert done.returncode == 1
    assert "is a plan for synthetic: give its folder with --data" in done.stderr
