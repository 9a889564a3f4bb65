"""After LLM-Rec: titles alone decide; one text per user equals a loop over users and pieces."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tema_lib.data.splits import Split
from tema_lib.encoders.text import TitleTokens, title_tokens
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.llmrec import LLMRec, LLMRecConfig
from tema_lib.training import TrainConfig, train, training_step
from tests.helpers.models import (
    ALL_ITEMS,
    DOMAIN,
    DOMAIN_A,
    DOMAIN_B,
    USERS,
    awake,
    batch_of,
    ranking,
    sequences,
    small_split,
)

SMALL = LLMRecConfig(hidden=16, max_length=20)
TITLES = ["", "Red tea cup", "", "Æ🜲", "stainless steel garlic press " * 9, "Red tea cup"]


def titles(seed=0, pieces=30, longest=6):
    """Random titles of one to six word pieces for 22 items.

    Items 3 and 15, of different domains, have the same title, and so have 4 and 5 of one domain.
    """
    rng = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, pieces + 1, (23, longest), generator=rng)
    ids = ids * (torch.arange(longest) < torch.randint(1, longest + 1, (23, 1), generator=rng))
    ids[0], ids[15], ids[5] = 0, ids[3], ids[4]
    vectors = torch.randn(pieces + 1, 24, generator=rng)
    vectors[0] = 0
    return TitleTokens(ids, vectors)


def model_of(config=SMALL, **options):
    torch.manual_seed(0)
    return LLMRec(DOMAIN, titles(), replace(config, **options))


# ---- titles alone decide


def test_no_parameter_or_vector_belongs_to_one_item():
    model = model_of()
    assert not [
        name
        for name, parameter in model.named_parameters()
        if 23 in parameter.shape or 22 in parameter.shape
    ]
    inputs, outputs = model.item_embeddings()
    assert inputs.shape == (31, 16)
    assert outputs.shape == (23, 16)


@pytest.mark.parametrize("learning", [False, True])
def test_items_of_one_title_are_the_same_to_it(learning):
    model = awake(model_of())
    model.train(learning)  # the same dropout for both as well
    _, outputs = model.item_embeddings()
    assert torch.equal(outputs[3], outputs[15])
    assert torch.equal(outputs[4], outputs[5])
    assert not torch.equal(outputs[3], outputs[4])
    model.eval()
    scores = model.score(ranking(*USERS), ALL_ITEMS)
    assert torch.equal(scores[:, 3 - 1], scores[:, 15 - 1])
    torch.testing.assert_close(
        model.score(ranking([1, 3, 4]), ALL_ITEMS),
        model.score(ranking([1, 15, 5]), ALL_ITEMS),
        rtol=0,
        atol=0,
    )


def test_other_ids_for_the_same_titles_change_nothing():
    """Items change places inside their domains; histories, targets and candidates follow."""
    rng = torch.Generator().manual_seed(0)
    to = torch.cat(
        [
            torch.tensor([0]),
            1 + torch.randperm(12, generator=rng),
            13 + torch.randperm(10, generator=rng),
        ]
    )
    given = titles()
    moved = TitleTokens(given.ids[to.argsort()], given.vectors)  # row to[i] has the title of i
    one, two = awake(model_of()), LLMRec(DOMAIN, moved, SMALL).eval()
    two.load_state_dict(one.state_dict())
    batch = batch_of(*USERS)
    other = replace(batch, sequence=to[batch.sequence], targets=to[batch.targets])
    assert not torch.equal(other.sequence, batch.sequence)
    torch.testing.assert_close(two.loss(other), one.loss(batch))
    query = ranking(*USERS)
    torch.testing.assert_close(
        two.score(replace(query, sequence=to[query.sequence]), to[ALL_ITEMS]),
        one.score(query, ALL_ITEMS),
        rtol=0,
        atol=1e-4,
    )


def test_a_cold_start_item_is_scored_from_its_title():
    """A user stays with one word; items 11, 12 and 21, 22 are in no training sequence.

    A model of ids could only rank these at random.
    """
    rng = np.random.default_rng(0)
    words = {item: 1 + item % 2 for item in range(1, 23)}  # odd items: word 2; even ones: word 1
    ids = torch.zeros(23, 2, dtype=torch.long)
    for item, word in words.items():
        ids[item, 0] = word
        ids[item, 1] = rng.integers(3, 9)
    known = [item for item in range(1, 23) if item not in (11, 12, 21, 22)]
    users = [
        rng.permutation([item for item in known if words[item] == 1 + user % 2])[:7].tolist()
        for user in range(40)
    ]
    whole = sequences(users)
    torch.manual_seed(0)
    model = LLMRec(DOMAIN, TitleTokens(ids, torch.cat([torch.zeros(1, 8), torch.eye(8)])), SMALL)
    train(
        model,
        Split("own", whole, whole, whole),
        DOMAIN,
        TrainConfig(epochs=8, batch_size=8, learning_rate=1e-2),
    )
    for history in ([1, 13, 3], [2, 14, 4], [5, 7], [16, 18, 6, 8]):
        for fresh in ([11, 12], [21, 22]):
            scores = model.score(ranking(history), torch.tensor(fresh))[0]
            assert words[fresh[scores.argmax()]] == words[history[0]]
            assert (scores[0] - scores[1]).abs() > 1


# ---- one text a user


@pytest.mark.parametrize("layers", [1, 2])
def test_a_state_is_that_of_the_joined_titles_read_alone(layers):
    """For each user and event: join the word pieces, encode the text alone, take the last state."""
    model = awake(model_of(layers=layers))
    given, batch = titles().ids, batch_of(*USERS)
    states, outputs = model.encode_with_items(batch)
    vectors = model.piece_map(model.piece_features) + model.piece

    def read(items):
        pieces = [p for item in items for p in given[item].tolist() if p]
        states, _ = model.encoder(vectors[pieces][None], torch.tensor([len(pieces)]))
        return F.normalize(states[0, -1], dim=-1)

    for row, events in enumerate(batch.sequence.tolist()):
        for t, item in enumerate(events):
            if item:
                torch.testing.assert_close(
                    states[row, t], read(events[: t + 1]) / 0.07, rtol=1e-4, atol=1e-4
                )
    for item in range(1, 23):
        torch.testing.assert_close(outputs[item], read([item]), rtol=1e-4, atol=1e-5)


def test_a_stream_has_no_gaps_and_knows_where_titles_end():
    model, given = model_of(), titles().ids
    sequence = F.pad(ranking(*USERS, []).sequence, (0, 3))
    text, ends = model.stream(sequence)
    longest = 0
    for row, events in enumerate(sequence.tolist()):
        joined, positions = [], []
        for item in events:
            joined += [piece for piece in given[item].tolist() if piece]
            positions.append(max(len(joined) - 1, 0))
        assert text[row].tolist() == joined + [0] * (text.size(1) - len(joined))
        assert ends[row].tolist() == positions
        longest = max(longest, len(joined))
    assert text.size(1) == longest


def test_the_longest_histories_of_the_longest_titles_fit():
    full = TitleTokens(
        titles().ids.clamp(min=1) * (torch.arange(23) > 0)[:, None], titles().vectors
    )
    model = LLMRec(DOMAIN, full, SMALL)
    assert model.stream(ranking([1, 2] * 10).sequence)[0].shape == (1, 20 * 6)
    assert torch.isfinite(model.score(ranking([1, 2] * 10), ALL_ITEMS)).all()


@pytest.mark.parametrize("new", [12, 22], ids=["item of A", "item of B"])
def test_a_later_event_never_changes_an_earlier_state(new):
    model, before = awake(model_of()), batch_of(*USERS)
    old = model.encode_with_items(before)[0]
    for t in range(before.sequence.size(1)):
        sequence = before.sequence.clone()
        sequence[0, t] = new
        changed = model.encode_with_items(replace(before, sequence=sequence))[0]
        torch.testing.assert_close(changed[0, :t], old[0, :t], rtol=0, atol=1e-5)
        torch.testing.assert_close(changed[1:], old[1:], rtol=0, atol=1e-5)
        assert (changed[0, t] - old[0, t]).abs().max() > 1e-3


def test_padding_and_the_order_of_users_and_candidates_change_nothing():
    model, batch = awake(model_of()), batch_of(*USERS)
    scores = model.score(ranking(*USERS), ALL_ITEMS)
    wide = replace(ranking(*USERS), sequence=F.pad(ranking(*USERS).sequence, (0, 4)))
    torch.testing.assert_close(model.score(wide, ALL_ITEMS), scores, rtol=0, atol=1e-4)
    padded = replace(
        batch,
        sequence=F.pad(batch.sequence, (0, 4)),
        targets=F.pad(batch.targets, (0, 4)),
        target_domain=F.pad(batch.target_domain, (0, 4), value=-1),
    )
    torch.testing.assert_close(model.loss(padded), model.loss(batch))
    for row, user in enumerate(USERS):
        torch.testing.assert_close(
            model.score(ranking(user), ALL_ITEMS)[0], scores[row], rtol=0, atol=1e-4
        )
    torch.testing.assert_close(
        model.score(ranking(*USERS[::-1]), ALL_ITEMS).flip(0), scores, rtol=0, atol=1e-4
    )
    torch.testing.assert_close(
        model.score(ranking(*USERS), ALL_ITEMS.flip(0)), scores.flip(1), rtol=0, atol=1e-4
    )


def test_the_last_state_alone_is_the_last_of_all_states():
    model, batch = awake(model_of(layers=2)), ranking(*USERS, [16, 17], [1], [])
    inputs, _ = model.item_embeddings()
    torch.testing.assert_close(
        model.last_hidden_states(batch, inputs),
        model.encode(batch, inputs)[torch.arange(7), batch.last],
        rtol=1e-5,
        atol=1e-5,
    )
    parts = torch.cat([part.clone() for part in model.scorer(ALL_ITEMS, 4)(batch)])
    torch.testing.assert_close(parts, model.score(batch, ALL_ITEMS).detach())


# ---- it learns


def test_empty_histories_and_single_events_are_finite():
    model = awake(model_of())
    assert torch.isfinite(model.score(ranking([1], [13], []), ALL_ITEMS)).all()
    assert torch.isfinite(model.score(ranking([]), ALL_ITEMS)).all()
    model.train()
    model.loss(batch_of([1, 2], [3, 4, 5], [13, 14]))["next item"].backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_every_parameter_is_reached_and_changes_a_score():
    model, query = awake(model_of(layers=2)), ranking(*USERS, [3, 15, 5, 17, 4, 16])
    model.loss(batch_of(*USERS, [3, 15, 5, 17, 4, 16]))["next item"].backward()
    with torch.no_grad():
        before = model.score(query, ALL_ITEMS)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, f"the loss does not reach {name}"
            assert parameter.grad.abs().max() > 1e-8, f"the loss does not reach {name}"
            kept = parameter.clone()
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            assert (model.score(query, ALL_ITEMS) - before).abs().max() > 1e-4, (
                f"{name} changes no score"
            )
            parameter.copy_(kept)


def test_it_can_learn_one_batch_by_heart():
    """With a title of its own for each item, the next items of a few users become certain."""
    own = TitleTokens(
        torch.arange(23)[:, None] + torch.tensor([0, 22]) * (torch.arange(23) > 0)[:, None],
        torch.randn(45, 24, generator=torch.Generator().manual_seed(0)),
    )
    torch.manual_seed(0)
    model = LLMRec(DOMAIN, own, replace(SMALL, dropout=0.0))
    optimizer, batch = torch.optim.Adam(model.parameters(), lr=1e-2), batch_of(*USERS)
    path = [float(training_step(model, batch, optimizer)["next item"]) for _ in range(60)]
    assert path[0] > 1.5
    assert path[-1] < 0.1
    for user in USERS:
        domain = torch.tensor(DOMAIN_A if user[-1] in DOMAIN_A else DOMAIN_B)
        assert (
            domain[
                model.eval()
                .score(ranking(user[:-1], domain=int(DOMAIN[user[-1]])), domain)[0]
                .argmax()
            ]
            == user[-1]
        )


def test_equal_seeds_give_equal_numbers_and_training_ends_in_ranks():
    split, runs = small_split(), []
    for _ in range(2):
        model = model_of()
        history = train(model, split, DOMAIN, TrainConfig(epochs=2, batch_size=8))
        runs.append(
            (history.loss, history.valid_mrr, evaluate(model, split.test, DOMAIN).rank.tolist())
        )
    assert runs[0] == runs[1]
    assert runs[0][0]["next item"][1] < runs[0][0]["next item"][0]


def test_in_bfloat16_the_head_computes_in_full():
    model = awake(model_of())
    with torch.autocast("cpu", torch.bfloat16):
        states, table = model.encode_with_items(batch_of(*USERS))
        loss = model.loss(batch_of(*USERS))["next item"]
    assert table.dtype == loss.dtype == torch.float32
    assert torch.isfinite(states).all()
    loss.backward()


@pytest.mark.parametrize(
    "change",
    [
        lambda ids: ids[:-1],
        lambda ids: ids * (torch.arange(23) != 7)[:, None],
        lambda ids: ids.clamp(min=1),
    ],
    ids=["an item too few", "an empty title", "words on padding"],
)
def test_titles_of_other_items_are_refused(change):
    with pytest.raises(ValueError, match="each item needs a title"):
        LLMRec(DOMAIN, TitleTokens(change(titles().ids), titles().vectors), SMALL)


# ---- word pieces of the real encoder


def test_titles_become_word_pieces_with_the_encoders_own_vectors():
    from transformers import AutoModel, AutoTokenizer

    from tema_lib.encoders.folder import quiet_transformers
    from tema_lib.encoders.weights import resolve

    tokens = title_tokens(TITLES, length=6)
    with quiet_transformers():
        folder = resolve("minilm-l6-v2")
        tokenizer, table = (
            AutoTokenizer.from_pretrained(folder),
            AutoModel.from_pretrained(folder).get_input_embeddings().weight,
        )
    assert tokens.ids.shape == (6, 6)
    assert tokens.ids.dtype == torch.int64
    assert not tokens.vectors.requires_grad
    assert tokens.vectors.shape == (int(tokens.ids.max()) + 1, 384)
    assert not tokens.vectors[0].any()
    assert set(tokens.ids.unique().tolist()) == set(
        range(len(tokens.vectors))
    )  # numbered as they occur
    expected = [
        [],
        ["red", "tea", "cup"],
        ["[UNK]"],
        tokenizer.tokenize(TITLES[3]),
        tokenizer.tokenize(TITLES[4])[:6],
        ["red", "tea", "cup"],
    ]
    assert "[UNK]" in expected[3]
    assert len(expected[4]) == 6
    for row, words in zip(tokens.ids, expected):
        assert (row > 0).tolist() == [True] * len(words) + [False] * (6 - len(words))
        own = table[tokenizer.convert_tokens_to_ids(words)] if words else table[:0]
        assert torch.equal(tokens.vectors[row[: len(words)]], own)
    assert torch.equal(tokens.ids[1], tokens.ids[5])
    filled = title_tokens(["words on the padding item", "Red tea cup"], length=3)
    assert not filled.ids[0].any()
    assert len(filled.vectors) == 4
    model = LLMRec(torch.tensor([-1, 0, 0, 0, 1, 1]), tokens, SMALL)
    assert torch.isfinite(model.score(ranking([1, 2, 3]), torch.arange(1, 6))).all()


def test_a_model_without_word_pieces_is_refused():
    with pytest.raises(ValueError, match="efficientnet-lite0 has no word pieces"):
        title_tokens(["", "cup"], model="efficientnet-lite0")


def test_positions_from_the_end_would_tell_how_long_the_next_titles_are():
    with pytest.raises(ValueError, match="positions are those of word pieces: from the start"):
        LLMRecConfig(positions="from the end")
