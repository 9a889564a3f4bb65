"""Sequences as one flat tensor with offsets, and what each domain alone saw of them.

Only the merged, chronological sequence is stored.  What a user did in domain A or B alone is
*derived* from it (`domain_view`), so the paper's three sequences can never contradict each other.
Status: ours; three sequences (A, B, merged) are stated in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tema_lib.data.dataset import Items, RawData, user_codes


@dataclass(frozen=True)
class Sequences:
    """U sequences of global item ids in time order.

    Sequence u is `items[offsets[u]:offsets[u + 1]]`.
    """

    user_id: tuple[str, ...]
    items: Tensor  # int64 [M], all sequences one after the other
    offsets: Tensor  # int64 [U+1]

    def __len__(self) -> int:
        return len(self.user_id)

    def __getitem__(self, user: int) -> Tensor:
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    @property
    def lengths(self) -> Tensor:
        """The number of events of each sequence, int64 [U]."""
        return self.offsets[1:] - self.offsets[:-1]

    def without_last(self, held_out: int) -> Sequences:
        """Every sequence without its last `held_out` events; empty ones are dropped."""
        return self.select(torch.nonzero(self.lengths > held_out).flatten(), held_out)

    def select(self, users: Tensor | Sequence[int], held_out: int | Tensor = 0) -> Sequences:
        """The given rows, in the given order, each without its last `held_out` events.

        Args:
            held_out: one number for all rows, or int64 [len(users)].
        """
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
        """The last event of every sequence, int64 [U]: the target in validation and test."""
        return self.items[self.offsets[1:] - 1]

    def before_last(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Everything the given rows hold before their last event, flat.

        Returns:
            (index into `rows`, item), int64 [M'] each.
        """
        length = self.lengths[rows] - 1
        row = torch.repeat_interleave(torch.arange(len(rows)), length)
        start = torch.repeat_interleave(length.cumsum(0) - length, length)
        position = torch.arange(len(row)) - start
        return row, self.items[self.offsets[rows][row] + position]


def build_sequences(raw: RawData, items: Items) -> Sequences:
    """One merged sequence per user, stable in time.

    The table's own order decides ties; call `filters.shuffle_ties` first if it should not.
    """
    users, names = user_codes(raw.interactions)
    order = np.lexsort((raw.interactions["timestamp"].to_numpy(), users))  # stable
    codes = map(items.index.__getitem__, raw.interactions["item_id"])
    flat = np.fromiter(codes, np.int64, len(users))[order]
    offsets = np.concatenate([[0], np.bincount(users, minlength=len(names)).cumsum()])
    return Sequences(
        tuple(map(str, names)), torch.from_numpy(flat), torch.from_numpy(offsets.astype("int64"))
    )


def event_times(raw: RawData) -> Tensor:
    """Unix seconds of each event, int64 [M], in the order of `build_sequences`."""
    users, _ = user_codes(raw.interactions)
    moments = raw.interactions["timestamp"].to_numpy(np.int64)
    return torch.from_numpy(moments[np.lexsort((moments, users))])


def padded(sequences: Sequences, rows: Tensor, max_length: int, held_out: int) -> Tensor:
    """The newest events of the given rows, right-padded with 0: int64 [B, T].

    Args:
        sequences: Where the rows come from.
        rows: int64 [B].
        max_length: The most events of a row.
        held_out: How many events at the end of each row are left out.
    """
    end = sequences.offsets[rows + 1] - held_out
    length = (end - sequences.offsets[rows]).clamp(0, max_length)
    column = torch.arange(max(int(length.max()), 1))
    keep = column < length[:, None]
    position = ((end - length)[:, None] + column).clamp_(max=len(sequences.items) - 1)
    return sequences.items[position] * keep


# --- domain views ---


@dataclass(frozen=True)
class DomainView:
    """One domain's own sequence, compact and right-padded, with the way back to merged time.

    sequence: int64 [B, Td].
    read_at: int64 [B, T]; `read_at[b, t]` is the position in `sequence` of the latest event of this
        domain at or before merged time t.
    has_any: bool [B, T]; False where there is no such event yet.

    Reading there, and nowhere later, keeps a domain branch causal in merged time.
    """

    sequence: Tensor
    read_at: Tensor
    has_any: Tensor

    @property
    def length(self) -> Tensor:
        """The number of events of this domain, int64 [B]."""
        return (self.sequence > 0).sum(1)

    def read(self, states: Tensor) -> Tensor:
        """States of this domain [B, Td, D] at every merged time [B, T, D]; 0 before its first."""
        index = self.read_at[..., None].expand(-1, -1, states.size(-1))
        return states.gather(1, index) * self.has_any[..., None]


def domain_view(sequence: Tensor, domain_of_item: Tensor, domain: int) -> DomainView:
    """Derive what happened in one domain from merged sequences.

    Args:
        sequence: int64 [B, T], right-padded with 0.
        domain_of_item: int64 [N+1], -1 for padding.
        domain: 0 for A, 1 for B.

    Source: inferred from the paper's siblings and C2DSR.
    """
    own = domain_of_item[sequence] == domain  # [B, T]; padding has domain -1
    seen = own.long().cumsum(1)  # own events up to and including t
    width = max(int(seen[:, -1].max()), 1) if sequence.numel() else 1
    compact = sequence.new_zeros(len(sequence), width + 1)
    # Events of the other domain go to the spare last column.
    compact.scatter_(1, torch.where(own, seen - 1, width), sequence)
    return DomainView(compact[:, :width].contiguous(), (seen - 1).clamp_(min=0), seen > 0)
