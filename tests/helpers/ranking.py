"""Scores and ranks of our own, for the tests of the evaluation."""

import numpy as np
import torch

from tema_lib.data.sequences import Sequences
from tema_lib.evaluation.ranking import Ranks
from tema_lib.models.base import Recommender


def sequences_of(*rows):
    return Sequences(
        tuple(f"u{row}" for row in range(len(rows))),
        torch.tensor([item for row in rows for item in row]),
        torch.tensor([0, *map(len, rows)]).cumsum(0),
    )


class Fixed(Recommender):
    """Scores from a table with a row per user."""

    def __init__(self, table):
        super().__init__()
        self.table = torch.as_tensor(table, dtype=torch.float)

    def score(self, batch, candidates):
        return self.table[batch.rows][:, candidates]


def random_cases(a=12, b=9, users=30, seed=0):
    """Users with 2 to 8 events in two domains; a target may occur in its own history."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(1, a + b + 1, size=rng.integers(2, 9)).tolist() for _ in range(users)]
    return sequences_of(*rows), torch.tensor([-1] + [0] * a + [1] * b), rng


def brute_force(scores, history, target, domain_of_item):
    """Sort the candidates; the target is in the middle of those that share its score."""
    pool = [
        item
        for item in range(1, len(domain_of_item))
        if domain_of_item[item] == domain_of_item[target]
        and (item == target or item not in history)
    ]
    positions = [
        position
        for position, item in enumerate(sorted(pool, key=lambda item: -scores[item]), start=1)
        if scores[item] == scores[target]
    ]
    return sum(positions) / len(positions), len(pool), len(positions) > 1


def ranks_of(values, domain=None, rows=None):
    values = np.asarray(values, dtype=float)
    count = len(values)
    whole = np.full(count, 100)
    return Ranks(
        np.arange(count) if rows is None else np.asarray(rows),
        np.ones(count, dtype=int),
        np.zeros(count, dtype=int) if domain is None else np.asarray(domain),
        values,
        values,
        whole,
        whole,
        np.zeros(count, dtype=bool),
    )
