"""Batches: right-padded sequences with their targets, for training and for ranking.

    training_batches(sequences, ...)    one epoch in random order, similar lengths together
    ranking_batches(sequences, ...)     validation or test cases, the target hidden

Status: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter

import torch
from torch import Tensor

from tema_lib.data.sequences import Sequences, padded


@dataclass(frozen=True)
class Batch:
    """B sequences, right-padded with 0 to T.

    sequence, targets: int64 [B, T]; `targets[b, t]` is the event after `sequence[b, t]`, 0 where
        there is none.
    target_domain: int64, [B, T] in training and [B] in ranking.

    `score` is given batches with `targets=None`: it is told the target's *domain* only, as every
    protocol of the field allows.
    """

    sequence: Tensor
    targets: Tensor | None
    target_domain: Tensor
    rows: Tensor  # which sequences of the split these are, int64 [B]

    @property
    def position_domains(self) -> Tensor:
        """The target's domain at every position, int64 [B, T]; a ranking batch has one a row."""
        domains = self.target_domain
        return domains if domains.dim() == 2 else domains[:, None].expand_as(self.sequence)

    @property
    def length(self) -> Tensor:
        """The number of events, int64 [B]."""
        return (self.sequence > 0).sum(1)

    @property
    def last(self) -> Tensor:
        """The position of the last event, int64 [B]; 0 where there is none."""
        return (self.length - 1).clamp(min=0)

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with `change` applied to each of its tensors."""
        return Batch(
            change(self.sequence),
            None if self.targets is None else change(self.targets),
            change(self.target_domain),
            change(self.rows),
        )

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device."""
        return self.each(lambda tensor: tensor.to(device))

    def split(self, size: int) -> Iterator[Batch]:
        """The batch in parts of at most `size` sequences."""
        for start in range(0, len(self.sequence), size):
            yield self.each(itemgetter(slice(start, start + size)))


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

    The sorted batches get equally many *targets*, not users: a loss is a mean over its batch, and
    with equally many users a target in a batch of short sequences would weigh several times one in
    a batch of long ones.

    Args:
        sequences: The training sequences; those with fewer than two events are skipped.
        domain_of_item: int64 [N+1].
        max_length: The longest input, in events; the newest are kept.
        batch_size: The mean number of users in a batch.
        generator: The source of the random order.
        window: Of each `window` batches' users, those with sequences of similar length come
            together, which saves most of the padding; 1 sorts nothing.
    """
    lengths = sequences.lengths.clamp(max=max_length + 1)
    usable = torch.nonzero(lengths >= 2).flatten()
    usable = usable[torch.randperm(len(usable), generator=generator)]
    groups: list[Tensor] = []
    for block in usable.split(batch_size * window):
        block = block[lengths[block].argsort()]
        so_far = (lengths[block] - 1).cumsum(0)  # targets up to and including each sequence
        number = -(-len(block) // batch_size)
        batch_of = (so_far - 1) * number // so_far[-1]
        groups += block.split(torch.bincount(batch_of, minlength=number).tolist())
    groups = [group for group in groups if len(group)]
    for index in torch.randperm(len(groups), generator=generator).tolist():
        rows = groups[index]
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
    """Validation or test cases: the input is all before the last event, the target is hidden.

    Args:
        sequences: The validation or test sequences.
        domain_of_item: int64 [N+1].
        max_length: The longest input, in events; the newest are kept.
        batch_size: The number of sequences in a batch.
        cases: Which sequences, int64; they come shortest history first, for less padding.  None:
            all of them, in their own order.
    """
    target_domain = domain_of_item[sequences.last]
    if cases is None:
        order = torch.arange(len(sequences))
    else:
        order = cases[sequences.lengths[cases].argsort(stable=True)]
    for rows in order.split(batch_size):
        inputs = padded(sequences, rows, max_length, held_out=1)
        yield Batch(inputs, None, target_domain[rows], rows)
