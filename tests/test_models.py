"""What every system has to keep to, on small random items of our own: no leak, the right room, padding, order, gradients, repetition.

Every line of `SYSTEMS` is tested here, so a new one is too; `MODELS` adds options of our own.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tema_lib.training as training
from tema_lib.checkpoints import OtherCheckpoint
from tema_lib.data.batches import Batch, training_batches
from tema_lib.data.sequences import Sequences, domain_view
from tema_lib.data.splits import Split
from tema_lib.encoders.text import TitleTokens
from tema_lib.evaluation.protocols import Protocol
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models import losses
from tema_lib.models.autocdsr import AutoCDSRConfig
from tema_lib.models.base import SequenceRecommender, evaluation_mode
from tema_lib.models.baselines import CoOccurrence, Popularity
from tema_lib.models.item_embedding import (
    MODALITIES,
    ItemInputs,
    ItemRepresentation,
    reduce_features,
)
from tema_lib.models.layers import (
    AttentionBlock,
    BranchAttention,
    Dropout,
    MultiHeadAttention,
    SequenceEncoder,
    causal_mask,
    scaled_dot_product_attention,
)
from tema_lib.models.llm4cdsr import LLM4CDSRConfig
from tema_lib.models.llmrec import LLMRecConfig
from tema_lib.models.man import MANConfig
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.systems import SYSTEMS
from tema_lib.models.tema import BRANCHES, Tema, TemaConfig
from tema_lib.tags.profiles import Profiles
from tema_lib.training import TrainConfig, train

DOMAIN_A, DOMAIN_B = range(1, 13), range(13, 23)  # 12 items in A, 10 in B
DOMAIN = torch.tensor([-1] + [0] * 12 + [1] * 10)
ALL_ITEMS = torch.arange(1, 23)


def inputs(seed=0):
    """Random features of 22 items and 6 tags; items 3 and 15 lack text, 4 and 16 a picture, 5 and 17 have no tag."""
    rng = torch.Generator().manual_seed(seed)
    text, image = torch.randn(23, 16, generator=rng), torch.randn(23, 20, generator=rng)

    def lacks(*rows):
        return ~torch.isin(torch.arange(23), torch.tensor([0, *rows]))

    tag_ids = torch.randint(1, 7, (23, 3), generator=rng)
    tag_ids[[0, 5, 17]] = 0
    weights = torch.rand(23, 3, generator=rng) * (tag_ids > 0)
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-9)
    vectors = torch.randn(7, 16, generator=rng)
    vectors[0] = 0
    return ItemInputs(DOMAIN, text, lacks(3, 15), image, lacks(4, 16), tag_ids, weights, vectors)


def awake(model, seed=1):
    """Evaluation mode with jittered parameters: a parameter that starts at zero would hide what stands behind it."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=rng)
    return model.eval()


class Domain:
    """What a `Experiment` offers a system, for the 22 items; 40 training sequences with profiles, of which the third has none."""

    domain_of_item, hidden, modalities = DOMAIN, 16, MODALITIES
    profiles = Profiles(
        ("",) * 40,
        torch.randn(40, 16, generator=torch.Generator().manual_seed(3)),
        torch.arange(40) != 2,
    )
    titles = TitleTokens(
        torch.randint(1, 9, (23, 3), generator=torch.Generator().manual_seed(4)).index_fill(
            0, torch.tensor([0]), 0
        ),
        torch.randn(9, 16, generator=torch.Generator().manual_seed(5)),
    )

    def inputs(self, **_):
        return inputs()


COUNTING = ("popularity", "markov", "co-occurrence")
CONTROLS = tuple(
    name for name in SYSTEMS if name.startswith("tema-")
)  # the same model on other inputs
MODELS = {
    name: lambda system=system: system.build(Domain())
    for name, system in SYSTEMS.items()
    if name not in COUNTING + CONTROLS
} | {
    "tema, two layers, branches A and merged": lambda: Tema(
        inputs(), TemaConfig(hidden=16, max_length=20, layers=2, branches=("A", "merged"))
    ),
    "tema, learned tag weights": lambda: Tema(
        inputs(), TemaConfig(hidden=16, max_length=20, tag_weighting="learned")
    ),
    "tema, learned tags only": lambda: Tema(
        inputs(),
        TemaConfig(hidden=16, max_length=20, modalities=("id", "tags"), tag_table="learned"),
    ),
    "sasrec, dot products": lambda: SASRec(
        DOMAIN, SASRecConfig(hidden=16, max_length=20, layers=2, similarity="dot")
    ),
}
SEQUENCE_MODELS = [
    name for name, make in MODELS.items() if isinstance(make(), SequenceRecommender)
]  # with states that can be looked at
each_model = pytest.mark.parametrize("name", MODELS)
each_level_1 = pytest.mark.parametrize("name", SEQUENCE_MODELS)


def next_item(model, batch):
    """The main term of the loss, with the same draws every time."""
    torch.manual_seed(0)
    return model.loss(batch)["next item"]


def batch_of(*users, target_domain=None):
    """A training batch from lists of ids: every position has the next event as its target."""
    width = max(map(len, users))
    merged = torch.tensor([[*user, *[0] * (width - len(user))] for user in users])
    targets = merged[:, 1:].contiguous()
    domains = DOMAIN[targets] if target_domain is None else torch.full_like(targets, target_domain)
    return Batch(merged[:, :-1] * (targets > 0), targets, domains, torch.arange(len(users)))


def ranking(*users, domain=0):
    """A ranking batch: the whole list is the input, the target is hidden."""
    width = max(1, *map(len, users))
    sequence = torch.tensor([[*user, *[0] * (width - len(user))] for user in users])
    return Batch(sequence, None, torch.full((len(users),), domain), torch.arange(len(users)))


USERS = [[1, 13, 2, 14, 3, 4, 15, 5], [16, 17, 6, 7, 18, 8], [9, 10, 19], [20, 11]]


# ------------------------------------------------------------------------------------------------ no leak


@each_level_1
@pytest.mark.parametrize("new", [12, 22], ids=["item of A", "item of B"])
def test_a_later_event_never_changes_an_earlier_state(name, new):
    """Position 5 is exchanged: everything before stays as it is, and something from there on does not."""
    model = awake(MODELS[name]())
    for target_domain in (0, 1):
        before = batch_of(*USERS[:2], target_domain=target_domain)
        sequence = before.sequence.clone()
        sequence[0, 5] = new
        old, changed = (
            model.encode_with_items(batch)[0]
            for batch in (before, replace(before, sequence=sequence))
        )
        torch.testing.assert_close(changed[0, :5], old[0, :5], rtol=0, atol=1e-5)
        torch.testing.assert_close(changed[1], old[1], rtol=0, atol=1e-5)  # nor another user's
    if name != "sasrec-per-domain":
        assert (changed[0, 5:] - old[0, 5:]).abs().max() > 1e-3


