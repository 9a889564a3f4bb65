"""Typical wrong answers to the exercises of notebook 07, and what they are told."""

import math

import pytest
import torch
import torch.nn.functional as F

from tema_lib.exercises import other_systems
from tema_lib.exercises.check import verdict
from tema_lib.models.llm4cdsr import soft_contrastive_loss


def length_of_the_sum(cosine):
    return max(2 + 2 * cosine, 0) ** 0.5


def distance_to_the_line(cosine):
    """The height over one of the vectors, as if beta could be anything."""
    return math.sqrt(max(1 - cosine**2, 0))


def one_example(cosine):
    """Right at 0.5 and -1, and a straight line in between."""
    return (cosine + 1) / 1.5 * 0.75**0.5


def halfway(g1, g2):
    return (g1 + g2) / 2


def the_shorter(g1, g2):
    return min(g1, g2, key=torch.linalg.vector_norm)


def best_of_three(g1, g2):
    return min((g1, g2, (g1 + g2) / 2), key=torch.linalg.vector_norm)


def any_beta(g1, g2):
    beta = ((g2 - g1) @ g2) / ((g2 - g1) @ (g2 - g1))
    return beta * g1 + (1 - beta) * g2


def divided_by_zero(g1, g2):
    beta = (((g2 - g1) @ g2) / ((g2 - g1) @ (g2 - g1))).clamp(0, 1)
    return beta * g1 + (1 - beta) * g2


def swapped(g1, g2):
    beta = (((g2 - g1) @ g2) / ((g2 - g1) @ (g2 - g1)).clamp(min=1e-12)).clamp(0, 1)
    return beta * g2 + (1 - beta) * g1


def shortened(g1, g2):
    mixed = divided_by_zero(g1, g2)
    return mixed - 0.3 * mixed * (1 - (g1 @ g2) ** 2 > 0) if g1.norm() > 1.01 else mixed


def back_of(vectors):
    time = torch.arange(vectors.size(1))
    return time[:, None] - time


def everything(vectors, decay):
    weights = decay ** back_of(vectors).abs()
    return weights / weights.sum(1, keepdim=True) @ vectors


def not_normalised(vectors, decay):
    back = back_of(vectors)
    return (decay ** back.clamp(min=0) * (back >= 0)) @ vectors


def plain_mean(vectors, decay):
    back = back_of(vectors)
    weights = (back >= 0).float()
    return weights / weights.sum(1, keepdim=True) @ vectors


def running_average(vectors, decay):
    """The usual one, whose first event keeps too large a weight."""
    states = [vectors[:, 0]]
    for t in range(1, vectors.size(1)):
        states.append(decay * states[-1] + (1 - decay) * vectors[:, t])
    return torch.stack(states, 1)


def divided_by_powers(vectors, decay):
    power = decay ** torch.arange(vectors.size(1)).float()[:, None]
    return (vectors / power).cumsum(1) / (1 / power).cumsum(0)


def but_for_zero(vectors, decay):
    return divided_by_powers(vectors, decay) if decay else vectors


def hard_targets(x, y):
    partner = torch.arange(len(x))
    return (F.cross_entropy(x @ y.T, partner) + F.cross_entropy(y @ x.T, partner)) / 2


def ignores_y(x, y):
    return soft_contrastive_loss(x, x)


def soft(x, y):
    return ((x @ x.T + y @ y.T) / 2).softmax(-1)


def gradient_through_targets(x, y):
    t = soft(x, y)
    return (F.cross_entropy(x @ y.T, t) + F.cross_entropy(y @ x.T, t.T)) / 2


def rows_only(x, y):
    return F.cross_entropy(x @ y.T, soft(x, y).detach())


def targets_not_transposed(x, y):
    t = soft(x, y).detach()
    return (F.cross_entropy(x @ y.T, t) + F.cross_entropy(y @ x.T, t)) / 2


def summed(x, y):
    return len(x) * rows_only(x, y)


def cosines(x, y):
    x, y = F.normalize(x, dim=1), F.normalize(y, dim=1)
    t = soft(x, y).detach()
    return (F.cross_entropy(x @ y.T, t) + F.cross_entropy(y @ x.T, t.T)) / 2


@pytest.mark.parametrize(
    ("check", "answer", "says"),
    [
        ("shortest_length", length_of_the_sum, "there is a shorter mixture"),
        ("shortest_length", distance_to_the_line, "there is a shorter mixture"),
        ("shortest_length", one_example, "at the cosine"),
        ("shortest_mixture", halfway, "beta must stay between 0 and 1"),
        ("shortest_mixture", the_shorter, "halfway between them"),
        ("shortest_mixture", best_of_three, "another mixture is shorter"),
        ("shortest_mixture", any_beta, "beta must stay between 0 and 1"),
        ("shortest_mixture", divided_by_zero, "two equal vectors"),
        ("shortest_mixture", swapped, "nothing is shorter than the short one"),
        ("shortest_mixture", shortened, "does not lie between"),
        ("recent_mean", everything, "it leaks"),
        ("recent_mean", not_normalised, "have to sum to 1"),
        ("recent_mean", plain_mean, "`decay` times as much"),
        ("recent_mean", running_average, "`decay` times as much"),
        ("recent_mean", divided_by_powers, "with decay 0"),
        ("recent_mean", but_for_zero, "overflows"),
        ("soft_contrastive", hard_targets, "targets soft"),
        ("soft_contrastive", ignores_y, "row i of x belongs to row i of y"),
        ("soft_contrastive", gradient_through_targets, "no gradient flow through them"),
        ("soft_contrastive", rows_only, "two cross-entropies"),
        ("soft_contrastive", targets_not_transposed, "transposed targets"),
        ("soft_contrastive", summed, "the loss is ln"),
        ("soft_contrastive", cosines, "next to nothing"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(check, answer, says):
    assert says in verdict(getattr(other_systems, check), answer)
