"""After LLM-Rec, "One Model for All" (arXiv 2310.14304; TOIS 2025): items are read as their titles.

    score(user, item) = < f(titles of the user's last items, all domains mixed, as one text),
                          f(title of the item) >

One language model f reads histories and candidates, and items have no ids, so a cold-start item is
scored from its title.

Source.  Stated: the one text over all domains, the one model f for both sides, f(text) = the state
at the last token.  Ours: f is a small causal transformer over word pieces instead of a fine-tuned
model of 40M to 6.7B parameters, and every event is a training target: f is causal, so its state at
the last token of event t is f of the titles up to t.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.models.base import SequenceRecommender
from tema_lib.models.heads import EncoderConfig, SimilarityHead
from tema_lib.models.item_embedding import reduce_features
from tema_lib.models.layers import AttentionBlock, SequenceEncoder

if TYPE_CHECKING:
    from tema_lib.encoders.text import TitleTokens


@dataclass(frozen=True)
class LLMRecConfig(EncoderConfig):
    """Every choice of the model; "released" is what the published code does.

    Released sizes are those of the language model, tuned whole or by LoRA (r 16).  `layers` was
    chosen on validation.  `max_length` counts events whose titles are read; released: the last 10.
    """

    dropout: float = 0.1  # ours, chosen on validation; of states, never of attention weights
    temperature: float = 0.07  # ours; released: dot products, divided by sqrt(d) when ranking
    loss: str = "domain softmax"  # ours: exact; released: against 10 negatives of the domain
    feature_width: int = 128  # ours: components that frozen word-piece vectors are reduced to
    # Of word pieces: counted from the end, they would tell how long the titles are that follow.
    positions: str = "from the start"
    lag_bias: bool = False  # ours: with hundreds of lags it would cost more than all the rest

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions != "from the start":
            raise ValueError("LLM-Rec's positions are those of word pieces: from the start.")


class LLMRec(SequenceRecommender):
    """LLM-Rec as a `SequenceRecommender`; two items with the same title are the same to it.

    The vector of word piece w is W v_w + u_w, with v the encoder's frozen vector, reduced, and u a
    small learned one.  Ours: v carries the meaning of rare word pieces, u what users make of
    frequent ones; without u this little model hardly learns in a few epochs.

    Args:
        domain_of_item: int64 [N+1].
        titles: the word pieces of each item's title.
        config: sizes and options.

    Raises:
        ValueError: unless every item, but not row 0, has a title of at least one word piece.
    """

    titles: Tensor
    title_of_item: Tensor
    piece_features: Tensor

    def __init__(
        self, domain_of_item: Tensor, titles: TitleTokens, config: LLMRecConfig = LLMRecConfig()
    ):
        super().__init__(domain_of_item, config.loss, config.negatives)
        ids = titles.ids
        if len(ids) != len(domain_of_item) or ids[0].any() or not ids[1:, 0].all():
            raise ValueError(
                "each item needs a title of one word piece or more: "
                "make `titles` of exactly these items with `title_tokens`."
            )
        self.config = config
        self.head = SimilarityHead("cosine", config.temperature)
        # (M, L); items with the same title share a row; row 0, of padding, is empty.
        distinct, title_of_item = ids.unique(dim=0, return_inverse=True)
        self.register_buffer("titles", distinct, persistent=False)
        self.register_buffer("title_of_item", title_of_item, persistent=False)  # (N+1,)
        known = torch.arange(len(titles.vectors)) > 0
        features = reduce_features(titles.vectors, known, config.feature_width)
        self.register_buffer("piece_features", features, persistent=False)
        self.piece_map = nn.Linear(features.size(1), config.hidden, bias=False)
        self.piece = nn.Parameter(0.02 * torch.randn(len(titles.vectors), config.hidden))
        longest = config.max_length * ids.size(1)
        self.encoder = SequenceEncoder.of(replace(config, max_length=longest))
        for block in self.encoder.blocks:
            assert isinstance(block, AttentionBlock)
            block.attention.dropout = 0.0  # 600 word pieces: a step in a quarter of the time

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        """Vectors of the word pieces [V+1, D], and f of each item's title alone [N+1, D]."""
        pieces = self.piece_map(self.piece_features) + self.piece
        last = ((self.titles > 0).sum(1) - 1).clamp(min=0)
        state, _ = self.encoder(F.embedding(self.titles, pieces), last + 1, at=last)
        return pieces, self.head.normalized(state[:, 0])[self.title_of_item]

    def stream(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """The titles of each history as one text without gaps.

        Args:
            sequence: int64 (B, T).

        Returns:
            Word pieces int64 (B, S), right-padded; and the position of the last one of each event,
            int64 (B, T).  Padding ends where the last event does, or at 0 if there is none.
        """
        grid = self.titles[self.title_of_item[sequence]].flatten(1)  # (B, T L)
        real = grid > 0
        position = real.cumsum(1) - 1  # of the latest word piece so far
        width = max(int(position[:, -1].max()) + 1, 1)
        text = grid.new_zeros(len(grid), width + 1)
        text.scatter_(1, torch.where(real, position, width), grid)  # gaps go to the spare column
        ends = position.view(*sequence.shape, -1)[..., -1].clamp(min=0)
        return text[:, :width].contiguous(), ends

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        text, ends = self.stream(batch.sequence)
        states, _ = self.encoder(F.embedding(text, inputs), ends[:, -1] + 1)
        at_events = states.gather(1, ends[..., None].expand(-1, -1, states.size(-1)))
        return self.head.states(at_events)

    def last_hidden_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        text, ends = self.stream(batch.sequence)
        states, _ = self.encoder(F.embedding(text, inputs), ends[:, -1] + 1, at=ends[:, -1])
        return self.head.states(states[:, 0])
