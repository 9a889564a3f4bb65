"""Keys and values of prompts that begin alike: the common beginning is read and kept once.

Status: ours. The arithmetic is that of ordinary attention; only where keys and values lie differs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, Cache

SHARED_PREFIX = "shared_prefix"  # the name under which transformers knows our attention

KeysAndValues = tuple[Tensor, Tensor]


def common_prefix(rows: Sequence[Sequence[int]]) -> int:
    """Length of the longest beginning that all token rows share, leaving a token of each row.

    Counted in tokens of the whole prompts: tokens(beginning) + tokens(rest) may differ from
    tokens(beginning + rest) where the texts join, so a common beginning of the *texts* must not be
    tokenised on its own.
    """
    # In lexicographic order these two differ first.
    shortest, longest = min(map(list, rows)), max(map(list, rows))
    most = min(map(len, rows)) - 1
    same = 0
    while same < most and shortest[same] == longest[same]:
        same += 1
    return same


class ReplyCache(Cache):
    """Keys and values of a batch of prompts that begin alike.

    A cache that grows copies everything at each token, and one that repeats the beginning for each
    row reads it again for each row. Here the prefix is shared by all rows, and space for a fixed
    number of further tokens a row is allocated once.

    Args:
        prefix: keys and values [H, P, d] of the common beginning, one pair a layer.
        rows: B, the prompts of the batch.
        capacity: tokens of its own that each row may come to.
    """

    def __init__(self, prefix: Sequence[KeysAndValues], rows: int, capacity: int) -> None:
        super().__init__(layers=[])
        heads, _, width = prefix[0][0].shape
        self.prefix = prefix
        self.filled = 0
        self.own: list[KeysAndValues] = [
            (
                keys.new_empty(rows, heads, capacity, width),
                values.new_empty(rows, heads, capacity, width),
            )
            for keys, values in prefix
        ]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> KeysAndValues:
        """Write a layer's new keys and values [B, H, Q, d]; returns all own ones, [B, H, T, d]."""
        end = self.filled + key_states.shape[2]
        keys, values = self.own[layer_idx]
        keys[:, :, self.filled : end] = key_states
        values[:, :, self.filled : end] = value_states
        if layer_idx == len(self.own) - 1:
            self.filled = end
        return keys[:, :, :end], values[:, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these."""
        self.own = [(keys[rows], values[rows]) for keys, values in self.own]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.filled


def shared_prefix_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    past: ReplyCache,
    **_: Any,
) -> tuple[Tensor, None]:
    """Softmax attention over the shared beginning and over each row's own keys and values.

    Equal to attention over [prefix; own], but the scores against the prefix are one matrix product
    for the whole batch.

    Args:
        module: the attention layer; `module.layer_idx` says which one it is.
        query: [B, G*H, Q, d]; G heads share a key.
        key, value: [B, H, T, d], the rows' own part.
        attention_mask: float [B, 1, Q, T], 0 or hugely negative, for the own part; every query sees
            the whole prefix.

    Returns:
        [B, Q, G*H, d] and no weights, as transformers expects it.
    """
    B, H, T, d = key.shape
    Q = query.shape[2]
    layer: Any = module.layer_idx
    prefix_key, prefix_value = past.prefix[layer]  # [H, P, d]
    P = prefix_key.shape[1]
    query = query.reshape(B, H, -1, d) * scaling  # [B, H, G*Q, d]
    to_prefix = query.transpose(0, 1).reshape(H, -1, d) @ prefix_key.mT  # [H, B*G*Q, P]
    to_prefix = to_prefix.view(H, B, -1, P).transpose(0, 1)  # [B, H, G*Q, P]
    to_own = (query @ key.mT).view(B, H, -1, Q, T) + attention_mask[:, :, None]  # [B, H, G, Q, T]
    weights = torch.cat([to_prefix, to_own.view(B, H, -1, T)], dim=-1).softmax(-1)
    from_prefix = weights[..., :P].transpose(0, 1).reshape(H, -1, P) @ prefix_value
    mixed = from_prefix.view(H, B, -1, d).transpose(0, 1)
    mixed = mixed + weights[..., P:] @ value  # [B, H, G*Q, d]
    return mixed.reshape(B, -1, Q, d).transpose(1, 2).contiguous(), None


def register() -> None:
    """Make `shared_prefix_attention` known to transformers; a second call changes nothing."""
    AttentionInterface.register(SHARED_PREFIX, shared_prefix_attention)
