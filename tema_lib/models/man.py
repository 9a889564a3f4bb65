"""MAN, after the *Mixed Attention Network* (2311.08272): the candidate asks the history, so a score is no product of two vectors.

For a candidate c and the target's domain d, over the merged events t = 1 ... T of a user, of which "own" ones lie in d:

    k_t     = item vector + position in the merged history   (+ the same of d's own history, where t is own)
    a       = softmax_t FCN([W k_t, e_c, W k_t - e_c, W k_t * e_c]),    similar_c = sum_t a_t k_t        item similarity
    fused   = mean over own t of FFN(attention(query h^d_t, keys and values h^merged_1 ... h^merged_t))   sequence fusion
    group   = mean_g FFN(w_g S_g),   S = attention(query G, keys and values h^d),   w = softmax_g(mean over own t of M h^d_t)
    score   = FCN_d([e_c, similar_c, mean h^d, fused, group]) + FCN_merged([e_c, mean h^merged])
    loss    = cross-entropy of the score among the target and drawn candidates  -  separation * sum_{i>j} 1/2 |g_i - g_j|^2

h are encoder states; no gradient flows from `fused` or S into them.  Stated (released code): all of this but what is called ours here.
Ours: positions count back from the last event, so that a key can say "this was last"; every event is a key, of either domain; item
vectors are one table, standardised; G serves both domains; w is a mean over events, where the release maps padded places to groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import domain_view
from tema_lib.models.base import Recommender
from tema_lib.models.layers import (
    Dropout,
    SequenceEncoder,
    check_sizes,
    scaled_dot_product_attention,
)
from tema_lib.models.losses import domain_item_ranges

CELLS = {
    "cpu": 2**21,
    "cuda": 2**26,
}  # numbers of item similarity in memory together: users x candidates x events x width


@dataclass(frozen=True)
class MANConfig:
    """Every choice of the model; stated means: so in the released code."""

    hidden: int = 64  # ours, as the others; stated: 24, and 8 for a category that we do not use
    heads: int = 2  # ours, as the others; stated: 1
    layers: int = 1  # ours, as the others; stated: 2
    max_length: int = 50  # ours, as the others; stated: 20
    dropout: float = 0.2  # ours, as the others
    groups: int = 10  # stated
    separation: float = (
        1e-5  # stated; the term has no lower bound, but at this weight the softmax outweighs it
    )
    similarity_width: int = 16  # ours: hidden units of the item-similarity network
    head_widths: tuple[int, int] = (128, 32)  # ours; stated: (32, 16)
    negatives: int = 50  # ours, chosen on validation: candidates of a training target; stated: 9, in training and ranking alike
    targets_per_sequence: int = 8  # ours, chosen on validation: events of a sequence that are targets in a step; released: 1 in 20 of all, kept once

    def __post_init__(self):
        check_sizes(self)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x (B, T, D) over the places where mask (B, T) is True, (B, D); 0 where there is none."""
    return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def age(mask: Tensor) -> Tensor:
    """How many True follow each place of mask (B, T): 0 at the last event, 1 at the one before."""
    return mask.sum(1, keepdim=True) - mask.cumsum(1)


def separation(prototypes: Tensor) -> Tensor:
    """sum_{i>j} 1/2 |g_i - g_j|^2 over K vectors (K, D), which is 1/2 (K sum_i |g_i|^2 - |sum_i g_i|^2)."""
    return (len(prototypes) * prototypes.square().sum() - prototypes.sum(0).square().sum()) / 2


