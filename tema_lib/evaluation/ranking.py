"""Exact ranks of the test cases; every metric, interval and slice derives from them (notebook 06).

Full ranking: the target competes with every item of its own domain that the user has not interacted
with.  A tie gets the mid-rank, so a model that gives all items the same score ranks mid-list.
Beside it, from the same scores, a sampled ranking under one of the `PROTOCOLS`: ours, with 999
negatives drawn once per case and shared by all systems, or the rules of a published one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from tema_lib import distributed
from tema_lib.data.batches import ranking_batches
from tema_lib.data.sequences import Sequences
from tema_lib.evaluation.metrics import metric_of_ranks
from tema_lib.evaluation.protocols import PROTOCOLS, Protocol
from tema_lib.models.base import Recommender, evaluation_mode
from tema_lib.models.losses import domain_item_ranges

# Users encoded together, and scores held at once (8 MiB on a processor): besides the item
# embeddings, the memory of a ranking does not grow with the data.
USERS = {"cpu": 160, "cuda": 4096}
CELLS = {"cpu": 2**21, "cuda": 2**28}


@dataclass(frozen=True)
class Ranks:
    """One entry per test case.

    Args:
        row: which sequence of the split.
        target: global item id.
        domain: 0 for A, 1 for B.
        rank, rank_sampled: 1 for the best, mid-rank for ties; NaN without a sampled ranking.
        candidates, candidates_sampled: how many items competed, the target included.
        tied: whether another candidate had exactly the target's score.
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

    def select(self, mask: np.ndarray) -> Ranks:
        """The cases where the mask (bool [cases]) is True: long-tail targets, for example."""
        return replace(
            self, **{field.name: getattr(self, field.name)[mask] for field in fields(self)}
        )

    def of_domain(self, domain: int) -> Ranks:
        """The cases whose target is in a domain, 0 for A or 1 for B."""
        return self.select(self.domain == domain)

    def values(self, metric: str, sampled: bool = False) -> np.ndarray:
        """A metric (`metric_of_ranks`) per case, of the full or of the sampled ranking."""
        return metric_of_ranks(self.rank_sampled if sampled else self.rank, metric)

    def metric(self, metric: str, sampled: bool = False) -> float:
        """Mean over the cases; NaN if there is none."""
        return float(self.values(metric, sampled).mean()) if len(self) else math.nan


