"""Attention: the function first, then the modules.  Weights are an ordinary return value.

Built step by step in notebook 04; compared with `torch.nn.functional.scaled_dot_product_attention`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.models.heads import EncoderConfig


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Average the rows of `value` by how well `key` matches `query`.

    Args:
        query: (B, H, Tq, Dh).
        key, value: (B, H, Tk, Dh).
        mask: bool (B or 1, 1 or H, Tq, Tk), True where a query may attend to a key.

    Returns:
        The averages (B, H, Tq, Dh) and the weights (B, H, Tq, Tk).  A row of weights sums to 1, or
        to 0 where the mask allows nothing (a user without history in this domain).

    Source: Vaswani et al. 2017, equation 1.
    """
    scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5  # (B, H, Tq, Tk)
    if mask is None:
        weights = scores.softmax(-1)
    else:
        weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask
    return weights @ value, weights


def causal_mask(length: int, device: torch.device | None = None) -> Tensor:
    """bool (T, T): each position may attend to itself and to earlier ones."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


class Dropout(nn.Module):
    """In training, set each number to 0 with probability `share` and scale up the rest.

    Does what `nn.Dropout` does, faster on a processor, where drawing random numbers is the cost
    (notebook 04): one 64-bit draw serves eight numbers, and a number is kept if its byte is below
    256 (1 - share).  The share is rounded to 1/256.

    Raises:
        ValueError: for a share outside of [0, 1).
    """

    def __init__(self, share: float):
        super().__init__()
        self.kept = round(256 * (1 - share))
        if not 0 < self.kept <= 256:
            raise ValueError(f"dropout is {share}: choose a share of at least 0 and below 1.")

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.kept == 256:
            return x
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        draws.random_(-(2**63), None)
        draw_of_number = draws.view(torch.uint8)[: x.numel()].view(x.shape)
        scale = torch.lt(draw_of_number, self.kept, out=torch.empty_like(x, requires_grad=False))
        return x * scale.mul_(256 / self.kept)


class MultiHeadAttention(nn.Module):
    """Causal self-attention with H heads over right-padded sequences.

    Padding is on the right, so the causal mask alone hides it from every real position.

    Raises:
        ValueError: if the hidden size is not divisible by the number of heads.
    """

    def __init__(self, hidden: int, heads: int, dropout: float):
        super().__init__()
        if hidden % heads:
            raise ValueError(
                f"hidden size {hidden} is not divisible by {heads} heads: "
                "choose another number of heads."
            )
        self.heads = heads
        self.dropout = dropout
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.output = nn.Linear(hidden, hidden)

    def forward(
        self,
        x: Tensor,
        need_weights: bool = False,
        at: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Let every position attend to itself and to earlier ones.

        Args:
            x: (B, T, D).
            need_weights: also return the attention weights.
            at: int64 [B]; compute the output at position at[b] only.
            visible: bool (B, T); replaces the causal mask: every position attends to all visible
                ones, later ones included.

        Returns:
            (B, T, D), or (B, 1, D) with `at`; and the weights (B, H, T, T) before dropout, or None.
        """
        batch, length, hidden = x.shape
        query_key_value = self.query_key_value(x).view(batch, length, 3, self.heads, -1)
        query, key, value = query_key_value.permute(2, 0, 3, 1, 4)  # (B, H, T, Dh) each
        mask = None if visible is None else visible[:, None, None]
        weights = None
        if at is not None:  # one query a sequence, so one row of the causal mask
            at = at[:, None, None, None]
            query = query.gather(2, at.expand(-1, self.heads, 1, query.size(-1)))
            if mask is None:
                mask = torch.arange(length, device=x.device) <= at
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        elif need_weights:  # the readable way; each row of weights sums to 1
            if mask is None:
                mask = causal_mask(length, x.device)
            mixed, weights = scaled_dot_product_attention(query, key, value, mask)
        else:  # the same numbers from one fused kernel
            mixed = F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=mask,
                is_causal=mask is None,
                dropout_p=self.dropout if self.training else 0.0,
            )
        return self.output(mixed.transpose(1, 2).reshape(batch, -1, hidden)), weights


class AttentionBlock(nn.Module):
    """Pre-norm transformer block: attention, then a feed-forward network, each with a residual."""

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
        """Arguments and results as of `MultiHeadAttention`."""
        mixed, weights = self.attention(self.attention_norm(x), need_weights, at, visible)
        if at is not None:
            x = x[torch.arange(len(x), device=x.device), at][:, None]
        x = x + self.dropout(mixed)
        return x + self.dropout(self.network(self.network_norm(x))), weights


class SequenceEncoder(nn.Module):
    """Item vectors of one sequence to one state per position, from this and earlier events.

    Positions count from the start of the sequence.  The batch has cut it to `max_length` events.
    """

    def __init__(self, hidden: int, heads: int, layers: int, max_length: int, dropout: float):
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(max_length, hidden))
        self.blocks = nn.ModuleList(AttentionBlock(hidden, heads, dropout) for _ in range(layers))
        self.norm, self.dropout = nn.LayerNorm(hidden), Dropout(dropout)

    @classmethod
    def of(cls, config: EncoderConfig) -> SequenceEncoder:
        """An encoder of the sizes that a model's configuration names."""
        return cls(config.hidden, config.heads, config.layers, config.max_length, config.dropout)

    def forward(
        self,
        x: Tensor,
        need_weights: bool = False,
        at: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Encode right-padded sequences.

        Args:
            x: item vectors (B, T, D).
            need_weights: also return each layer's attention weights.
            at: int64 [B]; compute the state at position at[b] only, which is all that a ranking
                needs and makes the last block nearly free.
            visible: bool (B, T), at least one True a row; replaces the causal mask.

        Returns:
            States (B, T, D), or (B, 1, D) with `at`; and per layer the weights (B, H, T, T), or [].
        """
        x = self.dropout(x + self.position[: x.size(1)])
        collected = []
        for block in self.blocks:
            x, weights = block(x, need_weights, at if block is self.blocks[-1] else None, visible)
            collected.append(weights)
        return self.norm(x), collected if need_weights else []


class BranchAttention(nn.Module):
    """Attention *across* branches: how much A, B and merged count in a prediction for one domain.

    Source: intra- and then inter-sequence attention is stated ("hierarchical"); this form, with one
    query per target domain and a linear map per domain and branch, is ours.
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
        """Mix the branches for one target domain.

        Args:
            states: (..., branches, D).
            present: bool (..., branches), False where a branch has no event yet.
            domain: 0 for A, 1 for B.

        Returns:
            The mixture (..., D) and its weights (..., branches).
        """
        query = self.query[domain] @ self.key.weight  # q (W h) = (q W) h: map one vector, not all h
        scores = states @ query / states.size(-1) ** 0.5  # (..., branches)
        weights = scores.masked_fill(~present, torch.finfo(scores.dtype).min).softmax(-1) * present
        weighted = (weights[..., None] * states).flatten(-2)  # sum_k w_k h_k V_k as one product
        return weighted @ self.value[domain].flatten(0, 1), weights
