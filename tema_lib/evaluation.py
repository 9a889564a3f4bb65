"""Exact ranks per test case; every metric, interval and slice derives from them (notebook 06).

Protocol: the target competes with every item of its own domain that the user has not bought (full ranking), and with 999 of them
drawn once, seeded and shared by all systems (sampled).  Ties stand at mid-rank: a model that scores everything alike ranks mid-list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tema_lib.data.sequences import Sequences, ranking_batches
from tema_lib.models.contract import Level0

METRICS = ("MRR", "NDCG@5", "NDCG@10", "HR@1", "HR@5", "HR@10")
SAMPLED_NEGATIVES = 999


def metric_of_ranks(ranks: np.ndarray, name: str) -> np.ndarray:
    """One metric per case from ranks (1 = best; halves where tied).  MRR is not cut; one target a case, so the ideal DCG is 1."""
    if name == "MRR":
        return 1.0 / ranks
    kind, k = name.split("@")
    hit = ranks <= int(k)
    return hit.astype(float) if kind == "HR" else np.where(hit, 1.0 / np.log2(1.0 + ranks), 0.0)


@dataclass(frozen=True)
class Ranks:
    """One entry per test case.

    row: which sequence; target: global id; domain: 0 A, 1 B; rank, rank_sampled: 1 = best, mid-rank for ties;
    candidates, candidates_sampled: how many items competed, the target among them; tied: whether another candidate had the target's score.
    """

    row: np.ndarray
    target: np.ndarray
    domain: np.ndarray
    rank: np.ndarray
    rank_sampled: np.ndarray
    candidates: np.ndarray
    candidates_sampled: np.ndarray
    tied: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def select(self, mask: np.ndarray) -> "Ranks":
        """A slice of the cases: domain, rare targets, cross-shop targets, ..."""
        return replace(self, **{name: getattr(self, name)[mask] for name in self.__dataclass_fields__})

    def of_domain(self, domain: int) -> "Ranks":
        return self.select(self.domain == domain)

    def values(self, metric: str, sampled: bool = False) -> np.ndarray:
        return metric_of_ranks(self.rank_sampled if sampled else self.rank, metric)

    def metric(self, metric: str, sampled: bool = False) -> float:
        """Mean over the cases; 0 for an empty slice."""
        return float(self.values(metric, sampled).mean()) if len(self) else 0.0


@torch.inference_mode()
def evaluate(model: Level0, sequences: Sequences, domain_of_item: Tensor, *, max_length: int = 50, batch_size: int = 256,
             seed: int = 0) -> Ranks:
    """Rank the last event of every sequence among the items of its domain.

    Items that the sequence already holds are no candidates (the target always is).  `seed` draws the sampled negatives, the same for
    every system.  Raises FloatingPointError for a score that is not a number.
    """
    training, _ = model.training, model.eval()
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    domain_of_item = domain_of_item.cpu()
    collected = []
    for batch in ranking_batches(sequences, domain_of_item, max_length=max_length, batch_size=batch_size, by_length=True):
        for domain in (0, 1):
            chosen = torch.nonzero(batch.target_domain == domain).flatten()
            if not len(chosen):
                continue
            items = torch.nonzero(domain_of_item == domain).flatten()
            part = type(batch)(batch.sequence[chosen], None, batch.target_domain[chosen], batch.rows[chosen])
            scores = model.score(part.to(device), items.to(device)).float().cpu()
            target = sequences.last[part.rows]
            collected.append(_ranks(scores, items, target, part.rows, sequences, domain, seed))
    model.train(training)
    columns = [np.concatenate(column) for column in zip(*collected)]
    order = np.argsort(columns[0])
    return Ranks(*(column[order] for column in columns))


def _ranks(scores: Tensor, items: Tensor, target: Tensor, rows: Tensor, sequences: Sequences, domain: int, seed: int):
    """Count, for each case, the candidates above and level with the target."""
    first = int(items[0])
    bought = torch.zeros(scores.shape, dtype=torch.bool)
    for line, row in enumerate(rows.tolist()):
        history = sequences[row][:-1] - first
        bought[line, history[(history >= 0) & (history < len(items))]] = True
    place = (target - first)[:, None]
    bought.scatter_(1, place, False)
    if not torch.isfinite(scores[~bought]).all():
        raise FloatingPointError("a score is not a finite number: look at the training loss and the item features.")
    own = scores.gather(1, place)
    above, level = (scores > own) & ~bought, (scores == own) & ~bought
    level.scatter_(1, place, False)
    rank = 1 + above.sum(1) + level.sum(1) / 2

    drawn = torch.zeros_like(bought)
    for line, row in enumerate(rows.tolist()):
        free = ~bought[line]
        free[place[line]] = False
        free = torch.nonzero(free).flatten().numpy()
        if len(free) > SAMPLED_NEGATIVES:                 # one generator a case: the draw does not depend on batches or systems
            free = np.random.default_rng([seed, row]).choice(free, SAMPLED_NEGATIVES, replace=False)
        drawn[line, torch.from_numpy(free)] = True
    rank_sampled = 1 + (above & drawn).sum(1) + (level & drawn).sum(1) / 2
    columns = rows, target, torch.full_like(rows, domain), rank, rank_sampled, (~bought).sum(1), drawn.sum(1) + 1, level.any(1)
    return [column.numpy() for column in columns]


# ---------------------------------------------------------------------------------------------- intervals

def interval(values: np.ndarray, *, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over cases (ours).  Paired comparison: give the per-case differences."""
    if len(values) == 0:
        return 0.0, 0.0
    generator = np.random.default_rng(seed)
    means = [values[generator.integers(len(values), size=len(values))].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(one: list[Ranks], other: list[Ranks], metric: str, domain: int | None = None) -> tuple[float, tuple[float, float]]:
    """Mean per-case difference `one` - `other` and its interval; several seeds are averaged per case first.

    Raises ValueError unless all rank the same cases.
    """
    rows = one[0].row
    if any(not np.array_equal(ranks.row, rows) for ranks in [*one, *other]):
        raise ValueError("these systems were not evaluated on the same cases: give both the same split and slice.")
    mean = lambda several: np.mean([ranks.values(metric) for ranks in several], axis=0)
    difference = mean(one) - mean(other)
    if domain is not None:
        difference = difference[one[0].domain == domain]
    return float(difference.mean()), interval(difference)
