"""CounterfactualModel predicts what the model predicts, for real and for edited histories."""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tema_lib.data.batches import Batch
from tema_lib.evaluation.ranking import evaluate
from tema_lib.explain.attention import (
    attention_record,
    record_of,
)
from tema_lib.explain.counterfactual import CounterfactualModel, CounterfactualOutput, Interaction
from tema_lib.explain.explanation import NEXT, explain
from tema_lib.tags.weigh import weigh
from tests.helpers.explain import (
    COUNT,
    HISTORIES,
    ITEMS_A,
    LONG,
    answer,
    answers,
    awake,
    close,
    vector_by_hand,
)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"branches": ("merged",)},
        {"branches": ("B", "A")},
        {"modalities": ("id",)},
        {"tag_weighting": "learned"},
        {"late_fusion": False},
    ],
    ids=str,
)
def test_predictions_equal_the_scores_of_the_model(world, config):
    """All histories in one batch against each alone: padding and company change nothing."""
    counterfactual = CounterfactualModel(awake(world.inputs, **config), world.items)
    together = counterfactual.predict(HISTORIES)
    for line, history in enumerate(HISTORIES):
        for domain, own in enumerate(counterfactual.of_domain):
            assert close(
                together.log_probability[line, own],
                answers(counterfactual.model, history, domain),
                2e-5,
            )
    assert together.log_probability[:, 0].eq(-torch.inf).all()
    spread = together.log_probability[4, 1:]
    assert spread.max() - spread.min() > 0.1  # something is being compared
    assert list(together.weights) == list(counterfactual.model.config.branches)
    assert together.across.shape == (6, 2, len(together.weights))


def test_an_interaction_spelled_out_is_the_plain_item(world):
    spelled = [
        Interaction(item, int(item > ITEMS_A), world.counterfactual.own_tags(item)) for item in LONG
    ]
    assert torch.equal(
        world.counterfactual.predict([spelled]).log_probability,
        world.counterfactual.predict([LONG]).log_probability,
    )
    assert torch.equal(
        world.counterfactual.fused(
            [Interaction(item, tags=world.counterfactual.own_tags(item)) for item in LONG]
        ),
        world.counterfactual.inputs[LONG],
    )


def test_only_the_newest_events_are_read(world):
    short = CounterfactualModel(world.model, world.items, max_length=3)
    assert close(
        short.predict([LONG]).log_probability,
        world.counterfactual.predict([LONG[-3:]]).log_probability,
    )
    assert not close(
        short.predict([LONG]).log_probability,
        world.counterfactual.predict([LONG]).log_probability,
        1e-2,
    )


def test_an_unknown_item_is_refused(world):
    for item in (99, 0, 16):
        with pytest.raises(
            ValueError, match=f"^item {item} does not exist: global ids run from 1 to 15.$"
        ):
            world.counterfactual.predict([[1, item]])


@pytest.mark.parametrize(
    ("item", "tags"),
    [(4, ()), (4, (1, 5)), (10, (2,)), (12, (1, 2, 3, 4, 5)), (5, (3,)), (3, (2, 4)), (6, ())],
)
def test_an_event_with_other_tags_is_read_with_the_vector_of_these_tags(world, item, tags):
    by_hand = vector_by_hand(world, item, tags)
    assert close(world.counterfactual.fused([Interaction(item, tags=tags)])[0], by_hand)
    assert not close(by_hand, world.counterfactual.inputs[item], 1e-2)
    history = [1, item, 9]  # the table for the oracle: only this item is another
    table = world.counterfactual.inputs.clone()
    read = world.counterfactual.predict([[1, Interaction(item, tags=tags), 9], history])
    table[item] = by_hand
    for domain, own in enumerate(world.counterfactual.of_domain):
        assert close(
            read.log_probability[0, own], answers(world.model, history, domain, table), 2e-5
        )
        assert close(read.log_probability[1, own], answers(world.model, history, domain), 2e-5)


