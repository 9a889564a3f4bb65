"""Sequences as one flat tensor with offsets; splits; domain views; length-bucketed batches.

Only the merged, chronological sequence is stored.  What a user did in domain A or B alone is *derived* from it
(`domain_view`), so the three sequences of the paper can never contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tema_lib.data.interactions import DataError, Items, RawData, user_codes


@dataclass(frozen=True)
class Sequences:
    """U sequences of global item ids in time order: sequence u is `items[offsets[u]:offsets[u + 1]]`."""

    user_id: tuple[str, ...]
    items: Tensor  # int64 [M], all sequences one after the other
    offsets: Tensor  # int64 [U+1]

    def __len__(self) -> int:
        return len(self.user_id)

    def __getitem__(self, user: int) -> Tensor:
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    @property
    def lengths(self) -> Tensor:
        return self.offsets[1:] - self.offsets[:-1]

    def without_last(self, held_out: int) -> Sequences:
        """Every sequence without its last `held_out` events; sequences that would be empty are dropped."""
        return self.select(torch.nonzero(self.lengths > held_out).flatten(), held_out)

    def select(self, users, held_out: int = 0) -> Sequences:
        """The given rows, in the given order, each without its last `held_out` events."""
        users = torch.as_tensor(users, dtype=torch.long)
        lengths = (self.lengths[users] - held_out).clamp(min=0)
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        shift = torch.repeat_interleave(self.offsets[users] - offsets[:-1], lengths)
        return Sequences(
            tuple(self.user_id[user] for user in users.tolist()),
            self.items[torch.arange(len(shift)) + shift],
            offsets,
        )

    @property
    def last(self) -> Tensor:
        """The last event of every sequence: the target of a validation or test sequence, int64 [U]."""
        return self.items[self.offsets[1:] - 1]

    def before_last(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Everything the given rows hold before their last event, flat: (which of the rows, item), int64 [M'] each."""
        length = self.lengths[rows] - 1
        line = torch.repeat_interleave(torch.arange(len(rows)), length)
        place = torch.arange(len(line)) - torch.repeat_interleave(length.cumsum(0) - length, length)
        return line, self.items[self.offsets[rows][line] + place]


@dataclass(frozen=True)
class Split:
    """`train` is learned from; the last event of each `valid` and `test` sequence is the target, what precedes it the input."""

    name: str
    train: Sequences
    valid: Sequences
    test: Sequences


@dataclass(frozen=True)
class Batch:
    """B sequences, right-padded with 0 to T.

    sequence, targets: int64 [B, T]; `targets[b, t]` is the event after `sequence[b, t]` (0 where there is none).
    `score` is given batches with `targets=None`; it is told the target's *domain* [B] only, as every protocol of the field allows.
    """

    sequence: Tensor
    targets: Tensor | None
    target_domain: Tensor
    rows: Tensor  # which sequences of the split these are, int64 [B]

    @property
    def length(self) -> Tensor:
        return (self.sequence > 0).sum(1)

    @property
    def last(self) -> Tensor:
        """The place of the last event, int64 [B]; 0 where there is none."""
        return (self.length - 1).clamp(min=0)

    def each(self, change) -> Batch:
        """The batch with `change` applied to each of its tensors."""
        return Batch(
            change(self.sequence),
            None if self.targets is None else change(self.targets),
            change(self.target_domain),
            change(self.rows),
        )

    def to(self, device) -> Batch:
        return self.each(lambda tensor: tensor.to(device))

    def split(self, size: int) -> Iterator[Batch]:
        """The batch in parts of at most `size` sequences."""
        return (
            self.each(lambda tensor: tensor[start : start + size])
            for start in range(0, len(self.sequence), size)
        )


def build_sequences(raw: RawData, items: Items) -> Sequences:
    """One merged sequence per user, stable in time; the table's own order decides ties (`shuffle_ties` first if it should not)."""
    users, names = user_codes(raw.interactions)
    order = np.lexsort((raw.interactions["timestamp"].to_numpy(), users))  # stable
    codes = map(items.index.__getitem__, raw.interactions["item_id"])
    codes = np.fromiter(codes, np.int64, len(users))[order]
    offsets = np.concatenate([[0], np.bincount(users, minlength=len(names)).cumsum()])
    return Sequences(
        tuple(map(str, names)), torch.from_numpy(codes), torch.from_numpy(offsets.astype("int64"))
    )


