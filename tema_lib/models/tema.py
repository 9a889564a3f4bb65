"""TEMA-LLM: fused item vectors, three sequences, attention inside and across them.

F^s   = fused items of sequence s + positions,   s in {A, B, merged}
h^s   = causal self-attention inside s           (intra-sequence)
h     = attention over (h^A, h^B, h^merged)      (inter-sequence, one query per target domain)
P(i)  = softmax over the items i of the target's domain of cos(h, e_i) / tau
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import domain_view
from tema_lib.models.base import SequenceRecommender, evaluation_mode, position_domains
from tema_lib.models.item_embedding import MODALITIES, ItemInputs, ItemRepresentation
from tema_lib.models.layers import BranchAttention, Dropout, SequenceEncoder, check_sizes

BRANCHES = ("A", "B", "merged")


@dataclass(frozen=True)
class TemaConfig:
    """Every choice of the model.  The paper states none of the numbers; alternatives stand in the comments."""

    modalities: tuple[str, ...] = MODALITIES  # stated: id, text, image, tags; ours: any subset
    branches: tuple[str, ...] = (
        BRANCHES  # inferred from the siblings: S^X, S^Y, S^{X+Y}; ours: any subset
    )
    hidden: int = 64  # ours; siblings use 256
    heads: int = 2  # ours; 1 (C2DSR), 4 (a public reading of LLM-EMF)
    layers: int = 1  # ours; 2 in the siblings
    max_length: int = 50  # ours; 15 (C2DSR), 200 (LLM4CDSR)
    dropout: float = 0.2  # ours, chosen on validation; .2 in the siblings, .5 in ABXI
    temperature: float = 0.07  # ours; learnable elsewhere
    loss: str = "domain softmax"  # ours: exact, among the items of the target's domain; others in losses.LOSSES
    feature_width: int = 128  # ours: frozen text, image and tag vectors are reduced to this once, outside of training
    tag_table: str = "both"  # inferred "frozen"; ours "learned", "both"
    tag_weighting: str = "given"  # inferred: the frozen relevance of `tags.writing.weigh`; alternative "learned", inside the model

    def __post_init__(self):
        check_sizes(self)


class Tema(SequenceRecommender):
    """TEMA-LLM as a `SequenceRecommender` system."""

    def __init__(self, inputs: ItemInputs, config: TemaConfig = TemaConfig()):
        super().__init__(inputs.domain_of_item, config.loss)
        if not config.branches or set(config.branches) - set(BRANCHES):
            raise ValueError(
                f"branches {config.branches} are unknown: choose from {', '.join(BRANCHES)}."
            )
        self.config = config
        self.items = ItemRepresentation(
            inputs,
            config.hidden,
            config.modalities,
            config.tag_table,
            config.tag_weighting,
            config.feature_width,
        )
        self.encoders = nn.ModuleDict(
            {
                branch: SequenceEncoder(
                    config.hidden, config.heads, config.layers, config.max_length, config.dropout
                )
                for branch in config.branches
            }
        )
        self.across = BranchAttention(config.hidden, len(config.branches))
        self.dropout = Dropout(config.dropout)

    def branches(
        self,
        batch: Batch,
        table: Tensor,
        need_weights: bool = False,
        domain_of_item: Tensor | None = None,
    ):
        """Intra-sequence attention: states (B, T, branches, D), present (B, T, branches), and per branch its sequence and weights.

        `domain_of_item` says in which domain each row of a longer `table` counts (edited events, `explain.reading`).
        """
        domain_of_item = self.domain_of_item if domain_of_item is None else domain_of_item
        states, present, looked = [], [], {}
        for branch in self.config.branches:
            if branch == "merged":
                sequence, here = batch.sequence, batch.sequence > 0
                state, weights = self.encoders[branch](
                    self.dropout(F.embedding(sequence, table)), need_weights
                )
                states.append(state * here[..., None])
            else:
                view = domain_view(batch.sequence, domain_of_item, BRANCHES.index(branch))
                sequence, here = view.sequence, view.has_any
                state, weights = self.encoders[branch](
                    self.dropout(F.embedding(sequence, table)), need_weights
                )
                states.append(view.read(state))  # back to merged time
            present.append(here)
            looked[branch] = (sequence, weights)
        return torch.stack(states, 2), torch.stack(present, 2), looked

    def mixed(self, states: Tensor, present: Tensor, domains: Tensor, real: Tensor) -> Tensor:
        """Inter-sequence attention at the real places, each for its own target domain: (B, T, branches, D) -> (B, T, D), ready to be compared."""
        state = torch.zeros_like(states[:, :, 0])
        for domain in (0, 1):
            chosen = (domains == domain) & real
            state[chosen] = self.across(states[chosen], present[chosen], domain)[0].to(
                state.dtype
            )  # autocast gives another
        return F.normalize(state, dim=-1) / self.config.temperature

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        table = self.items()
        return table, F.normalize(table, dim=-1)

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        states, present, _ = self.branches(batch, inputs)
        return self.mixed(states, present, position_domains(batch), batch.sequence > 0)

    def last_hidden_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        states, present = [], []
        for branch in self.config.branches:
            own = (
                batch.sequence
                if branch == "merged"
                else domain_view(
                    batch.sequence, self.domain_of_item, BRANCHES.index(branch)
                ).sequence
            )
            length = (own > 0).sum(1)
            state, _ = self.encoders[branch](F.embedding(own, inputs), at=(length - 1).clamp(min=0))
            states.append(state)
            present.append(length[:, None] > 0)
        states, present = torch.stack(states, 2), torch.stack(present, 2)
        return self.mixed(states, present, batch.target_domain[:, None], present.any(2))[:, 0]

    @torch.inference_mode()
    def attention(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """What the model looked at, from evaluation mode (no dropout in the weights).

        Per branch: `sequence` (B, Ts) and `weights` (B, layers, H, Ts, Ts); under "across": `weights` (B, T, branches) for the target's domain.
        """
        with evaluation_mode(self):
            states, present, looked = self.branches(batch, self.items(), need_weights=True)
            domains = position_domains(batch)[..., None]
            across = torch.where(
                domains == 0, *(self.across(states, present, domain)[1] for domain in (0, 1))
            )
            record = {
                branch: {"sequence": sequence, "weights": torch.stack(weights, 1)}
                for branch, (sequence, weights) in looked.items()
            }
            return record | {"across": {"weights": across}}