def test_edited_and_plain_events_keep_their_own_vectors(world):
    mixed = world.counterfactual.fused(
        [
            Interaction(9),
            Interaction(4, tags=(2, 5)),
            Interaction(4),
            Interaction(12, tags=(1, 4, 5)),
        ]
    )
    by_hand = [
        world.counterfactual.inputs[9],
        vector_by_hand(world, 4, (2, 5)),
        world.counterfactual.inputs[4],
        vector_by_hand(world, 12, (1, 4, 5)),
    ]
    assert close(mixed, torch.stack(by_hand))


def test_learned_weights_apply_to_edited_tags_too(world):
    model = awake(world.inputs, tag_weighting="learned")
    torch.nn.init.normal_(model.items.weigh)
    other = copy.deepcopy(model)  # a domain where item 4 truly carries the tags 2 and 5
    other.items.tag_ids[4] = torch.tensor([2, 5, 0])
    other.items.tag_weights[4] = weigh(other.items.tag_ids, world.tags.vectors, world.text)[4]
    with torch.no_grad():
        assert close(
            CounterfactualModel(model, world.items, world.tags, world.text).fused(
                [Interaction(4, tags=(2, 5))]
            )[0],
            other.items()[4],
        )


def test_an_event_counted_in_the_other_domain_is_as_if_its_item_belonged_there(world):
    other = copy.deepcopy(world.model)
    other.domain_of_item[4] = 1
    edited = [Interaction(4, domain=1) if item == 4 else item for item in LONG]
    read, plain = world.counterfactual.predict([edited]), world.counterfactual.predict([LONG])
    with torch.no_grad():
        batch = Batch(torch.tensor([LONG]), None, torch.tensor([1]), torch.tensor([0]))
        scores = other.score(batch, world.counterfactual.of_domain[1])[0]
    assert close(read.log_probability[0, 9:], scores.log_softmax(0), 2e-5)
    assert not close(read.log_probability, plain.log_probability, 1e-2)
    assert [read.weights[branch].size(-1) for branch in ("A", "B", "merged")] == [2, 4, 6]
    record = record_of(world.counterfactual, edited, 1)
    assert [event.item for event in record.events["B"]] == [9, 4, 10, 11]
    assert [event.item for event in record.events["A"]] == [1, 5]
    assert record.history[2].domain == "B"


def test_without_tags_only_domains_can_be_edited(world):
    for counterfactual in (
        CounterfactualModel(world.model, world.items),
        CounterfactualModel(world.model, world.items, world.tags),
    ):
        with pytest.raises(
            ValueError,
            match="tags can be edited only in a model with tags: "
            "give its `tags` and `text` to CounterfactualModel.",
        ):
            counterfactual.predict([[Interaction(4, tags=(1,))]])
        assert torch.isfinite(
            counterfactual.predict([[Interaction(4, domain=1)]]).log_probability[:, 1:]
        ).all()
    bare = CounterfactualModel(
        awake(world.inputs, modalities=("id", "text")), world.items, world.tags, world.text
    )
    with pytest.raises(ValueError, match="only in a model with tags"):
        bare.fused([Interaction(4, tags=())])


def test_a_missing_modality_no_longer_distinguishes_items(world):
    blind = world.counterfactual.without("text", "id")
    for item in (3, 5, 12):
        own = world.counterfactual.own_tags(item)
        if own:
            assert close(blind.inputs[item], vector_by_hand(world, item, own, ("text", "id")))
    twins = copy.deepcopy(world.model)
    with torch.no_grad():  # items 7 and 8 now differ in their tags only
        twins.items.id[8] = twins.items.id[7]
        twins.items.text_features[8] = twins.items.text_features[7]
    counterfactual = CounterfactualModel(twins, world.items)
    assert not close(counterfactual.inputs[7], counterfactual.inputs[8], 1e-2)
    assert close(
        counterfactual.without("tags").outputs[7], counterfactual.without("tags").outputs[8]
    )
    assert not close(
        counterfactual.without("text").inputs[7], counterfactual.without("text").inputs[8], 1e-2
    )
    assert torch.equal(
        counterfactual.without("id").without("text").inputs,
        counterfactual.without("text", "id").inputs,
    )
    assert close(blind.outputs.norm(dim=1)[1:], torch.ones(COUNT))
    assert torch.equal(world.counterfactual.inputs, world.model.items())
    with pytest.raises(
        ValueError, match="this model has no modality image: choose from id, text, tags."
    ):
        world.counterfactual.without("tags", "image")


