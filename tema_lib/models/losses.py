"""What "the next item should be likely" can mean: four losses over (hidden [n, D], table [N+1, D], target [n]) (notebook 04).

    domain softmax       exact cross-entropy among the items of the target's own domain
    catalogue softmax    exact cross-entropy among all items of both domains
    sampled softmax      the domain softmax, its denominator estimated from a few hundred shared draws
    binary               one drawn candidate per target: log-loss on "was it bought?" (Kang and McAuley 2018)

`item_ranges` is ((first id, size) of A, (first id, size) of B).  Each returns the mean over the n targets as a scalar.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = {
    "cpu": 64,
    "cuda": 2048,
}  # positions whose logits are in memory together; on a processor few enough to stay in its caches
SHARED_DRAWS = (
    512  # ours: candidates of the sampled softmax, shared by all targets of a domain in a batch
)

ItemRanges = tuple[tuple[int, int], ...]


def domain_item_ranges(domain_of_item: Tensor) -> ItemRanges:
    """((first id, size) of domain A, of domain B).  Raises ValueError unless the ids of each domain follow one another."""
    positions = [torch.nonzero(domain_of_item == domain).flatten() for domain in (0, 1)]
    if any(len(ids) and int(ids[-1] - ids[0]) != len(ids) - 1 for ids in positions):
        raise ValueError(
            "the ids of one domain have to follow one another: number the items with `encode_ids`."
        )
    return tuple((int(ids[0]) if len(ids) else 1, len(ids)) for ids in positions)


def by_domain(target: Tensor, item_ranges: ItemRanges):
    """For each domain: which targets lie in it (bool [n]), its first id, its size."""
    return [
        ((target >= first) & (target < first + size), first, size) for first, size in item_ranges
    ]


class ChunkedCrossEntropy(torch.autograd.Function):
    """sum_i log sum_j exp(h_i . e_j) - h_i . e_{y_i} over hidden [n, D], vectors [M, D], target [n], a few positions at a time.

    The n x M logits are never there as a whole.  With p = softmax of a row, its gradients are known at once, dh = p E - e_y and
    dE = p^T h - (h at row y), so each chunk is used up while it is warm: logits, exp in place, two products, next.
    Ours; the same numbers as `torch.nn.functional.linear_cross_entropy` and `cross_entropy`, in less time (notebook 04).
    """

    @staticmethod
    def forward(context, hidden: Tensor, vectors: Tensor, target: Tensor) -> Tensor:
        columns, chunk = vectors.T.contiguous(), CHUNK.get(hidden.device.type, 64)
        buffer = hidden.new_empty(min(chunk, len(hidden)), len(vectors))
        total, d_hidden, d_vectors = (
            hidden.new_zeros(()),
            torch.empty_like(hidden),
            torch.zeros_like(vectors),
        )
        for start in range(0, len(hidden), chunk):
            h, y = hidden[start : start + chunk], target[start : start + chunk, None]
            logits = torch.mm(h, columns, out=buffer[: len(h)])
            right, top = (
                logits.gather(1, y),
                logits.amax(1, keepdim=True),
            )  # the largest is taken out before exp: no overflow
            weights = logits.sub_(top).exp_()
            mass = weights.sum(1, keepdim=True)
            total += (mass.log() + top - right).sum()
            torch.div(weights @ vectors, mass, out=d_hidden[start : start + chunk])
            d_vectors.addmm_(weights.T, h / mass)
        d_hidden -= vectors[target]
        d_vectors.index_add_(0, target, hidden, alpha=-1)
        context.save_for_backward(d_hidden, d_vectors)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient: Tensor):
        d_hidden, d_vectors = context.saved_tensors
        return d_hidden * gradient, d_vectors * gradient, None


def cross_entropy(hidden: Tensor, vectors: Tensor, target: Tensor) -> Tensor:
    """Summed exact cross-entropy of target rows [n] among all vectors [M, D]."""
    return ChunkedCrossEntropy.apply(hidden, vectors, target)


def domain_softmax(
    hidden: Tensor, table: Tensor, target: Tensor, item_ranges: ItemRanges
) -> Tensor:
    total = hidden.new_zeros(())
    for own, first, size in by_domain(target, item_ranges):
        total = total + cross_entropy(hidden[own], table[first : first + size], target[own] - first)
    return total / len(target)


def catalogue_softmax(
    hidden: Tensor, table: Tensor, target: Tensor, item_ranges: ItemRanges
) -> Tensor:
    return cross_entropy(hidden, table[1:], target - 1) / len(target)


def sampled_softmax(
    hidden: Tensor, table: Tensor, target: Tensor, item_ranges: ItemRanges
) -> Tensor:
    """With m uniform draws from a domain of size n, each draw stands for (n - 1) / m candidates: adding log((n - 1) / m) to its logit makes
    the denominator right on average (log-q correction).  A draw that is the target itself is struck out for that target."""
    total = hidden.new_zeros(())
    for own, first, size in by_domain(target, item_ranges):
        drawn = first + torch.randint(max(size, 1), (SHARED_DRAWS,), device=target.device)
        states, rightful = hidden[own], target[own]
        hit = rightful[:, None] == drawn
        stands_for = torch.log((size - 1) / (~hit).sum(1, keepdim=True).clamp(min=1))
        negatives = (states @ F.embedding(drawn, table).T + stands_for).masked_fill(hit, -math.inf)
        right = (states * F.embedding(rightful, table)).sum(-1, keepdim=True)
        total = total + (torch.logsumexp(torch.cat([right, negatives], 1), 1) - right[:, 0]).sum()
    return total / len(target)


def binary(hidden: Tensor, table: Tensor, target: Tensor, item_ranges: ItemRanges) -> Tensor:
    """The candidate is drawn uniformly from the target's domain; now and then it is the target itself, as in the original."""
    first, size = torch.zeros_like(target), torch.zeros_like(target)
    for own, start, count in by_domain(target, item_ranges):
        first, size = first.masked_fill(own, start), size.masked_fill(own, count)
    negative = first + (torch.rand(len(target), device=target.device) * size).long()
    vectors = F.embedding(
        torch.stack([target, negative]), table
    )  # (2, n, D): one look-up, one gradient
    right, wrong = torch.einsum("nd,knd->kn", hidden, vectors)
    return (F.softplus(-right) + F.softplus(wrong)).mean()


LOSSES = {
    "domain softmax": domain_softmax,
    "catalogue softmax": catalogue_softmax,
    "sampled softmax": sampled_softmax,
    "binary": binary,
}
