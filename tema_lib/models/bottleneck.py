"""The encoder after AutoCDSR+: the domains exchange information through a few shared tokens only.

    z_t += mean over the domains of what the tokens of position t read in the events s <= t there
    h_t += what event t reads, with its own domain's weights, in that domain's events s <= t and in
           the tokens z_t;   h_t += network(h_t)
    state for a target of domain d at t = norm(h of d's latest event at or before t + mean of z_t)

Source.  Stated: an encoder per domain, tokens shared and averaged after each layer, a penalty on
the attention to them.  Ours:

- tokens for every position: tokens that read a whole sequence would show each position its target
  (the release predicts masked items);
- tokens read before the events do, with one query for both domains and without a network of their
  own, which is several times faster;
- the state that is compared, which also exists before d's first event (in the release a shared
  encoder follows) and whose mean of z_t carries no penalty;
- positions in merged time, so the model knows *when* the events of the other domain happened.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.models.layers import AttentionBlock, Dropout, causal_mask, positions_of


def attention_input(block: AttentionBlock, rows: Tensor) -> Tensor:
    """Query, key and value of the rows, side by side."""
    return block.attention.query_key_value(block.attention_norm(rows))


def attention_output(block: AttentionBlock, rows: Tensor) -> Tensor:
    """The attention's output map."""
    return block.attention.output(rows)


def network_output(block: AttentionBlock, rows: Tensor) -> Tensor:
    """The feed-forward network of the block."""
    return block.network(block.network_norm(rows))


class BottleneckLayer(nn.Module):
    """One layer: a transformer block for each domain, and shared tokens that read both."""

    def __init__(self, hidden: int, heads: int, dropout: float):
        super().__init__()
        self.blocks = nn.ModuleList(AttentionBlock(hidden, heads, dropout) for _ in range(2))
        self.token_norm = nn.LayerNorm(hidden)
        self.token_query = nn.Linear(hidden, hidden)
        self.token_output = nn.Linear(hidden, hidden)
        self.heads = heads
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, z: Tensor, domains: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Update events and tokens.

        Args:
            x: events (B, T, D).
            z: K tokens for each position (B, T, K, D).
            domains: int64 (B, T), -1 at padding.

        Returns:
            The new x, the new z, and how much attention each event gives to the tokens (B, H, T).
        """
        length, count = z.shape[1:3]
        query, key, value = self.query_key_value(x, domains)  # (B, H, T, Dh) each
        earlier = causal_mask(length, x.device)

        asked = self.by_head(self.token_query(self.token_norm(z))).flatten(2, 3)  # (B, H, T K, Dh)
        answers = []
        for domain in (0, 1):
            mask = (earlier & (domains == domain)[:, None]).repeat_interleave(count, 1)
            mask = mask[:, None]  # (B, 1, T K, T)
            seen = mask.any(-1, keepdim=True)  # 0 without an event so far
            answer = F.scaled_dot_product_attention(asked, key, value, mask | ~seen)
            answers.append(answer * seen / 2)
        mean = answers[0] + answers[1]
        z = z + self.dropout(self.token_output(mean.transpose(1, 2).reshape(z.shape)))

        _, token_key, token_value = self.query_key_value(z, domains)  # (B, H, T, K, Dh) each
        mask = earlier & (domains[:, :, None] == domains[:, None])
        lowest = torch.finfo(query.dtype).min
        to_events = (query @ key.transpose(-2, -1)).masked_fill(~mask[:, None], lowest)
        to_tokens = (token_key @ query[..., None])[..., 0]
        scores = torch.cat([to_events, to_tokens], -1)
        weights = (scores / query.size(-1) ** 0.5).softmax(-1)  # (B, H, T, T + K)
        from_tokens = (weights[..., None, length:] @ token_value)[..., 0, :]
        mixed = (weights[..., :length] @ value + from_tokens).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.by_domain(attention_output, mixed, domains))
        x = x + self.dropout(self.by_domain(network_output, x, domains))
        return x, z, weights[..., length:].sum(-1)

    def by_head(self, rows: Tensor) -> Tensor:
        """(B, ..., D) -> (B, H, ..., Dh)."""
        return rows.unflatten(-1, (self.heads, -1)).movedim(-2, 1)

    def query_key_value(self, rows: Tensor, domains: Tensor) -> list[Tensor]:
        """Three tensors (B, H, ..., Dh), with the weights of each position's domain."""
        projected = self.by_domain(attention_input, rows, domains)
        return [self.by_head(part) for part in projected.chunk(3, -1)]

    def by_domain(
        self, function: Callable[[AttentionBlock, Tensor], Tensor], x: Tensor, domains: Tensor
    ) -> Tensor:
        """function(block, rows) of the rows x[b, t] with their domain's block; 0 at padding."""
        parts = []
        for domain, block in enumerate(self.blocks):
            assert isinstance(block, AttentionBlock)
            parts.append(function(block, x[domains == domain]))
        out = parts[0].new_zeros(*domains.shape, *parts[0].shape[1:])
        for domain, part in enumerate(parts):
            out[domains == domain] = part
        return out


class BottleneckEncoder(nn.Module):
    """Layers of `BottleneckLayer`, positions as in `SequenceEncoder`, `tokens` shared tokens."""

    def __init__(
        self,
        hidden: int,
        heads: int,
        layers: int,
        max_length: int,
        dropout: float,
        tokens: int,
        positions: str = "from the end",
    ):
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(max_length, hidden))
        self.tokens = nn.Parameter(0.02 * torch.randn(tokens, hidden))
        self.layers = nn.ModuleList(BottleneckLayer(hidden, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.dropout = Dropout(dropout)
        self.from_the_end = positions == "from the end"

    def forward(
        self, x: Tensor, domains: Tensor, target_domains: Tensor, length: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Encode merged sequences.

        Args:
            x: item vectors (B, T, D).
            domains: int64 (B, T), of the events, -1 at padding.
            target_domains: int64 (B, T), of the targets.
            length: int64 [B], the number of events of each sequence.

        Returns:
            States (B, T, D); and per layer the attention to the tokens (B, H, T).
        """
        position = self.position[positions_of(x, length, self.from_the_end)]  # (T, D), (B, T, D)
        x = self.dropout(x + position)
        z = (self.tokens + position[..., None, :]).expand(len(x), -1, -1, -1)
        shares = []
        for layer in self.layers:
            x, z, share = layer(x, z, domains)
            shares.append(share)
        index = torch.arange(x.size(1), device=x.device)
        latest_a, latest_b = (
            torch.where(domains == domain, index, -1).cummax(1).values for domain in (0, 1)
        )
        latest = torch.where(target_domains == 1, latest_b, latest_a)[..., None]  # (B, T, 1)
        own = x.gather(1, latest.clamp(min=0).expand_as(x)) * (latest >= 0)
        return self.norm(own + z.mean(2)), shares
