"""Explanations say what the model did: records match histories, removals equal running it again."""

import copy
import itertools
import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from test_reading import (
    COUNT,
    HISTORIES,
    ITEMS_A,
    ITEMS_B,
    LONG,
    answer,
    answers,
    awake,
    close,
    small_world,
    vector_by_hand,
)

from tema_lib.data.batches import Batch
from tema_lib.explain.attention import (
    attention_record,
    case_batch,
    event_attention,
    newest_attention,
    record_of,
)
from tema_lib.explain.composition import ORIGIN, composition
from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.heads import head_table, known_rule, recency_alone, share_on
from tema_lib.explain.occlusion import (
    FIRST,
    NEXT,
    agreement,
    effects,
    explain,
    explanation_of,
    log_probabilities,
    occlusion,
    occlusions,
)
from tema_lib.explain.shapley import shapley_values
from tema_lib.models.baselines import Popularity
from tema_lib.models.item_embedding import ItemInputs


@pytest.fixture(scope="module")
def world():
    return small_world()


# ---- attention records


@pytest.mark.parametrize("row", range(4))
def test_record_holds_the_history_as_titles_and_its_threads(world, row):
    days = [day * day for day in range(len(world.sequences[row]))]
    items, record = (
        world.items,
        attention_record(world.reader, world.sequences, row, times=[86_400 * day for day in days]),
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
def test_every_row_of_weights_sums_to_one_and_never_looks_ahead(world, row):
    record = attention_record(world.reader, world.sequences, row)
    for branch, weights in record.weights.items():
        length = len(record.events[branch])
        assert weights.shape == (2, 2, length, length)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 2, length), atol=1e-5)
        assert float(weights.triu(1).abs().sum()) == 0
    assert sum(record.branch_weights.values()) == pytest.approx(1, abs=1e-5)
    assert all(record.branch_weights[branch] == 0 for branch in "AB" if not record.events[branch])
    assert float(record.event_weights.sum()) == pytest.approx(1, abs=1e-5)


def test_an_empty_history_has_no_weights(world):
    record = record_of(world.reader, [], 0)
    assert record.history == ()
    assert len(record.event_weights) == 0
    assert sum(record.branch_weights.values()) == 0
    assert record.days is None
    assert record.target_rank is None
    assert len(record.spread("A", -1, None, -1)) == 0
    assert [chance for _, chance in record.top["B"]] == pytest.approx([1 / ITEMS_B] * 5, abs=1e-6)


def test_records_agree_with_the_models_own_attention(world):
    """The events' weights by hand: last rows, mean over heads of the last layer, times the branches' shares."""
    batch = case_batch(world.model, world.sequences, [0, 1, 2, 3])
    looked, attention, together = (
        world.model.attention(batch),
        newest_attention(world.model, batch),
        event_attention(world.model, batch),
    )
    for row in range(4):
        record, by_hand = attention_record(world.reader, world.sequences, row), torch.zeros(6)
        across = looked["across"]["weights"][row, int(batch.last[row])]
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
            newest = looked[branch]["weights"][row, :, :, len(positions) - 1, : len(positions)]
            by_hand[positions] += across[number] * newest[-1].mean(0)
            for layer, head in itertools.product((0, 1), (0, 1)):
                spread = record.spread(branch, layer, head, -1)
                assert close(spread[positions], newest[layer, head])
                assert close(spread.sum(), 1.0)
                assert close(attention[branch][row, layer, head, : len(spread)], spread)
            assert close(
                record.spread(branch, 0, None, 0)[positions[0]], 1.0
            )  # the first event sees itself only
            assert close(record.spread(branch, 1, None, -1)[positions], newest[1].mean(0))
        length = len(record.history)
        assert close(record.event_weights, by_hand[:length])
        assert close(together[row], by_hand)
        assert by_hand[length:].abs().sum() == 0


