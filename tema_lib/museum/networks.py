"""Broken attention, losses and training: masks, gradients, positions, selection, negatives.

Status: ours; `museum.exhibits` says where each bug has been seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tema_lib.data.sequences import Sequences
from tema_lib.data.splits import Split
from tema_lib.models.base import Recommender
from tema_lib.models.llm4cdsr import soft_contrastive_loss
from tema_lib.training import TrainingHistory, train

# --- attention ---


def attention_that_is_nan(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """BUG: where the mask allows nothing, a softmax of minus infinities is 0 / 0.

    Arguments and results as of `scaled_dot_product_attention`.
    """
    scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5 + bias
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ value, weights


def attention_over_padding(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """BUG: no NaN any more, but where the mask allows nothing, all padding gets equal weights.

    Arguments and results as of `scaled_dot_product_attention`.
    """
    scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5 + bias
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1)
    return weights @ value, weights


# --- positions ---


def positions_from_the_other_end(x: Tensor, length: Tensor, from_the_end: bool) -> Tensor:
    """BUG: the condition is the wrong way round.

    Arguments and result as of `positions_of`.
    """
    position = torch.arange(x.size(1), device=x.device)
    return position if from_the_end else (length[:, None] - 1 - position).clamp_(min=0)


def positions_from_the_padding(x: Tensor, length: Tensor, from_the_end: bool) -> Tensor:
    """BUG: counted from the end of the tensor, so the longest history in a batch decides.

    Arguments and result as of `positions_of`.
    """
    position = torch.arange(x.size(1), device=x.device)
    if not from_the_end:
        return position
    return position.flip(0).expand(len(length), -1)


# --- losses ---


def contrastive_loss_of_fixed_states(x: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    """BUG: the states y come from a block without gradients, so only a projection head learns.

    Arguments and result as of `soft_contrastive_loss`; x is the output of the projection head.
    """
    return soft_contrastive_loss(x, y.detach(), temperature)


def contrastive_loss_for_show(x: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    """BUG: the loss is in every log, and reaches nothing at all.

    Arguments and result as of `soft_contrastive_loss`.
    """
    return soft_contrastive_loss(x, y, temperature).detach() + 0 * x.sum()


def seen_in_the_catalogue(train: Sequences, possible: Tensor) -> Tensor:
    """BUG: every item competes in training, also those that are no target there.

    Arguments and result as of `seen_in`.
    """
    return possible.clone()


# --- selection ---


def train_selected_on_test(
    model: Recommender,
    split: Split,
    domain_of_item: Tensor,
    *arguments: Any,
    **options: Any,
) -> TrainingHistory:
    """BUG: the epoch that is kept is the best one on the test cases.

    Arguments and result as of `train`.
    """
    return train(model, replace(split, valid=split.test), domain_of_item, *arguments, **options)


# --- checks ---


def within_a_tenth(
    name: str, value: float, reference: float, *, abs: float = 0.0, rel: float = 0.1
) -> None:
    """The right check: the tolerance is a share of the number (as in `tema_lib.notebook.expect`).

    Raises:
        AssertionError: the number is somewhere else.
    """
    tolerance = max(abs, rel * reference)
    assert reference - tolerance <= value <= reference + tolerance, f"{name}: {value}"


def expect_within_one_tolerance(
    name: str, value: float, reference: float, *, abs: float = 0.0, rel: float = 0.0
) -> None:
    """BUG: one tolerance of .05 for all metrics, also for one whose value is .0255.

    Arguments as of `tema_lib.notebook.expect`.

    Raises:
        AssertionError: the number is somewhere else.
    """
    tolerance = max(abs, rel * reference, 0.05)
    assert reference - tolerance <= value <= reference + tolerance, f"{name}: {value}"
