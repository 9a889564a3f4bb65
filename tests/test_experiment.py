"""The whole road from its public side: data in, a trained system, its metrics and its items out."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import tema_lib
from tema_lib import pipeline as module
from tema_lib.data.dataset import encode_ids
from tema_lib.datasets.load import SYNTHETIC, read_data
from tema_lib.evaluation.metrics import METRICS
from tema_lib.experiment import Experiment
from tema_lib.llm.local import LocalModel
from tema_lib.llm.store import Reply, reply_key
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.systems import SMALL_TAGS, SYSTEMS
from tema_lib.shipped_replies import LIVE_ITEMS
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import prompt_for
from tema_lib.tags.export import export_tags
from tema_lib.tags.item_tags import ItemTags
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


def test_a_name_a_folder_and_a_loaded_data_set_are_the_same_data(tmp_path):
    by_name, loaded = Experiment("synthetic"), Experiment(tema_lib.load_dataset("synthetic"))
    by_folder = Experiment(SYNTHETIC)
    assert by_name.synthetic
    assert loaded.synthetic
    assert by_name.name == loaded.name == "synthetic"
    assert not by_folder.synthetic
    assert by_folder.name == f"synthetic-{by_folder.raw.sha256[:8]}"
    assert by_name.raw.sha256 == loaded.raw.sha256 == by_folder.raw.sha256
    assert loaded.hidden == by_name.hidden


def test_a_loaded_data_set_is_not_read_again_and_takes_other_names_of_its_domains(monkeypatch):
    data = tema_lib.load_dataset("synthetic")
    monkeypatch.setattr(module, "read_data", lambda *_: pytest.fail("it is read already"))
    assert Experiment(data).raw is data
    named = Experiment(data, domains="eat,cook")
    assert named.domains == ("eat", "cook")
    assert data.domains == ("food", "kitchen")


def test_the_truth_about_items_is_in_the_order_of_their_ids():
    run = Experiment("synthetic")
    assert list(run.item_truth.index) == list(run.items.item_id[1:])
    assert run.item_truth.loc["A001", "topic"] == run.item_truth["topic"].iloc[0]
    assert Experiment(SYNTHETIC).item_truth.empty
    assert set(Experiment(SYNTHETIC).topics) == {""}
    assert run.topics.tolist() == ["", *run.item_truth["topic"]]


def test_the_large_model_has_the_first_word_and_the_small_one_is_asked(monkeypatch):
    run = Experiment("synthetic")
    assert run.export.name == "synthetic.claude-2026-11.tsv.gz"
    assert (run.replies_from, run.small_export) == ("shipped", None)
    assert Experiment("synthetic", tags="small").export is None
    read = Experiment("synthetic", replies="export")
    assert read.small_export.name == "synthetic.smollm2-135m-instruct.tsv.gz"
    assert read.tags.model.startswith("claude")
    assert read.small_tags.model == "smollm2-135m-instruct"
    assert Experiment(ROOT / "anywhere").replies_from == "live"
    monkeypatch.setattr(module, "in_checkout", lambda: False)
    assert Experiment("synthetic").small_export.name == read.small_export.name
    assert Experiment("synthetic", replies="live").small_export is None


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


def test_shipped_replies_stay_out_of_the_store(tmp_path, monkeypatch):
    """What the store holds, this machine's model has said: a live run still asks everything."""
    monkeypatch.setenv("TEMA_REPLIES", str(tmp_path / "replies.sqlite"))
    run, llm = Experiment("synthetic"), LocalModel()
    live, config = set(run.live_items()), run.tag_config
    assert len(live) == 2 * LIVE_ITEMS

    def key(item):
        return reply_key(llm.fingerprint, prompt_for(run.items, item, config), llm.settings)

    other = next(item for item in range(1, run.items.count + 1) if item not in live)
    with run.replies() as store:
        assert store.get(key(other))
        assert store.get(key(min(live))) is None
        assert len(store) == 0
        mine = Reply(llm.name, llm.fingerprint, prompt_for(run.items, other, config), "", "mine")
        store.put([replace(mine, settings=llm.settings)])
        assert store.get(key(other)) == "mine"  # the machine's own reply comes first
    with Experiment("synthetic", replies="live").replies() as store:
        assert store.get(key(other)) == "mine"
        another = next(item for item in range(other + 1, run.items.count) if item not in live)
        assert store.get(key(another)) is None


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


def test_a_split_in_time_trains_on_nothing_later_than_a_target(tmp_path, capsys):
    run = Experiment("synthetic", replies="export")
    split = run.split_in_time(0.8, 0.9)
    end = run.raw.interactions["timestamp"].quantile(0.9)
    users = run.raw.interactions.groupby("user_id")["timestamp"]
    before = users.apply(lambda moments: (moments < int(end)).sum())
    rows = range(len(split.test))
    assert [len(split.test[row]) - 1 for row in rows] == before[list(split.test.user_id)].tolist()
    assert len(split.train) > len(split.test) > 500
    assert run.split_in_time(0.0, 0.9) is None  # nothing is before the first event
    assert "no split in time: no user has events before" in capsys.readouterr().out


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


