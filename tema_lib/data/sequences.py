"""Sequences as one flat tensor with offsets; splits; domain views; length-bucketed batches.

Only the merged, chronological sequence is stored.  What a user did in domain A or B alone is *derived* from it
(`domain_view`), so the three sequences of the paper can never contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tema_lib.data.dataset import Items, RawData, user_codes


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
        position = torch.arange(len(line)) - torch.repeat_interleave(
            length.cumsum(0) - length, length
        )
        return line, self.items[self.offsets[rows][line] + position]


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


# ---------------------------------------------------------------------------------------------- domain views


@dataclass(frozen=True)
class DomainView:
    """One domain's own sequence, compact and right-padded, with the way back to merged time.

    sequence: int64 [B, Td].  `read_at[b, t]` (int64 [B, T]) is the place in it of the latest own-domain event at or before merged time t;
    where `has_any[b, t]` is False there is none yet.  Reading there, and nowhere later, keeps a domain branch causal in merged time.
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
    position = ((end - length)[:, None] + column).clamp_(max=len(sequences.items) - 1)
    return sequences.items[position] * keep
