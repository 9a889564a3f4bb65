"""What every system offers.

Level 0   `loss(batch) -> {name: scalar}` and `score(batch, candidates) -> [B, C]`; optional `prepare(train)`.
Level 1   gives both from `states(batch)`: pairs (H_k [B, T, D], E_k [N+1, D]) whose products are summed, sum_k H_k E_k^T, into logits.

`batch.targets` is hidden from `score`; the *domain* of the target is not, as in every published protocol.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.sequences import Batch, Sequences

# Logits of 128 positions at a time: the same loss and gradients, without a (positions x items) matrix in memory.
CHUNKED = nn.LinearCrossEntropyOptions(batch_chunk_size=128)


class Level0(nn.Module):
    """A system that scores candidates; counting baselines stop here."""

    def prepare(self, train: Sequences) -> None:
        """See the training sequences once, before anything is learned.  Nothing else may be looked at."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Named loss terms; empty where nothing is trained."""
        return {}

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        """[B, C] scores at the last event; `candidates` are global ids [C] (shared) or [B, C].  Higher is better."""
        raise NotImplementedError


class Level1(Level0):
    """A system whose logits are sums of products of sequence states and item vectors."""

    def __init__(self, domain_of_item: Tensor):
        super().__init__()
        self.register_buffer("domain_of_item", domain_of_item, persistent=False)

    def states(self, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        """[(H_k [B, T, D], E_k [N+1, D])]; H_k[b, t] must not depend on anything after t except the *domain* of the target."""
        raise NotImplementedError

    def joined(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """sum_k H_k E_k^T as one product: (B, T, KD) and (N+1, KD)."""
        states, tables = zip(*self.states(batch))
        return torch.cat(states, -1), torch.cat(tables, -1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Exact cross-entropy over all items of the target's own domain, at every real position."""
        states, table = self.joined(batch)
        real = batch.targets > 0
        hidden, target = states[real], batch.targets[real]                        # valid positions first: no logits for padding
        total = hidden.new_zeros(())
        for domain in (0, 1):
            items = torch.nonzero(self.domain_of_item == domain).flatten()        # ids of one domain are contiguous
            own = self.domain_of_item[target] == domain
            if own.any():
                first = int(items[0])
                total = total + F.linear_cross_entropy(hidden[own], table[first:first + len(items)], target[own] - first,
                                                       reduction="sum", options=CHUNKED)
        return {"next item": total / len(target)}

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        states, table = self.joined(batch)
        last = states[torch.arange(len(states)), (batch.length - 1).clamp(min=0)]  # (B, KD)
        if candidates.dim() == 1:
            return last @ table[candidates].T
        return torch.einsum("bd,bcd->bc", last, table[candidates])


def position_domains(batch: Batch) -> Tensor:
    """The target's domain at every position, [B, T].  A ranking batch knows one per sequence."""
    domains = batch.target_domain
    return domains if domains.dim() == 2 else domains[:, None].expand_as(batch.sequence)