def test_every_item_of_the_synthetic_data_has_a_topic_and_other_items_have_none(counted):
    run, _ = counted
    assert run.topics[0] == ""
    assert len(run.topics) == run.items.count + 1
    topic = run.truth[0].set_index("item_id")["topic"]
    assert run.topics[1:].tolist() == topic.loc[list(run.items.item_id[1:])].tolist()
    own = Experiment(SYNTHETIC)  # a folder like any other
    assert set(own.topics) == {""}


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


# --- exported tags ---


@pytest.fixture
def exported(tmp_path):
    """(folder, its items, made-up tags, their export): twenty titles without a language model."""
    folder = tmp_path / "twenty"
    folder.mkdir()
    rows = [(f"i{n}", "AB"[n // 10], f"Title {n}") for n in range(20)]
    (folder / "items.tsv").write_text(
        "item_id\tdomain\ttitle\n" + "".join("\t".join(row) + "\n" for row in rows)
    )
    (folder / "interactions.tsv").write_text(
        "user_id\titem_id\tdomain\ttimestamp\n"
        + "".join(
            f"u{user}\t{rows[item][0]}\t{rows[item][1]}\t{n}\n"
            for user in range(4)
            for n in range(12)
            for item in [(user + n) % 20]
        )
    )
    raw = read_data(folder)
    items = encode_ids(raw)
    generator = np.random.default_rng(0)
    numbers = generator.permuted(np.tile(np.arange(1, 10), (21, 1)), axis=1)[:, :3]
    tag_ids = torch.from_numpy(numbers)
    tag_ids[0], tag_ids[5], tag_ids[6, 1:] = 0, 0, 0  # padding; an item without tags; one with one
    made = ItemTags(
        ("", *"abcdefghi"),
        tag_ids,
        (tag_ids > 0).float() / (tag_ids > 0).sum(1, keepdim=True).clamp(min=1),
        (tag_ids > 0).to(torch.int8),
        torch.eye(10),
        torch.as_tensor(items.domain_of_item),
        ((),) * 21,
        "model",
        "f00d",
    )
    path = export_tags(
        made,
        items,
        tmp_path / "tags",
        data="any name",
        sha256=raw.sha256,
        settings="{}",
        config=TagConfig(tags_per_item=3),
    )
    return folder, items, made, path


@pytest.mark.parametrize("choice", ["", "export:model", "export:mod", "path"])
def test_a_run_on_exported_tags_says_whose_they_are(exported, choice, monkeypatch):
    folder, _items, made, path = exported
    monkeypatch.setattr(module, "EXPORTS", path.parent)
    monkeypatch.setattr(module, "LocalModel", lambda *_, **__: pytest.fail("nobody is asked"))
    run = Experiment(str(folder), tags=str(path) if choice == "path" else choice)
    for item in range(21):
        assert run.tags.tags_of(item) == [
            (tag, pytest.approx(weight, abs=2e-3), source)
            for tag, weight, source in made.tags_of(item)
        ]
    card = json.loads(path.with_name(path.name.removesuffix(".tsv.gz") + ".json").read_text())
    source = {
        "source": "export",
        "model": "model",
        "weights_sha256": "f00d",
        "tables_sha256": run.raw.sha256,
        "export": path.name,
        "export_sha256": card["file_sha256"],
    }
    assert run.tags_source() == source
    assert run.with_seed(1).tags is run.tags


def test_texts_are_enriched_by_an_exports_tags(exported, monkeypatch):
    folder, items, _made, path = exported
    run = Experiment(str(folder), tags=str(path))
    assert run.tags
    texts = []
    monkeypatch.setattr(
        Experiment, "_encoded", lambda self, kind, model, content, make: texts.append(content)
    )
    _ = run.enriched
    named = ", ".join(tag for tag, _, _ in run.tags.tags_of(1))
    assert texts[0][:2] == ["", f"{items.text(1)} {named}"]


def test_a_record_keeps_whose_tags_were_used(exported, monkeypatch, tmp_path):
    folder, _items, _made, path = exported
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    run = Experiment(str(folder), tags=str(path))
    config = run.record("popularity", "make run")["config"]
    assert config["tags_source"] == run.tags_source()
    assert config["tags"]["tags_per_item"] == 3


def test_a_choice_of_tags_that_cannot_be_is_refused(exported, monkeypatch):
    folder, *_, path = exported
    monkeypatch.setattr(module, "EXPORTS", path.parent)
    with pytest.raises(ValueError, match='tags "exprot" are unknown'):
        Experiment(str(folder), tags="exprot")
    with pytest.raises(ValueError, match='replies "alive" are unknown: choose live, shipped'):
        Experiment(str(folder), replies="alive")
    with pytest.raises(ValueError, match="there are export:model"):
        _ = Experiment(str(folder), tags="export:other").tags


def test_what_to_type_again_names_what_differs_from_the_default_and_no_path(tmp_path):
    assert Experiment(replies="live").command() == "make run SEED=0"
    run = Experiment(seed=2, tags=str(tmp_path / "mine.tsv.gz"), replies="export")
    said = 'make run SEED=2 TAGS=mine.tsv.gz REPLIES=export SYSTEMS="sasrec tema"'
    assert run.command("sasrec tema") == said
