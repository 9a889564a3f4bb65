"""Attention: the function first, the modules second.  The weights are a normal return value.

Built step by step in notebook 04; checked against `torch.nn.functional.scaled_dot_product_attention`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def check_sizes(config) -> None:
    """Raises ValueError, in one sentence, for the first size or rate in an encoder's configuration that cannot be."""
    for name in ("hidden", "heads", "layers", "max_length"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}: give at least 1.")
    if config.hidden % config.heads:
        raise ValueError(
            f"hidden size {config.hidden} is not divisible by {config.heads} heads: choose another number of heads."
        )
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout is {config.dropout}: choose a share of at least 0 and below 1.")
    if getattr(config, "temperature", 1) <= 0:
        raise ValueError(f"temperature is {config.temperature}: give a number above 0.")


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Average the rows of `value` by how well `key` matches `query`.

    Shapes: query (B, H, Tq, Dh); key, value (B, H, Tk, Dh); mask (B or 1, 1 or H, Tq, Tk) bool, True = may look.
    Returns mixed (B, H, Tq, Dh) and weights (B, H, Tq, Tk).  A row of weights sums to 1, or to 0 when it may look at
    nothing (a user without history in this domain).  Source: Vaswani et al. 2017, equation 1.
    """
    scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5  # (B, H, Tq, Tk)
    if mask is None:
        weights = scores.softmax(-1)
    else:
        weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask
    return weights @ value, weights


def causal_mask(length: int, device=None) -> Tensor:
    """(T, T) bool: position t may look at itself and at what came before."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


class Dropout(nn.Module):
    """In training, sets each number to 0 with probability `share` and scales the others up, as `nn.Dropout` does.

    One 64-bit draw serves eight numbers, of which those with a byte below 256 (1 - share) stay: on a processor the drawing is what
    dropout costs (notebook 04).  The share is rounded to 1/256.
    """

    def __init__(self, share: float):
        super().__init__()
        self.kept = round(256 * (1 - share))
        if not 0 < self.kept <= 256:
            raise ValueError(f"dropout is {share}: choose a share of at least 0 and below 1.")

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.kept == 256:
            return x
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(
            -(2**63), None
        )
        bytes_ = draws.view(torch.uint8)[: x.numel()].view(x.shape)
        return x * torch.lt(bytes_, self.kept, out=torch.empty_like(x, requires_grad=False)).mul_(
            256 / self.kept
        )


class MultiHeadAttention(nn.Module):
    """Causal self-attention with H heads over right-padded sequences.

    Padding stands on the right, so the causal mask alone already keeps every real position away from it.
    """

    def __init__(self, hidden: int, heads: int, dropout: float):
        super().__init__()
        if hidden % heads:
            raise ValueError(
                f"hidden size {hidden} is not divisible by {heads} heads: choose another number of heads."
            )
        self.heads, self.dropout = heads, dropout
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.output = nn.Linear(hidden, hidden)

    def forward(
        self,
        x: Tensor,
        need_weights: bool = False,
        at: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """x (B, T, D) -> (B, T, D); with `at` [B], only what position at[b] gets: (B, 1, D).

        `visible` (B, T) bool takes the place of the causal mask: every position looks at all visible ones, later ones too.
        """
        batch, length, hidden = x.shape
        query, key, value = (
            self.query_key_value(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        )  # (B, H, T, Dh) each
        if at is not None:  # one query a sequence: the causal mask is one row of it
            query = query.gather(
                2, at[:, None, None, None].expand(-1, self.heads, 1, query.size(-1))
            )
            may_look = (
                torch.arange(length, device=x.device) <= at[:, None, None, None]
                if visible is None
                else visible[:, None, None]
            )
            mixed, weights = (
                F.scaled_dot_product_attention(query, key, value, attn_mask=may_look),
                None,
            )
        elif need_weights:  # the readable way, with the weights before dropout: each row sums to 1
            mask = causal_mask(length, x.device) if visible is None else visible[:, None, None]
            mixed, weights = scaled_dot_product_attention(query, key, value, mask)
        else:  # the same numbers from one fused kernel
            mask = None if visible is None else visible[:, None, None]
            mixed = F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=mask,
                is_causal=mask is None,
                dropout_p=self.dropout if self.training else 0.0,
            )
            weights = None
        return self.output(mixed.transpose(1, 2).reshape(batch, -1, hidden)), weights


class AttentionBlock(nn.Module):
    """Pre-norm transformer block: attention, then a position-wise network, each added to its input."""

    def __init__(self, hidden: int, heads: int, dropout: float):
        super().__init__()
        self.attention_norm, self.network_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = MultiHeadAttention(hidden, heads, dropout)
        self.network = nn.Sequential(
            nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden)
        )
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        need_weights: bool = False,
        at: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        mixed, weights = self.attention(self.attention_norm(x), need_weights, at, visible)
        if at is not None:
            x = x[torch.arange(len(x), device=x.device), at][:, None]
        x = x + self.dropout(mixed)
        return x + self.dropout(self.network(self.network_norm(x))), weights


class SequenceEncoder(nn.Module):
    """Item vectors (B, T, D) of one sequence -> one state per position (B, T, D), reading only what came before.

    Positions count from the sequence's own start; longer sequences than `max_length` were cut by the batch.
    """

    def __init__(self, hidden: int, heads: int, layers: int, max_length: int, dropout: float):
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(max_length, hidden))
        self.blocks = nn.ModuleList(AttentionBlock(hidden, heads, dropout) for _ in range(layers))
        self.norm, self.dropout = nn.LayerNorm(hidden), Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        need_weights: bool = False,
        at: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """With `at` [B], only the state at position at[b], (B, 1, D): a ranking needs no more, and the last block is then nearly free.

        `visible` (B, T) bool takes the place of the causal mask; at least one place of each row has to be visible.
        """
        x = self.dropout(x + self.position[: x.size(1)])
        collected = []
        for block in self.blocks:
            x, weights = block(x, need_weights, at if block is self.blocks[-1] else None, visible)
            collected.append(weights)
        return self.norm(x), collected if need_weights else []


class BranchAttention(nn.Module):
    """Attention *across* sequences: how much to listen to the branches A, B and merged when predicting for one domain.

    Source: "hierarchical", intra- then inter-sequence attention: stated; this form (one query per target domain, a linear map per
    domain and branch) is ours.  Shapes: states (..., 3, D), present (..., 3) bool -> mixed (..., D), weights (..., 3).
    """

    def __init__(self, hidden: int, branches: int = 3, domains: int = 2):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(domains, hidden))
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.value = nn.Parameter(
            torch.stack([torch.eye(hidden).repeat(branches, 1, 1)] * domains)
            + 0.02 * torch.randn(domains, branches, hidden, hidden)
        )

    def forward(self, states: Tensor, present: Tensor, domain: int) -> tuple[Tensor, Tensor]:
        query = (
            self.query[domain] @ self.key.weight
        )  # q (W h) = (q W) h: one vector is mapped, not every state
        scores = states @ query / states.size(-1) ** 0.5  # (..., 3)
        weights = scores.masked_fill(~present, torch.finfo(scores.dtype).min).softmax(-1) * present
        return (weights[..., None] * states).flatten(-2) @ self.value[domain].flatten(
            0, 1
        ), weights  # sum_k w_k h_k V_k as one product
