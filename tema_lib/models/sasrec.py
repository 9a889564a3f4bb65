"""SASRec (Kang and McAuley 2018): self-attention over ids, on the merged sequence or on each domain's own.

Same encoder, loss, cosine logits and evaluator as TEMA-LLM, so what differs is what is claimed: views and branches.
(The original has dot products and one drawn negative, `similarity="dot", loss="binary"`; the exact loss makes a stronger yardstick.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import domain_view
from tema_lib.models.base import SequenceRecommender, position_domains
from tema_lib.models.layers import Dropout, SequenceEncoder, check_sizes


@dataclass(frozen=True)
class SASRecConfig:
    """As TemaConfig, so that both are trained alike."""

    per_domain: bool = (
        False  # False: one merged sequence; True: two models that never see the other domain
    )
    hidden: int = 64
    heads: int = 2
    layers: int = 1
    max_length: int = 50
    dropout: float = 0.2
    temperature: float = 0.07
    similarity: str = "cosine"  # the original: "dot", without temperature
    loss: str = "domain softmax"  # the original: "binary"; see losses.LOSSES

    def __post_init__(self):
        check_sizes(self)


class SASRec(SequenceRecommender):
    def __init__(self, domain_of_item: Tensor, config: SASRecConfig = SASRecConfig()):
        super().__init__(domain_of_item, config.loss)
        if config.similarity not in ("cosine", "dot"):
            raise ValueError(f"similarity is {config.similarity!r}: choose cosine or dot.")
        self.config = config
        self.id = nn.Parameter(0.02 * torch.randn(len(domain_of_item), config.hidden))
        self.encoders = nn.ModuleList(
            SequenceEncoder(
                config.hidden, config.heads, config.layers, config.max_length, config.dropout
            )
            for _ in range(2 if config.per_domain else 1)
        )
        self.dropout = Dropout(config.dropout)

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        return self.id, F.normalize(
            self.id, dim=-1
        ) if self.config.similarity == "cosine" else self.id

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        if self.config.per_domain:
            own = []
            for domain, encoder in enumerate(self.encoders):
                view = domain_view(batch.sequence, self.domain_of_item, domain)
                state, _ = encoder(self.dropout(F.embedding(view.sequence, inputs)))
                own.append(view.read(state))
            state = torch.where(position_domains(batch)[..., None] == 0, *own)
        else:
            state, _ = self.encoders[0](self.dropout(F.embedding(batch.sequence, inputs)))
        return self.scaled(state)

    def last_hidden_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        if self.config.per_domain:
            return super().last_hidden_states(batch, inputs)
        return self.scaled(
            self.encoders[0](F.embedding(batch.sequence, inputs), at=batch.last)[0][:, 0]
        )

    def scaled(self, state: Tensor) -> Tensor:
        return (
            F.normalize(state, dim=-1) / self.config.temperature
            if self.config.similarity == "cosine"
            else state
        )
