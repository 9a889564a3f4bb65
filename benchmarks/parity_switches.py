"""What RecTools' SASRecModel does differently, each as a switch on our SASRec (parity.py).

schedule     constant rate, Adam's second beta .98, neither weight decay nor clipping; batches of
             users drawn without sorting
start        every matrix from Xavier's normal distribution (ours: item and position vectors 0.02,
             torch's own initialisation for the rest)
block        only the query is normalised, and the residual starts from the normalised vector; a
             network of width d with ReLU (ours: pre-norm, 4 d, GELU)
positions    count from the end of the sequence (ours: from its start)
input        dropout once on the input (ours: on the item vectors, and again on their sum with the
             positions)
"""

import torch
import torch.nn.functional as F
from torch import nn

from tema_lib.models.layers import Dropout, MultiHeadAttention
from tema_lib.models.sasrec import SASRec

SWITCHES = ("schedule", "start", "block", "positions", "input")
# A decay over 1,000 epochs is a constant rate for the few tens that early stopping leaves.
SCHEDULE = {"epochs": 1000, "warm_up": 0.0, "weight_decay": 0.0, "clip": 0.0, "window": 1}


class Block(nn.Module):
    """Replaces AttentionBlock; all positions are computed, `at` only selects."""

    def __init__(self, hidden, heads, dropout):
        super().__init__()
        self.query_norm, self.network_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = MultiHeadAttention(hidden, heads, dropout)
        self.network = nn.Sequential(
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(hidden, hidden),
            Dropout(dropout),
        )

    def forward(self, x, need_weights=False, at=None, *_):
        batch, length, hidden = x.shape
        asking, own = self.query_norm(x), self.attention
        weight, bias = own.query_key_value.weight, own.query_key_value.bias

        def several(y):
            return y.view(batch, length, -1, own.heads, hidden // own.heads).permute(2, 0, 3, 1, 4)

        (query,) = several(F.linear(asking, weight[:hidden], bias[:hidden]))
        key, value = several(F.linear(x, weight[hidden:], bias[hidden:]))
        mixed = F.scaled_dot_product_attention(
            query, key, value, is_causal=True, dropout_p=own.dropout if self.training else 0.0
        )
        x = self.network_norm(
            asking + own.output(mixed.transpose(1, 2).reshape(batch, length, hidden))
        )
        x = x + self.network(x)
        return (x if at is None else x[torch.arange(batch), at][:, None]), None


class Switched(SASRec):
    """Our SASRec with some of `SWITCHES` set as RecTools has them."""

    def __init__(self, domain_of_item, config, switches):
        super().__init__(domain_of_item, config)
        (encoder,) = self.encoders
        if "block" in switches:
            encoder.blocks = nn.ModuleList(
                Block(config.hidden, config.heads, config.dropout) for _ in range(config.layers)
            )
        if "input" in switches:
            self.dropout = nn.Identity()
        encoder.from_the_end = "positions" in switches
        if "start" in switches:
            for weights in self.parameters():
                if weights.dim() > 1 and weights.requires_grad:
                    nn.init.xavier_normal_(weights)
