"""Baselines that count: popularity and item co-occurrence.  On dense data the second is a strong floor."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import Sequences
from tema_lib.models.base import Recommender


class Popularity(Recommender):
    """Score = how often the item was bought in the training sequences."""

    def __init__(self, domain_of_item: Tensor):
        super().__init__()
        self.count = torch.zeros(len(domain_of_item))

    def fit_statistics(self, train: Sequences) -> None:
        self.count = torch.bincount(train.items, minlength=len(self.count)).float()

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        scores = self.count[candidates]
        return scores.expand(len(batch.sequence), -1) if candidates.dim() == 1 else scores


class CoOccurrence(Recommender):
    """Score = how often the candidate followed what the user bought, closer events counting more; popularity breaks ties.

    `history=False`: only the user's last event counts, and only what came directly next.
    `history=True`: directed pairs within `reach` events, weight decay^(distance - 1), summed over the history with decay^age;
    decay and reach were chosen on the validation targets of a real data set, where slower decays were weaker.
    """

    def __init__(self, domain_of_item: Tensor, history: bool, decay: float = 0.3, reach: int = 3):
        super().__init__()
        self.size, self.history, self.decay, self.reach = (
            len(domain_of_item),
            history,
            decay,
            reach if history else 1,
        )

    def fit_statistics(self, train: Sequences) -> None:
        items = train.items.numpy()
        owner = np.repeat(np.arange(len(train)), train.lengths.numpy())
        pairs = sparse.csr_matrix((self.size, self.size), dtype=np.float32)
        for distance in range(1, self.reach + 1):
            same = owner[distance:] == owner[:-distance]
            before, after = items[:-distance][same], items[distance:][same]
            weight = np.full(len(before), self.decay ** (distance - 1), dtype=np.float32)
            pairs = pairs + sparse.csr_matrix(
                (weight, (before, after)), shape=(self.size, self.size)
            )
        self.pairs = pairs
        popularity = np.bincount(items, minlength=self.size).astype(np.float32)
        self.tie_breaker = torch.from_numpy(1e-4 * popularity / max(popularity.max(), 1))

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        sequence, length = batch.sequence.numpy(), batch.length.numpy()
        age = length[:, None] - 1 - np.arange(sequence.shape[1])
        weight = (
            np.where(age >= 0, self.decay ** np.maximum(age, 0), 0)
            if self.history
            else (age == 0).astype(float)
        )
        rows, columns = np.nonzero(weight)
        seen = sparse.csr_matrix(
            (weight[rows, columns].astype(np.float32), (rows, sequence[rows, columns])),
            shape=(len(sequence), self.size),
        )
        scores = torch.from_numpy((seen @ self.pairs).toarray()) + self.tie_breaker
        return scores[:, candidates] if candidates.dim() == 1 else scores.gather(1, candidates)