def test_top_items_are_new_in_each_shop_and_sorted(world):
    record = attention_record(world.reader, world.sequences, 0, top=3)
    for domain, name in enumerate("AB"):
        best, chances = record.top[name], [chance for _, chance in record.top[name]]
        right = answers(world.model, LONG, domain).exp()
        free = [item for item in world.reader.of_domain[domain].tolist() if item not in LONG]
        by_hand = sorted(free, key=lambda item: -float(right[item - 1 - ITEMS_A * domain]))[:3]
        assert [event.item for event, _ in best] == by_hand
        assert all(event.domain == name for event, _ in best)
        assert chances == sorted(chances, reverse=True)
        assert chances[-1] > 0
        assert chances[0] <= 1
        assert chances == pytest.approx(
            [float(right[item - 1 - ITEMS_A * domain]) for item in by_hand], abs=1e-5
        )
    other = record_of(
        world.reader, LONG, 1, seen=[12], top=COUNT
    )  # what was really bought, whatever the history says
    assert {event.item for event, _ in other.top["B"]} == {9, 10, 11, 13, 14, 15}
    assert len(other.top["A"]) == ITEMS_A


# ---- occlusion


def test_occlusion_equals_brute_force_alone_and_in_company(world):
    cases = [(LONG, 12), ([1, 4, 6], 9), ([13], 2), ([2, 9, 2, 3], 1), ([], 2)]
    together = occlusions(world.model, *map(list, zip(*cases)), world.items)
    for (history, target), effect in zip(cases, together):
        whole = answer(world.model, history, target)
        brute = [
            whole - answer(world.model, history[:position] + history[position + 1 :], target)
            for position in range(len(history))
        ]
        assert effect.tolist() == pytest.approx(brute, abs=1e-5)
        assert occlusion(world.model, history, target, world.items).tolist() == pytest.approx(
            brute, abs=1e-5
        )
    assert together[0].abs().max() > 1e-2  # something is being compared


def test_log_probabilities_answer_for_targets_of_both_shops_at_once(world):
    targets = [2, 9, 12, 8, 15, 1]
    found = log_probabilities(world.model.train(), list(HISTORIES), targets, world.items)
    assert world.model.training
    assert found.tolist() == pytest.approx(
        [
            answer(world.model.eval(), history, target)
            for history, target in zip(HISTORIES, targets)
        ],
        abs=2e-5,
    )


def test_no_older_event_slips_in_for_a_removed_one(world):
    long, window = [6, 7, 1, 9, 4], [1, 9, 4]
    assert torch.equal(
        occlusion(world.model, long, 12, world.items, max_length=3),
        occlusion(world.model, window, 12, world.items),
    )
    assert float(
        log_probabilities(world.model, [long], 12, world.items, max_length=3)[0]
    ) == pytest.approx(answer(world.model, window, 12), abs=1e-5)


def test_occlusion_of_a_system_that_ignores_history_is_zero(world):
    popularity = Popularity(torch.from_numpy(world.items.domain_of_item))
    popularity.fit_statistics(world.sequences)
    assert occlusion(popularity, [1, 9, 4], 12, world.items).abs().max() == 0
    counts = np.bincount(world.sequences.items, minlength=COUNT + 1)[9:]
    by_hand = math.log(math.exp(counts[0]) / np.exp(counts).sum())
    assert log_probabilities(popularity, [[1], [9, 4]], 9, world.items).tolist() == pytest.approx(
        [by_hand] * 2, abs=1e-5
    )


# ---- effects


