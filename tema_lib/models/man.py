"""MAN, the *Mixed Attention Network* (2311.08272): each candidate attends to the history.

A score is therefore not a product of two vectors.  For a candidate c and the target's domain d,
over the merged events t = 1 ... T of a user, some of which are "own", that is, in d:

    k_t     = item vector + position in the merged history  (+ the same of d's history, if t is own)
    a       = softmax_t FCN([W k_t, e_c, W k_t - e_c, W k_t * e_c])             item similarity
    similar = sum_t a_t k_t
    fused   = mean over own t of FFN(attention(query h^d_t,                     sequence fusion
                                               keys and values h^merged_1 ... h^merged_t))
    S       = attention(query G, keys and values h^d)                           groups
    w       = softmax_g(mean over own t of M h^d_t)
    group   = mean_g FFN(w_g S_g)
    score   = FCN_d([e_c, similar, mean h^d, fused, group]) + FCN_merged([e_c, mean h^merged])
    loss    = cross-entropy of the score among the target and negatives
              - separation * sum_{i>j} 1/2 |g_i - g_j|^2

h are encoder states; no gradient flows from `fused` or S into them.

Source.  Stated (released code): everything that is not listed here.  Ours: positions count back
from the last event, so that a key can mark the latest one; events of both domains are keys; there
is one table of item vectors, standardised; G serves both domains; w is a mean over events, where
the release maps padding to groups as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import Sequences, domain_view
from tema_lib.models.base import Recommender
from tema_lib.models.heads import EncoderConfig
from tema_lib.models.layers import Dropout, SequenceEncoder
from tema_lib.models.losses import Candidates, seen_in
from tema_lib.models.mixed_attention import (
    Groups,
    ItemSimilarity,
    SequenceFusion,
    age,
    masked_mean,
    separation,
)

# Numbers of item similarity in memory together: users x candidates x events x width.
CELLS = {"cpu": 2**21, "cuda": 2**26}


@dataclass(frozen=True)
class MANConfig(EncoderConfig):
    """Every choice of the model; "stated" means: so in the released code.

    The inherited sizes are ours; stated: hidden 24 and 8 more for a category that we do not use,
    heads 1, layers 2, max_length 20.
    """

    groups: int = 10  # stated
    separation: float = 1e-5  # stated; unbounded below, but so small that the softmax outweighs it
    similarity_width: int = 16  # ours: hidden units of the item-similarity network
    head_widths: tuple[int, int] = (128, 32)  # ours; stated: (32, 16)
    negatives_per_target: int = (
        50  # ours, chosen on validation; stated: 9, in training and in ranking
    )
    # Ours, chosen on validation: targets of a sequence in a step; released: 1 in 20, drawn once.
    targets_per_sequence: int = 8


class MAN(Recommender):
    """MAN as a `Recommender`: it has a loss and scores, but no states or item embeddings.

    Args:
        domain_of_item: int64 [N+1].
        config: sizes and options.
    """

    domain_of_item: Tensor
    possible: Tensor

    def __init__(self, domain_of_item: Tensor, config: MANConfig = MANConfig()):
        super().__init__()
        hidden, (wide, narrow) = config.hidden, config.head_widths
        self.config = config
        self.register_buffer("domain_of_item", domain_of_item, persistent=False)
        self.register_buffer("possible", domain_of_item >= 0, persistent=False)
        self.id = nn.Parameter(0.02 * torch.randn(len(domain_of_item), hidden))
        self.recency = nn.Parameter(torch.randn(3, config.max_length, hidden))  # in A, B, merged
        self.prototypes = nn.Parameter(0.02 * torch.randn(config.groups, hidden))
        self.encoders = nn.ModuleList(SequenceEncoder.of(config) for _ in range(3))
        self.similarity = nn.ModuleList(
            ItemSimilarity(hidden, config.similarity_width) for _ in range(2)
        )
        self.fusion = nn.ModuleList(SequenceFusion(hidden, config.heads) for _ in range(2))
        self.group = nn.ModuleList(Groups(hidden, config.groups) for _ in range(2))
        self.first = nn.ModuleList(nn.Linear(parts * hidden, wide) for parts in (5, 5, 2))
        self.rest = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), nn.Linear(wide, narrow), nn.ReLU(), nn.Linear(narrow, 1, bias=False)
            )
            for _ in range(3)
        )
        self.dropout = Dropout(config.dropout)

    def fit_statistics(self, train: Sequences) -> None:
        """Find the items that training can have as targets; the others are no negatives."""
        if self.config.negatives == "seen":
            self.possible = seen_in(train, self.possible)

    def vectors(self, ids: Tensor) -> Tensor:
        """Item vectors (..., D), standardised: small ones would hardly reach a network."""
        return F.layer_norm(F.embedding(ids, self.id), self.id.shape[1:])

    def read(self, sequence: Tensor, domain: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Encode the history for one domain.

        Args:
            sequence: int64 (B, T).
            domain: 0 for A, 1 for B.

        Returns:
            In merged time: states of the domain, states of the merged sequence and keys, (B, T, D)
            each; bool (B, T), own events and all events.
        """
        present = sequence > 0
        own = self.domain_of_item[sequence] == domain
        view = domain_view(sequence, self.domain_of_item, domain)
        items = self.dropout(self.vectors(sequence))
        local_items = self.dropout(self.vectors(view.sequence))
        local = view.read(self.encoders[domain](local_items, view.length)[0])
        merged = self.encoders[2](items, (sequence > 0).sum(1))[0]
        local_keys = view.read(local_items) + F.embedding(age(own), self.recency[domain])
        keys = items + F.embedding(age(present), self.recency[2]) + local_keys * own[..., None]
        return local, merged, keys, own, present

    def domain_scores(self, sequence: Tensor, candidates: Tensor, domain: int) -> Tensor:
        """Scores (B, C) of candidates (B or 1, C) in one domain.

        The first layer of each FCN is split into a sum over its inputs, so that what depends on the
        user alone is computed once for all candidates.
        """
        local, merged, keys, own, present = self.read(sequence, domain)
        similarity, first, last = self.similarity[domain], self.first[domain], self.first[2]
        assert isinstance(similarity, ItemSimilarity)
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        hidden = self.config.hidden
        by_candidate, by_similar, by_user = first.weight.split([hidden, hidden, 3 * hidden], 1)
        merged_by_candidate, merged_by_user = last.weight.split(hidden, 1)
        user = torch.cat(
            [
                masked_mean(local, own),
                self.fusion[domain](local, merged, own),
                self.group[domain](self.prototypes, local, own),
            ],
            1,
        )
        user = F.linear(user, by_user, first.bias)[:, None]
        merged_user = F.linear(masked_mean(merged, present), merged_by_user, last.bias)[:, None]
        affine = similarity.affine(keys)
        values = F.linear(keys, by_similar)  # V similar_c = sum_t a_t (V k_t)
        chunk = max(1, CELLS.get(sequence.device.type, 2**21) // affine[0][:, 0].numel())
        scores = []
        for some in candidates.split(chunk, 1):
            query = self.vectors(some)
            attended = similarity(affine, query, present) @ values
            mixed = attended + F.linear(query, by_candidate) + user
            merged_mixed = F.linear(query, merged_by_candidate) + merged_user
            scores.append(self.rest[domain](mixed) + self.rest[2](merged_mixed))
        return torch.cat(scores, 1)[..., 0]

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        """As in `Recommender`; without gradients, memory besides the result stays within CELLS."""
        candidates = candidates if candidates.dim() == 2 else candidates[None]
        scores = self.id.new_zeros(len(batch.sequence), candidates.size(1))
        for domain in (0, 1):
            mine = batch.target_domain == domain
            if mine.any():
                asked = candidates if len(candidates) == 1 else candidates[mine]
                of_domain = self.domain_scores(batch.sequence[mine], asked, domain)
                scores[mine] = of_domain.to(scores.dtype)  # autocast changes the type
        return scores

    @torch.no_grad()
    def attention(self, history: Tensor, candidates: Tensor, domain: int) -> Tensor:
        """What each candidate attends to by item similarity, in evaluation mode.

        Args:
            history: int64 (T,), without padding, at most `max_length` events.
            candidates: int64 (C,), items of the domain.
            domain: 0 for A, 1 for B.

        Returns:
            float (C, T), rows sum to 1.
        """
        _, _, keys, _, present = self.read(history[None], domain)
        similarity = self.similarity[domain]
        assert isinstance(similarity, ItemSimilarity)
        queries = self.vectors(candidates)[None]
        return similarity(similarity.affine(keys), queries, present)[0]

    def examples(self, batch: Batch) -> tuple[Batch, Tensor]:
        """Draw training targets and their negatives.

        Negatives are uniform over the target's domain, without the target (unless it is the only
        item).

        Returns:
            R histories, each cut before its target; candidates [R, 1 + negatives], target first.
        """
        assert batch.targets is not None  # a training batch
        real = batch.targets > 0
        device = real.device
        lots = torch.zeros(real.shape, device=device)
        lots = lots.masked_scatter(real, 1 - torch.rand(int(real.sum()), device=device))
        lots, positions = lots.topk(min(self.config.targets_per_sequence, real.size(1)))
        row, position = torch.nonzero(lots)[:, 0], positions[lots > 0]
        target, domain = batch.targets[row, position], batch.target_domain[row, position]
        candidates = Candidates.of(self.domain_of_item, self.possible)
        in_a, in_b = map(len, candidates.ids)
        first, size = torch.tensor([(0, in_a), (in_a, in_b)], device=device)[domain].T[..., None]
        # A cyclic step of 1 to size - 1 inside the domain's list never ends at the target.
        shape = (len(row), self.config.negatives_per_target)
        step = 1 + torch.randint(2**40, shape, device=device) % (size - 1).clamp(min=1)
        place = (candidates.column[target][:, None] + step) % size
        negatives = torch.cat(candidates.ids)[first + place]
        seen = torch.arange(int(position.max()) + 1, device=device) <= position[:, None]
        sequence = batch.sequence[row, : seen.size(1)] * seen
        prefixes = Batch(sequence, None, domain, batch.rows[row])
        return prefixes, torch.cat([target[:, None], negatives], 1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        prefixes, candidates = self.examples(batch)
        scores = self.score(prefixes, candidates)
        target = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
        return {
            "next item": F.cross_entropy(scores, target),
            "group separation": -self.config.separation * separation(self.prototypes),
        }
