"""Attention: the function first, then the modules.  Weights are an ordinary return value.

Built step by step in notebook 04; compared with `torch.nn.functional.scaled_dot_product_attention`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.models.heads import EncoderConfig


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Average the rows of `value` by how well `key` matches `query`.

    Args:
        query: (B, H, Tq, Dh).
        key, value: (B, H, Tk, Dh).
        mask: bool (B or 1, 1 or H, Tq, Tk), True where a query may attend to a key.
        bias: added to the logits, of the same shape as the mask.

    Returns:
        The averages (B, H, Tq, Dh) and the weights (B, H, Tq, Tk).  A row of weights sums to 1, or
        to 0 where the mask allows nothing (a user without history in this domain).

    Source: Vaswani et al. 2017, equation 1.
    """
    scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5 + bias  # (B, H, Tq, Tk)
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

    Padding is on the right, so the causal mask alone hides it from every real position.  A learned
    number per head and lag, the number of events between query and key, is added to the logits: how
    much events that far back matter, whatever they are.  It starts at 0.

    Args:
        lags: how many lags have a number of their own, at least the longest sequence; 0: no bias.

    Raises:
        ValueError: if the hidden size is not divisible by the number of heads.

    Source: the lag bias is ours; Shaw et al. 2018 and T5 have relatives of it.
    """

    def __init__(self, hidden: int, heads: int, dropout: float, lags: int = 0):
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
        self.lag = nn.Parameter(torch.zeros(heads, lags)) if lags else None

    def lag_bias(self, query: Tensor, length: int) -> Tensor | float:
        """The bias (..., H, Tq, Tk) of queries at positions (..., Tq) on keys at 0 to Tk - 1."""
        if self.lag is None:
            return 0.0
        lags = (query[..., None] - torch.arange(length, device=query.device)).abs()
        return self.lag.T[lags].movedim(-1, -3)

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
        position = torch.arange(length, device=x.device)
        weights = None
        if at is not None:  # one query a sequence, so one row of the causal mask
            bias = self.lag_bias(at[:, None], length)
            at = at[:, None, None, None]
            query = query.gather(2, at.expand(-1, self.heads, 1, query.size(-1)))
            mask = position <= at if mask is None else mask
        else:
            bias = self.lag_bias(position, length)
            if mask is None and (need_weights or self.lag is not None):
                mask = causal_mask(length, x.device)
        if need_weights and at is None:  # the readable way; each row of weights sums to 1
            mixed, weights = scaled_dot_product_attention(query, key, value, mask, bias)
        else:  # the same numbers from one fused kernel
            if isinstance(bias, Tensor):
                assert mask is not None
                mask = bias.masked_fill(~mask, -math.inf).to(query.dtype)
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

    def __init__(self, hidden: int, heads: int, dropout: float, lags: int = 0):
        super().__init__()
        self.attention_norm, self.network_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = MultiHeadAttention(hidden, heads, dropout, lags)
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
            x = x.gather(1, at[:, None, None].expand(-1, 1, x.size(-1)))
        x = x + self.dropout(mixed)
        return x + self.dropout(self.network(self.network_norm(x))), weights


def positions_of(x: Tensor, length: Tensor, from_the_end: bool) -> Tensor:
    """The positions of right-padded sequences (B, T, D): 0, 1, ... from one end.

    Args:
        length: int64 [B], the number of events of each sequence.

    Returns:
        int64 (T,) from the start, or (B, T) from the end, where padding gets 0; no event sees it.
    """
    position = torch.arange(x.size(1), device=x.device)
    return (length[:, None] - 1 - position).clamp_(min=0) if from_the_end else position


class SequenceEncoder(nn.Module):
    """Item vectors of one sequence to one state per position, from this and earlier events.

    Args:
        positions: "from the start", or "from the end", where the newest event is 0 in every
            history; then in training a state knows how many events follow it, never which.
        lag_bias: whether attention has a bias for each lag (`MultiHeadAttention`).
    """

    def __init__(
        self,
        hidden: int,
        heads: int,
        layers: int,
        max_length: int,
        dropout: float,
        positions: str = "from the end",
        lag_bias: bool = True,
    ):
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(max_length, hidden))
        lags = max_length if lag_bias else 0
        self.blocks = nn.ModuleList(
            AttentionBlock(hidden, heads, dropout, lags) for _ in range(layers)
        )
        self.norm, self.dropout = nn.LayerNorm(hidden), Dropout(dropout)
        self.from_the_end = positions == "from the end"

    @classmethod
    def of(cls, config: EncoderConfig) -> SequenceEncoder:
        """An encoder of the sizes that a model's configuration names."""
        return cls(
            config.hidden,
            config.heads,
            config.layers,
            config.max_length,
            config.dropout,
            config.positions,
            config.lag_bias,
        )

    def forward(
        self,
        x: Tensor,
        length: Tensor,
        need_weights: bool = False,
        at: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Encode right-padded sequences.

        Args:
            x: item vectors (B, T, D).
            length: int64 [B], the number of events of each sequence.
            need_weights: also return each layer's attention weights.
            at: int64 [B]; compute the state at position at[b] only, which is all that a ranking
                needs and makes the last block nearly free.
            visible: bool (B, T), at least one True a row; replaces the causal mask.

        Returns:
            States (B, T, D), or (B, 1, D) with `at`; and per layer the weights (B, H, T, T), or [].
        """
        x = self.dropout(x + self.position[positions_of(x, length, self.from_the_end)])
        collected = []
        for number, block in enumerate(self.blocks, start=1):
            only = at if number == len(self.blocks) else None
            x, weights = block(x, need_weights, only, visible)
            collected.append(weights)
        return self.norm(x), collected if need_weights else []


class DomainHeads(nn.Module):
    """A linear map of the state for each target domain; the identity at first.  Source: ours."""

    def __init__(self, hidden: int):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(hidden).repeat(2, 1, 1))

    def forward(self, states: Tensor, domains: Tensor) -> Tensor:
        """States (..., D) for targets in domains int64 (...), 0 for A, 1 for B."""
        for_a, for_b = states @ self.weight[0], states @ self.weight[1]
        return torch.where(domains[..., None] == 0, for_a, for_b)


class BranchAttention(nn.Module):
    """Attention *across* branches: how much A, B and merged count in a prediction for one domain.

    Each state is mapped for its branch and the target's domain, and normalized, so that no branch
    speaks louder than another; the mixture is their average by softmax weights.  In training a
    branch is left out with probability `dropout` wherever another remains, so that each learns to
    predict alone.

    Args:
        fixed: float [domains, branches], weights in place of the softmax; None: they are learned.

    Source: intra- and then inter-sequence attention is stated ("hierarchical"); this form, with a
    query and a linear map per target domain and branch, is ours.
    """

    fixed: Tensor | None

    def __init__(
        self,
        hidden: int,
        branches: int = 3,
        dropout: float = 0.0,
        fixed: Tensor | None = None,
        domains: int = 2,
    ):
        super().__init__()
        self.register_buffer("fixed", fixed, persistent=False)
        query = torch.zeros(domains, branches, hidden)
        self.query = nn.Parameter(query) if fixed is None else None
        self.value = nn.Parameter(
            torch.eye(hidden) + 0.02 * torch.randn(domains, branches, hidden, hidden)
        )
        self.dropout = dropout

    def forward(self, states: Tensor, present: Tensor, domain: int) -> tuple[Tensor, Tensor]:
        """Mix the branches for one target domain.

        Args:
            states: (..., branches, D).
            present: bool (..., branches), False where a branch has no event yet.
            domain: 0 for A, 1 for B.

        Returns:
            The mixture (..., D) and its weights (..., branches).
        """
        if self.training and self.dropout:
            kept = present & (torch.rand(present.shape, device=present.device) >= self.dropout)
            present = torch.where(kept.any(-1, keepdim=True), kept, present)
        mapped = torch.einsum("...kd,kde->...ke", states, self.value[domain])
        if self.query is None:
            assert self.fixed is not None
            weights = self.fixed[domain] * present
            weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
        else:  # scores (..., branches)
            scores = (states * self.query[domain]).sum(-1) / states.size(-1) ** 0.5
            scores = scores.masked_fill(~present, torch.finfo(scores.dtype).min)
            weights = scores.softmax(-1) * present
        return (weights[..., None] * F.normalize(mapped, dim=-1)).sum(-2), weights