class ItemSimilarity(nn.Module):
    """softmax_t FCN([W k_t, q, W k_t - q, W k_t * q]) with one hidden layer (ReLU).

    Seen from one event, the first layer is a straight line in the query, slope_t q + intercept_t: both are computed once for all candidates.
    """

    def __init__(self, hidden: int, width: int):
        super().__init__()
        self.map = nn.Linear(hidden, hidden, bias=False)
        self.first, self.second = (
            nn.Linear(4 * hidden, width),
            nn.Linear(width, 1, bias=False),
        )  # a bias would leave the softmax as it is

    def lines(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (B, T, D) -> slopes (B, D, T width), intercepts (B, 1, T width)."""
        mapped = self.map(keys)
        of_key, of_query, of_difference, of_product = self.first.weight.split(
            mapped.size(-1), 1
        )  # (width, D) each
        intercept = F.linear(mapped, of_key + of_difference, self.first.bias)
        slope = mapped[:, :, None] * of_product + (of_query - of_difference)  # (B, T, width, D)
        return slope.flatten(1, 2).transpose(1, 2), intercept.flatten(1)[:, None]

    def forward(self, lines: tuple[Tensor, Tensor], query: Tensor, present: Tensor) -> Tensor:
        """Queries (B or 1, C, D) -> weights (B, C, T); each row sums to 1, or to 0 where no event is present (B, T)."""
        slope, intercept = lines
        hidden = torch.baddbmm(intercept, query.expand(len(slope), -1, -1), slope).relu_()
        scores = self.second(hidden.unflatten(-1, (present.size(1), -1)))[..., 0]
        return (
            scores.masked_fill(~present[:, None], torch.finfo(scores.dtype).min).softmax(-1)
            * present[:, None]
        )


class SequenceFusion(nn.Module):
    """What a domain's own states find in the merged ones up to then; neither gets a gradient from here."""

    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.heads, linear = heads, lambda bias: nn.Linear(hidden, hidden, bias)
        self.query, self.key, self.value, self.output = (
            linear(True),
            linear(False),
            linear(False),
            linear(True),
        )
        self.network = nn.Sequential(linear(True), nn.GELU(), linear(True))

    def forward(self, local: Tensor, merged: Tensor, own: Tensor) -> Tensor:
        """States (B, T, D) in merged time, own (B, T) bool -> (B, D); 0 without an own event."""

        def heads(x):
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, Dh)

        local, merged = local.detach(), merged.detach()
        mixed = F.scaled_dot_product_attention(
            heads(self.query(local)),
            heads(self.key(merged)),
            heads(self.value(merged)),
            is_causal=True,
        )
        return masked_mean(self.network(self.output(mixed.transpose(1, 2).flatten(2))), own)


class Groups(nn.Module):
    """The user's version of each group, weighted by how well the user's states match it; construction sends no gradient into them."""

    def __init__(self, hidden: int, groups: int):
        super().__init__()

        def linear(bias):
            return nn.Linear(hidden, hidden, bias)

        self.query, self.key, self.value, self.match = (
            linear(True),
            linear(False),
            linear(False),
            nn.Linear(hidden, groups),
        )
        self.network = nn.Sequential(linear(True), nn.GELU(), linear(True))

    def forward(self, prototypes: Tensor, local: Tensor, own: Tensor) -> Tensor:
        """Prototypes (K, D), states (B, T, D), own (B, T) bool -> (B, D); 0 without an own event."""
        fixed = local.detach()[:, None]
        vectors, _ = scaled_dot_product_attention(
            self.query(prototypes)[None, None],
            self.key(fixed),
            self.value(fixed),
            own[:, None, None],
        )
        weights = self.match(masked_mean(local, own)).softmax(-1)
        return self.network(weights[..., None] * vectors[:, 0]).mean(1) * own.any(1, keepdim=True)