@each_model
def test_the_loss_of_the_past_does_not_know_the_future(name):
    model = awake(MODELS[name]())
    whole = batch_of(USERS[0])
    early = replace(whole, targets=whole.targets.clone())
    early.targets[:, 4:] = 0  # only the first four positions count
    other = replace(early, sequence=early.sequence.clone())
    other.sequence[:, 4:] = torch.tensor([22, 12, 21])
    torch.testing.assert_close(next_item(model, other), next_item(model, early))
    other.sequence[:, 3] = 22  # what the last of them does see
    if name != "sasrec-per-domain":
        assert abs(next_item(model, other) - next_item(model, early)) > 1e-4


class Untouchable:
    """Stands where the targets were: any use of it is an error."""

    def __getattribute__(self, name):
        raise AssertionError(f"score read the targets ({name})")


@each_model
@pytest.mark.parametrize("extra", ["popularity", "co-occurrence"])
def test_score_never_reads_the_targets(name, extra):
    hidden = replace(ranking(*USERS), targets=Untouchable())
    model = awake(MODELS[name]())
    elsewhere = replace(ranking(*USERS), rows=torch.arange(4) + 90)  # nor who the users are
    torch.testing.assert_close(model.score(hidden, ALL_ITEMS), model.score(elsewhere, ALL_ITEMS))
    counting = Popularity(DOMAIN) if extra == "popularity" else CoOccurrence(DOMAIN, history=True)
    counting.fit_statistics(sequences(USERS))
    counting.score(hidden, ALL_ITEMS)


# ------------------------------------------------------------------------------------------------ the right room


def test_a_domain_view_holds_its_own_domain_and_the_way_back():
    sequence = batch_of(*USERS).sequence
    for domain, members in ((0, DOMAIN_A), (1, DOMAIN_B)):
        view = domain_view(sequence, DOMAIN, domain)
        for row, events in enumerate(sequence.tolist()):
            own = [item for item in events if item in members]
            assert view.sequence[row].tolist() == own + [0] * (view.sequence.size(1) - len(own))
            for t in range(len(events)):
                seen = [item for item in events[: t + 1] if item in members]
                assert view.has_any[row, t] == bool(seen)
                if seen:
                    assert view.sequence[row, view.read_at[row, t]] == seen[-1]
                    assert view.read_at[row, t] == len(seen) - 1


def test_ids_of_one_domain_never_enter_the_thread_of_the_other():
    model = awake(MODELS["tema"]())
    seen = model.attention(batch_of(*USERS))
    ids = {branch: set(seen[branch]["sequence"].unique().tolist()) - {0} for branch in BRANCHES}
    assert ids["A"]
    assert ids["B"]
    assert ids["A"] <= set(DOMAIN_A)
    assert ids["B"] <= set(DOMAIN_B)
    assert ids["merged"] == ids["A"] | ids["B"]
    batch, table = batch_of(*USERS), model.items()
    exchange = torch.arange(23)
    exchange[13:] = exchange[13:].flip(0)  # other items of B, A untouched
    old, new = (
        model.branches(replace(batch, sequence=s), table)[0]
        for s in (batch.sequence, exchange[batch.sequence])
    )
    torch.testing.assert_close(new[:, :, 0], old[:, :, 0], rtol=0, atol=0)
    assert (new[:, :, 1] - old[:, :, 1]).abs().max() > 1e-3
    assert (new[:, :, 2] - old[:, :, 2]).abs().max() > 1e-3


def test_sasrec_per_domain_ranks_a_shop_by_that_shop_alone():
    model = awake(MODELS["sasrec-per-domain"]())
    for domain, own in ((0, [1, 2]), (1, [13, 14, 15])):
        mixed, alone = ranking([1, 13, 2, 14, 15], domain=domain), ranking(own, domain=domain)
        torch.testing.assert_close(
            model.score(mixed, ALL_ITEMS), model.score(alone, ALL_ITEMS), rtol=0, atol=1e-5
        )


@each_level_1
def test_a_target_competes_in_its_own_domain_only(name):
    """With targets in A only, an item of B that nobody bought gets no gradient; an item of A that nobody bought does."""
    model = awake(MODELS[name]())
    batch = batch_of([1, 2, 3, 4])
    states, table = (tensor.detach() for tensor in model.encode_with_items(batch))
    model.next_item(states, table.requires_grad_(), batch).backward()
    assert table.grad[22].abs().max() == 0
    assert table.grad[12].abs().max() > 0


@each_model
def test_users_of_one_domain_and_of_one_event_are_finite(name):
    model = awake(MODELS[name]())
    users = [
        [1],
        [13],
        [1, 2, 3],
        [13, 14, 15],
        [1, 13, 2],
        [],
    ]  # the last one has bought nothing at all
    for domain in (0, 1):
        assert torch.isfinite(model.score(ranking(*users, domain=domain), ALL_ITEMS)).all()
    model.train()
    model.total_loss(model.loss(batch_of([1, 2], [3, 4, 5], [13, 14], [6, 15]))).backward()
    assert all(
        torch.isfinite(parameter.grad).all()
        for parameter in model.parameters()
        if parameter.grad is not None
    )


def test_what_a_user_lacks_gets_no_attention():
    model = awake(MODELS["tema"]())
    across = model.attention(ranking([1, 2, 3], [13, 14, 15], [2, 13, 3], []))["across"]["weights"]
    a, b, _merged = (list(BRANCHES).index(branch) for branch in BRANCHES)
    assert (across[0, :, b] == 0).all()
    assert (across[1, :, a] == 0).all()
    assert across[2, 0, b] == 0
    assert across[2, 1, b] > 0
    torch.testing.assert_close(across[:3].sum(-1), torch.ones(3, 3))
    assert (across[3] == 0).all()  # zeros, not NaN


# ------------------------------------------------------------------------------------------------ padding and order


@each_model
def test_padding_changes_nothing(name):
    model, users = awake(MODELS[name]()), USERS

    def wide(batch):
        return replace(
            batch,
            sequence=F.pad(batch.sequence, (0, 4)),
            targets=None if batch.targets is None else F.pad(batch.targets, (0, 4)),
            target_domain=F.pad(batch.target_domain, (0, 4), value=-1)
            if batch.target_domain.dim() == 2
            else batch.target_domain,
        )

    torch.testing.assert_close(
        model.score(wide(ranking(*users)), ALL_ITEMS),
        model.score(ranking(*users), ALL_ITEMS),
        rtol=0,
        atol=1e-4,
    )
    torch.testing.assert_close(
        next_item(model, wide(batch_of(*users))), next_item(model, batch_of(*users))
    )
    together = model.score(ranking(*users), ALL_ITEMS)
    for row, user in enumerate(users):
        torch.testing.assert_close(
            model.score(ranking(user), ALL_ITEMS)[0], together[row], rtol=0, atol=1e-4
        )


