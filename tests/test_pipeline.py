"""From data, features and tags to what models read: each made once, from where it was asked for."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import tema_lib
from tema_lib import pipeline as module
from tema_lib.data.dataset import encode_ids
from tema_lib.datasets.load import SYNTHETIC, read_data
from tema_lib.experiment import Experiment
from tema_lib.llm.local import LocalModel
from tema_lib.llm.store import Reply, reply_key
from tema_lib.shipped_replies import LIVE_ITEMS
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import prompt_for
from tema_lib.tags.export import export_tags
from tema_lib.tags.item_tags import ItemTags
from tema_lib.workspace import ROOT


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


def test_every_item_of_the_synthetic_data_has_a_topic_and_other_items_have_none():
    run = Experiment("synthetic")
    assert run.topics[0] == ""
    assert len(run.topics) == run.items.count + 1
    topic = run.truth[0].set_index("item_id")["topic"]
    assert run.topics[1:].tolist() == topic.loc[list(run.items.item_id[1:])].tolist()
    own = Experiment(SYNTHETIC)  # a folder like any other
    assert set(own.topics) == {""}


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
