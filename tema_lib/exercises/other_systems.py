"""What the exercises of notebook 07 have to do: mixtures of gradients, a state, a contrastive loss.

Status: ours.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tema_lib.exercises.check import Answer, number, same, shaped
from tema_lib.models.llm4cdsr import soft_contrastive_loss

BETA = torch.linspace(0, 1, 1001)[:, None]


def shortest_length(answer: Answer) -> None:
    """cosine of two vectors of length 1 -> the length of their shortest mixture."""
    for angle in (torch.rand(20) * math.pi).tolist():
        cosine = math.cos(angle)
        one, other = torch.tensor([1.0, 0.0]), torch.tensor([cosine, math.sin(angle)])
        shortest = float((BETA * one + (1 - BETA) * other).norm(dim=1).min())
        found = number(answer(cosine))
        where = f"at the cosine {cosine:.2f}"
        assert found < shortest + 1e-3, f"{where} there is a shorter mixture: draw the two vectors"
        assert found > shortest - 1e-3, f"{where} no mixture is as short as that"
    assert abs(number(answer(1.0)) - 1) < 1e-6, "a vector mixed with itself keeps its length"
    assert abs(number(answer(-1.0))) < 1e-6, "two opposite vectors can cancel each other"


def shortest_mixture(answer: Answer) -> None:
    """(g1 [D], g2 [D]) -> the shortest vector beta g1 + (1 - beta) g2 with 0 <= beta <= 1, [D]."""
    unit = F.normalize(torch.randn(2, 6), dim=1)
    found = shaped(answer(*unit), 6)
    assert same(found, unit.mean(0)), "two vectors of the same length: it is halfway between them"
    short, long = torch.eye(6)[0], 5 * F.normalize(torch.eye(6)[0] + 0.2 * torch.eye(6)[1], dim=0)
    for pair in ((short, long), (long, short)):
        assert same(answer(*pair), short), (
            "a short vector and a long one in nearly the same direction: "
            "beta must stay between 0 and 1, and then nothing is shorter than the short one"
        )
    for g1, g2 in zip(torch.randn(40, 6), torch.randn(40, 6) * torch.rand(40, 1) * 4):
        found = shaped(answer(g1, g2), 6)
        mixtures = BETA * g1 + (1 - BETA) * g2
        assert (mixtures - found).norm(dim=1).min() < 1e-2, "it does not lie between the two"
        assert found.norm() < mixtures.norm(dim=1).min() + 1e-3, "another mixture is shorter"
    equal = torch.randn(6)
    assert same(shaped(answer(equal, equal.clone()), 6), equal), (
        "two equal vectors: every mixture is that vector. Is there a difference of 0 to divide by?"
    )


def recent_mean(answer: Answer) -> None:
    """(vectors (B, T, D), decay) -> states (B, T, D), means in which each step back counts less."""
    vectors = torch.randn(3, 6, 4)
    states = shaped(answer(vectors, 0.5), 3, 6, 4)
    changed = vectors.clone()
    changed[:, 4:] += 1
    assert same(answer(changed, 0.5)[:, :4], states[:, :4]), (
        "an earlier state changes with a later event: it leaks"
    )
    assert same(answer(torch.ones(1, 6, 4), 0.5), torch.ones(1, 6, 4)), (
        "the weights of each state have to sum to 1: the mean of equal vectors is that vector"
    )
    weights = answer(torch.eye(6)[None], 0.7)[0]  # row t: how much each event counts in state t
    assert same(weights[5, :5], 0.7 * weights[5, 1:]), (
        "each event counts `decay` times as much as the one after it, up to the newest"
    )
    assert same(answer(vectors, 0.0), vectors), (
        "with decay 0 only the newest event counts, and it has the weight 0 ** 0 = 1"
    )
    long = answer(torch.ones(1, 400, 1), 0.1)
    assert torch.isfinite(long).all(), (
        "a long history overflows: take the power of how far back an event is, "
        "rather than dividing by the power of its position"
    )


def soft_contrastive(answer: Answer) -> None:
    """(x [n, D], y [n, D]) -> L(X, Y) of section 3, as a scalar."""
    for n in (2, 5):
        found = shaped(answer(torch.ones(n, 3), torch.ones(n, 3)))
        assert same(found, math.log(n)), (
            f"{n} pairs that are all the same are guessed at random: the loss is ln {n}"
        )
    apart = 6 * torch.eye(5)
    assert answer(apart, apart) < 0.01, "pairs that fit, far from all others, cost next to nothing"
    assert answer(apart, apart.roll(1, 0)) > 5, (
        "row i of x belongs to row i of y: long vectors with the wrong partner cost much"
    )
    turn = 2 * math.pi * torch.arange(7) / 7
    circle = 1.5 * torch.stack([turn.cos(), turn.sin()], 1)
    x, y = (circle.clone().requires_grad_() for _ in range(2))
    loss = answer(x, y)
    assert loss.requires_grad, "no gradient reaches x and y"
    gradient = torch.cat(
        torch.autograd.grad(loss, [x, y], allow_unused=True, materialize_grads=True)
    )
    assert same(gradient, 0), (
        "seven vectors evenly around a circle, each with itself as partner: here the logits give "
        "just the soft targets, so there is nothing to learn and the gradient is 0. Are the "
        "targets soft, and does no gradient flow through them?"
    )
    for _ in range(5):
        x, y = torch.randn(2, 6, 4)
        assert same(answer(x, y), soft_contrastive_loss(x, y)), (
            "on random vectors it is another number than in section 3: there are two "
            "cross-entropies, of the rows and of the columns, the second with transposed targets"
        )