def test_an_edited_event_stays_without_a_missing_modality(world):
    for modalities in (("text",), ("tags",)):
        assert close(
            world.counterfactual.without(*modalities).fused([Interaction(4, tags=(2, 5))])[0],
            vector_by_hand(world, 4, (2, 5), modalities),
        )


def test_other_tags_change_one_item_only(world):
    other = world.counterfactual.with_tags(4, [2, 5])
    rest = [item for item in range(COUNT + 1) if item != 4]
    assert close(other.inputs[4], vector_by_hand(world, 4, (2, 5)))
    assert close(other.outputs[4], F.normalize(other.inputs[4], dim=0))
    assert torch.equal(other.inputs[rest], world.counterfactual.inputs[rest])
    assert torch.equal(other.outputs[rest], world.counterfactual.outputs[rest])
    assert not close(world.counterfactual.inputs[4], other.inputs[4], 1e-2)


def test_ties_get_their_mean_rank_and_padding_never_competes():
    scores = torch.tensor([[-torch.inf, -1, -2, -2, -2, -3], [-torch.inf, -1, -1, -1, -1, -1]])
    reading = CounterfactualOutput(scores, {}, torch.zeros(0))
    for target, expected in ((1, [1, 3]), (3, [3, 3]), (5, [5, 3])):
        candidates = torch.tensor([item for item in range(1, 6) if item != target])
        assert reading.rank(target, candidates).tolist() == expected
    assert reading.rank(3, torch.tensor([2, 5])).tolist() == [1.5, 2]


def test_candidates_are_the_unseen_items_of_the_domain(world):
    assert world.counterfactual.candidates(12, [9, 4, 9]).tolist() == [
        10,
        11,
        13,
        14,
        15,
    ]
    assert world.counterfactual.candidates(1, []).tolist() == [2, 3, 4, 5, 6, 7, 8]


def test_ranks_agree_with_the_evaluation(world):
    ranks = evaluate(
        world.model, world.sequences, torch.from_numpy(world.items.domain_of_item)
    ).rank
    for row in range(4):
        *history, target = world.sequences[row].tolist()
        assert (
            float(
                world.counterfactual.predict([history]).rank(
                    target, world.counterfactual.candidates(target, history)
                )[0]
            )
            == ranks[row]
        )
        record = attention_record(world.counterfactual, world.sequences, row)
        assert record.target_rank == ranks[row]
        assert record.target_probability == pytest.approx(
            math.exp(answer(world.model, history, target)), abs=1e-5
        )
    assert len(set(ranks)) > 1


def test_items_seen_before_the_window_are_not_candidates_either(world):
    """As in the evaluation, which leaves out everything that a user has ever seen."""
    short = copy.deepcopy(world.model)
    short.config = replace(short.config, max_length=1)
    counterfactual = CounterfactualModel(short, world.items, world.tags, world.text)
    ranks = evaluate(short, world.sequences, torch.from_numpy(world.items.domain_of_item)).rank
    for row in range(4):
        seen = set(world.sequences[row][:-1].tolist())
        found = explain(counterfactual, counterfactual, world.sequences, row, top=COUNT)
        assert found.record.target_rank == ranks[row] == found.effects[NEXT].rank
        assert not seen & {event.item for best in found.record.top.values() for event, _ in best}
