"""What the exercises of notebook 04 have to do: positions, masks, branches, the loss.

Status: ours.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from tema_lib.exercises.check import Answer, same, shaped


def positions_from_the_end(answer: Answer) -> None:
    """(lengths int64 [B], width) -> int64 (B, width), 0 for the newest event and for padding."""
    for width in (8, 11):
        lengths = torch.randint(1, 9, (20,))
        lengths[0] = 8  # no padding where the width is 8, too
        found = shaped(answer(lengths, width), 20, width)
        assert not found.is_floating_point(), "positions index a table: return whole numbers"
        for row, length in zip(found.tolist(), lengths.tolist()):
            assert row[length - 1] == 0, (
                "the newest event is 0 in every sequence, with padding behind it or without"
            )
            for older, newer in pairwise(row[:length]):
                assert older == newer + 1, "an event one step further back has a position 1 higher"
            assert min(row) == 0, "a negative position reads the table from its other end"
            assert not any(row[length:]), "padding has position 0"


def causal_weights(answer: Answer) -> None:
    """(scores (B, T, T), sequence int64 (B, T)) -> weights (B, T, T), whichever side is padded."""
    scores = (2 * torch.randn(4, 6, 6)).requires_grad_()
    sequence = torch.randint(1, 100, (4, 6))
    sequence[1, 4:] = 0  # padded on the right
    sequence[2, :3] = 0  # padded on the left, so the first rows see nothing
    sequence[3] = 0  # nobody
    real = sequence > 0
    allowed = real[:, :, None] & real[:, None] & torch.ones(6, 6, dtype=torch.bool).tril()
    weights = shaped(answer(scores, sequence), 4, 6, 6)
    assert not weights.isnan().any(), "NaN: where nothing may be seen, a softmax is 0/0"
    assert not weights.triu(1).any(), "a later event has a weight"
    assert not (weights * ~real[:, None]).any(), "padding has a weight: it is no event to attend to"
    assert not weights[~real].any(), "a row of padding attends to nothing: its weights are 0"
    assert same(weights.sum(-1)[real], 1), (
        "the weights of an event do not sum to 1: what is forbidden has to go before the softmax"
    )
    other = torch.where(allowed, scores, 90 * torch.randn(4, 6, 6))
    assert same(answer(other, sequence), weights), (
        "a forbidden score, large or small, must not change any weight"
    )
    _doubles_odds(lambda raised: answer(raised, sequence)[0, 5], scores, (0, 5, 2))
    assert weights.requires_grad, "no gradient reaches the scores"
    (gradient,) = torch.autograd.grad((weights**2).sum(), scores)
    assert gradient.isfinite().all(), (
        "the weights are right, their gradient is NaN: a NaN that is replaced after the softmax "
        "comes back in training; let none arise"
    )


def mixed_branches(answer: Answer) -> None:
    """(states (N, S, D), scores (N, S), present bool (N, S)) -> the mixture (N, D)."""
    states, scores = torch.randn(6, 3, 5), torch.randn(6, 3)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 1, 0], [0, 0, 0]]) > 0
    states[~present] = 0  # what an absent branch has
    mixture = shaped(answer(states, scores, present), 6, 5)
    assert not mixture.isnan().any(), (
        "NaN: an absent branch has a state of zeros, which has no direction, "
        "and without any branch there is nothing to share the weight"
    )
    louder = states * (0.5 + 4 * torch.rand(6, 3, 1))
    assert same(answer(louder, scores, present), mixture), (
        "a longer state speaks louder: before they are mixed, all states have length 1"
    )
    assert same(mixture[4], F.normalize(states[4, 1], dim=0)), (
        "a branch that is alone has the whole weight, whatever its score"
    )
    noise = torch.where(present[..., None], states, 50 * torch.randn(6, 3, 5))
    loud = torch.where(present, scores, 50 * torch.rand(6, 3))
    assert same(answer(noise, loud, present), mixture), (
        "the state or the score of an absent branch changes the mixture: without any branch, too, "
        "its weight has to be 0"
    )
    axes = torch.eye(3).expand(6, 3, 3)  # so that the mixture shows the weights
    _doubles_odds(lambda raised: answer(axes, raised, present)[0], scores, (0, 2))


def loss_of_possible(answer: Answer) -> None:
    """(states [n, D], vectors [M, D], targets int64 [n], possible bool [M]) -> the mean loss."""
    states = torch.randn(7, 4)
    vectors = torch.randn(12, 4).requires_grad_()
    possible = torch.ones(12, dtype=torch.bool)
    possible[[2, 5, 11]] = False
    ids = torch.nonzero(possible).flatten()
    targets = ids[torch.randint(len(ids), (7,))]
    loss = shaped(answer(states, vectors, targets, possible))
    assert loss.isfinite(), "the loss is not a finite number"
    assert loss.requires_grad, "no gradient reaches the item vectors"
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert not gradient[~possible].any(), (
        "an item that cannot be a target yet is still moved: it must not be in the denominator"
    )
    ignored = [int(i) for i in ids if i not in targets]
    assert gradient[ignored].any(1).all(), (
        "an item that could be a target, and is not, has to be moved: it was offered and ignored"
    )
    twice = answer(states.repeat(2, 1), vectors, targets.repeat(2), possible)
    assert same(twice, loss), "the same positions twice give the same loss: it is their mean"
    uniform = answer(torch.zeros(7, 4), vectors, targets, possible)
    assert same(uniform, math.log(9)), (
        "a state of zeros knows nothing: its loss is ln(number of possible targets)"
    )
    raised = vectors.detach().clone()
    raised[ids[0]] += math.log(2) * states[0] / (states[0] @ states[0])
    before, after = (-answer(states[:1], v, ids[:1], possible) for v in (vectors, raised))
    assert same(after.exp() / (1 - after.exp()), 2 * before.exp() / (1 - before.exp())), (
        "a score that rises by ln 2 has to double the odds p / (1 - p): "
        "scores are the products of states and vectors, unchanged"
    )
    assert torch.isfinite(answer(1e4 * states, vectors, targets, possible)), (
        "with large scores exp overflows: there is a function for the logarithm of a sum of exp"
    )


def _doubles_odds(weights_of: Answer, scores: Tensor, at: tuple[int, ...]) -> None:
    """Softmax: a score raised by ln 2 doubles the odds of what it belongs to."""
    raised = scores.detach().clone()
    raised[at] += math.log(2)
    before, after = (weights_of(s)[at[-1]] for s in (scores.detach(), raised))
    assert same(after / (1 - after), 2 * before / (1 - before)), (
        "a score that rises by ln 2 has to double the odds w / (1 - w), as in a softmax"
    )
