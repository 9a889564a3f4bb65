"""A reader says what the model says, of histories as they are and of edited ones; here too is the small world of the other explanation tests."""

import copy
import itertools
import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import Items
from tema_lib.data.sequences import Sequences
from tema_lib.encoders.features import ItemFeatures
from tema_lib.evaluation.ranking import evaluate
from tema_lib.explain import what_if
from tema_lib.explain.attention import attention_record, record_of
from tema_lib.explain.counterfactual import CounterfactualModel, CounterfactualOutput, Interaction
from tema_lib.explain.occlusion import NEXT, explain
from tema_lib.models.item_embedding import ItemInputs
from tema_lib.models.tema import Tema, TemaConfig
from tema_lib.tags.item_tags import ItemTags
from tema_lib.tags.weigh import weigh

ITEMS_A, ITEMS_B = 8, 7
COUNT = ITEMS_A + ITEMS_B
NASTY = '$5 or $6 <script>alert("x")</script> & tea'  # the signs stand where a label is not cut
TAG = 'to "share" <b>$'
HISTORIES = ([], [13], [1, 4, 6], [9, 10], [1, 9, 4, 10, 11, 5], [2, 9, 2, 3])
LONG = HISTORIES[4]


class World(NamedTuple):
    items: Items
    sequences: Sequences
    text: ItemFeatures
    tags: ItemTags
    inputs: ItemInputs
    model: Tema
    reader: CounterfactualModel
    control: CounterfactualModel


def awake(inputs, seed=1, **config):
    torch.manual_seed(seed)
    model = Tema(
        inputs,
        TemaConfig(
            **{"modalities": ("id", "text", "tags"), "hidden": 16, "heads": 2, "layers": 2} | config
        ),
    )
    torch.nn.init.normal_(
        model.across.query
    )  # zero at the start: all branches alike, which would hide mistakes
    return model.eval()


def small_world():
    """u0 domains in both, u1 only in A with a target in B, u2 has one event, u3 buys the item with the nasty title twice.

    Item 3 has no title, item 5 no tag, item 6 a single one.
    """
    titles = ["", *(f"Good number {item}" for item in range(1, COUNT + 1))]
    titles[2], titles[3] = NASTY, ""
    domain = np.array([-1] + [0] * ITEMS_A + [1] * ITEMS_B)
    ids = ("", *(f"i{item}" for item in range(1, COUNT + 1)))
    items = Items(
        ids,
        tuple(titles),
        ("",) * (COUNT + 1),
        (None,) * (COUNT + 1),
        domain,
        {name: item for item, name in enumerate(ids) if item},
    )
    rows = [[1, 9, 4, 10, 11, 5, 12], [1, 4, 6, 9], [13, 2], [2, 9, 2, 3, 1]]
    sequences = Sequences(
        ("u0", "u1", "u2", "u3"),
        torch.tensor(sum(rows, [])),
        torch.tensor([0, *map(len, rows)]).cumsum(0),
    )
    torch.manual_seed(0)
    text = ItemFeatures(
        F.normalize(torch.randn(COUNT + 1, 12), dim=1), torch.arange(COUNT + 1) > 0, "text", ""
    )
    text.matrix[[0, 3]], text.present[3] = 0, False
    vectors = F.normalize(torch.randn(6, 12), dim=1)
    vectors[0] = 0
    tag_ids = torch.stack([torch.randperm(5)[:3] + 1 for _ in range(COUNT + 1)])
    tag_ids[[0, 5]], tag_ids[6, 1:], tag_ids[2, 0] = 0, 0, 1
    tag_ids[2, 1:] = torch.tensor([3, 4])
    replies = ((), *((f"reply <i>{item}", "again") for item in range(1, COUNT + 1)))
    tags = ItemTags(
        ("", TAG, "salty", "warm", "for one", "old"),
        tag_ids,
        weigh(tag_ids, vectors, text),
        (tag_ids > 0).to(torch.int8) * torch.tensor([1, 2, 3], dtype=torch.int8),
        vectors,
        torch.from_numpy(domain),
        replies,
    )
    inputs = ItemInputs(
        torch.from_numpy(domain),
        text.matrix,
        text.present,
        tag_ids=tag_ids,
        tag_weights=tags.weights,
        tag_vectors=vectors,
    )
    model = awake(inputs)
    return World(
        items,
        sequences,
        text,
        tags,
        inputs,
        model,
        CounterfactualModel(model, items, tags, text),
        CounterfactualModel(awake(inputs, seed=2), items, tags, text),
    )