@each_model
def test_the_order_of_users_and_of_candidates_changes_nothing(name):
    model = awake(MODELS[name]())
    scores = model.score(ranking(*USERS), ALL_ITEMS)
    turned = model.score(ranking(*USERS[::-1]), ALL_ITEMS)
    torch.testing.assert_close(turned.flip(0), scores, rtol=0, atol=1e-4)
    shuffled = torch.randperm(22, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        model.score(ranking(*USERS), ALL_ITEMS[shuffled]), scores[:, shuffled], rtol=0, atol=1e-4
    )
    own = torch.stack([ALL_ITEMS.roll(row) for row in range(4)])  # a list for each user
    torch.testing.assert_close(
        model.score(ranking(*USERS), own),
        torch.stack([scores[row].roll(row) for row in range(4)]),
        rtol=0,
        atol=1e-4,
    )
    if name in SEQUENCE_MODELS:  # MAN's draws follow the order of the users
        torch.testing.assert_close(
            next_item(model, batch_of(*USERS[::-1])), next_item(model, batch_of(*USERS))
        )


# ------------------------------------------------------------------------------------------------ loss and gradients


@each_level_1
def test_the_chunked_loss_is_cross_entropy_with_its_gradients(name):
    """More positions than fit into one chunk, against a loop over users and events with torch's own cross-entropy."""
    model, rng = awake(MODELS[name]()).double(), np.random.default_rng(0)
    batch = batch_of(
        *(rng.permutation(np.arange(1, 23))[: rng.integers(2, 18)].tolist() for _ in range(40))
    )
    assert (batch.targets > 0).sum() > 2 * 128
    model.loss(batch)["next item"].backward()
    ours = {
        key: parameter.grad.clone()
        for key, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    value = model.loss(batch)["next item"].detach()
    model.zero_grad()
    (states, table), terms = model.encode_with_items(batch), []
    for state, targets in zip(states, batch.targets):
        for vector, target in zip(state, targets):
            if target > 0:
                members = torch.tensor(DOMAIN_A if target in DOMAIN_A else DOMAIN_B)
                terms.append(
                    F.cross_entropy(table[members] @ vector, torch.nonzero(members == target)[0, 0])
                )
    plain = torch.stack(terms).mean()
    plain.backward()
    torch.testing.assert_close(value, plain.detach())
    assert len(ours) > 1
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(
            ours.get(key), parameter.grad, rtol=1e-6, atol=1e-9, msg=lambda text: f"{key}: {text}"
        )


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_our_cross_entropy_is_torchs(chunk, monkeypatch):
    """Loss and both gradients, in double precision, against torch's plain and chunked ones; logits of +-300 must not overflow."""
    monkeypatch.setitem(losses.CHUNK, "cpu", chunk)
    rng = torch.Generator().manual_seed(0)
    hidden, vectors = (
        torch.randn(rows, 8, generator=rng, dtype=torch.double) * scale
        for rows, scale in ((150, 10), (90, 10))
    )
    target = torch.randint(90, (150,), generator=rng)
    target[:60] = 5  # one item many times: its gradients add up

    def plain(h, v, y):
        return F.cross_entropy(h @ v.T, y, reduction="sum")

    def chunked(h, v, y):
        return F.linear_cross_entropy(
            h, v, y, reduction="sum", options=nn.LinearCrossEntropyOptions(batch_chunk_size=16)
        )

    found = []
    for function in (losses.cross_entropy, plain, chunked):
        leaves = [tensor.clone().requires_grad_() for tensor in (hidden, vectors)]
        loss = function(*leaves, target)
        (3 * loss).backward()
        found.append([loss.detach(), *(leaf.grad for leaf in leaves)])
    assert (hidden @ vectors.T).abs().max() > 300
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=1e-9, atol=1e-9)
    nobody = losses.cross_entropy(hidden[:0], vectors, target[:0])
    assert nobody == 0


def setting(size_a=12, size_b=10, rows=40):
    rng = torch.Generator().manual_seed(1)
    table, hidden = (
        torch.randn(size_a + size_b + 1, 6, generator=rng),
        torch.randn(rows, 6, generator=rng),
    )
    target = torch.randint(1, size_a + size_b + 1, (rows,), generator=rng)
    return hidden, table, target, ((1, size_a), (size_a + 1, size_b))


def test_the_exact_losses_are_cross_entropy_over_their_rooms():
    hidden, table, target, item_ranges = setting()
    whole = F.cross_entropy(hidden @ table[1:].T, target - 1)
    torch.testing.assert_close(losses.catalogue_softmax(hidden, table, target, item_ranges), whole)
    terms = [
        F.cross_entropy(table[first : first + size] @ h, y - first)
        for h, y in zip(hidden, target)
        for first, size in item_ranges
        if first <= y < first + size
    ]
    torch.testing.assert_close(
        losses.domain_softmax(hidden, table, target, item_ranges), torch.stack(terms).mean()
    )


def test_the_sampled_denominator_is_right_on_average():
    """exp(loss) is denominator over numerator for one target: its mean over many draws is the exact one (four standard errors)."""
    torch.manual_seed(0)
    hidden, table, target, item_ranges = setting()
    for case in (0, 1, 2):
        one = (hidden[case : case + 1], table, target[case : case + 1], item_ranges)
        drawn = torch.stack([losses.sampled_softmax(*one) for _ in range(300)]).exp()
        exact = losses.domain_softmax(*one).exp()
        assert abs(drawn.mean() - exact) < 4 * drawn.std() / 300**0.5
        assert drawn.std() > 0
    torch.testing.assert_close(
        losses.sampled_softmax(hidden, table, target, item_ranges),
        losses.domain_softmax(hidden, table, target, item_ranges),
        rtol=0.05,
        atol=0.05,
    )


