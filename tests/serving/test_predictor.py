"""Recommending from a folder: the same lists as the trained model, for new users and new items."""

import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tema_lib.serving.predictor import Predictor, load


@pytest.fixture
def predictor(exported):
    return load(exported["tema"])


@pytest.fixture
def histories(run):
    """The first 40 test histories, as item ids, without their targets."""
    rows = [run.split.test[row].tolist()[:-1] for row in range(40)]
    return [[run.items.item_id[item] for item in row] for row in rows]


# --- recommending ---


@pytest.mark.parametrize("system", ["tema", "tema-no-tags", "sasrec"])
@pytest.mark.parametrize("domain", ["A", "B"])
def test_the_lists_are_those_of_the_trained_model(system, domain, run, models, exported, histories):
    predictor = load(exported[system])
    for history in histories[:10]:
        expected = run.recommend(models[system], history, domain, 12)
        found = predictor.recommend(history, domain, 12)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-4)


def test_many_histories_at_once_give_what_each_gives(predictor, histories):
    together = predictor.recommend_batch(histories, "kitchen", 5)
    for history, found in zip(histories, together, strict=True):
        pd.testing.assert_frame_equal(found, predictor.recommend(history, "B", 5), rtol=1e-4)


def test_more_histories_than_are_scored_at_a_time(predictor, histories):
    found = predictor.recommend_batch(histories * 7, "A", 3)
    assert len(found) == 280
    pd.testing.assert_frame_equal(found[279], found[39], rtol=1e-4)


def test_seen_items_are_left_out_or_not(predictor, run):
    everything = [*run.items.item_id[1:300]]  # all of A but one
    (left,) = predictor.recommend(everything, "A", 1)["item_id"]
    assert left == run.items.item_id[300]
    with pytest.raises(ValueError, match="from 1 to 1, the items of domain A"):
        predictor.recommend(everything, "A", 2)
    kept = predictor.recommend(everything, "A", 300, exclude_seen=False)
    assert set(kept["item_id"]) == {*everything, left}


def test_a_frame_of_users(predictor, run):
    events = run.raw.interactions[["user_id", "item_id", "timestamp"]].head(200)
    found = predictor.recommend_users(events.sample(frac=1, random_state=0), "B", 4)
    assert list(found) == ["user_id", "rank", "item_id", "title", "score"]
    for user, of_user in events.sort_values("timestamp", kind="stable").groupby("user_id"):
        alone = predictor.recommend(of_user["item_id"].tolist(), "B", 4)
        mine = found[found["user_id"] == user]
        assert mine["item_id"].tolist() == alone["item_id"].tolist()
        assert mine["rank"].tolist() == [1, 2, 3, 4]


def test_unknown_items_of_a_frame_are_skipped_aloud(predictor):
    events = pd.DataFrame(
        {"user_id": ["mina", "mina", "otto"], "item_id": ["A001", "gone", "gone"]}
    )
    with pytest.warns(UserWarning, match="2 events .* skipped; 1 users have no other"):
        found = predictor.recommend_users(events, "A", 3)
    assert set(found["user_id"]) == {"mina"}
    with pytest.warns(UserWarning, match="1 events"):
        assert predictor.recommend_users(events.tail(1), "A", 3).empty
    with pytest.raises(ValueError, match="no column user_id"):
        predictor.recommend_users(events[["item_id"]], "A", 3)


@pytest.mark.parametrize(
    ("history", "domain", "k", "said"),
    [
        ([], "A", 3, "holds no items"),
        ("A001", "A", 3, "holds no items"),
        (["A001", "<b>"], "A", 3, "item '<b>' is unknown"),
        (["A001"], "C", 3, "domain 'C' is unknown: choose A or B or food or kitchen"),
        (["A001"], "A", 0, "k is 0"),
        (["A001"], "A", 300, "from 1 to 299"),
        (["A001"], "A", True, "k is True"),
        (["A001"], "A", 2.0, "k is 2.0"),
    ],
)
def test_a_wrong_question_gets_one_sentence(history, domain, k, said, predictor):
    with pytest.raises(ValueError, match=said):
        predictor.recommend(history, domain, k)