def test_effects_equal_brute_force(world):
    """Everything that can be taken away, by tables and histories changed by hand, asked along the path that ranks."""
    target, candidates, plain = 12, [13, 14, 15], world.reader.inputs
    compared = world.reader.outputs

    def brute(history=LONG, table=plain, compared=compared):
        chances = answers(world.model, history, 1, table, compared).tolist()
        return whole - chances[target - 9], 1 + sum(
            chances[candidate - 9] > chances[target - 9] for candidate in candidates
        )

    whole = answer(world.model, LONG, target)
    found = effects(world.reader, LONG, [target, 13], draws=2)[0]
    assert (found.target.item, found.log_probability, found.rank) == (
        target,
        pytest.approx(whole, abs=2e-5),
        brute()[1],
    )

    def same(effect, expected):
        assert effect.lost == pytest.approx(expected[0], abs=3e-5)
        assert effect.rank == expected[1]
        return expected

    checked = [
        same(effect, brute(LONG[:position] + LONG[position + 1 :]))
        for position, effect in enumerate(found.events)
    ]
    assert [effect.lost for effect in found.events] == pytest.approx(
        occlusion(world.model, LONG, target, world.items).tolist(), abs=2e-5
    )

    def less(item, name):
        return [tag for tag in world.reader.own_tags(item) if world.tags.vocabulary[tag] != name]

    for item, row in zip(LONG, found.tags, strict=True):
        assert [name for name, _ in row] == [
            world.tags.vocabulary[tag] for tag in world.reader.own_tags(item)
        ]
        for name, effect in row:
            table = plain.clone()
            table[item] = vector_by_hand(world, item, less(item, name))
            checked.append(same(effect, brute(table=table)))
    assert [name for name, _ in found.own_tags] == [
        world.tags.vocabulary[tag] for tag in world.reader.own_tags(target)
    ]
    for name, effect in found.own_tags:
        other = compared.clone()
        other[target] = F.normalize(vector_by_hand(world, target, less(target, name)), dim=0)
        checked.append(same(effect, brute(compared=other)))
    assert set(found.modalities) == {"id", "text", "tags"}
    assert len(found.events) == 6
    assert sum(map(len, found.tags)) == 15
    for modality, effect in found.modalities.items():
        with torch.no_grad():
            parts = world.model.items.parts()
            for own in world.reader.of_domain:
                parts[modality] = parts[modality].clone()
                parts[modality][own] = parts[modality][own].mean(0)
            table = sum(parts.values())
        checked.append(same(effect, brute(table=table, compared=F.normalize(table, dim=1))))
    assert max(abs(lost) for lost, _ in checked) > 0.1
    assert len({rank for _, rank in checked}) > 1


def test_effects_leave_out_what_the_model_has_not(world):
    found = effects(
        CounterfactualModel(
            awake(world.inputs, modalities=("id",)), world.items, world.tags, world.text
        ),
        [1, 9],
        [12],
        draws=2,
    )[0]
    assert found.modalities == {}
    assert found.own_tags == ()
    assert found.tags == ((), ())
    assert len(found.events) == 2


def exact_shapley_values(value, count):
    """Shapley's own formula, over all subsets."""
    shares = []
    for event in range(count):
        rest, share = [position for position in range(count) if position != event], 0.0
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            share += weight * sum(
                value({*part, event}) - value(set(part))
                for part in itertools.combinations(rest, size)
            )
        shares.append(share)
    return shares


def test_fair_shares_are_shapley_values_that_sum_to_what_the_history_adds(world):
    history, targets = [1, 9, 4, 10], [12, 3]
    shares, errors = shapley_values(world.reader, history, targets, draws=1000)
    for line, target in enumerate(targets):

        def value(part):
            return answer(world.model, [history[position] for position in sorted(part)], target)

        exact = exact_shapley_values(value, 4)
        assert (abs(shares[line] - torch.tensor(exact)) <= 4 * errors[line] + 1e-5).all()
        assert errors[line].max() < max(map(abs, exact)) / 5
        assert float(shares[line].sum()) == pytest.approx(
            value({0, 1, 2, 3}) - value(set()), abs=1e-4
        )
    few = shapley_values(world.reader, history, targets, draws=3)[0].sum(1)
    assert close(few, shares.sum(1), 1e-4)  # with any number of draws


def test_the_standard_error_is_how_far_other_draws_lie(world):
    drawn = [
        shapley_values(world.reader, [1, 9, 4, 10], [12], draws=25, seed=seed) for seed in range(60)
    ]
    means, errors = (torch.stack(column)[:, 0] for column in zip(*drawn))
    assert (means.std(0) / errors.mean(0)).sub(1).abs().max() < 0.35
    narrow = shapley_values(world.reader, [1, 9, 4, 10], [12], draws=400)[1]
    assert (errors.mean(0) / narrow[0]).sub(4).abs().max() < 0.8
    assert torch.equal(
        shapley_values(world.reader, [1, 9, 4, 10], [12], draws=25, seed=3)[0][0], means[3]
    )
    assert not torch.equal(means[3], means[4])


def test_fair_shares_where_the_answer_is_known(world):
    """A neighbour of the same kind changes nothing but its own order, so the two share alike; who hears nothing gives nothing."""
    shares, errors = shapley_values(world.reader, [4, 9, 9, 1], [12], draws=600)
    assert abs(shares[0, 1] - shares[0, 2]) < 4 * (errors[0, 1] + errors[0, 2])
    assert abs(shares[0, 1]) > 4 * errors[0, 1]
    one = shapley_values(world.reader, [9], [12])
    assert float(one[0]) == pytest.approx(
        answer(world.model, [9], 12) - answer(world.model, [], 12), abs=1e-5
    )
    assert float(one[1]) < 1e-6
    deaf = copy.deepcopy(world.model)
    torch.nn.init.zeros_(deaf.across.value)
    assert (
        shapley_values(CounterfactualModel(deaf, world.items), LONG, [12, 3])[0].abs().max() < 1e-6
    )


