"""The four losses against torch's, in value and gradient, and under autocast."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tema_lib.training as training
from tema_lib.models import losses
from tema_lib.models.man import MAN, MANConfig
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.tema import Tema, TemaConfig
from tests.helpers.models import (
    DOMAIN,
    DOMAIN_A,
    DOMAIN_B,
    MODELS,
    SEQUENCE_MODELS,
    USERS,
    awake,
    batch_of,
    inputs,
    ranking,
    sequences,
)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_our_cross_entropy_is_torchs(chunk, monkeypatch):
    """Loss and gradients against torch's plain and chunked ones; logits of 300 do not overflow."""
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


def random_logits(size_a=12, size_b=10, rows=40):
    rng = torch.Generator().manual_seed(1)
    table = torch.randn(size_a + size_b + 1, 6, generator=rng)
    hidden = torch.randn(rows, 6, generator=rng)
    target = torch.randint(1, size_a + size_b + 1, (rows,), generator=rng)
    domain = torch.tensor([-1] + [0] * size_a + [1] * size_b)
    possible = domain >= 0
    possible[[2, 5, size_a + 3]] = False  # never seen in training
    target = target.where(possible[target], torch.tensor(1))
    return hidden, table, target, losses.Candidates.of(domain, possible)


def test_the_exact_losses_are_cross_entropy_over_their_candidates():
    hidden, table, target, candidates = random_logits()
    in_a, in_b = (ids.tolist() for ids in candidates.ids)
    assert (len(in_a), len(in_b)) == (10, 9)

    def expected(lists):
        return torch.stack(
            [
                F.cross_entropy(table[ids] @ h, torch.tensor(ids.index(y)))
                for h, y in zip(hidden, target.tolist())
                for ids in lists
                if y in ids
            ]
        ).mean()

    found = losses.catalogue_softmax(hidden, table, target, candidates)
    torch.testing.assert_close(found, expected([in_a + in_b]))
    found = losses.domain_softmax(hidden, table, target, candidates)
    torch.testing.assert_close(found, expected([in_a, in_b]))


def test_the_sampled_denominator_is_right_on_average():
    """For one target, exp(loss) is denominator / numerator: its mean over draws is the exact one.

    Within four standard errors.
    """
    torch.manual_seed(0)
    hidden, table, target, candidates = random_logits()
    for case in (0, 1, 2):
        one = (hidden[case : case + 1], table, target[case : case + 1], candidates)
        drawn = torch.stack([losses.sampled_softmax(*one) for _ in range(300)]).exp()
        exact = losses.domain_softmax(*one).exp()
        assert abs(drawn.mean() - exact) < 4 * drawn.std() / 300**0.5
        assert drawn.std() > 0
    torch.testing.assert_close(
        losses.sampled_softmax(hidden, table, target, candidates),
        losses.domain_softmax(hidden, table, target, candidates),
        rtol=0.05,
        atol=0.05,
    )


def test_the_binary_loss_draws_its_negative_uniformly_from_the_targets_domain():
    """Every item has another score, so the mean over draws is the mean over the domain."""
    torch.manual_seed(0)
    hidden, table, target, candidates = random_logits()
    ids = next(ids for ids in candidates.ids if target[0] in ids)
    drawn = torch.stack(
        [losses.binary(hidden[:1], table, target[:1], candidates) for _ in range(4000)]
    )
    expected = (
        F.softplus(-(hidden[0] @ table[target[0]])) + F.softplus(table[ids] @ hidden[0]).mean()
    )
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / 4000**0.5
    assert len(drawn.unique()) == len(ids)


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
    path = [float(training.training_step(model, batch, optimizer)["next item"]) for _ in range(200)]
    assert np.mean(path[-20:]) < 0.7 * np.mean(path[:5])
    for user in USERS:  # what came last is what it recommends, in its own domain
        members = torch.tensor(DOMAIN_A if user[-1] in DOMAIN_A else DOMAIN_B)
        scores = model.eval().score(ranking(user[:-1], domain=int(DOMAIN[user[-1]])), members)
        assert members[scores[0].argmax()] == user[-1]


@pytest.mark.parametrize("name", SEQUENCE_MODELS)
@pytest.mark.parametrize("loss", sorted(losses.LOSSES))
def test_under_autocast_the_loss_keeps_full_precision(name, loss):
    """From the states that autocast makes, the loss is computed in float32."""
    model = awake(MODELS[name]())
    model.loss_function = losses.LOSSES[loss]
    batch = batch_of(*USERS)
    with torch.autocast("cpu", torch.bfloat16):
        states, table = model.encode_with_items(batch)
        torch.manual_seed(0)
        short = model.loss(batch)["next item"]
    real = batch.targets > 0
    torch.manual_seed(0)
    exact = losses.LOSSES[loss](states[real].float(), table, batch.targets[real], model.candidates)
    assert table.dtype == short.dtype == torch.float32
    torch.testing.assert_close(short, exact, rtol=1e-5, atol=1e-5)
    short.backward()
    assert all(
        parameter.grad is None or torch.isfinite(parameter.grad).all()
        for parameter in model.parameters()
    )


@pytest.mark.parametrize("name", ["sasrec", "man"])
def test_only_items_seen_in_training_are_negatives_where_that_is_asked(name):
    """A never-seen item gets no gradient; with all items as negatives it is pushed away."""
    users, never = [user[:-1] for user in USERS], 12
    train = sequences(users)
    assert never not in train.items
    for negatives, moved in (("seen", False), ("all", True)):
        torch.manual_seed(0)
        options = {"hidden": 16, "max_length": 20, "negatives": negatives}
        if name == "sasrec":
            model = SASRec(DOMAIN, SASRecConfig(**options))
        else:
            model = MAN(DOMAIN, MANConfig(negatives_per_target=200, **options))
        model.fit_statistics(train)
        model.loss(batch_of(*users[:3]))["next item"].backward()
        assert bool(model.id.grad[never].abs().max() > 0) == moved
