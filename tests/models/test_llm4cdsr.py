"""LLM4CDSR: its equations against loops, both contrastive losses, and the released options."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tema_lib.data.sequences import domain_view
from tema_lib.data.splits import Split
from tema_lib.models.llm4cdsr import LLM4CDSR, LLM4CDSRConfig, soft_contrastive_loss
from tema_lib.tags.profiles import Profiles
from tema_lib.training import train
from tests.helpers.models import (
    ALL_ITEMS,
    DOMAIN,
    DOMAIN_A,
    DOMAIN_B,
    LITTLE,
    USERS,
    SmallInputs,
    awake,
    batch_of,
    fitted,
    inputs,
    ranking,
    sequences,
    small_split,
)

LITTLE_MODEL = LLM4CDSRConfig(hidden=16, max_length=20, adapter_width=12)


def make(**options):
    torch.manual_seed(0)
    return LLM4CDSR(inputs(), SmallInputs.profiles, replace(LITTLE_MODEL, **options))


def test_the_soft_contrastive_loss_is_two_cross_entropies_with_soft_labels():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 5, 4, generator=rng, dtype=torch.double)
    for temperature in (1.0, 0.3):
        total = 0.0
        for i in range(5):
            alike = torch.stack(
                [(x[i] @ x[j] + y[i] @ y[j]) / 2 * temperature for j in range(5)]
            ).softmax(0)
            rows, columns = (
                torch.stack([a[i] @ b[j] / temperature for j in range(5)]).log_softmax(0)
                for a, b in ((x, y), (y, x))
            )
            by_column = (
                torch.stack(
                    [
                        (x[j] @ x[k] + y[j] @ y[k]) / 2 * temperature
                        for j in range(5)
                        for k in range(5)
                    ]
                )
                .view(5, 5)
                .softmax(-1)[:, i]
            )
            total -= (alike * rows).sum() / 2 + (by_column * columns).sum() / 2
        torch.testing.assert_close(soft_contrastive_loss(x, y, temperature), total / 5)


def test_the_soft_contrastive_loss_by_hand_where_the_temperature_is_not_one():
    """x = y = two unit vectors, tau = 1/2: the logits are 2 on the diagonal.

    Soft labels: softmax(tau (1, 0)) = softmax(1/2, 0).
    """
    pair = torch.eye(2)
    label = 1 / (1 + math.exp(-0.5))
    likely = 1 / (1 + math.exp(-2))
    by_hand = -(label * math.log(likely) + (1 - label) * math.log(1 - likely))
    assert (
        float(soft_contrastive_loss(pair, pair, 0.5))
        == pytest.approx(by_hand, abs=1e-6)
        == pytest.approx(0.8820, abs=1e-4)
    )
    divided = 1 / (1 + math.exp(-2))  # labels divided by tau would be sharper
    assert abs(by_hand + divided * math.log(likely) + (1 - divided) * math.log(1 - likely)) > 0.4


def test_the_soft_contrastive_loss_of_fewer_than_two_pairs_is_nothing():
    for rows in (0, 1):
        x = torch.randn(rows, 4, requires_grad=True)
        loss = soft_contrastive_loss(x, x)
        loss.backward()
        assert loss == 0
        assert (x.grad == 0).all()


def test_a_logit_is_the_sum_of_the_domains_and_the_merged_product():
    """One user, one candidate at a time, each branch run alone."""
    model = awake(make())
    local, adapted = model.local, model.adapter[1](model.adapter[0](model.text))
    for domain, members in ((0, DOMAIN_A), (1, DOMAIN_B)):
        scores = model.score(ranking(*USERS, domain=domain), ALL_ITEMS)
        for row, user in enumerate(USERS):
            own = [item for item in user if item in members]
            length = torch.tensor([len(own)])
            state = model.encoders["AB"[domain]](4 * local[torch.tensor([own])], length)[0][0, -1]
            length = torch.tensor([len(user)])
            merged = model.encoders["merged"](4 * adapted[torch.tensor([user])], length)[0][0, -1]
            merged = merged @ model.domain_heads.weight[domain]
            for item in members:
                torch.testing.assert_close(
                    scores[row, item - 1],
                    state @ local[item] + merged @ adapted[item],
                    rtol=1e-4,
                    atol=1e-4,
                )


def test_local_tables_are_each_domains_own_principal_directions():
    model = make(local_tables="frozen")
    given = inputs()
    assert "local" not in dict(model.named_parameters())
    assert "local" in dict(make().named_parameters())
    assert (model.local[[0, 3, 15]] == 0).all()  # padding, and items without text
    for members in (DOMAIN_A, DOMAIN_B):
        own = torch.tensor([item for item in members if given.text_present[item]])
        rows = given.text[own] - given.text[own].mean(0)
        # All directions are kept: the same inner products, up to scale.
        expected, found = rows @ rows.T, model.local[own] @ model.local[own].T
        torch.testing.assert_close(
            found / found.trace(), expected / expected.trace(), rtol=1e-3, atol=1e-4
        )


def test_the_pairs_are_drawn_from_a_users_items_in_each_domain():
    model = make()
    users = [[1, 13, 2, 14, 3], [4, 5, 6], [16, 7, 17, 8]]
    table = torch.arange(23.0)[:, None].repeat(1, 32)  # each vector names its item
    seen = set()
    for _ in range(60):
        a, b = (vectors[:, 0] / 4 for vectors in model.item_pairs(ranking(*users), table))
        assert len(a) == 2
        assert set(a.tolist()) <= set(DOMAIN_A)
        assert set(b.tolist()) <= set(DOMAIN_B)
        assert a[0] in (1, 2, 3)
        assert b[0] in (13, 14)
        assert a[1] in (7, 8)
        assert b[1] in (16, 17)
        seen |= set(a.tolist()) | set(b.tolist())
    assert seen == {1, 2, 3, 13, 14, 7, 8, 16, 17}  # all of them sooner or later


def held_out_contrastive_loss(model, split):
    """The adapter's contrastive loss of pairs: last event in A, last in B, of the newest six."""
    a, b = [], []
    for row in range(len(split.test)):
        last = split.test[row][-6:]
        own = [last[DOMAIN[last] == domain] for domain in (0, 1)]
        if len(own[0]) and len(own[1]):
            a.append(own[0][-1])
            b.append(own[1][-1])
    table = 4 * model.item_embeddings()[0][:, 16:]
    with torch.no_grad():
        return float(soft_contrastive_loss(table[torch.stack(a)], table[torch.stack(b)]))


