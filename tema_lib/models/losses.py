"""Four losses that make the next item likely (notebook 04).

    domain softmax       exact cross-entropy among the items of the target's own domain
    catalogue softmax    exact cross-entropy among all items of both domains
    sampled softmax      the domain softmax, its denominator estimated from a few hundred negatives
    binary               binary cross-entropy with one negative per target (Kang and McAuley 2018)

Each takes states h [n, D], output embeddings E [N+1, D], targets [n] and the candidates of both
domains, and returns the mean over the n targets as a scalar.  Candidates are the items that a
target competes with: all of them, or those that can be a target in training (`negatives="seen"`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tema_lib.data.sequences import Sequences

# Positions whose logits are in memory together; few enough for the caches of a processor.
CHUNK = {"cpu": 64, "cuda": 2048}
SHARED_NEGATIVES = 512  # ours: of the sampled softmax, shared by a batch's targets in one domain


def domain_item_ranges(domain_of_item: Tensor) -> tuple[tuple[int, int], ...]:
    """The item ids of each domain, as (first id, number of items).

    Args:
        domain_of_item: int64 [N+1], 0 for A, 1 for B, -1 for padding.

    Raises:
        ValueError: unless the ids of each domain are consecutive.
    """
    ids_of_domain = [torch.nonzero(domain_of_item == domain).flatten() for domain in (0, 1)]
    if any(len(ids) and int(ids[-1] - ids[0]) != len(ids) - 1 for ids in ids_of_domain):
        raise ValueError(
            "the item ids of one domain must be consecutive: number the items with `encode_ids`."
        )
    return tuple((int(ids[0]) if len(ids) else 1, len(ids)) for ids in ids_of_domain)


def seen_in(train: Sequences, possible: Tensor) -> Tensor:
    """bool [N+1], the items that occur in the training sequences; `possible` gives the shape."""
    seen = torch.zeros_like(possible)
    seen[train.items.unique().to(possible.device)] = True
    return seen


@dataclass(frozen=True)
class Candidates:
    """The items that targets compete with, by domain.

    Args:
        ids: int64 [M] for A, and for B, ascending.
        column: int64 [N+1], where an item stands in the list of its domain; -1: it is not there.
        domain_of_item: int64 [N+1].
    """

    ids: tuple[Tensor, Tensor]
    column: Tensor
    domain_of_item: Tensor

    @classmethod
    def of(cls, domain_of_item: Tensor, possible: Tensor) -> Candidates:
        """The possible targets of each domain; `possible`: bool [N+1]."""
        column = torch.full_like(domain_of_item, -1)
        in_a, in_b = (torch.nonzero(possible & (domain_of_item == d)).flatten() for d in (0, 1))
        for ids in (in_a, in_b):
            column[ids] = torch.arange(len(ids), device=ids.device)
        return cls((in_a, in_b), column, domain_of_item)

    def by_domain(self, target: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each domain: which targets [n] are in it (bool [n]), and its candidates int64 [M]."""
        domains = self.domain_of_item[target]
        return [(domains == domain, ids) for domain, ids in enumerate(self.ids)]


class ChunkedCrossEntropy(torch.autograd.Function):
    """sum_i log sum_j exp(h_i . e_j) - h_i . e_{y_i}, for a few positions i at a time.

    The n x M logits never exist as a whole.  With p the softmax of a row, the gradients are known
    in the forward pass, dh = p E - e_y and dE = p^T h - (h at row y), so each chunk is used while
    it is in the cache: logits, exp in place, two products, next chunk.

    Source: ours; the same numbers as `torch.nn.functional.cross_entropy` and
    `linear_cross_entropy`, in less time (notebook 04).
    """

    @staticmethod
    def forward(context: Any, states: Tensor, vectors: Tensor, target: Tensor) -> Tensor:
        """states [n, D], vectors [M, D], target int64 [n] (rows of vectors) -> scalar."""
        columns, chunk = vectors.T.contiguous(), CHUNK.get(states.device.type, 64)
        buffer = states.new_empty(min(chunk, len(states)), len(vectors))
        total = states.new_zeros(())
        d_hidden, d_vectors = torch.empty_like(states), torch.zeros_like(vectors)
        for start in range(0, len(states), chunk):
            h, y = states[start : start + chunk], target[start : start + chunk, None]
            logits = torch.mm(h, columns, out=buffer[: len(h)])
            of_target = logits.gather(1, y)
            top = logits.amax(1, keepdim=True)  # subtracted before exp: no overflow
            weights = logits.sub_(top).exp_()
            mass = weights.sum(1, keepdim=True)
            total += (mass.log() + top - of_target).sum()
            torch.div(weights @ vectors, mass, out=d_hidden[start : start + chunk])
            d_vectors.addmm_(weights.T, h / mass)
        d_hidden -= vectors[target]
        d_vectors.index_add_(0, target, states, alpha=-1)
        context.save_for_backward(d_hidden, d_vectors)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        d_hidden, d_vectors = context.saved_tensors
        return d_hidden * gradient, d_vectors * gradient, None


