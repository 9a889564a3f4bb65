"""Tables of heads equal counting by hand."""

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from tema_lib.data.batches import Batch
from tema_lib.explain.attention import (
    case_batch,
    newest_attention,
    record_of,
)
from tema_lib.explain.heads import (
    head_table,
    known_rule,
    recency_alone,
    share_on,
    uniform_attention,
)
from tema_lib.models.item_embedding import ItemInputs
from tests.helpers.explain import COUNT, awake

ATTENTION = np.array([[0.2, 0.8, 0], [0.5, 0.25, 0.25], [0, 0, 0], [0.4, 0, 0.6]])


HERE = np.array(
    [[True, True, False], [True, True, True], [False, False, False], [True, False, True]]
)


def test_recency_alone_is_the_mean_attention_at_each_age_among_equally_long_histories():
    """Two events (first and last row): the older gets (.2 + .4) / 2; row 2 is alone."""
    assert recency_alone(ATTENTION, HERE) == pytest.approx(
        np.array([[0.3, 0.7, 0], [0.5, 0.25, 0.25], [0, 0, 0], [0.3, 0, 0.7]])
    )
    assert (recency_alone(np.zeros((2, 3)), np.zeros((2, 3), bool)) == 0).all()


def test_uniform_attention_prefers_nothing_beyond_recency():
    """Pooled over all lengths, the baseline would make uniform attention seem to prefer the old."""
    here = np.arange(9) < np.random.default_rng(0).integers(1, 10, size=(300, 1))
    uniform = here / here.sum(1, keepdims=True)
    found, recency, chance = share_on(
        uniform, here, np.random.default_rng(1).random(here.shape) < 0.4
    )
    assert found == pytest.approx(recency)
    assert found == pytest.approx(chance)
    assert len(found) > 100


def test_the_share_on_right_events_counts_cases_with_some_right_events_only():
    # Where the branch has no event, `right` means nothing.
    right = np.array(
        [[True, False, True], [False, True, True], [True, True, True], [True, True, True]]
    )
    shares = share_on(ATTENTION, HERE, right)
    for found, expected in zip(shares, ([0.2, 0.5], [0.3, 0.5], [1 / 2, 2 / 3])):
        assert found == pytest.approx(np.array(expected))
    closed = share_on(
        ATTENTION, HERE, np.array([[True] * 3, [False] * 3, [False] * 3, [False, True, False]])
    )
    assert [len(share) for share in closed] == [0, 0, 0]


def test_the_table_of_heads_equals_counting_by_hand(world):
    # Items 5 and 6 have nothing but empty tag slots in common.
    histories = [[2, 9, 4, 2, 3, 10, 11, 1], [5, 9, 3, 10, 6], [4, 10, 2, 9, 1]]
    batch = Batch(
        torch.tensor([history + [0] * (8 - len(history)) for history in histories]),
        None,
        torch.tensor([0, 0, 0]),
        torch.tensor([0, 1, 2]),
    )
    table = head_table(world.model, batch, world.tags)
    records = [record_of(world.counterfactual, history, 0) for history in histories]
    assert list(table.index.names) == ["branch", "layer", "head"]
    assert len(table) == 12
    for (branch, layer, head), row in table.iterrows():
        back, attention = [], []
        for record in records:
            weights = record.weights[branch][layer - 1, head - 1, -1].tolist()
            back.append(sum(weight * age for age, weight in enumerate(reversed(weights))))
            attention.append(weights[::-1])  # by age
        assert row["events back"] == pytest.approx(np.mean(back), abs=1e-5)
        recency = {
            length: np.mean([row for row in attention if len(row) == length], 0)
            for length in set(map(len, attention))
        }
        measures = {
            "same tag": lambda event, newest, age: age > 0 and set(event.tags) & set(newest.tags)
        }
        if branch == "merged":
            measures["other domain"] = lambda event, newest, age: event.domain != newest.domain
        for name, is_right in measures.items():
            found, alone = [], []
            for record, weights in zip(records, attention):
                events = record.events[branch][::-1]
                right = [age for age, event in enumerate(events) if is_right(event, events[0], age)]
                if 0 < len(right) < len(events):
                    found.append(sum(weights[age] for age in right))
                    alone.append(sum(recency[len(events)][age] for age in right))
            assert row[name] == pytest.approx(np.mean(found), abs=1e-5)
            assert row[f"{name}, recency alone"] == pytest.approx(np.mean(alone), abs=1e-5)
        assert branch == "merged" or np.isnan(row["other domain"])
    assert table.loc["merged"].notna().all().all()
    assert list(head_table(world.model, batch).columns) == [
        "events back",
        "other domain",
        "other domain, recency alone",
    ]