def test_an_explanation_covers_the_truth_and_the_first_recommendation(world):
    found = explain(world.reader, world.control, world.sequences, 0)
    first = found.record.top["B"][0][0]
    assert list(found.effects) == [NEXT, FIRST]
    assert found.effects[NEXT].target.item == 12
    assert found.effects[FIRST].target == first
    assert found.effects[FIRST].rank == 1
    assert found.record.target_rank == found.effects[NEXT].rank
    assert found.control.history == found.record.history
    assert not close(found.control.event_weights, found.record.event_weights, 1e-2)
    made_up = explanation_of(world.reader, world.control, [1, 9], 0, seen=[1, 9, 3, 4])
    assert list(made_up.effects) == [FIRST]
    assert made_up.effects[FIRST].target.item in {2, 5, 6, 7, 8}
    assert made_up.effects[FIRST].rank == 1
    assert made_up.effects[FIRST].target.domain == "A"


def test_an_empty_history_is_explained_by_nothing(world):
    found = explanation_of(world.reader, world.control, [], 0)
    assert found.effects[FIRST].events == ()
    assert len(found.effects[FIRST].shares) == 0


# ---- agreement


def test_agreement_is_a_rank_correlation():
    assert agreement([0.1, 0.2, 0.7], [1, 2, 50]) == pytest.approx(1)
    assert agreement([0.1, 0.2, 0.7], [3, 2, 1]) == pytest.approx(-1)
    assert np.isnan(agreement([0.4, 0.5], [1, 2]))
    assert np.isnan(agreement([1, 2, 3], [0, 0, 0]))
    assert np.isnan(agreement([2, 2, 2], [0, 1, 2]))
    with pytest.raises(ValueError, match="2 weights beside 3 effects"):
        agreement([1, 2], [1, 2, 3])


def test_an_explanation_compares_the_newest_look_with_what_decided_in_its_thread(world):
    found = explain(world.reader, world.control, world.sequences, 0)
    events = found.effects[NEXT].events
    for control, record in ((False, found.record), (True, found.control)):
        for layer, head in ((-1, None), (0, 1)):
            weights = record.weights["B"][layer][:, -1]
            look = (weights.mean(0) if head is None else weights[head]).numpy()
            lost = spearmanr(look, [events[position].lost for position in (1, 3, 4)]).statistic
            share = spearmanr(look, found.effects[NEXT].shares[[1, 3, 4]]).statistic
            assert found.agreement(NEXT, "B", layer, head, control) == pytest.approx((lost, share))
    every = [
        found.agreement(NEXT, "merged", layer, head, control)
        for layer in (0, 1)
        for head in (0, 1)
        for control in (False, True)
    ]
    assert len(set(every)) > 4
    assert found.agreement(NEXT, "merged") != found.agreement(NEXT, "merged", control=True)
    assert found.agreement(NEXT, "merged") != found.agreement(FIRST, "merged")
    assert np.isnan(
        explain(world.reader, world.control, world.sequences, 1).agreement(NEXT, "B")
    ).all()


# ---- one item


def degrees(one, other):
    return math.degrees(
        math.acos(float(one @ other) / math.sqrt(float(one @ one) * float(other @ other)))
    )


@pytest.mark.parametrize("item", [4, 5, 6, 12])
def test_an_item_turns_by_the_angle_between_whole_and_rest(world, item):
    found, own, whole = (
        composition(world.reader, item),
        world.reader.own_tags(item),
        world.reader.inputs[item],
    )
    assert [modality.name for modality in found.modalities] == ["id", "text", "tags"]
    parts = {modality: share.detach() for modality, share in world.model.items.parts().items()}
    for modality in found.modalities:
        other = (
            whole
            - parts[modality.name][item]
            + parts[modality.name][world.reader.of_domain[int(item > ITEMS_A)]].mean(0)
        )
        assert modality.turn == pytest.approx(degrees(whole, other), abs=0.05)
        assert modality.turn > 0.3
        assert modality.length == pytest.approx(float(parts[modality.name][item].norm()), abs=1e-5)
    assert [(tag.name, tag.weight) for tag in found.tags] == [
        (name, weight) for name, weight, _ in world.tags.tags_of(item)
    ]
    assert [tag.origin for tag in found.tags] == list(ORIGIN.values())[: len(own)]
    for tag, number in zip(found.tags, own, strict=True):
        other = vector_by_hand(world, item, [other for other in own if other != number])
        assert tag.turn == pytest.approx(degrees(whole, other), abs=0.05)
    assert not own or max(tag.turn for tag in found.tags) > 2
    assert found.replies == world.tags.raw_replies[item] == (f"reply <i>{item}", "again")
    assert found.item.item == item


