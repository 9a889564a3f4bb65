"""AutoCDSR (2505.21811): one plain transformer over both domains, and a price on looking across them.

    l_attn = mean over real events t, heads, layers of  sum_s attention_ts [domain of s != domain of t]        a share, 0..1
    L      = l_rec + (w_attn / w_rec) l_attn,      w from a Pareto solver that puts the recommendation first

No module is added: what is learned is when the other domain is worth its price.  AutoCDSR+ lets the domains talk through a few shared
tokens only, and prices the attention to these.  Clean-room, from public reading notes and what the released code was seen to do;
only "+" was released, on masked items with sampled negatives: no number of the paper is reproduced here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.models.base import SequenceRecommender, position_domains
from tema_lib.models.layers import (
    AttentionBlock,
    Dropout,
    SequenceEncoder,
    causal_mask,
    check_sizes,
)

PREFERENCES = (
    (1.0, 0.0),
    (0.0, 1.0),
    (0.5**0.5, 0.5**0.5),
)  # stated (release): rays of (l_rec, l_attn); followed is the second,
FOLLOWED = PREFERENCES[1]  # along which only the attention is left: recommendation first


@dataclass(frozen=True)
class AutoCDSRConfig:
    """Sizes as SASRecConfig, so that what differs is the penalty."""

    plus: bool = False  # False: AutoCDSR; True: after AutoCDSR+, see BottleneckEncoder
    weighting: str = "pareto"  # stated: the solver; "fixed": L = l_rec + penalty * l_attn
    penalty: float = (
        1.0  # ours, read where the weighting is fixed; 0: no penalty, the share is only reported
    )
    tokens: int = 4  # release; read by "+" only
    hidden: int = 64  # ours; 32 in the release
    heads: int = 2  # release, inside a domain
    layers: int = 1  # ours, as SASRecConfig; 3 in the release
    max_length: int = 50  # ours; 800 in the release
    dropout: float = 0.2  # ours
    temperature: float = 0.07  # ours; 0.1 in the release
    loss: str = "domain softmax"  # ours; masked items against others of the batch in the release

    def __post_init__(self):
        check_sizes(self)


def pareto_weights(gram: Tensor, losses: Tensor) -> tuple[float, float]:
    """How much (recommendation, attention) weigh in the next step; |w_rec| + |w_attn| = 1, and w_attn may be negative.

    gram [2, 2]: inner products of the two gradients g, in this order, neither of them 0; losses [2]: (l_rec, l_attn).
    Each gradient is brought to unit length.  A ray P_j is violated where (P_j - p) . losses > 0, p being the one followed.  Wanted is
    the shortest vector of the convex hull of g_rec, g_attn and, for each violated ray, (P_j - p)_rec g_rec + (P_j - p)_attn g_attn; its
    two coefficients are the weights.  If none is violated, both weigh 1/2, whatever the angle.  w_attn never exceeds w_rec.

    Source: stated (release), which iterates (Frank-Wolfe).  Ours: exact.  All points lie in a plane, on one side of the origin
    (2 w_rec + w_attn >= 1), so the shortest vector lies on the straight line between two of them.
    """
    (rr, ra), (_, aa) = gram.tolist()
    cosine, (l_rec, l_attn) = ra / (rr * aa) ** 0.5, losses.tolist()
    towards = [(ray[0] - FOLLOWED[0], ray[1] - FOLLOWED[1]) for ray in PREFERENCES]
    points = [(1.0, 0.0), (0.0, 1.0)] + [(r, a) for r, a in towards if r * l_rec + a * l_attn > 0]

    def product(x, y):
        return x[0] * y[0] + x[1] * y[1] + cosine * (x[0] * y[1] + x[1] * y[0])

    shortest = []
    for x, y in combinations(points, 2):  # |(1 - s) x + s y|^2 is least where its slope in s is 0
        step = (y[0] - x[0], y[1] - x[1])
        squared = product(step, step)
        share = min(max(-product(x, step) / squared, 0.0), 1.0) if squared > 1e-12 else 0.5
        point = (x[0] + share * step[0], x[1] + share * step[1])
        shortest.append((product(point, point), point))
    rec, attn = min(shortest)[1]
    return rec / (abs(rec) + abs(attn)), attn / (abs(rec) + abs(attn))


class BottleneckLayer(nn.Module):
    """One layer after AutoCDSR+: a transformer block for each domain, and shared tokens that read both (see BottleneckEncoder)."""

    def __init__(self, hidden: int, heads: int, dropout: float):
        super().__init__()
        self.blocks = nn.ModuleList(AttentionBlock(hidden, heads, dropout) for _ in range(2))
        self.token_norm, self.token_query, self.token_output = (
            nn.LayerNorm(hidden),
            nn.Linear(hidden, hidden),
            nn.Linear(hidden, hidden),
        )
        self.heads, self.dropout = heads, Dropout(dropout)

    def forward(self, x: Tensor, z: Tensor, domains: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Events x (B, T, D), tokens z (B, T, K, D), domains (B, T) -> new x, new z, what each event gives to the tokens (B, H, T)."""
        length, count = z.shape[1:3]

        def heads(y):
            return y.unflatten(-1, (self.heads, -1)).movedim(
                -2, 1
            )  # (B, ..., D) -> (B, H, ..., Dh)

        def read(block, y):
            return block.attention.query_key_value(block.attention_norm(y))

        query, key, value = map(
            heads, self.by_domain(read, x, domains).chunk(3, -1)
        )  # (B, H, T, Dh) each
        earlier = causal_mask(length, x.device)

        asked, told = (
            heads(self.token_query(self.token_norm(z))).flatten(2, 3),
            0,
        )  # (B, H, T K, Dh)
        for domain in (0, 1):
            may_look = (earlier & (domains == domain)[:, None]).repeat_interleave(count, 1)[
                :, None
            ]  # (B, 1, T K, T)
            seen = may_look.any(-1, keepdim=True)  # no event yet: nothing is told
            told = (
                told
                + F.scaled_dot_product_attention(asked, key, value, may_look | ~seen) * seen / 2
            )
        z = z + self.dropout(self.token_output(told.transpose(1, 2).reshape(z.shape)))

        _, token_key, token_value = map(
            heads, self.by_domain(read, z, domains).chunk(3, -1)
        )  # (B, H, T, K, Dh) each
        may_look = earlier & (domains[:, :, None] == domains[:, None])
        to_events = (query @ key.transpose(-2, -1)).masked_fill(
            ~may_look[:, None], torch.finfo(query.dtype).min
        )
        scores = torch.cat([to_events, (token_key @ query[..., None])[..., 0]], -1)
        weights = (scores / query.size(-1) ** 0.5).softmax(-1)  # (B, H, T, T + K)
        mixed = (
            weights[..., :length] @ value + (weights[..., None, length:] @ token_value)[..., 0, :]
        )
        x = x + self.dropout(
            self.by_domain(
                lambda block, y: block.attention.output(y),
                mixed.transpose(1, 2).flatten(2),
                domains,
            )
        )
        x = x + self.dropout(
            self.by_domain(lambda block, y: block.network(block.network_norm(y)), x, domains)
        )
        return x, z, weights[..., length:].sum(-1)

    def by_domain(self, function, x: Tensor, domains: Tensor) -> Tensor:
        """function(block, rows) of the rows x[b, t], with the block of the event's domain; 0 at padding."""
        parts = [function(block, x[domains == domain]) for domain, block in enumerate(self.blocks)]
        out = parts[0].new_zeros(*domains.shape, *parts[0].shape[1:])
        for domain, part in enumerate(parts):
            out[domains == domain] = part
        return out