def leave_one_out(sequences: Sequences) -> Split:
    """Per user: test target = the last event, validation target = the one before, training = the rest.

    This is not a split in global time: a training event of one user may be newer than another user's target.
    Raises `DataError` when no user has three events.
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
    """The split that the folder itself brings: separate sequences for training, validation and test."""
    part = raw.interactions.groupby("user_id")["split"].first()
    rows = {
        name: [user for user, key in enumerate(sequences.user_id) if part[key] == name]
        for name in ("train", "valid", "test")
    }
    return Split(
        "published", *(sequences.select(rows[name]) for name in ("train", "valid", "test"))
    )


# ---------------------------------------------------------------------------------------------- domain views


@dataclass(frozen=True)
class DomainView:
    """One domain's own sequence, compact and right-padded, with the way back to merged time.

    sequence: int64 [B, Td].  `read_at[b, t]` (int64 [B, T]) is the place in it of the latest own-domain event at or before merged time t;
    where `has_any[b, t]` is False there is none yet.  Reading there, and nowhere later, keeps a domain thread causal in merged time.
    """

    sequence: Tensor
    read_at: Tensor
    has_any: Tensor

    def read(self, states: Tensor) -> Tensor:
        """States of this domain [B, Td, D] at every merged time [B, T, D]; 0 where there is no event yet."""
        return (
            states.gather(1, self.read_at[..., None].expand(-1, -1, states.size(-1)))
            * self.has_any[..., None]
        )


def domain_view(sequence: Tensor, domain_of_item: Tensor, domain: int) -> DomainView:
    """Derive what happened in one domain from merged sequences [B, T].  Source: inferred from the siblings and C2DSR."""
    own = domain_of_item[sequence] == domain  # (B, T); padding has domain -1
    seen = own.long().cumsum(1)  # own events up to and including t
    width = max(int(seen[:, -1].max()), 1) if sequence.numel() else 1
    compact = sequence.new_zeros(len(sequence), width + 1)
    compact.scatter_(
        1, torch.where(own, seen - 1, width), sequence
    )  # events of the other domain go to the spare column
    return DomainView(compact[:, :width].contiguous(), (seen - 1).clamp_(min=0), seen > 0)


# ---------------------------------------------------------------------------------------------- batches


def padded(sequences: Sequences, rows: Tensor, max_length: int, held_out: int) -> Tensor:
    """The last `max_length` events of the given rows, without their last `held_out`, right-padded with 0: int64 [B, T]."""
    end = sequences.offsets[rows + 1] - held_out
    length = (end - sequences.offsets[rows]).clamp(0, max_length)
    column = torch.arange(max(int(length.max()), 1))
    keep = column < length[:, None]
    place = ((end - length)[:, None] + column).clamp_(max=len(sequences.items) - 1)
    return sequences.items[place] * keep


def training_batches(
    sequences: Sequences,
    domain_of_item: Tensor,
    *,
    max_length: int,
    batch_size: int,
    generator: torch.Generator,
    window: int = 16,
) -> Iterator[Batch]:
    """One epoch in random order: every position has the next event as its target.

    Of each `window` batches' users, those with sequences of similar length come together, which saves most of the padding; 1: no sorting.
    The sorted batches get equally many *targets*, not users: a loss is a mean over its batch, and with equally many users a target in a
    batch of short sequences would weigh several times one in a batch of long ones.  `batch_size` is the mean number of users.
    """
    lengths = sequences.lengths.clamp(max=max_length + 1)
    usable = torch.nonzero(lengths >= 2).flatten()
    usable = usable[torch.randperm(len(usable), generator=generator)]
    groups = []
    for block in usable.split(batch_size * window):
        block = block[lengths[block].argsort()]
        so_far, number = (lengths[block] - 1).cumsum(0), -(-len(block) // batch_size)
        groups += block.split(
            torch.bincount((so_far - 1) * number // so_far[-1], minlength=number).tolist()
        )
    groups = [group for group in groups if len(group)]
    for number in torch.randperm(len(groups), generator=generator).tolist():
        rows = groups[number]
        merged = padded(sequences, rows, max_length + 1, held_out=0)
        targets = merged[:, 1:].contiguous()
        yield Batch(merged[:, :-1] * (targets > 0), targets, domain_of_item[targets], rows)


def ranking_batches(
    sequences: Sequences,
    domain_of_item: Tensor,
    *,
    max_length: int,
    batch_size: int,
    cases: Tensor | None = None,
) -> Iterator[Batch]:
    """Validation or test cases: the input is everything before the last event, the target is hidden.

    All in order; or the given `cases`, short histories first, for less padding.
    """
    target_domain = domain_of_item[sequences.last]
    order = (
        torch.arange(len(sequences))
        if cases is None
        else cases[sequences.lengths[cases].argsort(stable=True)]
    )
    for rows in order.split(batch_size):
        yield Batch(
            padded(sequences, rows, max_length, held_out=1), None, target_domain[rows], rows
        )