def test_neighbours_are_the_nearest_others_with_and_without_tags(world):
    for item in (4, 12):
        found = composition(world.reader, item, count=7)
        blind = torch.stack(
            [
                vector_by_hand(world, other, world.reader.own_tags(other), ("tags",))
                for other in range(1, COUNT + 1)
            ]
        )
        for vectors, near in (
            (world.reader.inputs[1:], found.neighbours),
            (blind, found.neighbours_without),
        ):

            def alike(other):
                return float(F.cosine_similarity(vectors[item - 1], vectors[other - 1], dim=0))

            for domain, name in enumerate("AB"):
                others = sorted(
                    (other for other in world.reader.of_domain[domain].tolist() if other != item),
                    key=alike,
                    reverse=True,
                )[:7]
                assert [event.item for event, _ in near[name]] == others
                assert [cosine for _, cosine in near[name]] == pytest.approx(
                    [alike(other) for other in others], abs=1e-5
                )
    assert found.neighbours != found.neighbours_without


def test_an_item_of_a_model_with_one_view_is_not_taken_apart(world):
    found = composition(
        CounterfactualModel(awake(world.inputs, modalities=("id",)), world.items), 4
    )
    assert found.modalities == found.tags == found.replies == ()
    assert found.neighbours_without == {}
    assert len(found.neighbours["A"]) == 5
    with pytest.raises(ValueError, match="16 is no item"):
        composition(world.reader, 16)


# ---- heads

LOOKS = np.array([[0.2, 0.8, 0], [0.5, 0.25, 0.25], [0, 0, 0], [0.4, 0, 0.6]])
HERE = np.array(
    [[True, True, False], [True, True, True], [False, False, False], [True, False, True]]
)


def test_recency_alone_is_the_mean_look_at_each_age_among_equally_long_histories():
    """Two events (first and last row): the older gets (.2 + .4) / 2 = .3; three events: that case stands alone."""
    assert recency_alone(LOOKS, HERE) == pytest.approx(
        np.array([[0.3, 0.7, 0], [0.5, 0.25, 0.25], [0, 0, 0], [0.3, 0, 0.7]])
    )
    assert (recency_alone(np.zeros((2, 3)), np.zeros((2, 3), bool)) == 0).all()


def test_attention_that_prefers_nothing_prefers_nothing_beyond_recency():
    """Pooled over short and long histories the baseline would be too recent, and uniform attention would seem to prefer old events."""
    here = np.arange(9) < np.random.default_rng(0).integers(1, 10, size=(300, 1))
    uniform = here / here.sum(1, keepdims=True)
    found, recency, chance = share_on(
        uniform, here, np.random.default_rng(1).random(here.shape) < 0.4
    )
    assert found == pytest.approx(recency)
    assert found == pytest.approx(chance)
    assert len(found) > 100


def test_the_share_on_right_events_counts_open_questions_only():
    right = np.array(
        [[True, False, True], [False, True, True], [True, True, True], [True, True, True]]
    )  # where there is no event, right means nothing
    shares = share_on(LOOKS, HERE, right)
    for found, expected in zip(shares, ([0.2, 0.5], [0.3, 0.5], [1 / 2, 2 / 3])):
        assert found == pytest.approx(np.array(expected))
    closed = share_on(
        LOOKS, HERE, np.array([[True] * 3, [False] * 3, [False] * 3, [False, True, False]])
    )
    assert [len(share) for share in closed] == [0, 0, 0]