class BottleneckEncoder(nn.Module):
    """After AutoCDSR+: each domain has its own encoder, and K shared tokens are all that one learns of the other's items.

        z_t += mean over the domains of what the tokens of moment t read in that domain's events at s <= t
        h_t += what the event reads, with its own domain's weights, in that domain's events at s <= t and in the K tokens z_t;  h_t += network(h_t)
        state for a target of domain d at t = norm(h of d's latest event at or before t + mean of z_t)

    Stated: own encoders, tokens shared and averaged after layers, a price on attention to them.  Ours: tokens for every moment, because
    tokens that read a whole sequence would tell each position its target (the release predicts masked items); they read before the
    events do, with one query for both domains and no network of their own (several times faster); the compared state, which also exists
    before d's first event (the release: a shared encoder on top) and whose mean of z_t has no price; positions in merged time, so
    *when* the other domain was visited is known.
    """

    def __init__(
        self, hidden: int, heads: int, layers: int, max_length: int, dropout: float, tokens: int
    ):
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(max_length, hidden))
        self.tokens = nn.Parameter(0.02 * torch.randn(tokens, hidden))
        self.layers = nn.ModuleList(BottleneckLayer(hidden, heads, dropout) for _ in range(layers))
        self.norm, self.dropout = nn.LayerNorm(hidden), Dropout(dropout)

    def forward(
        self, x: Tensor, domains: Tensor, target_domains: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """x (B, T, D); domains of events (-1: padding) and targets (B, T) -> states (B, T, D), per layer (B, H, T) what goes to tokens."""
        position = self.position[: x.size(1)]
        x, z, shares = (
            self.dropout(x + position),
            (self.tokens + position[:, None]).expand(len(x), -1, -1, -1),
            [],
        )
        for layer in self.layers:
            x, z, share = layer(x, z, domains)
            shares.append(share)
        index = torch.arange(x.size(1), device=x.device)
        latest = torch.stack(
            [torch.where(domains == domain, index, -1).cummax(1).values for domain in (0, 1)]
        )  # (2, B, T)
        latest = torch.where(target_domains == 1, latest[1], latest[0])[..., None]
        own = x.gather(1, latest.clamp(min=0).expand_as(x)) * (latest >= 0)
        return self.norm(own + z.mean(2)), shares


class AutoCDSR(SequenceRecommender):
    """AutoCDSR as a `SequenceRecommender` system; with `plus`, after AutoCDSR+."""

    def __init__(self, domain_of_item: Tensor, config: AutoCDSRConfig = AutoCDSRConfig()):
        super().__init__(domain_of_item, config.loss)
        if config.weighting not in ("pareto", "fixed"):
            raise ValueError(f"weighting is {config.weighting!r}: choose pareto or fixed.")
        if config.penalty < 0:
            raise ValueError(
                f"penalty is {config.penalty}: below 0 it would reward what it is to punish."
            )
        if config.tokens < 1:
            raise ValueError(
                f"tokens is {config.tokens}: the domains need at least one to talk through."
            )
        self.config = config
        self.id = nn.Parameter(0.02 * torch.randn(len(domain_of_item), config.hidden))
        sizes = (config.hidden, config.heads, config.layers, config.max_length, config.dropout)
        self.encoder = (
            BottleneckEncoder(*sizes, config.tokens) if config.plus else SequenceEncoder(*sizes)
        )
        self.dropout = Dropout(config.dropout)

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        return self.id, F.normalize(self.id, dim=-1)

    def read(self, batch: Batch, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, T, D) and the share of attention that real events give to the other domain (plus: to the tokens), a scalar in 0..1.

        Ours: a mean over real events, heads and layers (the paper sums, so a long sequence would pay more); attention without dropout.
        """
        x, domains = (
            self.dropout(F.embedding(batch.sequence, inputs)),
            self.domain_of_item[batch.sequence],
        )
        if self.config.plus:
            states, shares = self.encoder(x, domains, position_domains(batch))
        else:
            states, weights = self.encoder(x, need_weights=True)
            other = (domains[:, :, None] != domains[:, None])[:, None]  # (B, 1, Tq, Tk)
            shares = [(layer * other).sum(-1) for layer in weights]  # (B, H, T) each
        real = batch.sequence > 0
        across = torch.stack(shares).float().mean((0, 2))  # (B, T)
        return F.normalize(states, dim=-1) / self.config.temperature, (
            across * real
        ).sum() / real.sum().clamp(min=1)

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        return self.read(batch, inputs)[0]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        inputs, outputs = self.item_embeddings()
        states, across = self.read(batch, inputs)
        return {
            "next item": self.next_item(states, outputs, batch),
            "cross-domain attention": across,
        }

    def total_loss(self, terms: dict[str, Tensor]) -> Tensor:
        """l_rec + ratio * l_attn: the ratio of the Pareto weights, found anew each step, or the fixed one.

        Stated (release): gradients on all parameters but the item table; the ratio, found for gradients of unit length, multiplies the
        loss as it is.  Ours: a negative ratio counts as 0; without any gradient (users of one domain only) the recommendation stands alone.
        """
        recommendation, attention = terms["next item"], terms["cross-domain attention"]
        if self.config.weighting == "fixed":
            return recommendation + self.config.penalty * attention
        shared = [parameter for parameter in self.parameters() if parameter is not self.id]
        gradients = torch.stack(
            [
                torch.cat(
                    [
                        gradient.flatten()
                        for gradient in torch.autograd.grad(
                            term,
                            shared,
                            retain_graph=True,
                            allow_unused=True,
                            materialize_grads=True,
                        )
                    ]
                )
                for term in (recommendation, attention)
            ]
        )
        gram = (gradients @ gradients.T).double()
        if not (gram.diagonal() > 0).all():
            return recommendation
        w_rec, w_attn = pareto_weights(gram, torch.stack([recommendation, attention]).detach())
        return recommendation + max(0.0, w_attn / w_rec) * attention