def paired_split(users=120):
    """Each user has a k and interacts with items 1 + k of A and 13 + k of B, so pairs are known."""
    rng, rows = np.random.default_rng(0), []
    for user in range(users):
        kind = [1 + (2 * user) % 10, 2 + (2 * user) % 10]
        rows.append([item + 12 * int(rng.integers(2)) for item in rng.choice(kind, 8)])
    whole = sequences(rows)
    return Split("own", whole.without_last(2), whole.without_last(1), whole)


def test_the_adapter_contrastive_loss_falls_on_held_out_pairs():
    split, found = paired_split(), {}
    for weight in (0.0, 1.0):
        model = fitted(make(contrastive=weight, profile=0), split.train)
        found[weight] = held_out_contrastive_loss(model, split)
    assert found[1.0] < found[0.0] - 0.3


def test_the_profile_contrastive_loss_pulls_a_user_to_their_profile():
    """With profiles that name a user's items, held-out users' states find their own profile."""
    split = paired_split()
    kind = torch.tensor([(2 * user) % 10 // 2 for user in range(120)])
    # Every third user has no profile: held out.
    given = Profiles(("",) * 120, F.one_hot(kind, 16).float(), torch.arange(120) % 3 > 0)
    found = {}
    for beta in (1e-9, 1.0):
        torch.manual_seed(0)
        model = LLM4CDSR(inputs(), given, replace(LITTLE_MODEL, profile=beta, contrastive=0))
        fitted(model, split.train)
        with torch.no_grad():
            batch = ranking(*(split.test[row].tolist() for row in range(120)))
            _, merged = model.branches(batch, model.item_embeddings()[0])
            held_out = torch.arange(120) % 3 == 0
            last = merged[torch.arange(120), batch.last][held_out]
            nearest = (last @ model.user_adapter(torch.eye(16)[:5]).T).argmax(1)
            found[beta] = float((nearest == kind[held_out]).float().mean())
    assert found[1.0] > 0.8
    assert found[1.0] > found[1e-9] + 0.3


def test_prediction_never_reads_a_profile():
    model = awake(make())
    before = model.score(ranking(*USERS), ALL_ITEMS)
    model.profiles.normal_()
    torch.testing.assert_close(model.score(ranking(*USERS), ALL_ITEMS), before, rtol=0, atol=0)


def test_a_user_without_a_profile_is_left_out_of_the_contrastive_loss():
    model, batch = make(), batch_of(*USERS)  # the third user has none

    def value():
        return model.eval().loss(batch)["profile contrastive"].detach()

    before = value()
    model.profiles[2] += 5
    torch.testing.assert_close(value(), before, rtol=0, atol=0)
    model.profiles[3] += 5
    assert value() != before


def test_the_terms_are_added_with_alpha_and_beta():
    model = make(contrastive=0.25, profile=0.5)
    terms = {
        "next item": torch.tensor(2.0),
        "adapter contrastive": torch.tensor(4.0),
        "profile contrastive": torch.tensor(6.0),
    }
    assert model.total_loss(terms) == 2 + 1 + 3
    assert set(make(contrastive=0).loss(batch_of(*USERS))) == {"next item", "profile contrastive"}
    assert set(make(profile=0).loss(batch_of(*USERS))) == {"next item", "adapter contrastive"}


def test_without_the_causal_mask_a_state_sees_the_item_it_has_to_predict():
    """As released: a later event changes an earlier state.  Padding is masked either way."""
    before = batch_of(*USERS[:2])
    later = replace(before, sequence=before.sequence.clone())
    later.sequence[0, 5] = 12
    for causal, leaks in ((True, False), (False, True)):
        model = awake(make(causal=causal))
        old, new = (model.encode_with_items(batch)[0] for batch in (before, later))
        assert ((new[0, :5] - old[0, :5]).abs().max() > 1e-3) == leaks
        wide = replace(
            before,
            sequence=F.pad(before.sequence, (0, 4)),
            targets=F.pad(before.targets, (0, 4)),
            target_domain=F.pad(before.target_domain, (0, 4), value=-1),
        )
        torch.testing.assert_close(
            model.encode_with_items(wide)[0][:, :7], old, rtol=1e-4, atol=1e-4
        )
        assert torch.isfinite(model.score(ranking([1], [], [13, 14]), ALL_ITEMS)).all()


def test_a_state_of_one_domain_reads_that_domain_alone():
    model = awake(make())
    table = model.item_embeddings()[0]
    mixed, alone = ranking([1, 13, 2, 14, 15], domain=1), ranking([13, 14, 15], domain=1)
    torch.testing.assert_close(
        model.branches(mixed, table)[0][0, 4],
        model.branches(alone, table)[0][0, 2],
        rtol=1e-4,
        atol=1e-5,
    )
    assert len(domain_view(mixed.sequence, DOMAIN, 1).sequence[0]) == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda: make(local_tables="melted"), "choose trained or frozen"),
        (lambda: make(similarity="smell"), "choose cosine or dot"),
        (lambda: LLM4CDSR(inputs(), None, LITTLE_MODEL), "needs profiles: write them"),
        (
            lambda: LLM4CDSR(replace(inputs(), text=None), SmallInputs.profiles, LITTLE_MODEL),
            "reads text vectors",
        ),
        (
            lambda: train(
                LLM4CDSR(
                    inputs(),
                    replace(SmallInputs.profiles, vectors=SmallInputs.profiles.vectors[:7]),
                    LITTLE_MODEL,
                ),
                small_split(),
                DOMAIN,
                LITTLE,
            ),
            "7 profiles for 40 training sequences",
        ),
    ],
)
def test_impossible_options_are_refused_in_one_sentence(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        change()