def test_the_binary_loss_draws_its_rival_evenly_from_the_targets_domain():
    """Every candidate's softplus is told apart by its score, so the mean over draws is the mean over the domain."""
    torch.manual_seed(0)
    hidden, table, target, item_ranges = setting()
    first, size = next(
        (first, size) for first, size in item_ranges if first <= target[0] < first + size
    )
    drawn = torch.stack(
        [losses.binary(hidden[:1], table, target[:1], item_ranges) for _ in range(4000)]
    )
    expected = (
        F.softplus(-(hidden[0] @ table[target[0]]))
        + F.softplus(table[first : first + size] @ hidden[0]).mean()
    )
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / 4000**0.5
    assert len(drawn.unique()) == size


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
@pytest.mark.parametrize("system", ["sasrec", "tema"])
def test_every_loss_teaches_every_system(name, system):
    torch.manual_seed(0)
    model = (
        SASRec(
            DOMAIN, SASRecConfig(hidden=16, max_length=20, dropout=0.0, similarity="dot", loss=name)
        )
        if system == "sasrec"
        else Tema(inputs(), TemaConfig(hidden=16, max_length=20, dropout=0.0, loss=name))
    )
    optimizer, batch = torch.optim.Adam(model.parameters(), lr=1e-2), batch_of(*USERS)
    path = [float(training.training_step(model, batch, optimizer)["next item"]) for _ in range(120)]
    assert np.mean(path[-20:]) < 0.7 * np.mean(path[:5])
    for user in USERS:  # what came last is what it recommends, in its own domain
        members = torch.tensor(DOMAIN_A if user[-1] in DOMAIN_A else DOMAIN_B)
        scores = model.eval().score(ranking(user[:-1], domain=int(DOMAIN[user[-1]])), members)
        assert members[scores[0].argmax()] == user[-1]


@each_model
def test_a_scorer_gives_the_scores_a_few_rows_at_a_time(name):
    model = awake(MODELS[name]())
    for domain in (0, 1):
        batch = ranking(*USERS, [], [16, 17], domain=domain)
        parts = [scores.clone() for scores in model.scorer(ALL_ITEMS, 4)(batch)]
        assert [len(part) for part in parts] == [4, 2]
        torch.testing.assert_close(torch.cat(parts), model.score(batch, ALL_ITEMS).detach())


def test_a_system_that_scores_in_its_own_way_is_ranked_by_it():
    class Backwards(SASRec):
        def score(self, batch, candidates):
            return -super().score(batch, candidates)

    split, results = small_split(), []
    for kind in (SASRec, Backwards):
        torch.manual_seed(0)
        results.append(
            evaluate(
                awake(kind(DOMAIN, SASRecConfig(hidden=16, max_length=20))), split.test, DOMAIN
            )
        )
    assert np.array_equal(results[0].rank + results[1].rank, results[0].candidates + 1)


@each_level_1
def test_the_last_state_alone_is_the_last_of_all_states(name):
    """Users of both domains, of one only, of one event, and of none."""
    model = awake(MODELS[name]())
    batch = replace(
        ranking(*USERS, [16, 17], [1], []), target_domain=torch.tensor([0, 1, 0, 1, 0, 1, 0])
    )
    inputs_, _ = model.item_embeddings()
    torch.testing.assert_close(
        model.last_hidden_states(batch, inputs_),
        model.encode(batch, inputs_)[torch.arange(7), batch.last],
        rtol=1e-5,
        atol=1e-5,
    )


def test_dropout_keeps_its_share_and_the_mean_and_nothing_in_evaluation():
    torch.manual_seed(0)
    x = torch.ones(999, 101, requires_grad=True)
    for share in (0.1, 0.2, 0.5, 0.9):
        dropout = Dropout(share)
        kept = 1 - round(256 * share) / 256
        out = dropout(x)
        assert out.unique().tolist() == pytest.approx([0, 1 / kept])
        assert (
            abs(float((out > 0).float().mean()) - kept) < 4 * (kept * (1 - kept) / x.numel()) ** 0.5
        )
        assert (
            abs(float((out[:, ::2] > 0).float().mean()) - float((out[:, 1::2] > 0).float().mean()))
            < 0.01
        )  # no byte of a draw is special
        assert not torch.equal(out, dropout(x))
        assert torch.equal(dropout.eval()(x), x)
        x.grad = None
        out.sum().backward()
        torch.testing.assert_close(x.grad, out.detach())
    assert torch.equal(Dropout(0)(x), x)
    with pytest.raises(ValueError, match="dropout is 1: choose a share"):
        Dropout(1)
    with pytest.raises(ValueError, match="dropout is 0.999"):
        Dropout(0.999)


def test_attention_weights_are_dropped_out_in_training_only():
    torch.manual_seed(0)
    attention, x = MultiHeadAttention(16, 2, dropout=0.5), torch.randn(3, 9, 16)
    assert not torch.equal(attention(x)[0], attention(x)[0])
    torch.testing.assert_close(attention.eval()(x)[0], attention(x)[0])


@each_model
def test_every_trained_parameter_is_reached_and_can_change_a_score(name):
    model = awake(MODELS[name]())
    batch = batch_of(
        *USERS, [3, 15, 5, 17, 4, 16], [16, 4, 17, 5]
    )  # items that lack text, picture or tags are among them
    for term in model.loss(batch):  # a fresh graph each: the chunked loss keeps none
        model.zero_grad()
        model.loss(batch)[term].backward()
        assert any(
            parameter.grad is not None and parameter.grad.abs().max() > 0
            for key, parameter in model.named_parameters()
            if not key.startswith(model.training_only)
        ), f"{term} reaches nothing that a score reads"
    model.zero_grad()
    model.total_loss(model.loss(batch)).backward()

    def scores():
        return torch.cat(
            [
                model.score(ranking(*USERS, [3, 15, 5, 17, 4, 16], domain=domain), ALL_ITEMS)
                for domain in (0, 1)
            ]
        )

    with torch.no_grad():
        before = scores()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 1e-8, (
                f"the loss does not reach {key}"
            )
            kept = parameter.clone()
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            changed = (scores() - before).abs().max() > 1e-4
            assert changed != key.startswith(model.training_only), (
                f"{key}: does it change a score? {changed}"
            )
            parameter.copy_(kept)


# ------------------------------------------------------------------------------------------------ attention


