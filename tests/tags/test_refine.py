"""Refinement: equal tags merge, broad and rare ones go, and rounds say what changed."""

import re

import pytest
import torch

from tema_lib.llm.store import ReplyStore
from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import draft, sample
from tema_lib.tags.refine import generality, lemma, merge, opposites, refine, settle
from tests.helpers.tagging import Features, Scripted, few_items


def test_lemmas_see_through_plurals_verb_endings_and_hyphens():
    assert lemma("Cookies") == lemma("cookie")
    assert lemma("grilled") == lemma("grilling") == lemma("grill")
    assert lemma("knives") == lemma("knife")
    assert lemma("non-stick") == lemma("nonstick")
    assert lemma("baked loaves") == lemma("baking loaf")
    assert lemma("molasses") != lemma("mole")
    assert lemma("茶") == "茶"
    assert lemma("crème") == "crème"


def test_opposites_differ_only_in_words_of_one_row():
    assert opposites("red wine", "white wine")
    assert opposites("hot chocolate", "iced chocolate")
    assert opposites("breakfast", "dinner")
    assert not opposites("red wine", "hot wine")
    assert not opposites("red wine", "red wines")
    assert not opposites("wine", "red wine")
    assert not opposites("red wine", "wine")
    assert not opposites("red", "red")


def test_tags_of_one_meaning_become_the_most_frequent_of_them():
    def vector(*numbers):
        return torch.nn.functional.normalize(torch.tensor(numbers), dim=0)

    vector_of = {
        "cup": vector(1.0, 0, 0),
        "cups": vector(0.0, 0, 1),
        "mug": vector(1.0, 0.5, 0),
        "red wine": vector(0.0, 1, 0),
        "white wine": vector(0.0, 1, 0.1),
    }
    leader_of, why = merge(
        {"cup": 3, "cups": 4, "mug": 2, "red wine": 2, "white wine": 1}, vector_of, 0.85
    )
    # Opposites stay apart.
    assert leader_of == {
        "cup": "cups",
        "cups": "cups",
        "mug": "mug",
        "red wine": "red wine",
        "white wine": "white wine",
    }
    assert why == {"cup": "same lemma"}
    leader_of, why = merge({"cup": 5, "mug": 2}, vector_of, 0.85)
    assert leader_of["mug"] == "cup"
    assert why["mug"] == "cosine 0.89"
    assert merge({}, {}, 0.8) == ({}, {})
    vector_of = {
        "pot": vector(1.0, 0, 0),
        "tea pot": vector(1.0, 0.4, 0),
        "tea": vector(0.6, 1.0, 0),
        "pots": vector(0, 0, 1.0),
        "teas": vector(0, 0, 1.0),
    }
    # 4 pots in all lead the 3 tea pots, which are nearer to a pot than to tea.
    leader_of, _ = merge({"pot": 2, "pots": 2, "tea pot": 3, "tea": 9}, vector_of, 0.8)
    assert leader_of == {"pot": "pot", "pots": "pot", "tea pot": "pot", "tea": "tea"}
    leader_of, _ = merge({"tea pot": 9, "pot": 2, "pots": 1}, vector_of, 0.8)
    # The lemma's leader takes its group along.
    assert leader_of == {"tea pot": "tea pot", "pot": "tea pot", "pots": "tea pot"}


def test_settling_drops_the_rare_the_common_and_what_the_model_finds_broad():
    proposed = {
        item: ("all", "food", "tea") if item < 5 else ("all", "rare") if item == 5 else ("all",)
        for item in range(1, 11)
    }
    vector_of = dict(zip(("all", "food", "tea", "rare"), torch.eye(4)))
    kept, leader_of, fate = settle(
        proposed,
        vector_of,
        lambda tags: {tag: 2.0 if tag == "food" else -1.0 for tag in tags},
        threshold=0.8,
        min_items=3,
        max_share=0.9,
        generality_limit=0.5,
    )
    assert kept == ["tea"]
    assert leader_of["tea"] == "tea"
    assert {tag: change.why for tag, change in fate.items()} == {
        "all": "too common: 10 of 10 items",
        "rare": "too rare: 1 of 10 items",
        "food": "too broad, says the model: log-odds +2.0",
    }


