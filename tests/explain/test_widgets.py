"""Explorers follow their controls: picture, events on offer and edited history change with them."""

from dataclasses import replace

from tema_lib.explain.composition import composition
from tema_lib.explain.counterfactual import CounterfactualModel, Interaction
from tema_lib.explain.display.html import Pages
from tema_lib.explain.display.widgets import (
    AttentionExplorer,
    ItemExplorer,
    WhatIfExplorer,
    item_labels,
)
from tema_lib.explain.explanation import NEXT, explain
from tests.helpers.explain import COUNT, EVIL, LONG, awake
from tests.helpers.pages import Page


def test_the_attention_explorer_follows_its_controls(evil):
    pages, times = Pages(evil.items.image), lambda user: range(0, 900_000, 100_000)
    explorer = AttentionExplorer(
        evil.counterfactual, evil.control, evil.sequences, [0, 1, 2, 3], pages, times
    )
    assert [label for label, _ in explorer.user.options][
        1
    ] == f"user 1 {EVIL}: 3 in A and 0 in B, next in B"
    assert explorer.event.options[1] == (f"5 B  {evil.items.title[11]}", 4)
    assert [position for _, position in explorer.event.options] == [5, 4, 3, 2, 1, 0]
    seen = [explorer.picture.value]
    turns = (
        (explorer.head, 2, 6),
        (explorer.layer, 0, 6),
        (explorer.event, 2, 6),
        (explorer.of, NEXT, 6),
        (explorer.branch, "A", 3),
        (explorer.head, 0, 3),
        (explorer.user, 2, 0),
        (explorer.branch, "B", 1),
        (explorer.user, 1, 0),
        (explorer.user, 3, 1),
    )
    for control, value, events in turns:
        control.value = value
        assert Page(explorer.picture.value)
        assert explorer.picture.value != seen[-1]
        assert len(explorer.event.options) == events
        assert ("No events in sequence" in explorer.picture.value) == (events == 0)
        seen.append(explorer.picture.value)
    found = [
        explain(evil.counterfactual, evil.control, evil.sequences, row, times=times(""))
        for row in range(4)
    ]
    assert seen[4] == pages.explorer(found[0], branch="merged", layer=0, head=1, query=2, of=NEXT)
    assert seen[5] == pages.explorer(found[0], branch="A", layer=0, head=1, query=-1, of=NEXT)
    assert seen[-1] == pages.explorer(found[3], branch="B", layer=0, head=None, query=-1, of=NEXT)
    assert len(explorer.seconds) >= len(seen)
    assert len(explorer.known) == 4


def test_the_newest_event_is_chosen_at_the_start_and_after_an_empty_sequence(world):
    explorer = AttentionExplorer(
        world.counterfactual, world.control, world.sequences, [0, 1, 2, 3], Pages(world.items.image)
    )
    chosen = [explorer.event.value]
    for control, value in ((explorer.branch, "A"), (explorer.user, 2), (explorer.branch, "B")):
        control.value = value
        chosen.append(explorer.event.value)
    assert chosen == [5, 2, None, 0]


def test_the_attention_explorer_offers_what_the_model_has(world):
    counterfactual = CounterfactualModel(
        awake(world.inputs, branches=("merged",), layers=1, modalities=("id",)), world.items
    )
    explorer = AttentionExplorer(
        counterfactual,
        counterfactual,
        world.sequences,
        [0],
        Pages(world.items.image, ("food", "kitchen")),
    )
    assert list(explorer.branch.options) == ["merged"]
    assert len(explorer.layer.options) == 1
    assert len(explorer.head.options) == 3
    assert explorer.user.options[0][0] == "u0: 3 in food and 3 in kitchen, next in kitchen"


def test_the_item_explorer_finds_every_item_even_under_a_repeated_title(world):
    items = replace(
        world.items, title=("", *(("Tea", "Tea", "", "Pot")[number % 4] for number in range(COUNT)))
    )
    counterfactual = CounterfactualModel(world.model, items, world.tags, world.text)
    labels = item_labels(counterfactual)
    assert sorted(labels.values()) == list(range(1, COUNT + 1))
    assert labels["Tea"] == 1
    assert labels["Tea [i2]"] == 2
    assert labels["item i3"] == 3
    explorer, pages = ItemExplorer(counterfactual, Pages(items.image), 5), Pages(items.image)
    assert explorer.item.value == "Tea [i5]"
    assert set(explorer.item.options) == set(labels)
    for label, item in labels.items():
        explorer.item.value = label
        assert explorer.picture.value == pages.item(composition(counterfactual, item))
    last = explorer.picture.value
    explorer.item.value = ""  # nothing chosen: what stood there stays
    assert explorer.picture.value == last


def items_of(explorer):
    return [interaction.item for interaction in explorer.history]


