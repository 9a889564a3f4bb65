"""TEMA-LLM: fused item vectors, three sequences, attention inside and across them.

F^s   = fused items of sequence s + positions,   s in {A, B, merged}
h^s   = causal self-attention inside s           (intra-sequence)
h     = attention over (h^A, h^B, h^merged)      (inter-sequence, one query per target domain)
P(i)  = softmax of cos(h, e_i) / tau             over the items i of the target's domain

With `late_fusion`, which is the default, a SASRec of the ids stands beside it, with state g and id
vectors d_i:

P(i)  = softmax of (cos(h, e_i) + cos(g, d_i)) / 2 tau

An item that training has not seen has no id worth reading: its second cosine is 0.  (Averaging the
scores of an id model and a content model is known from EnsRec, arXiv 2512.17820, which trains them
apart; LLM4CDSR adds the scores of such branches under one loss.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import Sequences, domain_view
from tema_lib.models.base import SequenceRecommender, evaluation_mode
from tema_lib.models.heads import EncoderConfig, SimilarityHead
from tema_lib.models.inputs import MODALITIES, ItemInputs
from tema_lib.models.item_embedding import ItemRepresentation
from tema_lib.models.layers import BranchAttention, Dropout, SequenceEncoder
from tema_lib.models.losses import seen_in
from tema_lib.models.sasrec import SASRec, SASRecConfig

BRANCHES = ("A", "B", "merged")

# Weights of a fixed mixture: the target's own domain, the other one, and the merged sequence.
# A public implementation of LLM-EMF adds the scores of its branches with these.
FIXED = (1.0, 0.3, 0.1)

# So few histories go through a shared encoder with all their branches at once: three calls would
# cost more than the padding.
FEW = 16

# Per branch: its own sequence [B, Ts] and, per layer, the attention weights [B, H, Ts, Ts].
BranchWeights = dict[str, tuple[Tensor, list[Tensor]]]


@dataclass(frozen=True)
class TemaConfig(EncoderConfig):
    """Every choice of the model.  The paper states none of the numbers; comments give alternatives.

    Elsewhere the inherited sizes are: hidden 256 and layers 2 (siblings); heads 1 (C2DSR),
    4 (a public implementation of LLM-EMF); max_length 15 (C2DSR), 200 (LLM4CDSR); dropout .2
    (siblings), .5 (ABXI).
    """

    modalities: tuple[str, ...] = MODALITIES  # stated: id, text, image, tags; ours: any subset
    branches: tuple[str, ...] = BRANCHES  # inferred from the siblings: S^X, S^Y, S^{X+Y}
    shared_encoder: bool = True  # ours: one encoder reads all branches; siblings have one each
    branch_dropout: float = 0.3  # ours: see `BranchAttention`
    late_fusion: bool = True  # ours: scores averaged with those of a SASRec of the ids
    temperature: float = 0.1  # ours; learned elsewhere
    loss: str = "domain softmax"  # ours: exact, in the target's domain; others in `losses.LOSSES`
    feature_width: int = 128  # ours: components that frozen vectors are reduced to before training
    tag_table: str = "both"  # inferred: "frozen"; ours: "learned", "both"
    tag_weighting: str = "given"  # inferred: by relevance (`tags.weigh`); "learned", "uniform"
    across: str = "attention"  # stated: attention across sequences; "fixed": see `FIXED`


def fixed_weights(branches: Sequence[str]) -> Tensor:
    """The weights of `FIXED`, float [2, branches]: a row for each target domain."""
    own, other, merged = FIXED
    return torch.tensor(
        [
            [merged if b == "merged" else own if b == domain else other for b in branches]
            for domain in "AB"
        ]
    )


class Tema(SequenceRecommender):
    """TEMA-LLM as a `SequenceRecommender`.

    Args:
        inputs: frozen features of all items.
        config: sizes and options.

    Raises:
        ValueError: for an unknown option, or a modality that the inputs lack.
    """

    seen: Tensor

    def __init__(self, inputs: ItemInputs, config: TemaConfig = TemaConfig()):
        super().__init__(inputs.domain_of_item, config.loss, config.negatives)
        if not config.branches or set(config.branches) - set(BRANCHES):
            raise ValueError(
                f"branches {config.branches} are unknown: choose from {', '.join(BRANCHES)}."
            )
        self.config = config
        self.head = SimilarityHead("cosine", config.temperature)
        self.items = ItemRepresentation(
            inputs,
            config.hidden,
            config.modalities,
            config.tag_table,
            config.tag_weighting,
            config.feature_width,
        )
        shared = SequenceEncoder.of(config) if config.shared_encoder else None
        self.encoders = nn.ModuleDict(
            {branch: shared or SequenceEncoder.of(config) for branch in config.branches}
        )
        if config.across not in ("attention", "fixed"):
            raise ValueError(f"across is {config.across!r}: choose attention or fixed.")
        fixed = fixed_weights(config.branches) if config.across == "fixed" else None
        self.across = BranchAttention(
            config.hidden, len(config.branches), config.branch_dropout, fixed
        )
        self.dropout = Dropout(config.dropout)
        # Whether training has seen an item. Kept with the weights: scores depend on it.
        self.register_buffer("seen", inputs.domain_of_item >= 0)
        self.sasrec: SASRec | None = None
        if config.late_fusion and "id" in config.modalities:
            names = {known.name for known in fields(SASRecConfig)} & set(asdict(config))
            sizes = {name: getattr(config, name) for name in names}
            self.sasrec = SASRec(inputs.domain_of_item, SASRecConfig(**sizes))

    def fit_statistics(self, train: Sequences) -> None:
        super().fit_statistics(train)
        self.seen = seen_in(train, self.seen)

    def branches(
        self,
        batch: Batch,
        table: Tensor,
        need_weights: bool = False,
        domain_of_item: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, BranchWeights]:
        """Intra-sequence attention.

        Args:
            batch: B sequences of length T.
            table: fused item vectors [N+1, D], possibly with more rows for edited events.
            need_weights: also return the attention weights.
            domain_of_item: the domain of each row of a longer `table` (`explain.counterfactual`).

        Returns:
            States (B, T, branches, D) in merged time; bool (B, T, branches), whether a branch has
            an event yet; and per branch its own sequence and attention weights.
        """
        domain_of_item = self.domain_of_item if domain_of_item is None else domain_of_item
        states, present, weights_of = [], [], {}
        for branch in self.config.branches:
            if branch == "merged":
                sequence, here = batch.sequence, batch.sequence > 0
            else:
                view = domain_view(batch.sequence, domain_of_item, BRANCHES.index(branch))
                sequence, here = view.sequence, view.has_any
            embedded = self.dropout(F.embedding(sequence, table))
            length = (sequence > 0).sum(1)
            state, weights = self.encoders[branch](embedded, length, need_weights)
            if branch == "merged":
                states.append(state * here[..., None])
            else:
                states.append(view.read(state))  # back to merged time
            present.append(here)
            weights_of[branch] = (sequence, weights)
        return torch.stack(states, 2), torch.stack(present, 2), weights_of

    def mixed(self, states: Tensor, present: Tensor, domains: Tensor, real: Tensor) -> Tensor:
        """Inter-sequence attention at the real positions, each for its own target domain.

        Args:
            states: (B, T, branches, D).
            present: bool (B, T, branches).
            domains: int64 (B, T), of the targets.
            real: bool (B, T), False at padding.

        Returns:
            (B, T, D), ready for the product with the output embeddings.
        """
        state = torch.zeros_like(states[:, :, 0])
        for domain in (0, 1):
            chosen = (domains == domain) & real
            if not chosen.any():
                continue
            mixture, _ = self.across(states[chosen], present[chosen], domain)
            state[chosen] = mixture.to(state.dtype)  # autocast changes the type
        return self.head.states(state)

    def id_embeddings(self) -> tuple[Tensor, Tensor]:
        """Input and output embeddings [N+1, D] of the SASRec whose scores are averaged in.

        An id that training has not seen says nothing: its output is 0, and so is its score.
        """
        assert self.sasrec is not None
        ids, outputs = self.sasrec.item_embeddings()
        return ids, outputs * self.seen[:, None]

    def last_id_states(self, batch: Batch, ids: Tensor) -> Tensor:
        """That SASRec's states at the last events, [B, D]; 0 for an empty history."""
        assert self.sasrec is not None
        return self.sasrec.last_hidden_states(batch, ids) * (batch.length > 0)[:, None]

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        table = self.items()
        outputs = self.head.normalized(table)
        if self.sasrec is None:
            return table, outputs
        ids, of_ids = self.id_embeddings()
        return torch.cat([table, ids], 1), torch.cat([outputs, of_ids], 1)

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        table, ids = inputs.tensor_split([self.config.hidden], 1)
        state = self.encode_fused(batch, table)
        if self.sasrec is None:
            return state
        of_ids = self.sasrec.encode(batch, ids) * (batch.sequence > 0)[..., None]
        return torch.cat([state, of_ids], -1) / 2  # so that the score is the mean of both

    def encode_fused(self, batch: Batch, table: Tensor) -> Tensor:
        """States [B, T, D] of the fused item vectors [N+1, D], without those of the SASRec."""
        states, present, _ = self.branches(batch, table)
        return self.mixed(states, present, batch.position_domains, batch.sequence > 0)

    def last_hidden_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        table, ids = inputs.tensor_split([self.config.hidden], 1)
        sequences = [
            batch.sequence
            if branch == "merged"
            else domain_view(batch.sequence, self.domain_of_item, BRANCHES.index(branch)).sequence
            for branch in self.config.branches
        ]
        lengths = [(sequence > 0).sum(1) for sequence in sequences]
        encoders = [self.encoders[branch] for branch in self.config.branches]
        if self.config.shared_encoder and len(batch.sequence) < FEW:
            width = batch.sequence.size(1)
            padded = [F.pad(sequence, (0, width - sequence.size(1))) for sequence in sequences]
            states = self.last_states(encoders[0], torch.cat(padded), torch.cat(lengths), table)
            collected = list(states.chunk(len(sequences)))
        else:
            collected = [
                self.last_states(encoder, sequence, length, table)
                for encoder, sequence, length in zip(encoders, sequences, lengths)
            ]
        states = torch.stack(collected, 2)  # (B, 1, branches, D)
        present = torch.stack(lengths, 1)[:, None] > 0  # (B, 1, branches)
        state = self.mixed(states, present, batch.target_domain[:, None], present.any(2))[:, 0]
        if self.sasrec is None:
            return state
        return torch.cat([state, self.last_id_states(batch, ids)], -1) / 2

    @staticmethod
    def last_states(encoder: nn.Module, sequence: Tensor, length: Tensor, table: Tensor) -> Tensor:
        """What an encoder says at the last events of sequences [B, T], (B, 1, D)."""
        at = (length - 1).clamp(min=0)
        states: Tensor = encoder(F.embedding(sequence, table), length, at=at)[0]
        return states

    @torch.inference_mode()
    def attention(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """The attention weights, in evaluation mode (without dropout).

        Returns:
            For each branch `sequence` (B, Ts) and `weights` (B, layers, H, Ts, Ts); for "across"
            `weights` (B, T, branches), for the target's domain.
        """
        with evaluation_mode(self):
            states, present, weights_of = self.branches(batch, self.items(), need_weights=True)
            for_a, for_b = (self.across(states, present, domain)[1] for domain in (0, 1))
            across = torch.where(batch.position_domains[..., None] == 0, for_a, for_b)
            record = {
                branch: {"sequence": sequence, "weights": torch.stack(weights, 1)}
                for branch, (sequence, weights) in weights_of.items()
            }
            return record | {"across": {"weights": across}}