def test_an_index_that_looks_everywhere_is_exact_and_one_that_looks_once_is_not(
    predictor, histories, capsys
):
    exact = predictor.recommend_batch(histories, "A", 7)
    assert predictor.approximate(probes=1) < 0.95
    assert predictor.approximate(probes=1000) == 1
    assert "approximate index: 100.0% of the exact ten best are found" in capsys.readouterr().out
    for found, expected in zip(predictor.recommend_batch(histories, "A", 7), exact, strict=True):
        pd.testing.assert_frame_equal(found, expected, rtol=1e-4)
    predictor.remove_items(["A001"])  # the index is that of another catalogue
    assert predictor._tables.indexes == ()


# --- the catalogue ---


def described(run, predictor, rows, columns=("item_id", "domain", "title", "description", "image")):
    """A table of items, by their global ids."""
    tags = predictor.items.set_index("item_id")["tags"]
    table = pd.DataFrame(
        {
            "item_id": [run.items.item_id[row] for row in rows],
            "domain": ["AB"[run.items.domain_of_item[row]] for row in rows],
            "title": [run.items.title[row] for row in rows],
            "description": [run.items.description[row] for row in rows],
            "image": [run.items.image[row] for row in rows],
        }
    )
    return table[list(columns)].assign(tags=[tags[item] for item in table["item_id"]])


def vectors(predictor):
    """{item_id: its output embedding}."""
    tables = predictor._tables
    return {
        tables.exported.items[row - 1].item_id: column
        for pool, columns in zip(tables.pools, tables.outputs)
        for row, column in zip(pool.tolist(), columns.T)
    }


def test_an_item_taken_out_and_added_again_has_its_content_back(run, predictor):
    """Only what training learned of its id is gone: here the fused vectors are without ids."""
    exported = predictor._tables.exported
    no_ids = exported.weights | {"items.id": torch.zeros_like(exported.weights["items.id"])}
    predictor = Predictor(replace(exported, weights=no_ids))
    table = described(run, predictor, [5, 6, 400, 401])
    before = vectors(predictor)
    predictor.remove_items(table["item_id"].tolist())
    assert not set(table["item_id"]) & set(predictor.items["item_id"])
    assert vectors(predictor).keys() < before.keys()
    predictor.add_items(table)
    after = vectors(predictor)
    assert after.keys() == before.keys()
    for item, vector in after.items():
        fused, of_id = vector.split(16)
        torch.testing.assert_close(fused, before[item][:16], rtol=0, atol=1e-4)
        if item in set(table["item_id"]):
            assert (of_id == 0).all()
        else:
            torch.testing.assert_close(of_id, before[item][16:], rtol=0, atol=0)


def test_a_changed_catalogue_can_be_kept(run, predictor, tmp_path):
    predictor.remove_items(["A001"])
    predictor.add_items(described(run, predictor, [5]).assign(item_id="new"))
    predictor.save(tmp_path)
    again = load(tmp_path)
    assert again.catalogue == predictor.catalogue
    found = again.recommend(["new", "A002"], "B", 8)
    pd.testing.assert_frame_equal(found, predictor.recommend(["new", "A002"], "B", 8))


def test_a_new_item_is_recommended_to_whom_its_like_are(run, predictor):
    """A copy of an item, under another id, stands where the item would stand without its id."""
    table = described(run, predictor, [5]).assign(item_id="copy")
    predictor.add_items(table)
    copy, item = (vectors(predictor)[name][:16] for name in ("copy", run.items.item_id[5]))
    others = [vector[:16] for name, vector in vectors(predictor).items() if name != "copy"]
    alike = torch.cosine_similarity(copy[None], torch.stack(others))
    assert torch.cosine_similarity(copy, item, dim=0) == alike.max()
    assert "copy" in set(predictor.recommend(["A001"], "A", 300)["item_id"])
    predictor.recommend(["copy", "A001"], "B", 3)  # it may stand in a history, too


