"""What "the next item should be likely" can mean: four losses over (hidden [n, D], table [N+1, D], target [n]) (notebook 04).

    domain softmax       exact cross-entropy among the items of the target's own domain
    catalogue softmax    exact cross-entropy among all items of both domains
    sampled softmax      the domain softmax, its denominator estimated from a few hundred shared draws
    binary               one drawn rival per target: log-loss on "was it bought?" (Kang and McAuley 2018)

`rooms` is ((first id, size) of A, (first id, size) of B).  Each returns the mean over the n targets as a scalar.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Logits of 128 positions at a time: the same loss and gradients, without a (positions x items) matrix in memory.
CHUNKED = nn.LinearCrossEntropyOptions(batch_chunk_size=128)
SHARED_DRAWS = 512                       # ours: rivals of the sampled softmax, shared by all targets of a domain in a batch

Rooms = tuple[tuple[int, int], ...]


def rooms_of(domain_of_item: Tensor) -> Rooms:
    """((first id, size) of domain A, of domain B); the ids of one domain are contiguous."""
    places = [torch.nonzero(domain_of_item == domain).flatten() for domain in (0, 1)]
    return tuple((int(ids[0]) if len(ids) else 1, len(ids)) for ids in places)


def by_domain(target: Tensor, rooms: Rooms):
    """For each domain: which targets lie in it (bool [n]), its first id, its size."""
    return [((target >= first) & (target < first + size), first, size) for first, size in rooms]


def domain_softmax(hidden: Tensor, table: Tensor, target: Tensor, rooms: Rooms) -> Tensor:
    total = hidden.new_zeros(())
    for own, first, size in by_domain(target, rooms):
        total = total + F.linear_cross_entropy(hidden[own], table[first:first + size], target[own] - first, reduction="sum", options=CHUNKED)
    return total / len(target)


def catalogue_softmax(hidden: Tensor, table: Tensor, target: Tensor, rooms: Rooms) -> Tensor:
    return F.linear_cross_entropy(hidden, table[1:], target - 1, options=CHUNKED)


def sampled_softmax(hidden: Tensor, table: Tensor, target: Tensor, rooms: Rooms) -> Tensor:
    """With m uniform draws from a domain of size n, each draw stands for (n - 1) / m rivals: adding log((n - 1) / m) to its logit makes
    the denominator right on average (log-q correction).  A draw that is the target itself is struck out for that target."""
    total = hidden.new_zeros(())
    for own, first, size in by_domain(target, rooms):
        drawn = first + torch.randint(max(size, 1), (SHARED_DRAWS,), device=target.device)
        states, rightful = hidden[own], target[own]
        hit = rightful[:, None] == drawn
        stands_for = torch.log((size - 1) / (~hit).sum(1, keepdim=True).clamp(min=1))
        rivals = (states @ F.embedding(drawn, table).T + stands_for).masked_fill(hit, -math.inf)
        right = (states * F.embedding(rightful, table)).sum(-1, keepdim=True)
        total = total + (torch.logsumexp(torch.cat([right, rivals], 1), 1) - right[:, 0]).sum()
    return total / len(target)


def binary(hidden: Tensor, table: Tensor, target: Tensor, rooms: Rooms) -> Tensor:
    """The rival is drawn uniformly from the target's domain; now and then it is the target itself, as in the original."""
    first, size = torch.zeros_like(target), torch.zeros_like(target)
    for own, start, count in by_domain(target, rooms):
        first, size = first.masked_fill(own, start), size.masked_fill(own, count)
    rival = first + (torch.rand(len(target), device=target.device) * size).long()
    vectors = F.embedding(torch.stack([target, rival]), table)                    # (2, n, D): one look-up, one gradient
    right, wrong = torch.einsum("nd,knd->kn", hidden, vectors)
    return (F.softplus(-right) + F.softplus(wrong)).mean()


LOSSES = {"domain softmax": domain_softmax, "catalogue softmax": catalogue_softmax, "sampled softmax": sampled_softmax, "binary": binary}
