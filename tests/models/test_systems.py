"""The list of systems, and the example of CONTRIBUTING.md as one of them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.systems import SYSTEMS, System, system_named
from tema_lib.records import metric_table, read_records
from tema_lib.training import train
from tests.helpers.models import (
    DOMAIN,
    LITTLE,
    SmallInputs,
    awake,
    batch_of,
    ranking,
    small_run,
    small_split,
)
from tests.helpers.properties import EVERY_MODEL, SEQUENCE_MODEL

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_command_lists_every_system_with_file_size_source_and_status():
    done = subprocess.run(
        [sys.executable, "-m", "tema_lib", "systems"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[1:] if line.strip()}
    for name, system in SYSTEMS.items():
        file, size, status, *_ = lines[name].split()[1:]
        assert (ROOT / file).is_file()
        assert int(size.replace(",", "")) >= 0
        assert status == system.status
        assert lines[name].endswith(system.source)
        assert system.status in ("reproduced", "after", "ours")
    assert int(lines["sasrec"].split()[2].replace(",", "")) == sum(
        p.numel() for p in SYSTEMS["sasrec"].build(Big()).parameters()
    )


class Big(SmallInputs):
    hidden, domain_of_item = 64, torch.tensor([-1] + [0] * 300 + [1] * 300)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_file_says_where_its_system_comes_from_and_what_is_ours(name):
    module = sys.modules[type(SYSTEMS[name].build(SmallInputs())).__module__]
    assert len(module.__doc__) > 80
    if SYSTEMS[name].status != "ours" and name not in (
        "popularity",
        "markov",
        "sasrec",
        "sasrec-per-domain",
        "tema",
    ):
        text = module.__doc__ + " ".join(
            str(value.__doc__) for value in vars(module).values() if isinstance(value, type)
        )
        assert re.search(r"\b[Oo]urs\b", text)
        assert re.search(r"[Ss]tated|read in|[Rr]elease", text)


def test_presets_are_tema_with_fewer_modalities():
    built = {
        name: SYSTEMS[name].build(SmallInputs())
        for name in ("tema", "tema-no-tags", "ifcdsr", "llm-emf")
    }
    assert built["tema-no-tags"].config == built["llm-emf"].config
    assert built["ifcdsr"].config.modalities == ("id", "image")
    assert built["tema"].config.modalities == (
        "id",
        "text",
        "image",
        "tags",
    )
    asked = []

    class NoPictures(SmallInputs):
        modalities = ("id", "text", "tags")

        def inputs(self, **options):
            asked.append(options)
            return super().inputs()

    assert SYSTEMS["ifcdsr"].build(NoPictures()).config.modalities == ("id",)
    assert SYSTEMS["tema-no-tags"].build(NoPictures()).config.modalities == ("id", "text")
    SYSTEMS["llm-emf"].build(NoPictures())
    assert asked == [{}, {}, {"text": "enriched"}]


def test_a_predecessor_that_equals_an_ablation_is_trained_once_under_both_names(
    tmp_path, monkeypatch, capsys
):
    """HAF-VT is TEMA-LLM without tags: one training, one record, one row with both names."""
    assert system_named("haf-vt") == "tema-no-tags"
    assert system_named("tema") == "tema"
    assert "haf-vt" not in SYSTEMS
    assert (
        len({name for system in SYSTEMS.values() for name in system.also} | set(SYSTEMS))
        == len(SYSTEMS) + 1
    )
    with pytest.raises(ValueError, match="'haf' is unknown: choose from popularity, "):
        system_named("haf")
    run = small_run(tmp_path, monkeypatch)
    assert run.train("haf-vt") is run.train("tema-no-tags")
    assert run.ranks("haf-vt") is run.ranks("tema-no-tags")
    record = run.record("haf-vt", "make run")
    assert record["system"] == "tema-no-tags"
    assert "| tema-no-tags = haf-vt | " in metric_table([record])


def test_a_system_without_profiles_asks_for_none():
    class NoModel(SmallInputs):
        @property
        def profiles(self):
            raise AssertionError("profiles were asked for")

    SYSTEMS["llm4cdsr-no-profiles"].build(NoModel())
    with pytest.raises(AssertionError, match="were asked for"):
        SYSTEMS["llm4cdsr"].build(NoModel())


def example():
    """The code of CONTRIBUTING.md and the line for `SYSTEMS`."""
    code, line = re.findall(r"```python\n(.*?)```", CONTRIBUTING, re.DOTALL)
    names = {"System": System}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)  # our own, committed text
    return code, eval("{" + line.strip() + "}", names)


def test_the_example_of_contributing_trains_ranks_and_keeps_the_properties():
    code, entry = example()
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    ((name, system),) = entry.items()
    torch.manual_seed(0)
    model, split = system.build(SmallInputs()), small_split()
    history = train(model, split, DOMAIN, LITTLE)
    assert history.loss["next item"][-1] < history.loss["next item"][0]
    assert evaluate(model, split.test, DOMAIN).metric("MRR") > 0
    before, after = ranking([1, 13, 2]), ranking([13, 2, 1])
    awake(model)
    torch.testing.assert_close(
        model.score(before, torch.arange(1, 23)), model.score(after, torch.arange(1, 23))
    )  # its idea: order does not matter
    for holds in (*EVERY_MODEL, *SEQUENCE_MODEL):
        holds(lambda: system.build(SmallInputs()), name)
    assert model.loss(batch_of([1, 2, 3])).keys() == {"next item"}


def test_the_notebook_shows_the_same_example():
    shown = "".join(
        "".join(cell["source"])
        for cell in json.loads(
            (ROOT / "notebooks" / "07_other_systems.ipynb").read_text(encoding="utf-8")
        )["cells"]
        if cell["cell_type"] == "code"
    )
    code, _ = example()
    assert code[code.index("class BagOfItems") :].strip() in shown


@pytest.mark.parametrize(
    ("data", "systems"),
    [
        ("synthetic", set(SYSTEMS)),
        ("tuned/fk_mini", {"sasrec", "sasrec-per-domain", "tema", "tema-no-tags"}),
    ],
)
def test_records_of_trained_systems_are_above_the_markov_chain(data, systems):
    """All of them are, in both domains."""
    score, below = {}, set()
    for record in read_records(ROOT / "results" / data):
        for domain in "AB":
            score.setdefault((record["system"], domain), []).append(
                record["metrics"]["full"][domain]["NDCG@10"]
            )
    assert systems <= {system for system, _ in score}
    for (system, domain), values in score.items():
        if (
            system != "popularity"
            and system != "markov"
            and sum(values) / len(values) <= score["markov", domain][0]
        ):
            below.add(system)
    assert below == set()
