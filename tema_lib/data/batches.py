"""tema_lib.data.batches"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tema_lib.data.sequences import Sequences, padded


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
    def position_domains(self) -> Tensor:
        """The target's domain at every position, int64 [B, T]; a ranking batch has one a row."""
        domains = self.target_domain
        return domains if domains.dim() == 2 else domains[:, None].expand_as(self.sequence)

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