class MAN(Recommender):
    """MAN as a `Recommender` system: a loss and scores, no table of states and items that could stand for them."""

    def __init__(self, domain_of_item: Tensor, config: MANConfig = MANConfig()):
        super().__init__()
        self.config, hidden, (wide, narrow) = config, config.hidden, config.head_widths
        self.register_buffer("domain_of_item", domain_of_item, persistent=False)
        self.item_ranges = domain_item_ranges(domain_of_item)
        self.id = nn.Parameter(0.02 * torch.randn(len(domain_of_item), hidden))
        self.recency = nn.Parameter(torch.randn(3, config.max_length, hidden))  # in A, B, merged
        self.prototypes = nn.Parameter(0.02 * torch.randn(config.groups, hidden))

        def each(number, make):
            return nn.ModuleList(make() for _ in range(number))

        self.encoders = each(
            3,
            lambda: SequenceEncoder(
                hidden, config.heads, config.layers, config.max_length, config.dropout
            ),
        )
        self.similarity = each(2, lambda: ItemSimilarity(hidden, config.similarity_width))
        self.fusion = each(2, lambda: SequenceFusion(hidden, config.heads))
        self.group = each(2, lambda: Groups(hidden, config.groups))
        self.first = nn.ModuleList(nn.Linear(parts * hidden, wide) for parts in (5, 5, 2))
        self.rest = each(
            3,
            lambda: nn.Sequential(
                nn.ReLU(), nn.Linear(wide, narrow), nn.ReLU(), nn.Linear(narrow, 1, bias=False)
            ),
        )
        self.dropout = Dropout(config.dropout)

    def vectors(self, ids: Tensor) -> Tensor:
        """Item vectors (..., D), each brought to mean 0 and deviation 1: small ones would hardly tell a network anything at first."""
        return F.layer_norm(F.embedding(ids, self.id), self.id.shape[1:])

    def read(self, sequence: Tensor, domain: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """(B, T) -> states of the domain and of the merged sequence, keys, (B, T, D) each, all in merged time; own, present (B, T)."""
        own, present, view = (
            self.domain_of_item[sequence] == domain,
            sequence > 0,
            domain_view(sequence, self.domain_of_item, domain),
        )
        items, local_items = (self.dropout(self.vectors(ids)) for ids in (sequence, view.sequence))
        local, merged = view.read(self.encoders[domain](local_items)[0]), self.encoders[2](items)[0]
        keys = items + F.embedding(age(present), self.recency[2])
        keys = (
            keys
            + (view.read(local_items) + F.embedding(age(own), self.recency[domain]))
            * own[..., None]
        )
        return local, merged, keys, own, present

    def domain_scores(self, sequence: Tensor, candidates: Tensor, domain: int) -> Tensor:
        """Scores (B, C) of candidates (B or 1, C) by the heads of one domain; each FCN's first layer is a sum over its inputs."""
        local, merged, keys, own, present = self.read(sequence, domain)
        similarity, first, last = self.similarity[domain], self.first[domain], self.first[2]
        by_candidate, by_similar, by_user = first.weight.split(
            [self.config.hidden] * 2 + [3 * self.config.hidden], 1
        )
        merged_by_candidate, merged_by_user = last.weight.split(self.config.hidden, 1)
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
        lines, values, scores = (
            similarity.lines(keys),
            F.linear(keys, by_similar),
            [],
        )  # sum_t a_t (V k_t) is V similar_c
        for some in candidates.split(
            max(1, CELLS.get(sequence.device.type, 2**21) // lines[0][:, 0].numel()), 1
        ):
            query = self.vectors(some)
            mixed = (
                similarity(lines, query, present) @ values + F.linear(query, by_candidate) + user
            )
            scores.append(
                self.rest[domain](mixed)
                + self.rest[2](F.linear(query, merged_by_candidate) + merged_user)
            )
        return torch.cat(scores, 1)[..., 0]

    def score(self, batch: Batch, candidates: Tensor) -> Tensor:
        """As the contract says.  Memory beside the result stays within CELLS where gradients are off."""
        candidates = candidates if candidates.dim() == 2 else candidates[None]
        scores = self.id.new_zeros(len(batch.sequence), candidates.size(1))
        for domain in (0, 1):
            mine = batch.target_domain == domain
            if mine.any():
                some = self.domain_scores(
                    batch.sequence[mine],
                    candidates if len(candidates) == 1 else candidates[mine],
                    domain,
                )
                scores[mine] = some.to(scores.dtype)  # autocast gives another
        return scores

    def examples(self, batch: Batch) -> tuple[Batch, Tensor]:
        """Training sequences cut before some drawn targets, a row each, and candidates [R, 1 + negatives]: the target, then its candidates.

        Rivals come evenly from the target's domain, without the target (unless it is alone there).
        """
        real = batch.targets > 0
        lots = torch.zeros(real.shape, device=real.device).masked_scatter(
            real, 1 - torch.rand(int(real.sum()), device=real.device)
        )
        lots, positions = lots.topk(min(self.config.targets_per_sequence, real.size(1)))
        row, position = torch.nonzero(lots)[:, 0], positions[lots > 0]
        target, domain = batch.targets[row, position], batch.target_domain[row, position]
        first, size = torch.tensor(self.item_ranges, device=real.device)[domain].T[..., None]
        step = 1 + torch.randint(2**40, (len(row), self.config.negatives), device=real.device) % (
            size - 1
        ).clamp(min=1)
        negatives = (
            first + (target[:, None] - first + step) % size
        )  # a step of 1 to size - 1 round the room
        seen = torch.arange(int(position.max()) + 1, device=real.device) <= position[:, None]
        return Batch(
            batch.sequence[row, : seen.size(1)] * seen, None, domain, batch.rows[row]
        ), torch.cat([target[:, None], negatives], 1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        prefixes, candidates = self.examples(batch)
        scores = self.score(prefixes, candidates)
        return {
            "next item": F.cross_entropy(
                scores, torch.zeros(len(scores), dtype=torch.long, device=scores.device)
            ),
            "group separation": -self.config.separation * separation(self.prototypes),
        }
