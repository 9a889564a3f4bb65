"""The whole road from its public side: data in, a trained system, its metrics and its items out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tema_lib
from tema_lib.evaluation.metrics import METRICS
from tema_lib.experiment import Experiment
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.systems import SMALL_TAGS, SYSTEMS
from tema_lib.workspace import ROOT
from tests.helpers.models import small_run


@pytest.fixture(scope="module")
def counted(tmp_path_factory, shipped_replies):
    """An experiment on the synthetic data with a system that counts, and needs no encoder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMA_ARTIFACTS", str(tmp_path_factory.mktemp("artifacts")))
        patch.setenv("TEMA_REPLIES", str(shipped_replies))
        run = Experiment(tema_lib.load_dataset("synthetic"), seed=0)
        yield run, run.train("co-occurrence")


# --- what an experiment is made from ---


def test_the_lesson_trains_on_small_tags_only_where_there_are_large_ones():
    assert SMALL_TAGS in Experiment("synthetic").systems()
    small = Experiment("synthetic", tags="small", replies="export")
    assert SMALL_TAGS not in small.systems()
    assert small.systems(SMALL_TAGS) == [SMALL_TAGS]
    assert small.tags is small.small_tags


def test_a_system_is_built_from_and_recorded_with_the_tags_it_names(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path))
    run = Experiment("synthetic", replies="export", epochs=1, options={"hidden": 8})
    large, small = run.build("tema"), run.build(SMALL_TAGS)
    assert torch.equal(large.items.tag_ids, run.tags.tag_ids)
    assert torch.equal(small.items.tag_ids, run.small_tags.tag_ids)
    source = {name: run.record(name, "")["config"]["tags_source"] for name in ("tema", SMALL_TAGS)}
    assert source["tema"] == run.tags_source()
    assert source[SMALL_TAGS] == run.tags_source(small=True)
    assert source[SMALL_TAGS]["model"] == "smollm2-135m-instruct"


def test_on_own_data_the_lesson_asks_for_no_written_profiles():
    assert "llm4cdsr" in Experiment("synthetic").systems()
    own = Experiment(ROOT / "anywhere", tags="small")
    assert "llm4cdsr-no-profiles" in own.systems()
    assert "llm4cdsr" not in own.systems()
    assert own.systems("llm4cdsr tema tema") == ["llm4cdsr", "tema"]
    assert set(own.systems("all")) == set(SYSTEMS)
    with pytest.raises(ValueError, match="system 'tame' is unknown"):
        own.systems("tame")


# --- training and evaluation ---


def test_a_system_is_trained_once_and_its_history_kept(counted):
    run, model = counted
    assert run.train("co-occurrence") is model
    assert run.history("co-occurrence").epochs == 0  # it counts, there is nothing to learn
    assert run.with_seed(1).seed == 1
    with pytest.raises(ValueError, match="system 'tame' is unknown: choose from popularity"):
        run.train("tame")


def test_a_model_of_ones_own_is_trained_once_and_left_on_the_processor(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path))
    run = Experiment("synthetic", epochs=1)

    def small():
        torch.manual_seed(0)
        return SASRec(run.domain_of_item, SASRecConfig(hidden=8))

    model, again = small(), small()
    first = run.fit(model, "mine")
    assert [path.name.startswith("synthetic-mine-0") for path in tmp_path.glob("*")] == [True]
    assert run.fit(again, "mine") == first  # seconds and all: from the checkpoint
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), again.parameters()))
    assert run.evaluate(again).ranks.metric("MRR") > 0
    assert not again.training


def test_a_system_is_ranked_on_the_test_targets(tmp_path, monkeypatch):
    """Not on those of the validation part, which may have chosen its epoch."""
    run = small_run(tmp_path, monkeypatch)
    test, valid = run.split.test.last.tolist(), run.split.valid.last.tolist()
    assert test != valid
    assert run.ranks("popularity").target.tolist() == test
    assert run.evaluate(run.build("popularity")).ranks.target.tolist() == test


