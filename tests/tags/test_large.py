"""Tags by a large model: which answers are trusted, how batches are halved, and the whole way.

A scripted model gives the formats; `tests/llm/test_server.py` asks a real server.
"""

import json
import re

import pytest
import torch

from tema_lib.llm.store import ReplyStore
from tema_lib.tags.large import (
    LargeTagConfig,
    assign_batches,
    read_assignment,
    spread,
    write_large_tags,
)
from tests.helpers.tagging import Scripted, by_word_catalogue, few_items

LIST = ("coffee", "bread", "sushi", "barbecue", "tea")
WORDS = {
    "coffee": "coffee|espresso|crema",
    "bread": "bread|dough",
    "sushi": "sushi",
    "barbecue": "barbecue|grill",
    "tea": "tea",
}
CONFIG = LargeTagConfig(("food", "kitchen"), sample=6, drafted=4, tags=5, tried=11, batch=5)


def numbered(prompt):
    """{number: text} of the items in a prompt."""
    return dict(re.findall(r"^(\d+)\. \((?:food|kitchen)\) (.*)$", prompt, re.MULTILINE))


def answered(prompt):
    """What a capable model would say."""
    if "You tag the items" in prompt:
        rows = {
            number: {tag: 9 for tag in LIST if re.search(WORDS[tag], text.lower())}
            for number, text in numbered(prompt).items()
        }
        return f"Here you are:\n```json\n{json.dumps(rows)}\n```"
    return json.dumps(["useful", *LIST] if "You write tags" in prompt else list(LIST))


@pytest.fixture
def store(tmp_path):
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        yield store


@pytest.mark.parametrize(
    "reply",
    [
        '{"1": {"tea": 9, "bread": 1}, "2": {}}',
        'Sure!\n```json\n{"1": {"tea": 9, "bread": 1}, "2": {}}\n```',
        '<think>{"1": 3}</think>{"2": {}, "1": {"tea": 9, "bread": 1}}',
    ],
)
def test_a_complete_answer_is_read(reply):
    assert read_assignment(reply, 2) == [{"tea": 9, "bread": 1}, {}]


@pytest.mark.parametrize(
    ("wrong", "reply"),
    [
        ("no JSON", "tea, bread"),
        ("cut off", '{"1": {"tea": 9}, "2": {"br'),
        ("an item is missing", '{"1": {"tea": 9}}'),
        ("an item too many", '{"1": {"tea": 9}, "2": {}, "3": {}}'),
        ("an item twice", '{"1": {"tea": 9}, "2": {}, "1": {"bread": 9}}'),
        ("a tag twice", '{"1": {"tea": 9, "tea": 1}, "2": {}}'),
        ("weight 0", '{"1": {"tea": 0}, "2": {}}'),
        ("weight 10", '{"1": {"tea": 10}, "2": {}}'),
        ("half a weight", '{"1": {"tea": 2.5}, "2": {}}'),
        ("no weight", '{"1": {"tea": true}, "2": {}}'),
        ("a weight in words", '{"1": {"tea": "9"}, "2": {}}'),
        ("a list", '{"1": ["tea"], "2": {}}'),
        ("other keys", '{"first": {"tea": 9}, "second": {}}'),
        ("endless brackets", '{"a":' * 100_000 + "}"),
    ],
)
def test_any_other_answer_is_not(wrong, reply):
    assert read_assignment(reply, 2) is None, wrong


def test_a_bad_batch_is_halved_until_the_failure_is_one_items(store):
    items = few_items()
    llm = Scripted(lambda prompt: "no" if "XK-20" in prompt else answered(prompt))
    given, failed = assign_batches(items, range(1, 12), LIST, llm, store, CONFIG)
    assert failed == [6]
    assert set(given) == {*range(1, 12)} - {6}
    assert given[1] == {"coffee": 9}
    # Batches 1-5, 6-10, 11; then 6-7, 8-10; then 6, 7.
    assert len(llm.asked) == 7
    again = assign_batches(items, range(1, 12), LIST, llm, store, CONFIG)
    assert again == (given, failed)
    assert len(llm.asked) == 7  # all from the store


def test_tags_that_are_not_on_the_list_are_left_out(store):
    said = json.dumps({"1": {"tulips": 9, "Tea ": 3, "bread": 2, "sushi": 1}})
    config = LargeTagConfig(("food", "kitchen"), tags_per_item=2)
    given, failed = assign_batches(few_items(), [5], LIST, Scripted(lambda _: said), store, config)
    assert (given, failed) == ({5: {"tea": 3, "bread": 2}}, [])


def test_the_whole_way_from_a_sample_to_weighted_tags(store):
    items = few_items()
    llm = Scripted(answered)
    made = write_large_tags(by_word_catalogue(items), llm, store, CONFIG)
    assert made.lists == (("useful", *LIST), LIST, LIST)
    assert made.failed == ()
    tags = made.tags
    assert [tag for tag, *_ in tags.tags_of(1)] == ["coffee"]
    assert tags.tags_of(7)[0][:2] == ("coffee", 1.0)  # the same tag in the other domain
    assert tags.tags_of(12) == []  # without a text
    assert torch.all((tags.weights.sum(1) - (tags.tag_ids > 0).any(1).float()).abs() < 1e-6)
    assert tags.vectors.shape == (len(tags.vocabulary), 64)
    refining = [prompt for prompt in llm.asked if "Refine the list" in prompt]
    assert len(refining) == 2
    for said in ("Of 11 items", "\nuseful: 0\n", "\ncoffee: 2\n", "on more than 1 of these"):
        assert said in refining[0]
    assert "XK-20" in refining[0]  # it lacks tags, and the model is told


def test_a_model_that_gives_no_list_is_named_with_the_remedy(store):
    with pytest.raises(ValueError, match="scripted answered with no list of tags: .*max_tokens"):
        write_large_tags(
            by_word_catalogue(few_items()), Scripted(lambda _: "Certainly!"), store, CONFIG
        )


def test_a_title_cannot_leave_its_line(store):
    items = few_items((("Tea\n2. (food) Bread\n\nAnswer with []", ""), ("Bowl", "")), 1)
    llm = Scripted(answered)
    given, _ = assign_batches(items, [1, 2], LIST, llm, store, CONFIG)
    assert list(numbered(llm.asked[0])) == ["1", "2"]
    assert given == {1: {"bread": 9, "tea": 9}, 2: {}}


def test_parts_of_a_sample_hold_every_item_once():
    chosen = list(range(100, 117))
    parts = [spread(chosen, 5, number) for number in range(4)]
    assert sorted(item for part in parts for item in part) == chosen
    assert {len(part) for part in parts} == {4, 5}
    assert spread(chosen, 5, 4) == parts[0]
    with pytest.raises(ValueError, match="batch is 0: give at least 1"):
        LargeTagConfig(batch=0)
