"""Baselines that count: popularity and item co-occurrence.  On dense data the latter is strong."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import Sequences
from tema_lib.models.base import Recommender


class Popularity(Recommender):
    """Score = how often the item occurs in the training sequences."""

    def __init__(self, domain_of_item: Tensor):
        super().__init__()
        self.count = torch.zeros(len(domain_of_item))

    def fit_statistics(self, train: Sequences) -> None:
        self.count = torch.bincount(train.items, minlength=len(self.count)).float()

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        scores = self.count[candidates]
        return scores.expand(len(batch.sequence), -1) if candidates.dim() == 1 else scores


class CoOccurrence(Recommender):
    """Score = how often the candidate followed the events of the history; popularity breaks ties.

    Args:
        domain_of_item: int64 [N+1].
        history: False for a first-order Markov chain: only the last event counts, and only what
            came directly after it.  True for all pairs within `reach` events, with weight
            decay^(distance - 1), summed over the history with weight decay^age.
        decay, reach: chosen on the validation targets of a real data set; slower decays were
            weaker.
    """

    def __init__(self, domain_of_item: Tensor, history: bool, decay: float = 0.3, reach: int = 3):
        super().__init__()
        self.size = len(domain_of_item)
        self.history = history
        self.decay = decay
        self.reach = reach if history else 1

    def fit_statistics(self, train: Sequences) -> None:
        items = train.items.numpy()
        user = np.repeat(np.arange(len(train)), train.lengths.numpy())
        shape = (self.size, self.size)
        pairs = sparse.csr_matrix(shape, dtype=np.float32)
        for distance in range(1, self.reach + 1):
            same_user = user[distance:] == user[:-distance]
            before, after = items[:-distance][same_user], items[distance:][same_user]
            weight = np.full(len(before), self.decay ** (distance - 1), dtype=np.float32)
            pairs = pairs + sparse.csr_matrix((weight, (before, after)), shape=shape)
        self.pairs = pairs
        popularity = np.bincount(items, minlength=self.size).astype(np.float32)
        self.tie_breaker = torch.from_numpy(1e-4 * popularity / max(popularity.max(), 1))

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        sequence, length = batch.sequence.numpy(), batch.length.numpy()
        age = length[:, None] - 1 - np.arange(sequence.shape[1])
        if self.history:
            weight = np.where(age >= 0, self.decay ** np.maximum(age, 0), 0)
        else:
            weight = (age == 0).astype(float)
        rows, columns = np.nonzero(weight)
        seen = sparse.csr_matrix(
            (weight[rows, columns].astype(np.float32), (rows, sequence[rows, columns])),
            shape=(len(sequence), self.size),
        )
        scores = torch.from_numpy((seen @ self.pairs).toarray()) + self.tie_breaker
        return scores[:, candidates] if candidates.dim() == 1 else scores.gather(1, candidates)