def cross_entropy(states: Tensor, vectors: Tensor, target: Tensor) -> Tensor:
    """Summed exact cross-entropy of target rows [n] among all vectors [M, D]."""
    return ChunkedCrossEntropy.apply(states, vectors, target)


def domain_softmax(
    states: Tensor, outputs: Tensor, target: Tensor, candidates: Candidates
) -> Tensor:
    """Exact cross-entropy of each target among the candidates of its own domain."""
    total = states.new_zeros(())
    for own, ids in candidates.by_domain(target):
        column = candidates.column[target[own]]
        total = total + cross_entropy(states[own], outputs[ids], column)
    return total / len(target)


def catalogue_softmax(
    states: Tensor, outputs: Tensor, target: Tensor, candidates: Candidates
) -> Tensor:
    """Exact cross-entropy of each target among the candidates of both domains."""
    in_a, in_b = candidates.ids
    column = candidates.column[target] + len(in_a) * candidates.domain_of_item[target]
    return cross_entropy(states, outputs[torch.cat([in_a, in_b])], column) / len(target)


def sampled_softmax(
    states: Tensor, outputs: Tensor, target: Tensor, candidates: Candidates
) -> Tensor:
    """The domain softmax with an estimated denominator.

    With m uniform negatives from a domain of M candidates, each stands for (M - 1) / m items:
    adding log((M - 1) / m) to its logit makes the denominator right on average (log-q correction).
    A negative that happens to be the target is left out for that target.
    """
    total = states.new_zeros(())
    for own, ids in candidates.by_domain(target):
        if not own.any():
            continue
        drawn = ids[torch.randint(len(ids), (SHARED_NEGATIVES,), device=target.device)]
        own_states, positive = states[own], target[own]
        hit = positive[:, None] == drawn
        stands_for = torch.log((len(ids) - 1) / (~hit).sum(1, keepdim=True).clamp(min=1))
        negatives = own_states @ F.embedding(drawn, outputs).T + stands_for
        negatives = negatives.masked_fill(hit, -math.inf)
        of_target = (own_states * F.embedding(positive, outputs)).sum(-1, keepdim=True)
        denominator = torch.logsumexp(torch.cat([of_target, negatives], 1), 1)
        total = total + (denominator - of_target[:, 0]).sum()
    return total / len(target)


def binary(states: Tensor, outputs: Tensor, target: Tensor, candidates: Candidates) -> Tensor:
    """Binary cross-entropy of each target and one uniform negative from its domain.

    Now and then the negative is the target itself, as in the original.
    """
    in_a, in_b = candidates.ids
    both = torch.cat([in_a, in_b])
    in_domain_b = candidates.domain_of_item[target]
    size = torch.where(in_domain_b == 0, len(in_a), len(in_b))
    drawn = (torch.rand(len(target), device=target.device) * size).long()
    negative = both[len(in_a) * in_domain_b + drawn]
    vectors = F.embedding(torch.stack([target, negative]), outputs)  # (2, n, D): one look-up
    of_target, of_negative = torch.einsum("nd,knd->kn", states, vectors)
    return (F.softplus(-of_target) + F.softplus(of_negative)).mean()


LOSSES = {
    "domain softmax": domain_softmax,
    "catalogue softmax": catalogue_softmax,
    "sampled softmax": sampled_softmax,
    "binary": binary,
}