def test_settling_counts_items_and_keeps_what_stands_at_a_limit():
    proposed = {
        1: ("cup", "cups", "tea"),
        2: ("cups", "tea"),
        3: ("tea", "odd"),
        4: ("pan",),
        5: ("pan",),
        6: ("odd",),
    }
    vector_of = dict(zip(("cup", "cups", "tea", "odd", "pan"), torch.eye(5)))
    found = {"tea": 0.5, "cups": -1.0, "pan": 0.7, "odd": 0.4}
    kept, leader_of, fate = settle(
        proposed,
        vector_of,
        lambda tags: found,
        threshold=0.8,
        min_items=2,
        max_share=0.5,
        generality_limit=0.5,
    )
    # 3 of 6 items, twice 2; an item that says cup and cups counts once.
    assert kept == ["tea", "cups", "odd"]
    assert fate["cup"].what == "merged"
    assert fate["cup"].into == "cups" == leader_of["cup"]
    assert fate["cup"].why == "same lemma"
    assert fate["pan"].why == "too broad, says the model: log-odds +0.7"
    assert set(fate) == {"cup", "pan"}

    def nobody(tags):
        return pytest.fail("nothing is left to ask about")

    assert (
        settle(
            {1: ("a",)},
            {"a": torch.eye(1)[0]},
            nobody,
            threshold=0.8,
            min_items=2,
            max_share=1,
            generality_limit=0,
        )[0]
        == []
    )


def test_a_list_of_a_given_size_keeps_the_most_frequent_tags():
    counts = {"tea": 4, "pot": 3, "cup": 2, "pan": 2}
    proposed = {
        item: tuple(tag for tag, count in counts.items() if item <= count) for item in range(1, 5)
    }
    kept, _, fate = settle(
        proposed,
        dict(zip(counts, torch.eye(4))),
        lambda tags: dict.fromkeys(tags, 0.0),
        threshold=0.8,
        min_items=1,
        max_share=1.0,
        generality_limit=0.0,
        size=2,
    )
    assert kept == ["tea", "pot"]
    assert {tag: change.why for tag, change in fate.items()} == {
        "cup": "number 3 by frequency",
        "pan": "number 4 by frequency",
    }


def test_generality_is_measured_from_the_middle_of_known_tags():
    def log_odds(prompts):
        return [
            5.0
            if re.search(r"Tag: (stuff|useful|grocery|everyday)\n[^\n]*$", prompt)
            else 4.0
            if "Tag: drink\n" in prompt
            else 1.0
            for prompt in prompts
        ]

    assert generality(["drink", "tea"], log_odds) == {"drink": 1.0, "tea": -2.0}


def refined(tmp_path, answer, rounds=3, **changes):
    """Six teas in domain A, six pots in domain B, and what the model says of them."""
    items = few_items(
        tuple((f"Tea {word}", "") for word in "abcdef")
        + tuple((f"Pot {word}", "") for word in "abcdef"),
        6,
    )
    positions = {}

    def encode(texts):
        # No two texts alike.
        return torch.stack(
            [torch.eye(200)[positions.setdefault(text, len(positions))] for text in texts]
        )

    catalogue = Catalogue(items, Features(torch.zeros(13, 200), torch.arange(13) > 0), encode)
    config = TagConfig(
        **{"support": -1.0, "max_share": 0.6, "min_items": 3, "rounds": rounds, **changes}
    )
    llm = Scripted(
        lambda prompt: answer(
            prompt.rpartition("Title: ")[2].split("\n")[0], prompt.startswith("Catalogue")
        )
    )
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        proposals = draft(catalogue, sample(items, config), llm, store, config)
        return refine(catalogue, proposals, llm, store, config), proposals, llm, catalogue