def test_a_block_is_torchs_pre_norm_encoder_layer():
    torch.manual_seed(0)
    ours = AttentionBlock(16, 4, 0.0)
    theirs = nn.TransformerEncoderLayer(
        16, 4, dim_feedforward=64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(
                0.1 * torch.randn_like(parameter)
            )  # norms and biases that are not 1 and 0
        pairs = {
            "self_attn.in_proj": "attention.query_key_value",
            "self_attn.out_proj": "attention.output",
            "linear1": "network.0",
            "linear2": "network.2",
            "norm1": "attention_norm",
            "norm2": "network_norm",
        }
        state = {
            f"{name}{'_' if name.endswith('in_proj') else '.'}{kind}": ours.get_parameter(
                f"{own}.{kind}"
            )
            for name, own in pairs.items()
            for kind in ("weight", "bias")
        }
    theirs.load_state_dict(state)
    x = torch.randn(2, 7, 16)
    torch.testing.assert_close(
        ours(x)[0],
        theirs(x, src_mask=nn.Transformer.generate_square_subsequent_mask(7), is_causal=True),
        rtol=1e-4,
        atol=1e-5,
    )


def test_attention_is_torchs_attention():
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 5, 8).unbind(0)
    mixed, weights = scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(mixed, F.scaled_dot_product_attention(query, key, value))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 5))
    mixed, weights = scaled_dot_product_attention(query, key, value, causal_mask(5))
    torch.testing.assert_close(
        mixed, F.scaled_dot_product_attention(query, key, value, is_causal=True)
    )
    assert (weights.triu(1) == 0).all()
    mask = torch.rand(2, 1, 5, 5) > 0.4
    mask[0, 0, 2] = False  # a row that may look at nothing
    mixed, weights = scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(
        mixed[mask.any(-1).expand(2, 4, 5)],
        F.scaled_dot_product_attention(query, key, value, mask)[mask.any(-1).expand(2, 4, 5)],
    )
    assert (weights[0, :, 2] == 0).all()
    assert (mixed[0, :, 2] == 0).all()


def test_showing_the_weights_does_not_change_the_states():
    torch.manual_seed(0)
    encoder = SequenceEncoder(16, 4, 2, 20, 0.3).eval()
    x = torch.randn(3, 7, 16)
    fused, nothing = encoder(x)
    readable, weights = encoder(x, need_weights=True)
    torch.testing.assert_close(readable, fused, rtol=0, atol=1e-5)
    assert nothing == []
    assert len(weights) == 2
    assert weights[0].shape == (3, 4, 7, 7)


def test_multi_head_attention_is_a_loop_over_heads():
    torch.manual_seed(0)
    attention, x = MultiHeadAttention(12, 3, 0.0), torch.randn(2, 5, 12)
    query, key, value = (
        x @ w.T + b
        for w, b in zip(
            attention.query_key_value.weight.chunk(3), attention.query_key_value.bias.chunk(3)
        )
    )
    heads = []
    for part in (slice(0, 4), slice(4, 8), slice(8, 12)):
        scores = (query[..., part] @ key[..., part].transpose(1, 2) / 2).masked_fill(
            ~causal_mask(5), -torch.inf
        )
        heads.append(scores.softmax(-1) @ value[..., part])
    torch.testing.assert_close(attention(x)[0], attention.output(torch.cat(heads, -1)))


def test_attention_across_threads_is_a_weighted_sum():
    torch.manual_seed(0)
    across = awake(BranchAttention(8))
    states, present = torch.randn(1, 1, 3, 8), torch.tensor([[[True, False, True]]])
    for domain in (0, 1):
        mixed, weights = across(states, present, domain)
        scores = torch.stack(
            [across.key(states[0, 0, k]) @ across.query[domain] / 8**0.5 for k in (0, 2)]
        ).softmax(0)
        torch.testing.assert_close(
            weights[0, 0], torch.stack([scores[0], torch.tensor(0.0), scores[1]])
        )
        by_hand = sum(w * states[0, 0, k] @ across.value[domain, k] for w, k in zip(scores, (0, 2)))
        torch.testing.assert_close(mixed[0, 0], by_hand)


# ------------------------------------------------------------------------------------------------ item vectors


def test_reduced_features_are_centred_principal_components():
    given = inputs()
    reduced = reduce_features(given.text, given.text_present, width=5)
    assert (reduced[~given.text_present] == 0).all()
    rows = reduced[given.text_present]
    torch.testing.assert_close(rows.mean(0), torch.zeros(5), rtol=0, atol=1e-6)
    torch.testing.assert_close(rows.pow(2).sum(1).mean(), torch.tensor(1.0))
    covariance = torch.cov(given.text[given.text_present].T)
    _values, vectors = torch.linalg.eigh(covariance.double())
    by_hand = (
        given.text[given.text_present] - given.text[given.text_present].mean(0)
    ).double() @ vectors.flip(1)[:, :5]
    agreement = F.cosine_similarity(rows.double(), by_hand, dim=0).abs()
    torch.testing.assert_close(agreement, torch.ones(5, dtype=torch.double), rtol=0, atol=1e-6)
    junk = given.text.clone()
    junk[~given.text_present] = 1e3  # what is not there has no say
    torch.testing.assert_close(reduce_features(junk, given.text_present, width=5), reduced)


def test_an_item_is_the_sum_of_its_views_and_a_gap_is_a_learned_vector():
    torch.manual_seed(0)
    given = inputs()
    items = awake(ItemRepresentation(given, 16))
    table = items.tag_embedding()
    tags_7 = sum(w * table[t] for w, t in zip(given.tag_weights[7], given.tag_ids[7]))
    text_7, image_7 = (
        getattr(items, f"{view}_map")(getattr(items, f"{view}_features")[7])
        for view in ("text", "image")
    )
    torch.testing.assert_close(items()[7], items.id[7] + text_7 + image_7 + tags_7)
    parts = items.parts()
    for view, lacking in (("text", [3, 15]), ("image", [4, 16]), ("tags", [5, 17])):
        for item in lacking:
            torch.testing.assert_close(parts[view][item], getattr(items, f"{view}_missing"))
        assert not torch.isclose(parts[view][7], getattr(items, f"{view}_missing")).all()


def test_learned_tag_weights_start_as_the_given_ones_and_follow_the_equation():
    torch.manual_seed(0)
    given = inputs()
    items = ItemRepresentation(given, 16, tag_weighting="learned")
    others = sum(items.parts()[view] for view in ("id", "text", "image"))
    torch.testing.assert_close(
        items.weights(items.tag_ids, items.tag_weights, others), given.tag_weights
    )  # before training nothing has been learned
    awake(items)
    others = sum(items.parts()[view] for view in ("id", "text", "image"))
    scores = [
        items.weigh
        @ torch.tanh(items.weigh_tag(items.tag_embedding()[tag]) + items.weigh_item(others[7]))
        for tag in given.tag_ids[7]
    ]
    by_hand = given.tag_weights[7] * torch.stack(scores).exp()
    torch.testing.assert_close(
        items.weights(items.tag_ids, items.tag_weights, others)[7], by_hand / by_hand.sum()
    )
    assert not torch.allclose(
        items.weights(items.tag_ids, items.tag_weights, others)[7], given.tag_weights[7], atol=1e-3
    )
    torch.testing.assert_close(
        items.weights(items.tag_ids, items.tag_weights, others).sum(1), given.tag_weights.sum(1)
    )  # 1, or 0 where there is no tag
    alone = ItemRepresentation(given, 16, modalities=("tags",), tag_weighting="learned")
    assert torch.isfinite(alone()).all()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Tema(inputs(), TemaConfig(branches=("A", "C"))), "branches .* unknown"),
        (lambda: Tema(inputs(), TemaConfig(modalities=("id", "smell"))), "unknown views"),
        (lambda: Tema(replace(inputs(), image=None), TemaConfig()), "'image' was asked for"),
        (lambda: Tema(inputs(), TemaConfig(tag_table="stone")), "choose frozen, learned or both"),
        (lambda: Tema(inputs(), TemaConfig(tag_weighting="heavy")), "choose given or learned"),
        (lambda: Tema(inputs(), TemaConfig(hidden=16, heads=3)), "not divisible by 3 heads"),
    ],
)
def test_impossible_options_are_refused_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
    assert set(MODALITIES) == {"id", "text", "image", "tags"}


