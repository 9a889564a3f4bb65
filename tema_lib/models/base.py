"""The interface of every system.

`Recommender` scores candidates: `loss(batch)` for training, `score(batch, candidates)` for ranking.
`SequenceRecommender` derives both from item embeddings and hidden states, for every system whose
scores are products of the two.

`score` never sees `batch.targets`.  It does know the *domain* of the target, as in every published
protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import Sequences
from tema_lib.models.losses import LOSSES, Candidates, seen_in


class Recommender(nn.Module):
    """A system that scores candidates.  The counting baselines need no more than this.

    `training_only` lists prefixes of the names of parameters that a loss uses and no score reads,
    such as a projection head of a contrastive loss.
    """

    training_only: tuple[str, ...] = ()

    @property
    def max_length(self) -> int:
        """How many of the newest events of a history are read: `config.max_length`, else 50."""
        return getattr(getattr(self, "config", None), "max_length", 50)

    def fit_statistics(self, train: Sequences) -> None:
        """Collect counts or other statistics before training, from the training part alone."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar loss terms of a training batch; empty for a system without parameters."""
        return {}

    def total_loss(self, terms: dict[str, Tensor]) -> Tensor:
        """The scalar to minimise: the sum of the terms, unless a system weighs them differently."""
        return reduce(add, terms.values())

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        """Score candidates as the next event of each history; higher is better.

        Args:
            batch: B histories; `batch.targets` must not be read.
            candidates: global item ids, [C] for all histories or [B, C].

        Returns:
            Scores [B, C].
        """
        raise NotImplementedError

    def scorer(self, candidates: Tensor, rows: int) -> Callable[[Batch], Iterator[Tensor]]:
        """`score` for many batches and one list of candidates; shared work is done once.

        Args:
            candidates: global item ids [C].
            rows: the largest number of histories scored at a time.

        Returns:
            A function that yields the scores of a batch in order, at most [rows, C] at a time.  The
            caller may overwrite each tensor; it is valid until the next one.
        """
        return lambda batch: (self.score(part, candidates).clone() for part in batch.split(rows))


class SequenceRecommender(Recommender):
    """A system whose scores are products of hidden states and item embeddings, H E^T.

    A system that adds the scores of several branches concatenates their states and embeddings.

    Args:
        domain_of_item: int64 [N+1], 0 for A, 1 for B, -1 for padding.
        loss: a name in `losses.LOSSES`.
        negatives: the items that a target competes with in training, "seen" in it, or "all".

    Raises:
        ValueError: for an unknown loss.
    """

    domain_of_item: Tensor
    possible: Tensor

    def __init__(
        self, domain_of_item: Tensor, loss: str = "domain softmax", negatives: str = "seen"
    ):
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"the loss {loss!r} is unknown: choose from {', '.join(LOSSES)}.")
        self.register_buffer("domain_of_item", domain_of_item, persistent=False)
        self.register_buffer("possible", domain_of_item >= 0, persistent=False)
        self.loss_function = LOSSES[loss]
        self.negatives = negatives

    def fit_statistics(self, train: Sequences) -> None:
        """Find the items that training can have as targets.

        An item that is in no training sequence is never a target there.  As a negative it would
        only ever be pushed away, and could not be recommended when it becomes one.
        """
        if self.negatives == "seen":
            self.possible = seen_in(train, self.possible)

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        """Input embeddings [N+1, D], read by `encode`, and output embeddings [N+1, E], for scores.

        Computed once a training step, and once for a whole evaluation.
        """
        raise NotImplementedError

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        """Hidden states H [B, T, E] from the input embeddings [N+1, D].

        H[b, t] may depend on nothing after t except the *domain* of the target.
        """
        raise NotImplementedError

    def encode_with_items(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Hidden states [B, T, E] and the output embeddings [N+1, E] they are multiplied with."""
        inputs, outputs = self.item_embeddings()
        return self.encode(batch, inputs), outputs

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"next item": self.next_item(*self.encode_with_items(batch), batch)}

    def next_item(self, states: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """The chosen loss, averaged over all real positions, as a scalar.

        Computed in the embeddings' precision: a softmax in bfloat16 would keep three digits.
        """
        assert batch.targets is not None  # a training batch
        real = batch.targets > 0  # select first: no logits for padding
        with torch.autocast(outputs.device.type, enabled=False):
            return self.loss_function(
                states[real].to(outputs.dtype), outputs, batch.targets[real], self.candidates
            )

    @property
    def candidates(self) -> Candidates:
        """The items that a target competes with in training."""
        return Candidates.of(self.domain_of_item, self.possible)

    def last_hidden_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        """The state at each history's last event, [B, E]; override it to skip the others."""
        states = self.encode(batch, inputs)
        return states[torch.arange(len(states), device=states.device), batch.last]

    @torch.no_grad()
    def scorer(self, candidates: Tensor, rows: int) -> Callable[[Batch], Iterator[Tensor]]:
        if type(self).score is not SequenceRecommender.score:  # the system has its own scores
            return super().scorer(candidates, rows)
        inputs, outputs = self.item_embeddings()
        columns = outputs[candidates].T.contiguous()  # laid out as the product reads them
        # One buffer: fresh memory for each product would cost as much as the product.
        buffer = columns.new_empty(rows, len(candidates))

        @torch.no_grad()
        def scores(batch: Batch) -> Iterator[Tensor]:
            for last in self.last_hidden_states(batch, inputs).split(rows):
                yield torch.mm(last, columns, out=buffer[: len(last)])

        return scores

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        inputs, outputs = self.item_embeddings()
        last = self.last_hidden_states(batch, inputs)
        vectors = outputs[candidates]
        if candidates.dim() == 1:
            return last @ vectors.T
        return torch.einsum("bd,bcd->bc", last, vectors)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off inside the block; the former mode returns even if the block fails."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
