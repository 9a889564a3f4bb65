"""After LLM-Rec, "One Model for All" (arXiv 2310.14304; TOIS 2025): one language model reads histories and candidates, and no item has an id.

    score(user, item) = < f(titles of the user's last items, all domains mixed, as one text), f(title of the item) >

*Stated*: the one text over all domains, the one model f for both sides, f(text) = its state at the last token.  *Ours*: f is a small
causal transformer over word pieces instead of a tuned model of 40M to 6.7B parameters, and every event is a training target:
f is causal, so its state at the last token of event t is f of the titles up to t.  An item that was never sold is scored from its title.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.encoders.text import TitleTokens
from tema_lib.models.base import SequenceRecommender
from tema_lib.models.item_embedding import reduce_features
from tema_lib.models.layers import SequenceEncoder, check_sizes


@dataclass(frozen=True)
class LLMRecConfig:
    """Every choice of the model; *released* is what the published code does."""

    hidden: int = 64  # ours; released: that of the language model
    heads: int = 2  # ours
    layers: int = 1  # ours, chosen on validation; released: a pretrained model's, tuned whole or by LoRA (r 16)
    max_length: int = 50  # events whose titles are read, as in TemaConfig; released: the last 10
    dropout: float = 0.1  # ours, chosen on validation; of states, never of attention weights
    temperature: float = (
        0.07  # ours, with cosines; released: dot products, divided by sqrt(d) when ranking
    )
    loss: str = (
        "domain softmax"  # ours: exact; released: one target against 10 drawn items of its domain
    )
    feature_width: int = (
        128  # ours: the frozen word-piece vectors are reduced to this once, outside of training
    )

    def __post_init__(self):
        check_sizes(self)


class LLMRec(SequenceRecommender):
    """LLM-Rec as a `SequenceRecommender` system.  No table has a row for each item: two items of the same title are the same to it.

    Vector of word piece w: W v_w + u_w, with v the encoder's frozen vector, reduced, and u a small learned one.  *Ours*: v says what a rare
    piece means, u what buyers make of a frequent one; without u, this little model hardly learns in a few epochs.
    Raises ValueError unless `titles` has a row for each item of `domain_of_item` [N+1] and each of them, but for row 0, a word piece.
    """

    def __init__(
        self, domain_of_item: Tensor, titles: TitleTokens, config: LLMRecConfig = LLMRecConfig()
    ):
        super().__init__(domain_of_item, config.loss)
        if (
            len(titles.ids) != len(domain_of_item)
            or titles.ids[0].any()
            or not titles.ids[1:, 0].all()
        ):
            raise ValueError(
                "each item needs a title of one word piece or more: make `titles` of exactly these items with `title_tokens`."
            )
        self.config = config
        distinct, title_of_item = titles.ids.unique(
            dim=0, return_inverse=True
        )  # what several items share is encoded once
        known = torch.arange(len(titles.vectors)) > 0
        self.register_buffer(
            "titles", distinct, persistent=False
        )  # (M, L); row 0 is that of the padding item, empty
        self.register_buffer("title_of_item", title_of_item, persistent=False)  # (N+1,)
        self.register_buffer(
            "piece_features",
            reduce_features(titles.vectors, known, config.feature_width),
            persistent=False,
        )
        self.piece_map = nn.Linear(self.piece_features.size(1), config.hidden, bias=False)
        self.piece = nn.Parameter(0.02 * torch.randn(len(titles.vectors), config.hidden))
        self.encoder = SequenceEncoder(
            config.hidden,
            config.heads,
            config.layers,
            config.max_length * titles.ids.size(1),
            config.dropout,
        )
        for (
            block
        ) in self.encoder.blocks:  # a text of 600 word pieces: a step in a quarter of the time
            block.attention.dropout = 0.0

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        """Vectors of the word pieces, [V+1, D], that histories are read with, and f of each item's title alone, [N+1, D], of length 1."""
        pieces = self.piece_map(self.piece_features) + self.piece
        last = ((self.titles > 0).sum(1) - 1).clamp(min=0)
        state, _ = self.encoder(F.embedding(self.titles, pieces), at=last)
        return pieces, F.normalize(state[:, 0], dim=-1)[self.title_of_item]

    def stream(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """The titles of events [B, T] as one text each, without gaps: word pieces int64 [B, S], right-padded, and the place of the last one
        of each event, int64 [B, T].  Padded events end where the last real one does, or at 0 where there is none."""
        grid = self.titles[self.title_of_item[sequence]].flatten(1)  # (B, T L)
        real = grid > 0
        position = real.cumsum(1) - 1  # of the latest word piece so far
        width = max(int(position[:, -1].max()) + 1, 1)
        text = grid.new_zeros(len(grid), width + 1)
        text.scatter_(
            1, torch.where(real, position, width), grid
        )  # the gaps go to the spare column
        return text[:, :width].contiguous(), position.view(*sequence.shape, -1)[..., -1].clamp(
            min=0
        )

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        text, ends = self.stream(batch.sequence)
        states, _ = self.encoder(F.embedding(text, inputs))
        return self.scaled(states.gather(1, ends[..., None].expand(-1, -1, states.size(-1))))

    def last_hidden_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        text, ends = self.stream(batch.sequence)
        return self.scaled(self.encoder(F.embedding(text, inputs), at=ends[:, -1])[0][:, 0])

    def scaled(self, state: Tensor) -> Tensor:
        return F.normalize(state, dim=-1) / self.config.temperature