# ------------------------------------------------------------------------------------------------ training


def sequences(users):
    lengths = torch.tensor([0, *map(len, users)])
    return Sequences(
        tuple(f"u{row}" for row in range(len(users))),
        torch.tensor([item for user in users for item in user]),
        lengths.cumsum(0),
    )


def small_split(seed=0):
    rng = np.random.default_rng(seed)
    whole = sequences(
        [rng.permutation(np.arange(1, 23))[: rng.integers(5, 14)].tolist() for _ in range(40)]
    )
    return Split("own", whole.without_last(2), whole.without_last(1), whole)


LITTLE = TrainConfig(epochs=5, batch_size=8, learning_rate=1e-2)


def trained(seed=0, config=LITTLE, name="tema", split=None, **options):
    torch.manual_seed(seed)
    model = MODELS[name]()
    return model, train(model, split or small_split(), DOMAIN, config, **options)


def same_weights(one, other):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_equal_seeds_give_equal_numbers_and_another_seed_does_not():
    (one, first), (two, second) = trained(), trained()
    assert same_weights(one, two)
    assert first.loss == second.loss
    assert first.valid_mrr == second.valid_mrr
    assert trained(config=replace(LITTLE, seed=1))[1].loss != first.loss


def test_a_resumed_training_ends_like_one_that_was_never_interrupted(tmp_path, monkeypatch):
    whole, history = trained()
    calls = []

    def power_cut(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", power_cut)
        with pytest.raises(KeyboardInterrupt):
            trained(checkpoint=tmp_path / "tema.pt")
    assert [path.name for path in tmp_path.iterdir()] == [
        "tema.pt"
    ]  # nothing half-written beside it
    calls.clear()
    monkeypatch.setattr(training, "evaluate", lambda *a, **o: calls.append(1) or evaluate(*a, **o))
    resumed, joined = trained(
        seed=99, checkpoint=tmp_path / "tema.pt"
    )  # other initial weights: all must come from the file
    assert len(calls) == 3  # two of five epochs were done before
    assert same_weights(whole, resumed)
    assert joined.loss == history.loss
    assert joined.valid_mrr == history.valid_mrr
    assert joined.best == history.best


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    trained(checkpoint=tmp_path / "tema.pt", config=replace(LITTLE, epochs=1))
    kept = (tmp_path / "tema.pt").read_bytes()
    for changed in (
        {"config": replace(LITTLE, epochs=1, learning_rate=1e-4)},
        {"config": replace(LITTLE, epochs=1), "split": small_split(1)},
    ):
        with pytest.raises(
            OtherCheckpoint, match="difference in (training learning_rate|data). Name another file"
        ):
            trained(checkpoint=tmp_path / "tema.pt", **changed)
    assert (tmp_path / "tema.pt").read_bytes() == kept


def test_the_loss_of_an_epoch_weighs_every_target_alike():
    """Batches of equally many targets hold unlike numbers of users: weighed by users, an epoch would report another mean."""
    lengths = [3] * 40 + [14] * 10
    rng = np.random.default_rng(0)
    whole = sequences([rng.permutation(np.arange(1, 23))[:length].tolist() for length in lengths])
    split, seen = Split("own", whole, whole, whole), []

    class Told(Popularity):
        """Its loss is a number that the batch decides, so the mean over all targets is known."""

        def __init__(self):
            super().__init__(DOMAIN)
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def loss(self, batch):
            targets = int((batch.targets > 0).sum())
            seen.append((len(batch.sequence), targets, float(batch.length.float().mean())))
            return {"length": self.weight * 0 + batch.length.float().mean()}

    history = train(Told(), split, DOMAIN, TrainConfig(epochs=1, batch_size=10))
    by_targets = sum(targets * loss for _, targets, loss in seen) / sum(
        targets for _, targets, _ in seen
    )
    by_users = sum(users * loss for users, _, loss in seen) / sum(users for users, _, _ in seen)
    assert history.loss["length"] == [pytest.approx(by_targets)]
    assert abs(by_targets - by_users) > 0.5


def test_a_system_may_call_its_terms_as_it_likes(capsys):
    class OtherWord(SASRec):
        def loss(self, batch):
            return {"likelihood": super().loss(batch)["next item"]}

    history = train(
        OtherWord(DOMAIN, SASRecConfig(hidden=16, max_length=20)),
        small_split(),
        DOMAIN,
        replace(LITTLE, epochs=1),
        progress="other",
    )
    assert list(history.loss) == ["likelihood"]
    assert "likelihood=" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0: give at least 1."),
        ({"batch_size": 0}, "batch_size is 0: give at least 1."),
        ({"window": 0}, "window is 0: give at least 1."),
        ({"learning_rate": 0}, "learning_rate is 0: give a number above 0."),
        ({"patience": -1}, "patience is -1: give 0 or more."),
        ({"warm_up": 2}, "warm_up is 2: give a share of all steps, from 0 to 1."),
        ({"precision": "half"}, "precision is 'half': choose auto, float32 or bfloat16."),
    ],
)
def test_a_training_configuration_says_what_cannot_be(changed, sentence):
    with pytest.raises(ValueError) as refused:
        TrainConfig(**changed)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "config", [TemaConfig, SASRecConfig, LLM4CDSRConfig, AutoCDSRConfig, LLMRecConfig, MANConfig]
)
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"hidden": 0}, "hidden is 0: give at least 1."),
        ({"layers": 0}, "layers is 0: give at least 1."),
        ({"heads": 3}, "hidden size 64 is not divisible by 3 heads"),
        ({"dropout": 1.0}, "dropout is 1.0: choose a share"),
        ({"max_length": 0}, "max_length is 0: give at least 1."),
    ],
)
def test_a_model_configuration_says_what_cannot_be(config, changed, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        config(**changed)


@pytest.mark.parametrize("length", [3, 7])
def test_the_model_alone_says_how_many_events_are_read(length):
    """Longer histories than the model has positions for: trained and ranked without a word from anywhere else, on their newest events."""
    model = SASRec(DOMAIN, SASRecConfig(hidden=16, max_length=length))
    split = small_split()
    assert int(split.test.lengths.max()) > length + 2
    train(model, split, DOMAIN, replace(LITTLE, epochs=1))
    short = Sequences(
        split.test.user_id,
        *flat_of(
            [
                row[-length - 1 :]
                for row in (split.test[user].tolist() for user in range(len(split.test)))
            ]
        ),
    )
    read = Protocol(history="candidates", without="target")  # the same candidates for both
    assert (
        evaluate(model, split.test, DOMAIN, protocol=read).rank.tolist()
        == evaluate(model, short, DOMAIN, protocol=read).rank.tolist()
    )
    assert Popularity(DOMAIN).max_length == 50


def flat_of(rows):
    return torch.tensor([item for row in rows for item in row]), torch.tensor(
        [0, *np.cumsum([len(row) for row in rows]).tolist()]
    )


def test_a_device_that_is_not_there_is_said_in_one_sentence(monkeypatch):
    for wrong in ("gpu", "cuda:99", "tpu"):
        monkeypatch.setenv("TEMA_DEVICE", wrong)
        with pytest.raises(
            ValueError, match=f"TEMA_DEVICE is '{wrong}', which torch cannot use here"
        ):
            training.best_device()
    monkeypatch.setenv("TEMA_DEVICE", "cpu")
    assert training.best_device() == torch.device("cpu")


def test_where_no_training_sequence_has_two_events_the_model_stays_as_it_was():
    """Users of three events: one is left to learn from, so there is no pair of an event and the next."""
    rng = np.random.default_rng(0)
    whole = sequences([rng.permutation(np.arange(1, 23))[:3].tolist() for _ in range(12)])
    split = Split("own", whole.without_last(2), whole.without_last(1), whole)
    torch.manual_seed(0)
    model = MODELS["tema"]()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.warns(
        UserWarning, match="no training sequence has two events, so nothing is learned"
    ):
        history = train(model, split, DOMAIN, LITTLE)
    assert history.best == -1
    assert history.epochs == 0
    assert not model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert evaluate(model, split.test, DOMAIN).metric("MRR") > 0


def test_a_domain_without_validation_cases_has_no_say_in_the_best_epoch():
    """All last events lie in A: the mean is A's MRR, not half of it."""
    rng = np.random.default_rng(0)
    domain = DOMAIN.numpy()
    own = np.flatnonzero(domain == 0)
    rows = []
    for _ in range(30):
        row = rng.permutation(np.arange(1, 23))[:8].tolist()
        rows.append(
            row
            + [int(item) for item in rng.permutation([item for item in own if item not in row])[:2]]
        )
    whole = sequences(rows)
    split = Split("own", whole.without_last(2), whole.without_last(1), whole)
    _, history = trained(split=split, config=replace(LITTLE, epochs=2))
    for mrr in history.valid_mrr:
        assert np.isnan(mrr["B"])
        assert mrr["mean"] == mrr["A"] > 0


def test_a_failed_evaluation_leaves_the_model_as_it_was():
    class Broken(SASRec):
        def last_hidden_states(self, batch, inputs):
            assert not self.training
            return super().last_hidden_states(batch, inputs) * float("nan")

    model = Broken(DOMAIN, SASRecConfig(hidden=16, max_length=20)).train()
    with pytest.raises(FloatingPointError):
        evaluate(model, small_split().test, DOMAIN)
    assert model.training
    with evaluation_mode(model):
        assert not model.training
    assert model.training


def test_training_stops_early_and_keeps_its_best_epoch():
    split = small_split()
    model, history = trained(config=replace(LITTLE, epochs=40, patience=2), split=split)
    means = [mrr["mean"] for mrr in history.valid_mrr]
    assert history.epochs < 40
    assert history.best == max(range(len(means)), key=means.__getitem__) == history.epochs - 3
    ranks = evaluate(model, split.valid, DOMAIN)
    assert [ranks.of_domain(d).metric("MRR") for d in (0, 1)] == pytest.approx(
        [history.valid_mrr[history.best][d] for d in "AB"]
    )


@each_model
def test_a_model_can_learn_one_batch_by_heart(name):
    """Without dropout, the next item of a few users becomes certain: gradients arrive where they should."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    one_domain = [
        [1, 2, 3, 4, 5],
        [16, 17, 18, 19],
        [9, 10, 6],
        [20, 21],
    ]  # who reads one domain cannot know when the other one was visited
    batch = batch_of(*(one_domain if name == "sasrec-per-domain" else USERS))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = model.loss(batch)["next item"].item()
    for _ in range(150):
        loss = training.training_step(model, batch, optimizer)["next item"]
    assert first > 1.5
    assert loss.item() < 0.1


def test_random_batches_hold_the_same_users_and_are_not_sorted():
    whole = sequences(
        [
            list(range(1, length + 1))
            for length in np.random.default_rng(0).integers(2, 20, size=400)
        ]
    )
    spread = {}
    for window in (1, 16):
        batches = list(
            training_batches(
                whole,
                DOMAIN,
                max_length=20,
                batch_size=25,
                generator=torch.Generator().manual_seed(0),
                window=window,
            )
        )
        assert sorted(torch.cat([batch.rows for batch in batches]).tolist()) == list(range(400))
        spread[window] = np.mean([batch.length.float().std() for batch in batches])
        if window == 16:
            users, targets = (
                [float(count(batch)) for batch in batches]
                for count in (
                    lambda batch: len(batch.rows),
                    lambda batch: (batch.targets > 0).sum(),
                )
            )
            assert max(targets) < 1.2 * min(targets)
            assert max(users) > 3 * min(users)
            assert len(batches) == 400 // 25
    assert spread[1] > 4
    assert spread[16] < 2


def test_training_takes_the_batches_and_the_clipping_that_it_is_told():
    def losses_of(**changes):
        return trained(config=replace(LITTLE, epochs=2, **changes))[1].loss["next item"]

    usual = losses_of()
    assert losses_of(window=1) != usual
    assert losses_of(clip=1e-3) != usual
    assert losses_of(clip=1e9) != losses_of(clip=1e-3)
    torch.manual_seed(0)
    model = MODELS["tema"]()
    before = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    training.training_step(
        model, batch_of(*USERS), torch.optim.SGD(model.parameters(), lr=1.0), clip=0.01
    )
    after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.01, rel=1e-3)


@each_level_1
@pytest.mark.parametrize("loss", sorted(losses.LOSSES))
def test_under_autocast_the_loss_keeps_full_precision_and_only_the_states_are_short(name, loss):
    """The head computes in float32: given the states that autocast makes, the loss is that of float32 to five digits."""
    model = awake(MODELS[name]())
    model.loss_of, batch = losses.LOSSES[loss], batch_of(*USERS)
    with torch.autocast("cpu", torch.bfloat16):
        states, table = model.encode_with_items(batch)
        torch.manual_seed(0)
        short = model.loss(batch)["next item"]
    real = batch.targets > 0
    torch.manual_seed(0)
    exact = losses.LOSSES[loss](states[real].float(), table, batch.targets[real], model.item_ranges)
    assert table.dtype == short.dtype == torch.float32
    torch.testing.assert_close(short, exact, rtol=1e-5, atol=1e-5)
    short.backward()
    assert all(
        parameter.grad is None or torch.isfinite(parameter.grad).all()
        for parameter in model.parameters()
    )


@pytest.mark.parametrize(
    "options",
    [
        {"tag_table": "frozen"},
        {"tag_table": "learned"},
        {"tag_table": "frozen", "tag_weighting": "learned"},
        {"modalities": ("tags",)},
    ],
)
def test_every_way_of_reading_tags_works_in_bfloat16(options):
    torch.manual_seed(0)
    model = Tema(inputs(), TemaConfig(hidden=16, max_length=20, **options))
    loss = training.training_step(
        model, batch_of(*USERS), torch.optim.SGD(model.parameters(), lr=0.1), precision="bfloat16"
    )["next item"]
    assert torch.isfinite(loss)
    assert loss.dtype == torch.float32


def test_bfloat16_learns_nearly_the_same_and_impossible_precisions_are_refused():
    config = replace(LITTLE, epochs=3)
    exact, short = (
        trained(config=config)[1],
        trained(config=replace(config, precision="bfloat16"))[1],
    )
    assert short.loss["next item"] == pytest.approx(exact.loss["next item"], rel=0.05)
    assert short.loss != exact.loss
    assert (exact.trained_on, short.trained_on) == ("cpu float32", "cpu bfloat16")
    with pytest.raises(ValueError, match="precision is 'half': choose auto, float32 or bfloat16"):
        trained(config=replace(config, precision="half"))


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="no GPU here: training and ranking on one stay untested in this run",
)
def test_a_gpu_learns_and_ranks_as_the_processor_does(tmp_path):
    split = small_split()
    assert training.best_device().type == "cuda"
    for name, make in {**MODELS, "popularity": lambda: Popularity(DOMAIN)}.items():
        torch.manual_seed(0)
        model = make().to("cuda")
        history = train(
            model, split, DOMAIN, replace(LITTLE, epochs=2), checkpoint=tmp_path / f"{name}.pt"
        )
        assert name == "popularity" or history.loss["next item"][1] < history.loss["next item"][0]
        there, here = (
            evaluate(model.to(position), split.test, DOMAIN) for position in ("cuda", "cpu")
        )
        assert np.abs(there.rank - here.rank).mean() < 0.1
        assert np.array_equal(there.candidates, here.candidates)


def test_the_device_can_be_chosen(monkeypatch):
    monkeypatch.setenv("TEMA_DEVICE", "cpu")
    assert training.best_device().type == "cpu"
    monkeypatch.setenv("TEMA_DEVICE", "meta")
    assert training.best_device().type == "meta"


def test_an_infinite_loss_stops_the_training():
    model = MODELS["sasrec"]()
    torch.nn.init.constant_(model.id, float("inf"))
    with pytest.raises(
        FloatingPointError, match="no longer a number in epoch 0: look for damaged features"
    ):
        train(model, small_split(), DOMAIN, LITTLE)


def test_prepare_sees_the_training_part_only():
    split, seen = small_split(), []

    class Spy(Popularity):
        def fit_statistics(self, given):
            seen.append(given)
            super().fit_statistics(given)

    train(Spy(DOMAIN), split, DOMAIN, LITTLE)
    assert len(seen) == 1
    assert seen[0] is split.train


def test_every_training_event_but_the_first_is_a_target_once():
    split, _bought, predicted = small_split(), [], []
    for batch in training_batches(
        split.train, DOMAIN, max_length=20, batch_size=8, generator=torch.Generator().manual_seed(0)
    ):
        assert torch.equal(batch.target_domain, DOMAIN[batch.targets])
        assert torch.equal(batch.sequence > 0, batch.targets > 0)
        for row, sequence, targets in zip(batch.rows.tolist(), batch.sequence, batch.targets):
            user = split.train[row]
            assert torch.equal(sequence[: len(user) - 1], user[:-1])
            assert torch.equal(targets[: len(user) - 1], user[1:])
            predicted.append(row)
    assert sorted(predicted) == list(range(len(split.train)))


# ------------------------------------------------------------------------------------------------ counting


@pytest.mark.parametrize("history", [False, True])
def test_co_occurrence_is_a_loop_over_pairs(history):
    split, decay, reach = small_split(), 0.3, 3
    model = CoOccurrence(DOMAIN, history, decay, reach)
    model.fit_statistics(split.train)
    pairs, count = np.zeros((23, 23)), np.zeros(23)
    for user in range(len(split.train)):
        events = split.train[user].tolist()
        for position, item in enumerate(events):
            count[item] += 1
            for distance in range(1, (reach if history else 1) + 1):
                if position + distance < len(events):
                    pairs[item, events[position + distance]] += decay ** (distance - 1)
    expected = np.zeros((len(USERS), 23))
    for row, user in enumerate(USERS):
        for age, item in enumerate(reversed(user)):
            if history or age == 0:
                expected[row] += (decay**age if history else 1) * pairs[item]
    expected = torch.from_numpy(expected + 1e-4 * count / count.max()).float()
    torch.testing.assert_close(model.score(ranking(*USERS), ALL_ITEMS), expected[:, 1:])
    shuffled = ALL_ITEMS.flip(0).expand(4, -1)
    torch.testing.assert_close(model.score(ranking(*USERS), shuffled), expected[:, 1:].flip(1))
    popularity = Popularity(DOMAIN)
    popularity.fit_statistics(split.train)
    torch.testing.assert_close(
        popularity.score(ranking(*USERS), ALL_ITEMS)[0], torch.from_numpy(count[1:]).float()
    )
