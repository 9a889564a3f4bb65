"""The draft: who is asked, how often, and which tags pass the check."""

from dataclasses import replace

from tema_lib.llm.store import ReplyStore
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import Draft, draft, sample, says
from tema_lib.tags.prompts import EXAMPLES, tags_of_example
from tests.helpers.tagging import FOOD_AND_KITCHEN, Scripted, by_word_catalogue, few_items


def test_draft_asks_a_list_once_a_reply_that_is_none_twice_and_textless_items_never(tmp_path):
    items = few_items()
    catalogue = by_word_catalogue(items)
    config = TagConfig(support=-1.0)
    llm = Scripted(
        lambda prompt: (
            "no list"
            if "Sushi" in prompt or ("Tongs" in prompt and prompt.startswith("Tags for"))
            else "steel, tongs, grill"
        )
    )
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        chosen = sample(items, config)
        found = draft(catalogue, chosen, llm, store, config)
        asked = len(llm.asked)
        again = draft(catalogue, chosen, llm, store, config)
        assert len(llm.asked) == asked
        assert again == found
        # Items known already: the second wording, and never a third.
        draft(catalogue, chosen, llm, store, config, again)
        draft(catalogue, chosen, llm, store, config, again)
    assert chosen == list(range(1, 12))  # item 12 has no text
    assert [len(found.replies[item]) for item in (1, 3, 9, 10)] == [1, 2, 2, 2]
    assert found.proposed[3] == ()
    assert found.replies[3] == ("no list",) * 2
    assert found.proposed[10] == ("steel", "tongs", "grill")
    assert all(len(replies) == 2 for replies in again.replies.values())
    assert again.proposed == found.proposed
    assert again.refused[1] == found.refused[1] * 2


def test_items_with_a_description_only_are_asked_and_blank_ones_are_not(tmp_path):
    items = few_items((("", "A pot of clay."), ("\u200b \n", ""), ("Pot", "")), 1)
    llm = Scripted(
        lambda prompt: "pot, clay, lid" if prompt.startswith("Tags") else "steam, lid, tea"
    )
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        found = draft(
            by_word_catalogue(items),
            sample(items, TagConfig()),
            llm,
            store,
            TagConfig(support=-1.0),
        )
        more = draft(
            by_word_catalogue(items),
            [3],
            llm,
            store,
            TagConfig(support=-1.0),
            Draft({3: ("pot, clay, lid",)}, {3: ("pot", "clay")}, {3: (("lid", "why"),)}),
        )
    assert sorted(found.replies) == [1, 3]
    assert more.proposed[3] == ("pot", "clay", "steam", "lid", "tea")
    assert more.refused[3] == (("lid", "why"),)


def test_prompts_that_begin_alike_are_asked_together(tmp_path):
    groups = []

    class Noting(Scripted):
        def generate_batches(self, prompts):
            groups.append({prompt.rpartition("\n\n")[0] for prompt in prompts})
            return super().generate_batches(prompts)

    items = few_items()
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        draft(
            by_word_catalogue(items),
            sample(items, TagConfig()),
            Noting(lambda prompt: "a, b, c"),
            store,
            replace(FOOD_AND_KITCHEN, support=-1.0),
        )
    # Two domains, with and without descriptions.
    assert [len(group) for group in groups] == [1, 1, 1, 1]


def test_a_tag_is_said_word_for_word_in_any_case():
    assert says("Green Tea, loose", "green tea")
    assert says("Tea (C++)", "c++")
    assert says("tea", "tea")
    assert not says("Teapot", "tea")
    assert not says("A steak", "tea")
    assert not says("green and tea", "green tea")
    assert not says("abc", "a.c")


def test_copies_are_those_of_the_items_own_domain_and_style(tmp_path):
    items = few_items((("Big pot", ""), ("Big pan", "")), 1)

    def answer(prompt):
        return ", ".join(
            (
                tags_of_example(EXAMPLES["food"][0][2], "use")[0],
                tags_of_example(EXAMPLES["kitchen"][0][2], "use")[0],
                tags_of_example(EXAMPLES["kitchen"][0][2], "thing")[4],
            )
        )

    with ReplyStore(tmp_path / "replies.sqlite") as store:
        found = draft(
            by_word_catalogue(items),
            [1, 2],
            Scripted(answer),
            store,
            replace(FOOD_AND_KITCHEN, style="use", support=-1.0),
        )
    assert found.proposed == {1: ("baking popovers", "wire frame"), 2: ("popping", "wire frame")}


def test_the_sample_is_bounded_per_domain_and_always_the_same():
    items = few_items()
    chosen = sample(items, TagConfig(sample=3))
    assert len(chosen) == 6
    assert [items.domain_of_item[item] for item in chosen] == [0, 0, 0, 1, 1, 1]
    assert chosen == sample(items, TagConfig(sample=3))


def test_unsupported_tags_measures_and_copies_of_examples_are_refused_with_a_reason(tmp_path):
    items = few_items((("Espresso beans", "Dark roast. For movie night."), ("Espresso tea", "")), 2)
    llm = Scripted(lambda prompt: "espresso, submarine, movie night, scone filling, 12 ounce, 5 oz")
    catalogue = by_word_catalogue(items)
    config = replace(FOOD_AND_KITCHEN, support=0.3)
    # As near as can be, and yet a copy.
    catalogue.vector_of["scone filling"] = catalogue.text_vectors.matrix[2]
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        found = draft(catalogue, [1, 2], llm, store, config)
    # Said by the text, so no copy.
    assert found.proposed == {1: ("espresso", "movie night"), 2: ("espresso",)}
    assert dict(found.refused[2]) == {
        "submarine": "not supported by the text",
        "movie night": "copied from an example",
        "12 ounce": "a measure",
        "scone filling": "copied from an example",
        "5 oz": "a measure",
    }