def test_without_a_round_the_list_is_what_was_proposed(tmp_path):
    def answer(title, second):
        return "cups, food, odd" if title == "Pot a" else "cup, food, odd"

    found, _, _, catalogue = refined(tmp_path, answer, rounds=0)
    # Those on every item, the broad, the rare and the equal ones are all there.
    assert found.tags == ("food", "odd", "cup", "cups")
    assert found.leader_of == {tag: tag for tag in found.tags}
    assert found.rounds == ()
    torch.testing.assert_close(
        found.vectors, torch.stack([catalogue.vector_of[tag] for tag in found.tags])
    )
    assert refined(tmp_path, answer, rounds=0, size=1)[0].tags == ("food",)


def test_refinement_asks_again_about_items_left_out_and_says_what_changed(tmp_path):
    """Teas name the list at once; pots share something only in the second wording."""

    def answer(title, second):
        return (
            "teas, food, green"
            if title == "Tea a"
            else "tea, food, green"
            if title.startswith("Tea")
            else ("pot, clay, lid" if second else f"{title[-1]}x, {title[-1]}y, {title[-1]}z")
        )

    done, proposals, _llm, catalogue = refined(tmp_path, answer)
    first = done.rounds[0]
    second = done.rounds[1]
    assert len(done.rounds) == 2
    assert first.tags == ("green", "tea")
    assert set(second.tags) == {"green", "tea", "pot", "clay", "lid"} == set(done.tags)
    # Nothing is said twice.
    assert {(change.tag, change.what) for change in second.changes} == {
        ("pot", "added"),
        ("clay", "added"),
        ("lid", "added"),
    }
    said = {change.tag: change for change in first.changes}
    assert said["food"].why.startswith("too broad")
    assert said["teas"].into == "tea"
    assert said["ax"].why == "too rare: 1 of 12 items"
    assert all(len(proposals.replies[item]) == 1 for item in range(1, 7))
    assert all(len(proposals.replies[item]) == 2 for item in range(7, 13))
    assert done.vectors.shape == (5, 200)
    assert torch.equal(done.vectors[0], catalogue.vector_of[done.tags[0]])
    assert done.leader_of["teas"] == "tea"


def test_refinement_ends_with_the_last_round_when_nothing_changes_or_when_nobody_is_left_out(
    tmp_path,
):
    def answer(title, second):
        return (
            "tea, green, leaf"
            if title.startswith("Tea")
            else f"{title[-1]}x, {title[-1]}y, {title[-1]}z"
        )

    assert len(refined(tmp_path / "1", answer, rounds=1)[0].rounds) == 1
    # Asked again, the pots say nothing new: the list stands.
    assert len(refined(tmp_path / "2", answer)[0].rounds) == 2
    done, _proposals, llm, _ = refined(
        tmp_path / "3",
        lambda title, second: "tea, pot, lid" if title < "Q" else "tea, leaf, cup",
        max_share=1.0,
    )
    assert len(done.rounds) == 1
    assert not any(prompt.startswith("Catalogue") for prompt in llm.asked)
    merged, _, llm, _ = refined(
        tmp_path / "4",
        lambda title, second: "cups, tea, pot" if title == "Pot f" else "cup, lid, jug",
        max_share=1.0,
    )
    assert merged.leader_of["cups"] == "cup"
    assert not any(prompt.startswith("Catalogue") for prompt in llm.asked)
    nothing, *_ = refined(tmp_path / "5", lambda title, second: "ok")
    assert nothing.tags == ()
    assert nothing.vectors.shape == (0, 200)


def test_a_small_catalogue_keeps_tags_on_two_items(tmp_path):
    done, _, _, _ = refined(
        tmp_path,
        lambda title, second: (
            "green, leaf, cup"
            if title < "Tea c" and title.startswith("Tea")
            else f"{title[-1]}{title[0]}x, {title[-1]}y, {title[-1]}z"
        ),
        max_share=0.01,
        min_items=2,
        rounds=1,
    )
    assert {"green", "leaf", "cup"} <= set(done.tags)
