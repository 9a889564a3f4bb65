"""Broken ranks and candidates: rules for ties and NaN, negatives drawn anew, two candidate lists.

The rules of a rank take scores [B, C] and the column of each target, int64 [B], and give ranks [B].

Status: ours; `museum.exhibits` says where each bug has been seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import Sequences
from tema_lib.evaluation.protocols import Protocol
from tema_lib.evaluation.ranking import _ranks, draw_negatives
from tema_lib.models.base import SequenceRecommender

RankRule = Callable[[Tensor, Tensor], Tensor]

# --- the rank of the target ---


def rank_in_the_middle(scores: Tensor, target: Tensor) -> Tensor:
    """The right rule: 1, plus the higher scores, plus half of the scores that are tied.

    Raises:
        FloatingPointError: for a score that is not a finite number.
    """
    if not torch.isfinite(scores).all():
        raise FloatingPointError("a score is not a finite number.")
    own = scores.gather(1, target[:, None])
    return 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2


def rank_in_a_stable_sort(scores: Tensor, target: Tensor) -> Tensor:
    """BUG: the target stands in column 0, and a stable sort leaves it before all its ties."""
    own = scores.gather(1, target[:, None])
    column = torch.arange(scores.size(1))
    others = scores[column != target[:, None]].view(len(scores), -1)
    order = torch.cat([own, others], 1).argsort(dim=1, descending=True, stable=True)
    return 1.0 + (order == 0).int().argmax(1)


def rank_by_higher_scores(scores: Tensor, target: Tensor) -> Tensor:
    """BUG: only strictly higher scores count, so the target wins every tie."""
    own = scores.gather(1, target[:, None])
    return 1.0 + (scores > own).sum(1)


def rank_by_clearly_higher_scores(scores: Tensor, target: Tensor) -> Tensor:
    """BUG: as `rank_by_higher_scores`, and scores within a margin count as tied, too."""
    own = scores.gather(1, target[:, None])
    return 1.0 + (scores > own + 1e-5).sum(1)


def rank_after_all_ties(scores: Tensor, target: Tensor) -> Tensor:
    """BUG: the opposite one; the target loses every tie."""
    own = scores.gather(1, target[:, None])
    return 0.0 + (scores >= own).sum(1)


def rank_without_a_check(scores: Tensor, target: Tensor) -> Tensor:
    """BUG: every comparison with NaN is false, so nothing is higher than a target of NaN."""
    own = scores.gather(1, target[:, None])
    return 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1).clamp(min=0) / 2


def rank_unless_all_are_nan(scores: Tensor, target: Tensor) -> Tensor:
    """BUG: the check stops a model without any number, but not one with a single NaN."""
    if torch.isnan(scores).all():
        raise FloatingPointError("no score is a number.")
    return rank_without_a_check(scores, target)


def in_evaluator(rule: RankRule) -> Callable[..., list[Tensor]]:
    """The evaluator's own `_ranks` with another rule, so that the evaluator's tests can meet it."""

    def ranks(
        scores: Tensor,
        target: Tensor,
        first: int,
        early: int,
        sequences: Sequences,
        rows: Tensor,
        seed: int,
        protocol: Protocol,
    ) -> list[Tensor]:
        competing, finite = scores.clone(), scores.nan_to_num(0, 0, 0)
        row, seen = sequences.before_last(rows)
        inside = (seen >= first) & (seen < first + scores.size(1)) & (seen != target[row])
        competing[row[inside], seen[inside] - first] = finite.min() - 1  # below everything
        rank = rule(competing, target - first).double()
        _, *others = _ranks(finite, target, first, early, sequences, rows, seed, protocol)
        return [rank, *others]

    return ranks


# --- the candidates ---


def draw_negatives_anew(
    rows: Tensor,
    position: Tensor,
    row: Tensor,
    seen: Tensor,
    count: int,
    seed: int,
    protocol: Protocol,
) -> tuple[Tensor, Tensor]:
    """BUG: the seed is not used, so each evaluation and each system has other negatives.

    Arguments and results as of `draw_negatives`.
    """
    seed = int(np.random.default_rng().integers(2**31))
    return draw_negatives(rows, position, row, seen, count, seed, protocol)


def draw_negatives_by_batch(
    rows: Tensor,
    position: Tensor,
    row: Tensor,
    seen: Tensor,
    count: int,
    seed: int,
    protocol: Protocol,
) -> tuple[Tensor, Tensor]:
    """BUG: what a case gets depends on its place in the batch, so on the batch size.

    Arguments and results as of `draw_negatives`.
    """
    return draw_negatives(torch.arange(len(rows)), position, row, seen, count, seed, protocol)


def added(first: Tensor, second: Tensor, candidates: Tensor) -> Tensor:
    """The right sum of two branches' scores: both score the same list.

    Args:
        first, second: the scores of all items [B, N+1].
        candidates: item ids [B, C], the target in column 0.

    Returns:
        [B, C].
    """
    return first.gather(1, candidates) + second.gather(1, candidates)


def added_from_two_lists(first: Tensor, second: Tensor, candidates: Tensor) -> Tensor:
    """BUG: the second branch has its negatives in another order; only the target agrees.

    Arguments and result as of `added`.
    """
    order = torch.randperm(candidates.size(1) - 1) + 1
    other = torch.cat([candidates[:, :1], candidates[:, order]], 1)
    return first.gather(1, candidates) + second.gather(1, other)


def score_from_two_lists(model: SequenceRecommender, batch: Batch, candidates: Tensor) -> Tensor:
    """`SequenceRecommender.score` with the halves of the states as two branches, and that bug."""
    inputs, outputs = model.item_embeddings()
    last = model.last_hidden_states(batch, inputs)
    half = last.size(1) // 2
    first, second = last[:, :half] @ outputs[:, :half].T, last[:, half:] @ outputs[:, half:].T
    lists = candidates.expand(len(last), -1)
    return added_from_two_lists(first, second, lists)
