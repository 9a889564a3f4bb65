"""Splits: which events are trained on and which are held out for validation and test.

    leave_one_out(sequences)            the last event of each user tests, the one before validates
    published_split(raw, sequences)     the split that a published data set brings
    split_in_time(sequences, times)     every event before a moment trains, the next one tests
    with_overlap(split, share)          fewer training sequences that hold both domains

Status: ours; leave-one-out is the common protocol of sequential recommendation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tema_lib.data.dataset import RawData
from tema_lib.data.files import DataError
from tema_lib.data.sequences import Sequences


@dataclass(frozen=True)
class Split:
    """Sequences for training, validation and test.

    The last event of each `valid` and `test` sequence is the target; what precedes it is the input.
    """

    name: str
    train: Sequences
    valid: Sequences
    test: Sequences


def leave_one_out(sequences: Sequences) -> Split:
    """Per user, the last event is the test target and the one before it the validation target.

    Everything before these two is trained on.

    This is not a split in global time: a training event of one user may be newer than another
    user's target.

    Raises:
        DataError: No user has three events.
    """
    long_enough = torch.nonzero(sequences.lengths >= 3).flatten()
    if not len(long_enough):
        raise DataError("leave-one-out needs users with at least three events each; there is none.")
    return Split(
        "leave-one-out",
        sequences.select(long_enough, 2),
        sequences.select(long_enough, 1),
        sequences.select(long_enough),
    )


def published_split(raw: RawData, sequences: Sequences) -> Split:
    """The folder's own split: separate sequences for training, validation and test."""
    part = raw.interactions.groupby("user_id")["split"].first()
    rows = {
        name: [user for user, key in enumerate(sequences.user_id) if part[key] == name]
        for name in ("train", "valid", "test")
    }
    return Split(
        "published", *(sequences.select(rows[name]) for name in ("train", "valid", "test"))
    )


def split_in_time(sequences: Sequences, times: Tensor, valid_from: int, test_from: int) -> Split:
    """Train on what happened before a moment, and test on what each user did next.

    Nothing that training reads is later than any target.  Validation and test target of a user are
    the first event from `valid_from` and from `test_from` on; the test history holds all events
    before `test_from`.  Users without an event before `valid_from` are left out.

    Args:
        times: Unix seconds, int64 [M], in the order of `sequences.items` (`event_times`).
        valid_from, test_from: Unix seconds.

    Raises:
        DataError: a part would be empty.
    """
    row = torch.repeat_interleave(torch.arange(len(sequences)), sequences.lengths)

    def before(moment: int) -> Tensor:
        return torch.bincount(row[times < moment], minlength=len(sequences))

    def first(rows: Tensor, count: Tensor) -> Sequences:
        """The first `count` events of these rows."""
        return sequences.select(rows, sequences.lengths[rows] - count[rows])

    known, later, length = before(valid_from), before(test_from), sequences.lengths
    usable = known > 0
    train = torch.nonzero(usable).flatten()
    valid = torch.nonzero(usable & (later > known)).flatten()
    test = torch.nonzero(usable & (length > later)).flatten()
    if not (len(train) and len(valid) and len(test)):
        raise DataError("no user has events before, between and after these moments.")
    return Split("in time", first(train, known), first(valid, known + 1), first(test, later + 1))


def with_overlap(split: Split, domain_of_item: Tensor, share: float, seed: int = 0) -> Split:
    """The split with a share of the training sequences that hold events of both domains.

    The others of these are left out; sequences of one domain, and what is held out, stay.

    Args:
        domain_of_item: int64 [N+1], 0 for A, 1 for B, -1 for padding.
        share: from 0 to 1.
        seed: of the draw; a smaller share is a part of a larger one.

    Raises:
        ValueError: the share is out of range.

    Source: LLM4CDSR's claim that it needs fewer users of both domains than others.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"overlap is {share}: give a share from 0 to 1.")
    train = split.train
    row = torch.repeat_interleave(torch.arange(len(train)), train.lengths)
    in_b = torch.zeros(len(train), dtype=torch.long)
    in_b.index_add_(0, row, domain_of_item[train.items])
    both = (in_b > 0) & (in_b < train.lengths)
    order = torch.randperm(int(both.sum()), generator=torch.Generator().manual_seed(seed))
    kept = ~both
    kept[torch.nonzero(both).flatten()[order[: round(share * len(order))]]] = True
    if not kept.any():
        raise ValueError(
            "every training sequence holds both domains: without overlap none is left."
        )
    return replace(split, train=train.select(torch.nonzero(kept).flatten()))
