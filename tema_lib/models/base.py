"""What every system offers.

`Recommender`   `loss(batch) -> {name: scalar}` and `score(batch, candidates) -> [B, C]`; optional `fit_statistics(train)`, and `total_loss(terms)`
          where the terms of the loss are not simply added.
`SequenceRecommender`   gives both from two things: `item_embeddings()`, the vectors that sequences are read with and those that states are compared
          with, made once a step and never for a batch of an evaluation, and `encode(batch, inputs)`, one state for each position.

`batch.targets` is hidden from `score`; the *domain* of the target is not, as in every published protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import Sequences
from tema_lib.models.losses import LOSSES, domain_item_ranges


class Recommender(nn.Module):
    """A system that scores candidates; counting baselines stop here.

    `training_only`: beginnings of the names of parameters that a loss needs and no score reads, such as the head of a contrast.
    """

    training_only: tuple[str, ...] = ()

    @property
    def max_length(self) -> int:
        """How many events of a history it reads, the newest: what its config says; ours: 50 for a system without one."""
        return getattr(getattr(self, "config", None), "max_length", 50)

    def fit_statistics(self, train: Sequences) -> None:
        """See the training sequences once, before anything is learned.  Nothing else may be looked at."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Named loss terms; empty where nothing is trained."""
        return {}

    def total_loss(self, terms: dict[str, Tensor]) -> Tensor:
        """One scalar to descend from the terms of `loss`: their sum, unless a system weighs them in its own way."""
        return sum(terms.values())

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        """[B, C] scores at the last event; `candidates` are global ids [C] (shared) or [B, C].  Higher is better."""
        raise NotImplementedError

    def scorer(self, candidates: Tensor, rows: int) -> Callable[[Batch], Iterator[Tensor]]:
        """`score` for many batches and the same candidates [C]: what does not depend on the batch is done once.

        The function gives the scores of a batch in order, at most `rows` lines [rows, C] at a time; the caller may overwrite
        them, and they are good until the next ones.
        """
        return lambda batch: (self.score(part, candidates).clone() for part in batch.split(rows))


class SequenceRecommender(Recommender):
    """A system whose logits are products of sequence states and item vectors, H E^T (streams that add up are set side by side).

    `loss` names one of `losses.LOSSES`.  Raises ValueError for another name.
    """

    def __init__(self, domain_of_item: Tensor, loss: str = "domain softmax"):
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"the loss {loss!r} is unknown: choose from {', '.join(LOSSES)}.")
        self.register_buffer("domain_of_item", domain_of_item, persistent=False)
        self.item_ranges, self.loss_of = domain_item_ranges(domain_of_item), LOSSES[loss]

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        """(inputs, outputs): item vectors [N+1, D] that sequences are read with, and [N+1, E] that states are compared with."""
        raise NotImplementedError

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        """H [B, T, E]; H[b, t] must not depend on anything after t except the *domain* of the target."""
        raise NotImplementedError

    def encode_with_items(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """States (B, T, E) and the vectors (N+1, E) to compare them with."""
        inputs, outputs = self.item_embeddings()
        return self.encode(batch, inputs), outputs

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"next item": self.next_item(*self.encode_with_items(batch), batch)}

    def next_item(self, states: Tensor, table: Tensor, batch: Batch) -> Tensor:
        """The chosen loss at every real position, in the tables' own precision: a bfloat16 softmax would keep three digits."""
        real = batch.targets > 0  # valid positions first: no logits for padding
        with torch.autocast(table.device.type, enabled=False):
            return self.loss_of(
                states[real].to(table.dtype), table, batch.targets[real], self.item_ranges
            )

    def last_hidden_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        """The state at the last event, (B, E); a system that can leave out the other positions says so by its own version."""
        states = self.encode(batch, inputs)
        return states[torch.arange(len(states), device=states.device), batch.last]

    @torch.no_grad()
    def scorer(self, candidates: Tensor, rows: int) -> Callable[[Batch], Iterator[Tensor]]:
        if (
            type(self).score is not SequenceRecommender.score
        ):  # a system that scores in its own way is asked
            return super().scorer(candidates, rows)
        inputs, outputs = self.item_embeddings()
        columns = outputs[candidates].T.contiguous()  # laid out as the product reads them
        buffer = columns.new_empty(
            rows, len(candidates)
        )  # fresh memory for each product would cost as much as the product

        @torch.no_grad()
        def scores(batch: Batch) -> Iterator[Tensor]:
            for last in self.last_hidden_states(batch, inputs).split(rows):
                yield torch.mm(last, columns, out=buffer[: len(last)])

        return scores

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        inputs, outputs = self.item_embeddings()
        last, compared = self.last_hidden_states(batch, inputs), outputs[candidates]
        return (
            last @ compared.T
            if candidates.dim() == 1
            else torch.einsum("bd,bcd->bc", last, compared)
        )


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """The model without dropout for a block; afterwards it is as before, also where the block fails."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def position_domains(batch: Batch) -> Tensor:
    """The target's domain at every position, [B, T].  A ranking batch knows one per sequence."""
    domains = batch.target_domain
    return domains if domains.dim() == 2 else domains[:, None].expand_as(batch.sequence)