@pytest.fixture(scope="module")
def world():
    return small_world()


def answers(model, history, domain, table=None, compared=None):
    """log P of all items of a domain: the path that ranks, one history without padding, the softmax written out; other vectors where given."""
    batch = Batch(torch.tensor([history or [0]]), None, torch.tensor([domain]), torch.tensor([0]))
    with torch.no_grad():
        inputs, outputs = model.item_embeddings()
        state = model.last_hidden_states(batch, inputs if table is None else table)[0]
        odds = (
            ((outputs if compared is None else compared)[model.domain_of_item == domain] @ state)
            .double()
            .exp()
        )
    return torch.log(odds / odds.sum()).float()


def answer(model, history, target, *vectors):
    domain = int(target > ITEMS_A)
    return float(answers(model, history, domain, *vectors)[target - 1 - ITEMS_A * domain])


def vector_by_hand(world, item, tags, without=()):
    """id + text + sum of weighted tags; no tag, or a modality left out: the domain's average share."""
    with torch.no_grad():
        whole, fused = world.model.items.parts(), world.model.items
        shares = {modality: share[item] for modality, share in whole.items()}
        if tags:
            odds = [
                math.exp(float(world.tags.vectors[tag] @ world.text.matrix[item]) / 0.1)
                for tag in tags
            ]
            shares["tags"] = sum(
                odd / sum(odds) * (fused.tags_map(fused.tag_features[tag]) + fused.tag[tag])
                for odd, tag in zip(odds, tags)
            )
        own = slice(1, ITEMS_A + 1) if item <= ITEMS_A else slice(ITEMS_A + 1, None)
        for modality in {*without, *(() if tags else ("tags",))}:
            shares[modality] = whole[modality][own].mean(0)
        return sum(shares.values())


def close(one, other, abs=1e-5):
    return torch.allclose(torch.as_tensor(one), torch.as_tensor(other), atol=abs, rtol=0)


# ---- reading


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"branches": ("merged",)},
        {"branches": ("B", "A")},
        {"modalities": ("id",)},
        {"tag_weighting": "learned"},
    ],
    ids=str,
)
def test_a_reading_equals_the_models_own_scores(world, config):
    """All histories in one batch against each alone: padding and company change nothing."""
    reader = CounterfactualModel(awake(world.inputs, **config), world.items)
    together = reader.read(HISTORIES)
    for line, history in enumerate(HISTORIES):
        for domain, own in enumerate(reader.of_domain):
            assert close(
                together.log_probability[line, own], answers(reader.model, history, domain), 2e-5
            )
    assert together.log_probability[:, 0].eq(-torch.inf).all()
    spread = together.log_probability[4, 1:]
    assert spread.max() - spread.min() > 0.1  # something is being compared
    assert list(together.weights) == list(reader.model.config.branches)
    assert together.across.shape == (6, 2, len(together.weights))


def test_a_purchase_spelled_out_is_the_plain_item(world):
    spelled = [Interaction(item, int(item > ITEMS_A), world.reader.own_tags(item)) for item in LONG]
    assert torch.equal(
        world.reader.read([spelled]).log_probability, world.reader.read([LONG]).log_probability
    )
    assert torch.equal(
        world.reader.fused([Interaction(item, tags=world.reader.own_tags(item)) for item in LONG]),
        world.reader.inputs[LONG],
    )


