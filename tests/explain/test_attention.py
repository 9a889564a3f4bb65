"""Attention records match the histories and the model."""

import itertools

import pytest
import torch

from tema_lib.explain.attention import (
    attention_record,
    case_batch,
    event_attention,
    newest_attention,
    record_of,
)
from tests.helpers.explain import COUNT, ITEMS_A, ITEMS_B, LONG, answers, close


@pytest.mark.parametrize("row", range(4))
def test_a_record_holds_the_history_as_titles_and_its_branches(world, row):
    days = [day * day for day in range(len(world.sequences[row]))]
    items = world.items
    record = attention_record(
        world.counterfactual, world.sequences, row, times=[86_400 * day for day in days]
    )
    history, target = world.sequences[row][:-1].tolist(), int(world.sequences[row][-1])
    assert [event.item for event in record.history] == history
    assert record.target.item == target
    assert record.user == f"u{row}"
    assert record.domain == "AB"[items.domain_of_item[target]]
    assert [event.title for event in record.history] == [
        items.title[item] or f"item i{item}" for item in history
    ]
    assert [event.tags for event in record.history] == [
        tuple(tag for tag, _, _ in world.tags.tags_of(item)) for item in history
    ]
    assert record.days == tuple(days[-2] - day for day in days[:-1])
    for branch, number in (("A", 0), ("B", 1)):
        assert [event.item for event in record.events[branch]] == [
            item for item in history if items.domain_of_item[item] == number
        ]
    assert record.events["merged"] == record.history


@pytest.mark.parametrize("row", range(4))
def test_every_row_of_weights_sums_to_one_and_gives_the_future_nothing(world, row):
    record = attention_record(world.counterfactual, world.sequences, row)
    for branch, weights in record.weights.items():
        length = len(record.events[branch])
        assert weights.shape == (2, 2, length, length)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 2, length), atol=1e-5)
        assert float(weights.triu(1).abs().sum()) == 0
    assert sum(record.branch_weights.values()) == pytest.approx(1, abs=1e-5)
    assert all(record.branch_weights[branch] == 0 for branch in "AB" if not record.events[branch])
    assert float(record.event_weights.sum()) == pytest.approx(1, abs=1e-5)


def test_an_empty_history_has_no_weights(world):
    record = record_of(world.counterfactual, [], 0)
    assert record.history == ()
    assert len(record.event_weights) == 0
    assert sum(record.branch_weights.values()) == 0
    assert record.days is None
    assert record.target_rank is None
    assert len(record.attention_row("A", -1, None, -1)) == 0
    assert [chance for _, chance in record.top["B"]] == pytest.approx([1 / ITEMS_B] * 5, abs=1e-6)


def test_records_agree_with_the_attention_of_the_model(world):
    """Event weights by hand: last row, mean over heads of the last layer, times branch weight."""
    batch = case_batch(world.model, world.sequences, [0, 1, 2, 3])
    recorded = world.model.attention(batch)
    attention = newest_attention(world.model, batch)
    together = event_attention(world.model, batch)
    for row in range(4):
        record = attention_record(world.counterfactual, world.sequences, row)
        by_hand = torch.zeros(6)
        across = recorded["across"]["weights"][row, int(batch.last[row])]
        assert close(list(record.branch_weights.values()), across)
        for number, branch in enumerate(("A", "B", "merged")):
            positions = [
                position
                for position, event in enumerate(record.history)
                if branch in ("merged", event.domain)
            ]
            assert positions == record.positions(branch)
            if not positions:
                assert attention[branch][row].abs().sum() == 0
                continue
            newest = recorded[branch]["weights"][row, :, :, len(positions) - 1, : len(positions)]
            by_hand[positions] += across[number] * newest[-1].mean(0)
            for layer, head in itertools.product((0, 1), (0, 1)):
                row_weights = record.attention_row(branch, layer, head, -1)
                assert close(row_weights[positions], newest[layer, head])
                assert close(row_weights.sum(), 1.0)
                assert close(attention[branch][row, layer, head, : len(row_weights)], row_weights)
            # The first event attends to itself only.
            assert close(record.attention_row(branch, 0, None, 0)[positions[0]], 1.0)
            assert close(record.attention_row(branch, 1, None, -1)[positions], newest[1].mean(0))
        length = len(record.history)
        assert close(record.event_weights, by_hand[:length])
        assert close(together[row], by_hand)
        assert by_hand[length:].abs().sum() == 0


def test_top_items_of_each_domain_are_unseen_and_sorted(world):
    record = attention_record(world.counterfactual, world.sequences, 0, top=3)
    for domain, name in enumerate("AB"):
        best, chances = record.top[name], [chance for _, chance in record.top[name]]
        right = answers(world.model, LONG, domain).exp()
        free = [
            item for item in world.counterfactual.of_domain[domain].tolist() if item not in LONG
        ]
        by_hand = sorted(free, key=lambda item: -float(right[item - 1 - ITEMS_A * domain]))[:3]
        assert [event.item for event, _ in best] == by_hand
        assert all(event.domain == name for event, _ in best)
        assert chances == sorted(chances, reverse=True)
        assert chances[-1] > 0
        assert chances[0] <= 1
        assert chances == pytest.approx(
            [float(right[item - 1 - ITEMS_A * domain]) for item in by_hand], abs=1e-5
        )
    # `seen` decides what is left out, whatever the history says.
    other = record_of(world.counterfactual, LONG, 1, seen=[12], top=COUNT)
    assert {event.item for event, _ in other.top["B"]} == {9, 10, 11, 13, 14, 15}
    assert len(other.top["A"]) == ITEMS_A