def test_the_table_of_heads_equals_counting_by_hand(world):
    histories = [
        [2, 9, 4, 2, 3, 10, 11, 1],
        [5, 9, 3, 10, 6],
        [4, 10, 2, 9, 1],
    ]  # items 5 and 6 have room for a tag in common: nothing
    batch = Batch(
        torch.tensor([history + [0] * (8 - len(history)) for history in histories]),
        None,
        torch.tensor([0, 0, 0]),
        torch.tensor([0, 1, 2]),
    )
    table = head_table(world.model, batch, world.tags)
    records = [record_of(world.reader, history, 0) for history in histories]
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
            length: np.mean([look for look in attention if len(look) == length], 0)
            for length in set(map(len, attention))
        }
        measures = {
            "same tag": lambda event, newest, age: age > 0 and set(event.tags) & set(newest.tags)
        }
        if branch == "merged":
            measures["other domain"] = lambda event, newest, age: event.domain != newest.domain
        for name, is_right in measures.items():
            found, alone = [], []
            for record, look in zip(records, attention):
                events = record.events[branch][::-1]
                right = [age for age, event in enumerate(events) if is_right(event, events[0], age)]
                if 0 < len(right) < len(events):
                    found.append(sum(look[age] for age in right))
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


def looking_model(world, content):
    """One head whose newest event looks at its own kind (odd or even ids), or at places only, whatever stands there."""
    model = awake(ItemInputs(world.inputs.domain_of_item), modalities=("id",), heads=1, layers=1)
    kind = torch.tensor([1.0, -1.0]).repeat(8)
    with torch.no_grad():
        model.items.id.copy_(
            torch.where(torch.arange(COUNT + 1)[:, None] % 2 == 0, kind, -kind)
            * (1.0 if content else 1e-6)
        )
        for encoder in model.encoders.values():
            encoder.position.mul_(0 if content else 50)
            linear = encoder.blocks[0].attention.query_key_value
            linear.bias.zero_()
            if content:
                linear.weight[:32] = torch.eye(16).repeat(2, 1)
    return model


def test_the_planted_rule_is_found_by_who_looks_at_it_and_not_by_who_looks_at_age(world):
    generator = np.random.default_rng(0)
    rows = torch.from_numpy(
        np.stack([generator.permutation(np.arange(1, COUNT + 1))[:6] for _ in range(40)])
    )
    batch = Batch(rows, None, torch.zeros(40, dtype=torch.long), torch.arange(40))
    right = (rows % 2 == rows[:, -1:] % 2).numpy()  # served: the kind of the newest event
    agreeing = [torch.from_numpy(row).float() for row in right]
    seeing = known_rule(looking_model(world, True), batch, right, agreeing).loc[("merged", 1, 1)]
    assert seeing["attention"] > 0.95
    assert seeing["found"]
    assert seeing["agrees"]
    assert seeing["low"] <= seeing["beyond recency"] <= seeing["high"]
    assert seeing["beyond recency"] == pytest.approx(seeing["attention"] - seeing["recency alone"])
    assert not known_rule(
        looking_model(world, True), batch, right, [-effect for effect in agreeing]
    ).loc[("merged", 1, 1)]["agrees"]
    drawn = [
        torch.from_numpy(generator.normal(size=6)) for _ in right
    ]  # attention beyond recency, not attention, is compared
    attention = newest_attention(looking_model(world, True), batch)["merged"][:, 0, 0].numpy()
    beyond = attention - recency_alone(attention, np.ones_like(right))
    compared = known_rule(looking_model(world, True), batch, right, drawn).loc[("merged", 1, 1)]
    assert compared["occlusion"] == pytest.approx(
        np.mean([spearmanr(*pair).statistic for pair in zip(beyond, drawn)]), abs=1e-6
    )
    wrong = known_rule(looking_model(world, True), batch, ~right, agreeing).loc[("merged", 1, 1)]
    assert not wrong["found"]
    assert wrong["by chance"] == pytest.approx(np.mean(1 - right.mean(1)[right.mean(1) < 1]))
    ageing = known_rule(looking_model(world, False), batch, right, agreeing).loc[("merged", 1, 1)]
    assert abs(ageing["beyond recency"]) < 1e-4
    assert abs(ageing["attention"] - ageing["by chance"]) > 0.02


def test_a_head_that_was_never_asked_has_no_number_and_warns_nobody(world):
    """Histories of one event, all in one domain: nothing crosses, nothing is earlier, and branch B is empty."""
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