def test_an_evaluation_is_a_table_of_means_intervals_and_cases(counted):
    run, model = counted
    found = run.evaluate(model)
    assert found.ranks is run.ranks("co-occurrence")
    table = found.table
    assert table.loc["A (food)", "cases"].tolist() == [600] * 3
    for (_domain, metric), row in table.iterrows():
        assert metric in METRICS
        assert row["low"] < row["mean"] < row["high"]
    assert table.loc[("B (kitchen)", "MRR"), "mean"] == found.ranks.of_domain(1).metric("MRR")
    printed = str(found).splitlines()
    assert len(printed) == 8
    assert "0.1" in str(found)
    record = run.record("co-occurrence", "a test")
    bounds = record["intervals"]["full"]["A"]["NDCG@10"]
    assert table.loc[("A (food)", "NDCG@10"), ["low", "high"]].tolist() == pytest.approx(
        bounds, abs=1e-6
    )


def test_a_domain_without_a_case_has_no_number(counted):
    run, model = counted
    found = run.evaluate(model)
    only_a = replace(found, ranks=found.ranks.of_domain(0))
    assert str(only_a).count("no case") == 9
    assert only_a.table.loc["B (kitchen)", "cases"].tolist() == [0] * 3


def test_a_model_of_the_users_own_is_ranked_as_well(counted):
    run, model = counted
    other = run.build("co-occurrence")
    other.fit_statistics(run.split.train)
    np.testing.assert_array_equal(run.evaluate(other).ranks.rank, run.evaluate(model).ranks.rank)


# --- recommendations ---


def test_recommendations_are_the_best_scores_without_the_history(counted):
    run, model = counted
    history = ["A001", "B002", "A017", "B002"]
    found = run.recommend(model, history=history, domain="B", k=300 - 1)
    assert list(found.columns) == ["item_id", "title", "score"]
    assert found.index.tolist() == list(range(1, 300))
    assert set(found["item_id"]) == set(run.items.item_id[301:]) - set(history)
    assert found["score"].is_monotonic_decreasing
    assert found["title"].iloc[0] == run.items.title[run.items.index[found["item_id"].iloc[0]]]
    few = run.recommend(model, history=history, domain="kitchen", k=5)
    assert few.equals(found.head(5))


def test_the_first_recommendation_is_what_ranks_first(counted):
    """For a user whose target ranks first, the history before it recommends that target."""
    run, model = counted
    ranks = run.ranks("co-occurrence")
    case = int(np.flatnonzero((ranks.rank == 1) & ~ranks.tied)[0])
    *before, target = run.split.test[int(ranks.row[case])].tolist()
    history = [run.items.item_id[item] for item in before]
    domain = "AB"[ranks.domain[case]]
    found = run.recommend(model, history=history, domain=domain, k=1)
    assert found["item_id"].tolist() == [run.items.item_id[target]]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"history": ["A001", "X9", "Y8"]},
            "item 'X9', 'Y8' is unknown: give ids of the item table",
        ),
        ({"history": []}, "history holds no items"),
        ({"history": "A001"}, "give a list of item ids"),
        ({"domain": "C"}, "domain 'C' is unknown: choose A or B"),
        ({"k": 0}, "k is 0: give a whole number from 1 to 300"),
        ({"k": 301}, "k is 301: give a whole number from 1 to 300"),
        ({"k": 2.5}, "k is 2.5"),
    ],
)
def test_what_cannot_be_recommended_is_said_in_one_sentence(counted, options, sentence):
    run, model = counted
    with pytest.raises(ValueError, match=sentence):
        run.recommend(model, **{"history": ["A001"], "domain": "B", "k": 3} | options)


def test_what_to_type_again_names_what_differs_from_the_default_and_no_path(tmp_path):
    assert Experiment(replies="live").command() == "make run SEED=0"
    run = Experiment(seed=2, tags=str(tmp_path / "mine.tsv.gz"), replies="export")
    said = 'make run SEED=2 TAGS=mine.tsv.gz REPLIES=export SYSTEMS="sasrec tema"'
    assert run.command("sasrec tema") == said
