"""Broken histories: what a model reads before it predicts, and which cases it is tested on.

Status: ours; `museum.exhibits` says where each bug has been seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from tema_lib.data.batches import Batch, ranking_batches
from tema_lib.data.sequences import DomainView, Sequences, domain_view, padded
from tema_lib.data.splits import Split
from tema_lib.evaluation.ranking import Ranks, evaluate
from tema_lib.experiment import Experiment
from tema_lib.models.base import Recommender

# --- the sequence of one domain ---


def domain_view_with_the_future(
    sequence: Tensor, domain_of_item: Tensor, domain: int
) -> DomainView:
    """BUG: at every time, the domain's *whole* sequence is read, later events included.

    Arguments and result as of `domain_view`.
    """
    view = domain_view(sequence, domain_of_item, domain)
    end = (view.length - 1).clamp(min=0)[:, None]
    any_at_all = view.has_any.any(1, keepdim=True)
    return replace(
        view,
        read_at=end.expand_as(view.read_at),
        has_any=any_at_all.expand_as(view.has_any),
    )


def domain_view_one_event_late(sequence: Tensor, domain_of_item: Tensor, domain: int) -> DomainView:
    """BUG: a counter that is off by one reads the next event of the domain.

    Arguments and result as of `domain_view`.
    """
    view = domain_view(sequence, domain_of_item, domain)
    end = (view.length - 1).clamp(min=0)[:, None]
    return replace(view, read_at=torch.minimum(view.read_at + 1, end))


def domain_view_with_swapped_masks(
    sequence: Tensor, domain_of_item: Tensor, domain: int
) -> DomainView:
    """BUG: the items of one domain are kept by the mask of the other, which leaves none.

    Arguments and result as of `domain_view`.
    """
    in_a, in_b = (domain_of_item[sequence] == each for each in (0, 1))
    own, mask = (in_a, in_b) if domain == 0 else (in_b, in_a)
    return domain_view(sequence * own * mask, domain_of_item, domain)


def domain_view_of_the_other_domain(
    sequence: Tensor, domain_of_item: Tensor, domain: int
) -> DomainView:
    """BUG: A gets the events of B, and B those of A.

    Arguments and result as of `domain_view`.
    """
    return domain_view(sequence, domain_of_item, 1 - domain)


# --- the history before the target ---


def ranking_batches_with_the_target(
    sequences: Sequences,
    domain_of_item: Tensor,
    *,
    max_length: int,
    batch_size: int,
    cases: Tensor | None = None,
) -> Iterator[Batch]:
    """BUG: the slice includes its last row, and the last row is the target.

    Arguments and results as of `ranking_batches`.
    """
    for batch in ranking_batches(
        sequences, domain_of_item, max_length=max_length, batch_size=batch_size, cases=cases
    ):
        yield replace(batch, sequence=padded(sequences, batch.rows, max_length, held_out=0))


# --- the cases of a test ---


def ranks_on_test(model: Recommender, split: Split, domain_of_item: Tensor) -> Ranks:
    """The right final number: ranks of the test targets."""
    return evaluate(model, split.test, domain_of_item)


def ranks_on_validation(model: Recommender, split: Split, domain_of_item: Tensor) -> Ranks:
    """BUG: the final number is that of the cases that chose the epoch."""
    return evaluate(model, split.valid, domain_of_item)


def ranks_one_event_early(model: Recommender, split: Split, domain_of_item: Tensor) -> Ranks:
    """BUG: the last event of the test part is cut off, and the one before it is the target."""
    return evaluate(model, split.test.without_last(1), domain_of_item)


def experiment_ranks_on_validation(run: Experiment, model: Recommender) -> Ranks:
    """`Experiment._rank` with the bug of `ranks_on_validation`."""
    return ranks_on_validation(model, run.split, run.domain_of_item)