def one_head_model(world, content):
    """One head that attends to items like the newest (odd or even ids), or to positions only."""
    model = awake(ItemInputs(world.inputs.domain_of_item), modalities=("id",), heads=1, layers=1)
    kind = torch.tensor([1.0, -1.0]).repeat(8)
    with torch.no_grad():
        model.items.id.copy_(
            torch.where(torch.arange(COUNT + 1)[:, None] % 2 == 0, kind, -kind)
            * (1.0 if content else 1e-6)
        )
        for encoder in set(model.encoders.values()):
            encoder.position.mul_(0 if content else 50)
            linear = encoder.blocks[0].attention.query_key_value
            linear.bias.zero_()
            if content:
                linear.weight[:32] = torch.eye(16).repeat(2, 1)
    return model


def test_a_head_that_attends_to_the_rule_finds_it_and_one_that_attends_to_age_does_not(world):
    generator = np.random.default_rng(0)
    rows = torch.from_numpy(
        np.stack([generator.permutation(np.arange(1, COUNT + 1))[:6] for _ in range(40)])
    )
    batch = Batch(rows, None, torch.zeros(40, dtype=torch.long), torch.arange(40))
    right = (rows % 2 == rows[:, -1:] % 2).numpy()  # served: the kind of the newest event
    agreeing = [torch.from_numpy(row).float() for row in right]
    seeing = known_rule(one_head_model(world, True), batch, right, agreeing).loc[("merged", 1, 1)]
    assert seeing["attention"] > 0.95
    assert seeing["found"]
    assert seeing["agrees"]
    assert seeing["low"] <= seeing["beyond recency"] <= seeing["high"]
    assert seeing["beyond recency"] == pytest.approx(seeing["attention"] - seeing["recency alone"])
    assert not known_rule(
        one_head_model(world, True), batch, right, [-effect for effect in agreeing]
    ).loc[("merged", 1, 1)]["agrees"]
    # Attention beyond recency, not attention, is compared.
    drawn = [torch.from_numpy(generator.normal(size=6)) for _ in right]
    attention = newest_attention(one_head_model(world, True), batch)["merged"][:, 0, 0].numpy()
    beyond = attention - recency_alone(attention, np.ones_like(right))
    compared = known_rule(one_head_model(world, True), batch, right, drawn).loc[("merged", 1, 1)]
    assert compared["occlusion"] == pytest.approx(
        np.mean([spearmanr(*pair).statistic for pair in zip(beyond, drawn)]), abs=1e-6
    )
    wrong = known_rule(one_head_model(world, True), batch, ~right, agreeing).loc[("merged", 1, 1)]
    assert not wrong["found"]
    assert wrong["by chance"] == pytest.approx(np.mean(1 - right.mean(1)[right.mean(1) < 1]))
    ageing = known_rule(one_head_model(world, False), batch, right, agreeing).loc[("merged", 1, 1)]
    assert abs(ageing["beyond recency"]) < 1e-4
    assert abs(ageing["attention"] - ageing["by chance"]) > 0.02


def test_a_head_without_a_counted_case_has_no_number_and_no_warning(world):
    """Histories of one event, all in A: no other domain, nothing earlier, and no event in B."""
    batch = Batch(torch.tensor([[1], [2]]), None, torch.tensor([0, 0]), torch.arange(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = head_table(world.model, batch, world.tags)
    assert (
        table[
            ["other domain", "other domain, recency alone", "same tag", "same tag, recency alone"]
        ]
        .isna()
        .all(axis=None)
    )
    assert table.loc["B", "events back"].isna().all()
    assert (table.loc[["A", "merged"], "events back"] == 0).all()


def test_uniform_attention_changes_the_chosen_head_of_a_copy_only(world):
    batch = case_batch(world.model, world.sequences, [0])
    before = newest_attention(world.model, batch)
    changed = newest_attention(uniform_attention(world.model, "merged", 1, 2), batch)
    assert changed["merged"][0, 0, 1].tolist() == pytest.approx([1 / 6] * 6, abs=1e-5)
    assert torch.equal(changed["merged"][0, 0, 0], before["merged"][0, 0, 0])
    assert torch.equal(changed["A"], before["A"])
    assert world.model.sasrec is not None
    blind = uniform_attention(world.model)
    assert blind.sasrec.encoders[0].blocks[0].attention.lag.abs().max() == 0
    with_weights = blind.sasrec.encoders[0](torch.randn(1, 6, 16), torch.tensor([6]), True)[1][0]
    assert with_weights[0, :, -1].flatten().tolist() == pytest.approx([1 / 6] * 12, abs=1e-5)
    one = uniform_attention(world.model, "merged", 1, 2)
    assert all(
        torch.equal(new, old)
        for new, old in zip(one.sasrec.parameters(), world.model.sasrec.parameters())
    )
    every = newest_attention(blind, batch)
    assert every["merged"][0].flatten().tolist() == pytest.approx([1 / 6] * 24, abs=1e-5)
    assert torch.equal(newest_attention(world.model, batch)["merged"], before["merged"])
