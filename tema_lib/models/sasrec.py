"""SASRec (Kang and McAuley 2018): self-attention over item ids.

Either one model of the merged sequence, or one per domain on that domain's own sequence.  Encoder,
loss, logits and evaluation are those of TEMA-LLM, so that the two differ in modalities and branches
alone.  The original (`similarity="dot", loss="binary"`) has dot products and one negative per
target; the exact loss makes a stronger baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import domain_view
from tema_lib.models.base import SequenceRecommender
from tema_lib.models.heads import EncoderConfig, SimilarityHead
from tema_lib.models.layers import DomainHeads, Dropout, SequenceEncoder


@dataclass(frozen=True)
class SASRecConfig(EncoderConfig):
    """Sizes and logits as in `TemaConfig`, so that both are trained alike."""

    per_domain: bool = False  # True: two models, neither of which sees the other domain
    domain_heads: bool = True  # of the merged sequence: an output map for each target domain
    temperature: float = 0.1
    similarity: str = "cosine"  # the original: "dot", without temperature
    loss: str = "domain softmax"  # the original: "binary"; see `losses.LOSSES`


class SASRec(SequenceRecommender):
    """SASRec as a `SequenceRecommender`.

    Args:
        domain_of_item: int64 [N+1].
        config: sizes and options.

    Raises:
        ValueError: for an unknown similarity or loss.
    """

    def __init__(self, domain_of_item: Tensor, config: SASRecConfig = SASRecConfig()):
        super().__init__(domain_of_item, config.loss, config.negatives)
        self.config = config
        self.head = SimilarityHead(config.similarity, config.temperature)
        self.id = nn.Parameter(0.02 * torch.randn(len(domain_of_item), config.hidden))
        self.encoders = nn.ModuleList(
            SequenceEncoder.of(config) for _ in range(2 if config.per_domain else 1)
        )
        if config.domain_heads and not config.per_domain:
            self.domain_heads = DomainHeads(config.hidden)
        self.dropout = Dropout(config.dropout)

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        return self.id, self.head.normalized(self.id)

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        if not self.config.per_domain:
            embedded = self.dropout(F.embedding(batch.sequence, inputs))
            states, _ = self.encoders[0](embedded, batch.length)
            return self.predicting(states, batch.position_domains)
        by_domain = []
        for domain, encoder in enumerate(self.encoders):
            view = domain_view(batch.sequence, self.domain_of_item, domain)
            states, _ = encoder(self.dropout(F.embedding(view.sequence, inputs)), view.length)
            by_domain.append(view.read(states))
        in_a = batch.position_domains[..., None] == 0
        return self.head.states(torch.where(in_a, by_domain[0], by_domain[1]))

    def predicting(self, states: Tensor, domains: Tensor) -> Tensor:
        """States (..., D) of the merged sequence, ready for targets in domains (...)."""
        if self.config.domain_heads:
            states = self.domain_heads(states, domains)
        return self.head.states(states)

    def last_hidden_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        if self.config.per_domain:
            return super().last_hidden_states(batch, inputs)
        embedded = F.embedding(batch.sequence, inputs)
        states, _ = self.encoders[0](embedded, batch.length, at=batch.last)
        return self.predicting(states[:, 0], batch.target_domain)