def test_tags_that_are_not_given_are_the_nearest_of_the_list(run, predictor):
    table = described(run, predictor, [5, 6]).assign(item_id=["new", "bare"])
    table.loc[1, ["title", "description"]] = ""
    predictor.add_items(table.drop(columns=["tags", "image"]))
    tags = predictor.items.set_index("item_id")["tags"]
    assert tags["bare"] == {}
    assert set(tags["new"]) <= set(predictor.tags)
    assert sum(tags["new"].values()) == pytest.approx(1)
    assert set(tags["new"]) & set(tags[run.items.item_id[5]])


@pytest.mark.parametrize(
    ("given", "weights"),
    [
        ({"meal": 3, "snack": 1}, [0.75, 0.25]),
        (["meal", "snack"], [0.5, 0.5]),
        ("meal, snack", [0.5, 0.5]),
    ],
)
def test_tags_may_be_given_in_three_ways(given, weights, predictor):
    first, second = predictor.tags[:2]
    spelled = {"meal": first, "snack": second}
    if isinstance(given, dict):
        given = {spelled[tag]: weight for tag, weight in given.items()}
    elif isinstance(given, list):
        given = [spelled[tag] for tag in given]
    else:
        given = f"{first}, {second}"
    table = pd.DataFrame({"item_id": ["x"], "domain": ["food"], "title": ["tea"], "tags": [given]})
    predictor.add_items(table)
    assert predictor.items["tags"].iloc[-1] == dict(zip((first, second), weights))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"item_id": "A001"}, "'A001' is empty or there already"),
        ({"item_id": ""}, "'' is empty"),
        ({"domain": "C"}, "domain 'C' is unknown"),
        ({"tags": {"no such tag": 1}}, "tag 'no such tag' is not in the list"),
        ({"tags": {"FIRST": 0}}, "weights of its tags must be above 0"),
        ({"tags": {"FIRST": np.inf}}, "weights of its tags must be above 0"),
    ],
)
def test_a_wrong_new_item_changes_nothing(change, said, predictor):
    if "FIRST" in change.get("tags", {}):
        change = {"tags": {predictor.tags[0]: change["tags"]["FIRST"]}}
    before = predictor._tables
    good = {"item_id": "x", "domain": "A", "title": "tea", "tags": None}
    with pytest.raises(ValueError, match=said):
        predictor.add_items(pd.DataFrame([good, {**good, "item_id": "y", **change}]))
    assert predictor._tables is before


def test_a_table_without_titles_is_refused(predictor):
    with pytest.raises(ValueError, match="no column title"):
        predictor.add_items(pd.DataFrame({"item_id": ["x"], "domain": ["A"]}))


def test_a_system_of_ids_alone_has_no_new_items(exported):
    table = pd.DataFrame({"item_id": ["x"], "domain": ["A"], "title": ["tea"]})
    with pytest.raises(ValueError, match="sasrec knows items by their ids alone"):
        load(exported["sasrec"]).add_items(table)


def test_another_encoder_is_refused(predictor):
    predictor.card["encoders"]["text"]["fingerprint"] = "0" * 64
    table = pd.DataFrame({"item_id": ["x"], "domain": ["A"], "title": ["tea"]})
    with pytest.raises(ValueError, match="has other weights here"):
        predictor.add_items(table)


def test_no_domain_is_left_empty(predictor):
    with pytest.raises(ValueError, match="without items"):
        predictor.remove_items(predictor.items.query("domain == 'A'")["item_id"].tolist())


def test_threads_ask_while_the_catalogue_changes(run, predictor, histories):
    """Each answer is of one catalogue, whole."""
    failed = []

    def ask():
        try:
            for history in histories:
                assert len(predictor.recommend(history, "B", 5)) == 5
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    in_no_history = sorted({*run.items.item_id[1:]} - {item for own in histories for item in own})
    for item in in_no_history[:5]:
        predictor.remove_items([item])
    for thread in threads:
        thread.join()
    assert failed == []
