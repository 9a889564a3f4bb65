"""Exact ranks per test case; every metric, interval and slice derives from them (notebook 06).

Full ranking: the target competes with every item of its own domain that the user has not interacted with; ties stand at mid-rank, so a model
that scores everything alike ranks mid-list.  Beside it, from the same scores, a sampled ranking under one of the `PROTOCOLS`: ours, with
999 negatives drawn once, seeded and shared by all systems, or the candidate and tie rules of a published one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tema_lib.data.batches import ranking_batches
from tema_lib.data.sequences import Sequences
from tema_lib.evaluation.metrics import metric_of_ranks
from tema_lib.evaluation.protocols import PROTOCOLS, Protocol
from tema_lib.models.base import Recommender, evaluation_mode
from tema_lib.models.losses import domain_item_ranges

# Users encoded together, and scores held at once (8 MiB on a processor): what a ranking needs beside the item tables does not grow with them.
USERS, CELLS = {"cpu": 160, "cuda": 4096}, {"cpu": 2**21, "cuda": 2**28}


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

    def select(self, mask: np.ndarray) -> Ranks:
        """A slice of the cases: domain, long-tail targets, cross-domain targets, ..."""
        return replace(
            self, **{name: getattr(self, name)[mask] for name in self.__dataclass_fields__}
        )

    def of_domain(self, domain: int) -> Ranks:
        return self.select(self.domain == domain)

    def values(self, metric: str, sampled: bool = False) -> np.ndarray:
        return metric_of_ranks(self.rank_sampled if sampled else self.rank, metric)

    def metric(self, metric: str, sampled: bool = False) -> float:
        """Mean over the cases; NaN for an empty slice, which has no number."""
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
    """Rank the last event of every sequence, fully and among sampled negatives, from one matrix of scores.

    Of a history the model's `max_length` newest events are read.  Items that the whole history holds are no candidates of the full
    ranking (the target always is), unless the protocol says so.  `seed` draws the sampled negatives, the same for every system.  Raises FloatingPointError for a score that is not a number.
    """
    if not len(sequences):
        raise ValueError("there is no case to rank: the split has no sequences.")
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    batch_size, cells = batch_size or USERS.get(device.type, 160), CELLS.get(device.type, 2**21)
    domain_of_item = domain_of_item.cpu()
    targets, item_ranges, collected = sequences.last, domain_item_ranges(domain_of_item), []
    domain_of_target = domain_of_item[targets]
    if protocol.within == "catalogue":
        pools = [
            (torch.ones_like(domain_of_target, dtype=torch.bool), 1, len(domain_of_item) - 1, 0)
        ]
    else:
        pools = [
            (domain_of_target == domain, first, size, protocol.early * domain)
            for domain, (first, size) in enumerate(item_ranges)
        ]
    with evaluation_mode(model):
        for mine, first, size, early in pools:
            cases = torch.nonzero(mine).flatten()
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
    columns = [torch.cat([part.cpu() for part in column]).numpy() for column in zip(*collected)]
    order = np.argsort(columns[0])
    return Ranks(*(column[order] for column in columns))


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
    """Count, for each case, what stands above and level, in scores [B, C] of the ids first, first + 1, ..., which are used up.

    Every place becomes the sign of (score - target's score), what is no candidate counts as below: then the sum of signs is above - below,
    and since above + below + level + 1 = C (the target itself), the mid-rank 1 + above + level / 2 is (C + 1 + sum) / 2.
    """
    if (
        not torch.isfinite(scores.sum()) and not torch.isfinite(scores).all()
    ):  # the sum is quick; only where it is not finite, look at each
        raise FloatingPointError(
            "a score is not a finite number: look at the training loss and the item features."
        )
    device, count, position = scores.device, scores.size(1), target - first
    line, seen = sequences.before_last(rows)
    inside = (seen >= first) & (seen < first + count)
    line, seen = line[inside], seen[inside] - first
    column = position[:, None].to(device)
    own = scores.gather(1, column)
    sampled, drawn = own.new_full((len(rows),), torch.nan), torch.zeros_like(rows)
    if protocol.negatives:
        negatives, drawn = draw_negatives(rows, position, line, seen, count, seed, protocol)
        sampled = _sampled_ranks(scores, own, negatives.to(device), protocol)
    signs = scores.sub_(own).sign_()
    if protocol.history == "left out":
        signs[line.to(device), seen.to(device)] = -1
    signs[:, :early] = -1  # the other domain's item is drawn, never ranked fully
    signs.scatter_(1, column, 0)
    rank = (signs.sum(1) + count + 1) / 2
    level = (
        count - 1 - torch.linalg.vector_norm(signs, dim=1).square_().round_()
    )  # squared signs add up to what is not level; counting booleans takes ten times as long
    candidates = torch.full_like(position, count - early)
    if protocol.history == "left out":
        candidates -= _distinct_without_target(line, seen, position, count, early)
    return [rank.cpu().double(), sampled.cpu().double(), candidates, drawn + 1, level > 0]


def _distinct_without_target(
    line: Tensor, seen: Tensor, position: Tensor, count: int, early: int
) -> Tensor:
    """How many different items, the target and the `early` ones aside, each history holds."""
    cells = torch.unique(line * count + seen)
    line, seen = cells // count, cells % count
    return torch.bincount(line[(seen != position[line]) & (seen >= early)], minlength=len(position))


def draw_negatives(
    rows: Tensor,
    position: Tensor,
    line: Tensor,
    seen: Tensor,
    count: int,
    seed: int,
    protocol: Protocol,
) -> tuple[Tensor, Tensor]:
    """Places [B, S] of the sampled negatives in a pool of `count` items, -1 where there are fewer, and how many each case has, [B].

    One generator a case, so a draw depends on neither batches nor systems.  `line`, `seen`: the histories' places in the pool.
    A pool with too few items is taken whole.
    """
    ends = torch.bincount(line, minlength=len(rows)).cumsum(0).tolist()
    seen, drawn = seen.numpy(), []
    for row, target, start, end in zip(rows.tolist(), position.tolist(), [0, *ends], ends):
        never = (
            np.unique(np.append(seen[start:end], target))
            if protocol.without == "history"
            else np.array([target])
        )
        free = count - len(never)
        generator = np.random.default_rng([seed, row])
        if protocol.repeated:
            some = generator.integers(free, size=protocol.negatives if free else 0)
        else:
            some = (
                np.arange(free)
                if free <= protocol.negatives
                else generator.choice(free, protocol.negatives, replace=False)
            )
        drawn.append(
            some + np.searchsorted(never - np.arange(len(never)), some, side="right")
        )  # the k-th place that is free
    width = max(map(len, drawn))
    padded = np.stack([np.pad(some, (0, width - len(some)), constant_values=-1) for some in drawn])
    return torch.from_numpy(padded), torch.tensor([len(some) for some in drawn])


def _sampled_ranks(scores: Tensor, own: Tensor, negatives: Tensor, protocol: Protocol) -> Tensor:
    candidates = scores.gather(1, negatives.clamp(min=0)).masked_fill(negatives < 0, -torch.inf)
    if protocol.ties == "target":
        return 1 + (candidates > own + protocol.margin).sum(1)
    return 1 + (candidates > own).sum(1) + (candidates == own).sum(1) / 2