def test_only_the_newest_events_are_read(world):
    short = CounterfactualModel(world.model, world.items, max_length=3)
    assert close(short.read([LONG]).log_probability, world.reader.read([LONG[-3:]]).log_probability)
    assert not close(
        short.read([LONG]).log_probability, world.reader.read([LONG]).log_probability, 1e-2
    )


def test_an_unknown_item_is_refused(world):
    for item in (99, 0, 16):
        with pytest.raises(ValueError, match=f"^{item} is no item: global ids run from 1 to 15.$"):
            world.reader.read([[1, item]])


# ---- edited events


@pytest.mark.parametrize(
    ("item", "tags"),
    [(4, ()), (4, (1, 5)), (10, (2,)), (12, (1, 2, 3, 4, 5)), (5, (3,)), (3, (2, 4)), (6, ())],
)
def test_an_event_with_other_tags_is_read_with_the_vector_of_these_tags(world, item, tags):
    by_hand = vector_by_hand(world, item, tags)
    assert close(world.reader.fused([Interaction(item, tags=tags)])[0], by_hand)
    assert not close(by_hand, world.reader.inputs[item], 1e-2)
    history = [1, item, 9]  # the table for the oracle: only this item is another
    table, read = (
        world.reader.inputs.clone(),
        world.reader.read([[1, Interaction(item, tags=tags), 9], history]),
    )
    table[item] = by_hand
    for domain, own in enumerate(world.reader.of_domain):
        assert close(
            read.log_probability[0, own], answers(world.model, history, domain, table), 2e-5
        )
        assert close(read.log_probability[1, own], answers(world.model, history, domain), 2e-5)


def test_edited_and_plain_events_are_told_apart(world):
    mixed = world.reader.fused(
        [
            Interaction(9),
            Interaction(4, tags=(2, 5)),
            Interaction(4),
            Interaction(12, tags=(1, 4, 5)),
        ]
    )
    by_hand = [
        world.reader.inputs[9],
        vector_by_hand(world, 4, (2, 5)),
        world.reader.inputs[4],
        vector_by_hand(world, 12, (1, 4, 5)),
    ]
    assert close(mixed, torch.stack(by_hand))


def test_learned_weights_weigh_edited_tags_too(world):
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


def test_an_event_counted_in_the_other_shop_is_as_if_its_item_lived_there(world):
    other = copy.deepcopy(world.model)
    other.domain_of_item[4] = 1
    edited = [Interaction(4, domain=1) if item == 4 else item for item in LONG]
    read, plain = world.reader.read([edited]), world.reader.read([LONG])
    with torch.no_grad():
        batch = Batch(torch.tensor([LONG]), None, torch.tensor([1]), torch.tensor([0]))
        scores = other.score(batch, world.reader.of_domain[1])[0]
    assert close(read.log_probability[0, 9:], scores.log_softmax(0), 2e-5)
    assert not close(read.log_probability, plain.log_probability, 1e-2)
    assert [read.weights[branch].size(-1) for branch in ("A", "B", "merged")] == [2, 4, 6]
    record = record_of(world.reader, edited, 1)
    assert [event.item for event in record.events["B"]] == [9, 4, 10, 11]
    assert [event.item for event in record.events["A"]] == [1, 5]
    assert record.history[2].domain == "B"


def test_without_tags_at_hand_only_shops_can_be_edited(world):
    for reader in (
        CounterfactualModel(world.model, world.items),
        CounterfactualModel(world.model, world.items, world.tags),
    ):
        with pytest.raises(
            ValueError,
            match="tags can be edited only in a model with tags: give its `tags` and `text` to the Reader.",
        ):
            reader.read([[Interaction(4, tags=(1,))]])
        assert torch.isfinite(
            reader.read([[Interaction(4, domain=1)]]).log_probability[:, 1:]
        ).all()
    bare = CounterfactualModel(
        awake(world.inputs, modalities=("id", "text")), world.items, world.tags, world.text
    )
    with pytest.raises(ValueError, match="only in a model with tags"):
        bare.fused([Interaction(4, tags=())])