def test_the_what_if_explorer_follows_and_undoes_every_edit(evil):
    explorer = WhatIfExplorer(
        evil.counterfactual, evil.sequences, [0, 1, 3], Pages(evil.items.image)
    )
    start, seen = explorer.picture.value, [explorer.picture.value]
    assert items_of(explorer) == LONG
    assert explorer.event.value == 5
    assert "nothing yet" in start

    def changed(items, position):
        assert items_of(explorer) == items
        assert explorer.event.value == position
        assert len(explorer.event.options) == len(items)
        assert Page(explorer.picture.value)
        assert explorer.picture.value not in seen
        seen.append(explorer.picture.value)

    explorer.event.value = 2
    explorer.earlier.click()
    changed([1, 4, 9, 10, 11, 5], 1)
    explorer.later.click()
    explorer.later.click()
    changed([1, 9, 10, 4, 11, 5], 3)
    explorer.remove.click()
    changed([1, 9, 10, 11, 5], 3)
    explorer.domain.click()
    changed([1, 9, 10, 11, 5], 3)
    assert explorer.history[3] == Interaction(11, domain=0)
    assert explorer.event.options[3][0].startswith("4 A ")
    explorer.swap.value = evil.items.title[8]
    changed([1, 9, 10, 8, 5], 3)
    assert explorer.swap.value == ""
    own = evil.counterfactual.own_tags(8)
    assert list(explorer.delete.options)[1:] == [evil.tags.vocabulary[tag] for tag in own]
    explorer.delete.value = evil.tags.vocabulary[own[0]]
    changed([1, 9, 10, 8, 5], 3)
    assert explorer.history[3] == Interaction(8, tags=own[1:])
    assert explorer.delete.index == 0
    assert "its fused vector turned by" in explorer.picture.value
    new = next(tag for tag in range(1, 6) if tag not in own)
    explorer.add.value = evil.tags.vocabulary[new]
    changed([1, 9, 10, 8, 5], 3)
    assert explorer.history[3].tags == (*own[1:], new)
    shown = Page(explorer.picture.value).words
    assert all(
        words in shown
        for words in (
            "earlier",
            "later",
            "without",
            "counts in the other domain",
            "in place of",
            "not tagged",
            "also tagged",
        )
    )
    explorer.undo.click()
    explorer.undo.click()
    assert explorer.history[3] == Interaction(8)
    assert explorer.picture.value == seen[5]
    explorer.reset.click()
    assert items_of(explorer) == LONG
    assert explorer.picture.value == start
    assert explorer.event.value == 5
    explorer.undo.click()  # nothing left to take back
    assert items_of(explorer) == LONG
    explorer.user.value = 3
    assert items_of(explorer) == [2, 9, 2, 3]
    assert "nothing yet" in explorer.picture.value


def test_an_impossible_edit_is_explained_and_changes_nothing(evil):
    explorer = WhatIfExplorer(evil.counterfactual, evil.sequences, [0], Pages(evil.items.image))
    history, own = explorer.history, evil.tags.vocabulary[evil.counterfactual.own_tags(1)[0]]
    for refused in (
        explorer.later.click,
        lambda: explorer.earlier.click(),
        lambda: setattr(explorer.add, "value", own),
    ):
        explorer.start()
        explorer.event.value = 5 if refused == explorer.later.click else 0
        refused()
        words = Page(explorer.picture.value).words
        assert "Not possible:" in words
        assert explorer.history == history
        assert len(explorer.past) == 1
    assert f"this item has the tag {own!r} already." in words
    explorer.start()
    for left in (5, 4, 3, 2, 1, 0):
        explorer.remove.click()
        assert len(explorer.history) == left
        assert explorer.event.value == (left - 1 if left else None)
    assert explorer.history == ()
    assert explorer.event.value is None
    assert Page(explorer.picture.value)
    explorer.remove.click()
    explorer.domain.click()
    assert len(explorer.past) == 7
    explorer.undo.click()
    assert items_of(explorer) == LONG[:1]
    assert explorer.event.value == 0


def test_items_of_the_real_history_are_never_recommended_whatever_the_edits(evil):
    explorer = WhatIfExplorer(evil.counterfactual, evil.sequences, [0], Pages(evil.items.image))
    explorer.remove.click()
    explorer.remove.click()
    shown = {
        event.item for best in explorer.record(explorer.history).top.values() for event, _ in best
    }
    assert not shown & set(LONG)
    assert len(shown) == 9


def test_tags_cannot_be_edited_where_the_model_has_none(world):
    for model, tags in (
        (world.model, None),
        (awake(world.inputs, modalities=("id", "text")), world.tags),
    ):
        explorer = WhatIfExplorer(
            CounterfactualModel(model, world.items, tags, world.text),
            world.sequences,
            [0],
            Pages(world.items.image),
        )
        assert explorer.add.disabled
        assert explorer.delete.disabled
        assert explorer.add.options == ()
        explorer.remove.click()
        assert items_of(explorer) == LONG[:-1]
    assert not WhatIfExplorer(
        world.counterfactual, world.sequences, [0], Pages(world.items.image)
    ).add.disabled
