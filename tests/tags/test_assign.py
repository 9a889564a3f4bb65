"""Assignment: own tags first, then mapped, then near ones; fewer rather than invented."""

import torch

from tema_lib.llm.store import ReplyStore
from tema_lib.tags.assign import assign
from tema_lib.tags.config import TagConfig
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN
from tema_lib.tags.refine import Refinement
from tests.helpers.tagging import Scripted, by_word_catalogue, few_items


def assigned(tmp_path, items, tags, reply, **changes):
    catalogue = by_word_catalogue(items)
    catalogue.learn(tags)
    refinement = Refinement(
        tuple(tags),
        torch.stack([catalogue.vector_of[tag] for tag in tags]),
        {tag: tag for tag in tags},
        (),
    )
    config = TagConfig(
        **{"support": -1.0, "max_share": 1.0, "assign": 2.0, "assign_first": 2.0, **changes}
    )
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        return assign(catalogue, refinement, Scripted(reply), store, config)


def test_own_tags_come_first_then_mapped_then_near_ones(tmp_path):
    items = few_items((("Green tea leaves", ""), ("Tea pot", ""), ("Spoon", ""), ("", "")), 1)
    tags = assigned(
        tmp_path,
        items,
        ["green tea", "pot", "steel spoon"],
        lambda prompt: "pot, green tea cup, horse",
        map_to_nearest=0.8,
        assign=0.5,
    )
    assert tags.tags_of(1)[0][0] == "pot"
    assert [(tag, source) for tag, _, source in tags.tags_of(1)] == [
        ("pot", OWN),
        ("green tea", MAPPED),
    ]
    assert [(tag, source) for tag, _, source in tags.tags_of(3)] == [
        ("pot", OWN),
        ("green tea", MAPPED),
        ("steel spoon", NEAREST),
    ]
    assert tags.tags_of(4) == []
    assert tags.raw_replies[4] == ()
    assert tags.raw_replies[1] == ("pot, green tea cup, horse",)
    assert tags.vocabulary[0] == ""
    assert torch.allclose(tags.weights.sum(1), torch.tensor([0.0, 1, 1, 1, 0]))


def test_an_own_tag_stays_own_and_a_merged_word_counts_as_its_leader(tmp_path):
    items = few_items((("Thing", ""), ("Spoon", "")), 1)
    catalogue = by_word_catalogue(items)
    catalogue.learn(["tea", "pot", "teas", "tea tea pot"])
    refinement = Refinement(
        ("tea", "pot"),
        torch.stack([catalogue.vector_of["tea"], catalogue.vector_of["pot"]]),
        {"tea": "tea", "pot": "pot", "teas": "tea"},
        (),
    )
    config = TagConfig(
        support=-1.0, max_share=1.0, assign=2.0, assign_first=2.0, map_to_nearest=0.7
    )
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        tags = assign(
            catalogue, refinement, Scripted(lambda prompt: "tea tea pot, teas, pot"), store, config
        )
    assert [(tag, source) for tag, _, source in tags.tags_of(1)] == [("tea", OWN), ("pot", OWN)]


def test_a_mapped_word_finds_another_tag_when_its_own_has_left_the_list(tmp_path):
    items = few_items((*tuple((f"Tea {number}", "") for number in range(6)), ("Pot", "")), 6)
    tags = assigned(
        tmp_path,
        items,
        ["tea cup", "tea pot"],
        lambda prompt: (
            "tea cup red, x, y"
            if prompt.endswith("Tea 5\nTags:")
            else "tea cup, x, y"
            if "Title: Tea" in prompt.rpartition("\n\n")[2]
            else "z, x, y"
        ),
        max_share=0.5,
        map_to_nearest=0.4,
    )
    assert tags.vocabulary == ("", "tea pot") or "tea cup" not in tags.vocabulary
    assert all(tag != "tea cup" for item in range(8) for tag, _, _ in tags.tags_of(item))


def test_few_tags_rather_than_invented_ones(tmp_path):
    items = few_items((("Green tea", ""), ("Spoon", "")), 1)
    tags = assigned(tmp_path, items, ["pot", "tea"], lambda prompt: "horse, saddle, oats")
    assert tags.tags_of(1) == []
    assert len(tags.raw_replies[1]) == 2
    near = assigned(
        tmp_path, items, ["pot", "tea"], lambda prompt: "horse, saddle, oats", assign_first=0.5
    )
    assert [tag for tag, _, _ in near.tags_of(1)] == ["tea"]
    assert near.tags_of(2) == []
    assert near.vocabulary == ("", "tea")


def test_a_tag_on_too_many_items_leaves_the_list(tmp_path):
    items = few_items(
        (*tuple((f"Tea {number}", "") for number in range(5)), ("Pot", ""), ("Lid", "")), 5
    )
    tags = assigned(
        tmp_path,
        items,
        ["tea", "pot", "lid"],
        lambda prompt: "tea, pot, lid" if prompt.endswith("Pot\nTags:") else "tea, leaf, cup",
        max_share=0.5,
    )
    assert "tea" not in tags.vocabulary
    assert [tag for tag, _, _ in tags.tags_of(6)] == ["pot", "lid"]
    assert tags.tags_of(1) == []


def test_a_limit_is_reached_but_not_passed_and_the_list_is_ordered_by_use(tmp_path):
    items = few_items(
        (
            *tuple((f"Tea {number}", "") for number in range(4)),
            ("Pot", ""),
            ("Lid", ""),
            ("Jar", ""),
            ("Cup", ""),
        ),
        4,
    )

    def answer(prompt):
        return (
            "tea, leaf, cup"
            if "Title: Tea" in prompt.rpartition("\n\n")[2]
            else "lid, pot, jar"
            if prompt.endswith("Lid\nTags:")
            else "pot, x, y"
        )

    tags = assigned(tmp_path, items, ["lid", "pot", "tea"], answer, max_share=0.5, tags_per_item=2)
    # 4, 4 and 1 of 8 items: half is not too many; the list's order decides a tie.
    assert tags.vocabulary == ("", "pot", "tea", "lid")
    assert tags.tag_ids.shape == (9, 2)
    assert [tag for tag, _, _ in tags.tags_of(6)] == ["lid", "pot"]
    close = assigned(
        tmp_path,
        items,
        ["tea", "tea pot lid", "lid"],
        lambda prompt: "x, y, z",
        assign=0.3,
        tags_per_item=2,
    )
    assert [tag for tag, _, _ in close.tags_of(1)] == ["tea", "tea pot lid"]
    assert [tag for tag, _, _ in close.tags_of(6)] == ["lid", "tea pot lid"]


def test_an_example_tag_is_never_given_by_the_encoder_alone(tmp_path):
    items = few_items((("Movie snack night", ""), ("Movie night box", "")), 1)
    tags = assigned(
        tmp_path,
        items,
        ["movie night", "popcorn"],
        lambda prompt: "horse, saddle, oats",
        assign=0.5,
        style="occasion",
        domain_names=("food", "kitchen"),
    )
    assert tags.tags_of(1) == []
    assert [tag for tag, _, _ in tags.tags_of(2)] == ["movie night"]