def test_a_view_left_out_tells_items_apart_no_more(world):
    blind = world.reader.without("text", "id")
    for item in (3, 5, 12):
        own = world.reader.own_tags(item)
        if own:
            assert close(blind.inputs[item], vector_by_hand(world, item, own, ("text", "id")))
    twins = copy.deepcopy(world.model)
    with torch.no_grad():  # items 7 and 8 now differ in their tags only
        twins.items.id[8], twins.items.text_features[8] = (
            twins.items.id[7],
            twins.items.text_features[7],
        )
    reader = CounterfactualModel(twins, world.items)
    assert not close(reader.inputs[7], reader.inputs[8], 1e-2)
    assert close(reader.without("tags").outputs[7], reader.without("tags").outputs[8])
    assert not close(reader.without("text").inputs[7], reader.without("text").inputs[8], 1e-2)
    assert torch.equal(
        reader.without("id").without("text").inputs, reader.without("text", "id").inputs
    )
    assert close(blind.outputs.norm(dim=1)[1:], torch.ones(COUNT))
    assert torch.equal(world.reader.inputs, world.model.item_embeddings()[0])
    with pytest.raises(
        ValueError, match="this model has no modality image: choose from id, text, tags."
    ):
        world.reader.without("tags", "image")


def test_an_edited_event_stays_blind_for_a_view_left_out(world):
    for modalities in (("text",), ("tags",)):
        assert close(
            world.reader.without(*modalities).fused([Interaction(4, tags=(2, 5))])[0],
            vector_by_hand(world, 4, (2, 5), modalities),
        )


def test_other_tags_change_one_item_only(world):
    other, rest = (
        world.reader.with_tags(4, [2, 5]),
        [item for item in range(COUNT + 1) if item != 4],
    )
    assert close(other.inputs[4], vector_by_hand(world, 4, (2, 5)))
    assert close(other.outputs[4], F.normalize(other.inputs[4], dim=0))
    assert torch.equal(other.inputs[rest], world.reader.inputs[rest])
    assert torch.equal(other.outputs[rest], world.reader.outputs[rest])
    assert not close(world.reader.inputs[4], other.inputs[4], 1e-2)


# ---- ranks


def test_ties_stand_in_the_middle_and_padding_never_competes():
    scores = torch.tensor([[-torch.inf, -1, -2, -2, -2, -3], [-torch.inf, -1, -1, -1, -1, -1]])
    reading = CounterfactualOutput(scores, {}, torch.zeros(0))
    for target, expected in ((1, [1, 3]), (3, [3, 3]), (5, [5, 3])):
        candidates = torch.tensor([item for item in range(1, 6) if item != target])
        assert reading.rank(target, candidates).tolist() == expected
    assert reading.rank(3, torch.tensor([2, 5])).tolist() == [1.5, 2]


def test_rivals_are_the_items_of_the_shop_that_were_not_bought(world):
    assert world.reader.candidates(12, [9, 4, 9]).tolist() == [
        10,
        11,
        13,
        14,
        15,
    ]
    assert world.reader.candidates(1, []).tolist() == [2, 3, 4, 5, 6, 7, 8]


def test_ranks_agree_with_the_evaluation(world):
    ranks = evaluate(
        world.model, world.sequences, torch.from_numpy(world.items.domain_of_item)
    ).rank
    for row in range(4):
        *history, target = world.sequences[row].tolist()
        assert (
            float(
                world.reader.read([history]).rank(target, world.reader.candidates(target, history))[
                    0
                ]
            )
            == ranks[row]
        )
        record = attention_record(world.reader, world.sequences, row)
        assert record.target_rank == ranks[row]
        assert record.target_probability == pytest.approx(
            math.exp(answer(world.model, history, target)), abs=1e-5
        )
    assert len(set(ranks)) > 1


