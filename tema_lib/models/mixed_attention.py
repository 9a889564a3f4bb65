"""The attentions of MAN: item similarity, sequence fusion and groups (equations: see `man`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.models.layers import scaled_dot_product_attention


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x (B, T, D) over the positions where mask (B, T) is True, (B, D); 0 if none is."""
    return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def age(mask: Tensor) -> Tensor:
    """How many True follow each position of mask (B, T): 0 at the last event, 1 before it."""
    return mask.sum(1, keepdim=True) - mask.cumsum(1)


def separation(prototypes: Tensor) -> Tensor:
    """sum_{i>j} 1/2 |g_i - g_j|^2 of G vectors (G, D), as 1/2 (G sum_i |g_i|^2 - |sum_i g_i|^2)."""
    return (len(prototypes) * prototypes.square().sum() - prototypes.sum(0).square().sum()) / 2


class ItemSimilarity(nn.Module):
    """softmax_t FCN([W k_t, q, W k_t - q, W k_t * q]) with one hidden layer (ReLU).

    For one event, the first layer is an affine function of the query, slope_t q + intercept_t; both
    are computed once for all candidates.
    """

    def __init__(self, hidden: int, width: int):
        super().__init__()
        self.map = nn.Linear(hidden, hidden, bias=False)
        self.first = nn.Linear(4 * hidden, width)
        self.second = nn.Linear(width, 1, bias=False)  # a bias would not change the softmax

    def affine(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (B, T, D) -> slopes (B, D, T * width), intercepts (B, 1, T * width)."""
        mapped = self.map(keys)
        of_key, of_query, of_difference, of_product = self.first.weight.split(
            mapped.size(-1), 1
        )  # (width, D) each
        intercept = F.linear(mapped, of_key + of_difference, self.first.bias)
        slope = mapped[:, :, None] * of_product + (of_query - of_difference)  # (B, T, width, D)
        return slope.flatten(1, 2).transpose(1, 2), intercept.flatten(1)[:, None]

    def forward(self, affine: tuple[Tensor, Tensor], query: Tensor, present: Tensor) -> Tensor:
        """How much each candidate attends to each event.

        Args:
            affine: slopes and intercepts of the keys.
            query: candidates (B or 1, C, D).
            present: bool (B, T).

        Returns:
            (B, C, T); each row sums to 1, or to 0 if no event is present.
        """
        slope, intercept = affine
        hidden = torch.baddbmm(intercept, query.expand(len(slope), -1, -1), slope).relu_()
        scores = self.second(hidden.unflatten(-1, (present.size(1), -1)))[..., 0]
        present = present[:, None]
        return scores.masked_fill(~present, torch.finfo(scores.dtype).min).softmax(-1) * present


class SequenceFusion(nn.Module):
    """What a domain's own states find in the merged states up to then; no gradient to either."""

    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.value = nn.Linear(hidden, hidden, bias=False)
        self.output = nn.Linear(hidden, hidden)
        self.network = nn.Sequential(
            nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )

    def forward(self, local: Tensor, merged: Tensor, own: Tensor) -> Tensor:
        """States (B, T, D) in merged time, own bool (B, T) -> (B, D); 0 without an own event."""

        def by_head(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, Dh)

        local, merged = local.detach(), merged.detach()
        mixed = F.scaled_dot_product_attention(
            by_head(self.query(local)),
            by_head(self.key(merged)),
            by_head(self.value(merged)),
            is_causal=True,
        )
        return masked_mean(self.network(self.output(mixed.transpose(1, 2).flatten(2))), own)


class Groups(nn.Module):
    """A user's version of each group, weighted by how well the user's states match it.

    The versions send no gradient into the states; the weights do.
    """

    def __init__(self, hidden: int, groups: int):
        super().__init__()
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.value = nn.Linear(hidden, hidden, bias=False)
        self.match = nn.Linear(hidden, groups)
        self.network = nn.Sequential(
            nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )

    def forward(self, prototypes: Tensor, local: Tensor, own: Tensor) -> Tensor:
        """Prototypes (G, D), states (B, T, D), own bool (B, T) -> (B, D); 0 if no event is own."""
        fixed = local.detach()[:, None]
        vectors, _ = scaled_dot_product_attention(
            self.query(prototypes)[None, None],
            self.key(fixed),
            self.value(fixed),
            own[:, None, None],
        )
        weights = self.match(masked_mean(local, own)).softmax(-1)
        return self.network(weights[..., None] * vectors[:, 0]).mean(1) * own.any(1, keepdim=True)
