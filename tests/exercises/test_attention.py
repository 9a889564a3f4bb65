"""Typical wrong answers to the exercises of notebook 04, and what they are told."""

import pytest
import torch
import torch.nn.functional as F

from tema_lib.exercises import attention
from tema_lib.exercises.check import verdict

CAUSAL = torch.ones(6, 6, dtype=torch.bool).tril()


def from_the_start(lengths, width):
    return torch.arange(width).expand(len(lengths), width)


def from_the_end_of_the_batch(lengths, width):
    return (width - 1 - torch.arange(width)).expand(len(lengths), width)


def negative_behind(lengths, width):
    return lengths[:, None] - 1 - torch.arange(width)


def whole_numbers_as_floats(lengths, width):
    return (lengths[:, None] - 1 - torch.arange(width)).clamp(min=0).float()


def cut_at_three(lengths, width):
    return (lengths[:, None] - 1 - torch.arange(width)).clamp(0, 3)


def distance_from_the_newest(lengths, width):
    return (lengths[:, None] - 1 - torch.arange(width)).abs()


def only_padding(scores, sequence):
    real = (sequence > 0)[:, None]
    return scores.masked_fill(~real, -1e9).softmax(-1) * real


def padding_attends(scores, sequence):
    here = CAUSAL & (sequence > 0)[:, None]
    return scores.masked_fill(~here, -1e9).softmax(-1) * here


def detached(scores, sequence):
    here = allowed(sequence)
    return scores.detach().masked_fill(~here, -1e9).softmax(-1) * here


def only_causal(scores, sequence):
    return scores.masked_fill(~CAUSAL, -torch.inf).softmax(-1)


def allowed(sequence):
    real = sequence > 0
    return CAUSAL & real[:, None] & real[:, :, None]


def nan_in_empty_rows(scores, sequence):
    return scores.masked_fill(~allowed(sequence), -torch.inf).softmax(-1)


def nan_replaced(scores, sequence):
    mask = torch.where(allowed(sequence), 0.0, -torch.inf)
    return (scores + mask).softmax(-1).nan_to_num(0)


def masked_after_the_softmax(scores, sequence):
    return scores.softmax(-1) * allowed(sequence)


def renormalised(scores, sequence):
    weights = scores.softmax(-1) * allowed(sequence)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)


def uniform_where_allowed(scores, sequence):
    here = allowed(sequence).float()
    return here / here.sum(-1, keepdim=True).clamp(min=1)


def weights_of(scores, present):
    return scores.masked_fill(~present, -1e9).softmax(-1) * present


def unnormalised_states(states, scores, present):
    return (weights_of(scores, present)[..., None] * states).sum(-2)


def divided_by_zero(states, scores, present):
    units = states / states.norm(dim=-1, keepdim=True)
    return (weights_of(scores, present)[..., None] * units).sum(-2)


def absent_has_a_share(states, scores, present):
    weights = scores.softmax(-1) * present
    return (weights[..., None] * F.normalize(states, dim=-1)).sum(-2)


def weight_where_nothing_is(states, scores, present):
    weights = scores.masked_fill(~present, -1e9).softmax(-1)
    return (weights[..., None] * F.normalize(states, dim=-1)).sum(-2)


def plain_mean(states, scores, present):
    weights = present / present.sum(-1, keepdim=True).clamp(min=1)
    return (weights[..., None] * F.normalize(states, dim=-1)).sum(-2)


def all_items(states, vectors, targets, possible):
    return F.cross_entropy(states @ vectors.T, targets)


def in_batch(states, vectors, targets, possible):
    """Only the other targets of the batch compete."""
    here = torch.zeros_like(possible)
    here[targets] = True
    return F.cross_entropy((states @ vectors.T).masked_fill(~here, -torch.inf), targets)


def scaled(states, vectors, targets, possible):
    logits = (states @ vectors.T / states.size(1) ** 0.5).masked_fill(~possible, -torch.inf)
    return F.cross_entropy(logits, targets)


def zero_logits(states, vectors, targets, possible):
    return F.cross_entropy((states @ vectors.T) * possible, targets)


def summed(states, vectors, targets, possible):
    logits = (states @ vectors.T).masked_fill(~possible, -torch.inf)
    return F.cross_entropy(logits, targets, reduction="sum")


def overflowing(states, vectors, targets, possible):
    mass = ((states @ vectors.T).exp() * possible).sum(1)
    return (mass.log() - (states * vectors[targets]).sum(1)).mean()


def binary(states, vectors, targets, possible):
    """Each possible item on its own, as in a loss with sampled negatives."""
    logits = (states @ vectors.T)[:, possible]
    hit = targets[:, None] == torch.nonzero(possible).flatten()
    return F.binary_cross_entropy_with_logits(logits, hit.float())


@pytest.mark.parametrize(
    ("check", "answer", "says"),
    [
        ("positions_from_the_end", from_the_start, "the newest event is 0"),
        ("positions_from_the_end", from_the_end_of_the_batch, "the newest event is 0"),
        ("positions_from_the_end", negative_behind, "a negative position"),
        ("positions_from_the_end", whole_numbers_as_floats, "whole numbers"),
        ("positions_from_the_end", cut_at_three, "has a position 1 higher"),
        ("positions_from_the_end", distance_from_the_newest, "padding has position 0"),
        ("causal_weights", only_padding, "a later event has a weight"),
        ("causal_weights", padding_attends, "attends to nothing"),
        ("causal_weights", detached, "no gradient reaches the scores"),
        ("causal_weights", only_causal, "padding has a weight"),
        ("causal_weights", nan_in_empty_rows, "a softmax is 0/0"),
        ("causal_weights", nan_replaced, "their gradient is NaN"),
        ("causal_weights", masked_after_the_softmax, "do not sum to 1"),
        ("causal_weights", renormalised, "a forbidden score"),
        ("causal_weights", uniform_where_allowed, "double the odds"),
        ("mixed_branches", unnormalised_states, "speaks louder"),
        ("mixed_branches", divided_by_zero, "has no direction"),
        ("mixed_branches", absent_has_a_share, "whole weight"),
        ("mixed_branches", weight_where_nothing_is, "of an absent branch changes the mixture"),
        ("mixed_branches", plain_mean, "double the odds"),
        ("loss_of_possible", all_items, "is still moved"),
        ("loss_of_possible", in_batch, "offered and ignored"),
        ("loss_of_possible", scaled, "double the odds"),
        ("loss_of_possible", zero_logits, "ln(number of possible targets)"),
        ("loss_of_possible", summed, "it is their mean"),
        ("loss_of_possible", overflowing, "exp overflows"),
        ("loss_of_possible", binary, "ln(number of possible targets)"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(check, answer, says):
    assert says in verdict(getattr(attention, check), answer)