def test_what_was_bought_before_the_window_is_no_rival_either(world):
    """As in the evaluation, which leaves out everything that a user ever bought."""
    short = copy.deepcopy(world.model)
    short.config = replace(short.config, max_length=1)
    reader = CounterfactualModel(short, world.items, world.tags, world.text)
    ranks = evaluate(short, world.sequences, torch.from_numpy(world.items.domain_of_item)).rank
    for row in range(4):
        seen = set(world.sequences[row][:-1].tolist())
        found = explain(reader, reader, world.sequences, row, top=COUNT)
        assert found.record.target_rank == ranks[row] == found.effects[NEXT].rank
        assert not seen & {event.item for best in found.record.top.values() for event, _ in best}


# ---- edits


def test_edits_are_pure_and_do_what_they_say(world):
    history = before = world.reader.interactions([1, 9, 4, 10])

    def interactions(*items):
        return tuple(map(Interaction, items))

    assert what_if.removed(history, 1) == interactions(1, 4, 10)
    assert what_if.removed(history[:1], 0) == ()
    assert what_if.swapped(history, 0, 7) == interactions(7, 9, 4, 10)
    assert what_if.moved(history, 0, 3) == interactions(9, 4, 10, 1)
    assert what_if.moved(history, 3, 1) == interactions(1, 10, 9, 4)
    crossed = what_if.other_domain(world.reader, history, 3)
    assert crossed == (*history[:3], Interaction(10, domain=0))
    assert world.reader.shop_of(what_if.other_domain(world.reader, crossed, 3)[3]) == 1
    own, name = world.reader.own_tags(4), lambda tag: world.tags.vocabulary[tag]
    new = min(set(range(1, 6)) - set(own))
    more, less = (
        what_if.with_tag(world.reader, history, 2, name(new)),
        what_if.without_tag(world.reader, history, 2, name(own[1])),
    )
    assert more == (*history[:2], Interaction(4, tags=(*own, new)), history[3])
    assert less == (*history[:2], Interaction(4, tags=(own[0], own[2])), history[3])
    assert what_if.swapped(more, 2, 7)[2] == Interaction(7)  # another item brings its own tags
    for edited in (
        more,
        what_if.other_domain(world.reader, less, 2),
    ):  # edits add up, and another event keeps them
        assert what_if.moved(what_if.removed(edited, 3), 2, 0)[0] == edited[2]
    back = what_if.without_tag(world.reader, more, 2, name(new))
    assert close(
        record_of(world.reader, back, 1).event_weights,
        record_of(world.reader, history, 1).event_weights,
    )
    assert history == before == interactions(1, 9, 4, 10)


def test_impossible_edits_are_refused_with_a_sentence(world):
    history, reader = world.reader.interactions([4, 10]), world.reader
    own = [world.tags.vocabulary[tag] for tag in reader.own_tags(4)]
    new = next(tag for tag in world.tags.vocabulary[1:] if tag not in own)
    edits = (
        what_if.removed,
        lambda h, p: what_if.swapped(h, p, 1),
        lambda h, p: what_if.moved(h, p, 0),
        lambda h, p: what_if.moved(h, 0, p),
        lambda h, p: what_if.other_domain(reader, h, p),
        lambda h, p: what_if.with_tag(reader, h, p, new),
        lambda h, p: what_if.without_tag(reader, h, p, own[0]),
    )
    for edit, position in itertools.product(edits, (-1, 2)):
        with pytest.raises(
            ValueError, match=f"^there is no event {position}: this history has 2, counted from 0.$"
        ):
            edit(history, position)
    with pytest.raises(ValueError, match="^this item has the tag .* already.$"):
        what_if.with_tag(reader, history, 0, own[0])
    with pytest.raises(ValueError, match="^this item does not have the tag .*.$"):
        what_if.without_tag(reader, history, 0, new)
    for word, asked in (
        ("no such", reader),
        ("", reader),
        (TAG, CounterfactualModel(world.model, world.items)),
    ):
        for edit in (what_if.with_tag, what_if.without_tag):
            with pytest.raises(ValueError, match="is no tag of the vocabulary.$"):
                edit(asked, history, 0, word)