@torch.inference_mode()
def evaluate(
    model: Recommender,
    sequences: Sequences,
    domain_of_item: Tensor,
    *,
    batch_size: int | None = None,
    seed: int = 0,
    protocol: Protocol = PROTOCOLS["ours"],
) -> Ranks:
    """Rank the last event of every sequence, fully and among sampled negatives.

    Of each history, the model's `max_length` newest events are read, but all of its items are left
    out of the full ranking, except for the target.  Of several processes (`distributed`) each ranks
    a share, and each gets all.

    Args:
        model: it is evaluated without dropout, on the device of its parameters.
        sequences: validation or test part of a split.
        domain_of_item: int64 [N+1].
        batch_size: users encoded together; None for a size that suits the device.
        seed: of the sampled negatives, which are the same for every system.
        protocol: the rules of both rankings.

    Raises:
        ValueError: if there are no sequences.
        FloatingPointError: for a score that is not a finite number.
    """
    if not len(sequences):
        raise ValueError("there is no case to rank: the split has no sequences.")
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    batch_size = batch_size or USERS.get(device.type, 160)
    cells = CELLS.get(device.type, 2**21)
    domain_of_item = domain_of_item.cpu()
    targets = sequences.last
    collected = []
    with evaluation_mode(model):
        for mine, first, size, early in _pools(domain_of_item[targets], domain_of_item, protocol):
            cases = distributed.share(torch.nonzero(mine).flatten())
            if not len(cases):
                continue
            pool = torch.arange(first - early, first + size, device=device)
            rows = max(1, min(batch_size, cells // len(pool)))
            scorer = model.scorer(pool, rows)
            for batch in ranking_batches(
                sequences,
                domain_of_item,
                max_length=model.max_length,
                batch_size=batch_size,
                cases=cases,
            ):
                for scores, part in zip(scorer(batch.to(device)), batch.split(rows)):
                    target = targets[part.rows]
                    columns = _ranks(
                        scores.float(),
                        target,
                        first - early,
                        early,
                        sequences,
                        part.rows,
                        seed,
                        protocol,
                    )
                    collected.append([part.rows, target, part.target_domain, *columns])
    collected = distributed.gathered([[part.cpu() for part in columns] for columns in collected])
    arrays = [torch.cat(column).numpy() for column in zip(*collected)]
    order = np.argsort(arrays[0])
    return Ranks(*(array[order] for array in arrays))


def _pools(
    domain_of_target: Tensor, domain_of_item: Tensor, protocol: Protocol
) -> list[tuple[Tensor, int, int, int]]:
    """Groups of cases with the same candidates: (bool [cases], first id, size, ids too early)."""
    if protocol.within == "catalogue":
        every = torch.ones_like(domain_of_target, dtype=torch.bool)
        return [(every, 1, len(domain_of_item) - 1, 0)]
    return [
        (domain_of_target == domain, first, size, protocol.early * domain)
        for domain, (first, size) in enumerate(domain_item_ranges(domain_of_item))
    ]


def _ranks(
    scores: Tensor,
    target: Tensor,
    first: int,
    early: int,
    sequences: Sequences,
    rows: Tensor,
    seed: int,
    protocol: Protocol,
) -> list[Tensor]:
    """Count, for each case, the candidates with a higher and with the same score as the target.

    `scores` [B, C], of the ids first, first + 1, ..., are overwritten with the sign of
    (score - target's score); items that are no candidates count as lower.  The sum of the signs is
    higher - lower, and since higher + lower + tied + 1 = C (the target itself), the mid-rank
    1 + higher + tied / 2 is (C + 1 + sum) / 2.

    Returns the columns of `Ranks` from `rank` on, [B] each.
    """
    # The sum is quick; only if it is not finite, each score is checked.
    if not torch.isfinite(scores.sum()) and not torch.isfinite(scores).all():
        raise FloatingPointError(
            "a score is not a finite number: look at the training loss and the item features."
        )
    device, count, position = scores.device, scores.size(1), target - first
    row, seen = sequences.before_last(rows)
    inside = (seen >= first) & (seen < first + count)
    row, seen = row[inside], seen[inside] - first
    column = position[:, None].to(device)
    own = scores.gather(1, column)
    sampled, drawn = own.new_full((len(rows),), torch.nan), torch.zeros_like(rows)
    if protocol.negatives:
        negatives, drawn = draw_negatives(rows, position, row, seen, count, seed, protocol)
        sampled = _sampled_ranks(scores, own, negatives.to(device), protocol)
    signs = scores.sub_(own).sign_()
    if protocol.history == "left out":
        signs[row.to(device), seen.to(device)] = -1
    signs[:, :early] = -1  # the other domain's item may be drawn, but is never ranked fully
    signs.scatter_(1, column, 0)
    rank = (signs.sum(1) + count + 1) / 2
    # The squares of the signs add up to what is not tied; counting booleans is ten times slower.
    untied = torch.linalg.vector_norm(signs, dim=1).square_().round_()
    tied = count - 1 - untied
    candidates = torch.full_like(position, count - early)
    if protocol.history == "left out":
        candidates -= _distinct_without_target(row, seen, position, count, early)
    return [rank.cpu().double(), sampled.cpu().double(), candidates, drawn + 1, tied > 0]


def _distinct_without_target(
    row: Tensor, seen: Tensor, position: Tensor, count: int, early: int
) -> Tensor:
    """How many different items each history holds, without the target and the `early` ones, [B]."""
    cells = torch.unique(row * count + seen)
    row, seen = cells // count, cells % count
    return torch.bincount(row[(seen != position[row]) & (seen >= early)], minlength=len(position))


def draw_negatives(
    rows: Tensor,
    position: Tensor,
    row: Tensor,
    seen: Tensor,
    count: int,
    seed: int,
    protocol: Protocol,
) -> tuple[Tensor, Tensor]:
    """Draw the sampled negatives of B cases from a pool of `count` items.

    Each case has its own random generator, so a draw depends on neither batches nor systems.  A
    pool with too few items is taken whole.

    Args:
        rows: int64 [B], which sequences of the split the cases are.
        position: int64 [B], the targets' positions in the pool.
        row, seen: int64 [M], the histories, flat: which case, and which position in the pool.
        count: the size of the pool.
        seed: of the random generators.
        protocol: how many are drawn, and by which rules.

    Returns:
        Positions in the pool [B, S], -1 where a case has fewer; and how many each case has, [B].
    """
    ends = torch.bincount(row, minlength=len(rows)).cumsum(0).tolist()
    histories, drawn = seen.numpy(), []
    for case, target, start, end in zip(rows.tolist(), position.tolist(), [0, *ends], ends):
        never = np.array([target])
        if protocol.without == "history":
            never = np.unique(np.append(histories[start:end], target))
        free = count - len(never)
        generator = np.random.default_rng([seed, case])
        if protocol.repeated:
            some = generator.integers(free, size=protocol.negatives if free else 0)
        elif free <= protocol.negatives:
            some = np.arange(free)
        else:
            some = generator.choice(free, protocol.negatives, replace=False)
        # From the k-th free position to a position in the pool.
        drawn.append(some + np.searchsorted(never - np.arange(len(never)), some, side="right"))
    width = max(map(len, drawn))
    padded = np.stack([np.pad(some, (0, width - len(some)), constant_values=-1) for some in drawn])
    return torch.from_numpy(padded), torch.tensor([len(some) for some in drawn])


def _sampled_ranks(scores: Tensor, own: Tensor, negatives: Tensor, protocol: Protocol) -> Tensor:
    """Ranks [B] of the targets' scores `own` [B, 1] among those of the negatives [B, S]."""
    candidates = scores.gather(1, negatives.clamp(min=0)).masked_fill(negatives < 0, -torch.inf)
    if protocol.ties == "target":
        return 1 + (candidates > own + protocol.margin).sum(1)
    return 1 + (candidates > own).sum(1) + (candidates == own).sum(1) / 2
