"""AutoCDSR (2505.21811): one transformer over both domains, and a penalty on attention across them.

    l_attn = mean over events t, heads, layers of  sum_s attention_ts [domain of s != domain of t]
    L      = l_rec + (w_attn / w_rec) l_attn

l_attn is a share between 0 and 1; a Pareto solver that puts the recommendation first finds the
weights w.  No module is added: the model learns when the other domain is worth the penalty.
AutoCDSR+ lets the domains exchange information through a few shared tokens only (`bottleneck`) and
penalises the attention to these.

Source: an independent implementation from public notes on the paper and from the behaviour of the
released code.  Only "+" was released, for masked items with sampled negatives, so no number of the
paper is reproduced here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.models.base import SequenceRecommender
from tema_lib.models.bottleneck import BottleneckEncoder
from tema_lib.models.heads import EncoderConfig, SimilarityHead
from tema_lib.models.layers import DomainHeads, Dropout, SequenceEncoder

# Stated (release): rays of (l_rec, l_attn); the second is followed, recommendation first.
PREFERENCES = ((1.0, 0.0), (0.0, 1.0), (0.5**0.5, 0.5**0.5))
FOLLOWED = PREFERENCES[1]  # along it only the attention is left


@dataclass(frozen=True)
class AutoCDSRConfig(EncoderConfig):
    """Sizes as in `SASRecConfig`, so that the two differ in the penalty alone.

    In the release: hidden 32, heads 2 (inside a domain), layers 3, max_length 800.
    """

    plus: bool = False  # False: AutoCDSR; True: after AutoCDSR+, see `BottleneckEncoder`
    weighting: str = "pareto"  # stated: the solver; "fixed": L = l_rec + penalty * l_attn
    penalty: float = 1.0  # ours, for weighting "fixed"; 0: none, the share is only reported
    tokens: int = 4  # release; read by "+" only
    domain_heads: bool = True  # ours: an output map for each target domain; not read by "+"
    temperature: float = 0.1  # released
    loss: str = "domain softmax"  # ours; release: masked items against others of the batch


def pareto_weights(gram: Tensor, losses: Tensor) -> tuple[float, float]:
    """The weights (w_rec, w_attn) of the next step; |w_rec| + |w_attn| = 1, w_attn may be negative.

    Each gradient is scaled to unit length.  A ray P_j is violated where (P_j - p) . losses > 0,
    with p the ray that is followed.  The result is the shortest vector of the convex hull of g_rec,
    g_attn and, for each violated ray, (P_j - p)_rec g_rec + (P_j - p)_attn g_attn; its two
    coefficients are the weights.  If no ray is violated, both weights are 1/2, whatever the angle.
    w_attn never exceeds w_rec.

    Args:
        gram: [2, 2], inner products of the gradients of (l_rec, l_attn), neither of them 0.
        losses: [2], (l_rec, l_attn).

    Source: stated (release), with an iterative solver (Frank-Wolfe).  Ours: exact.  All points lie
    in a plane, on one side of the origin (2 w_rec + w_attn >= 1), so the shortest vector is on
    the line between two of them.
    """
    (rr, ra), (_, aa) = gram.tolist()
    cosine = ra / (rr * aa) ** 0.5
    l_rec, l_attn = losses.tolist()
    towards = [(ray[0] - FOLLOWED[0], ray[1] - FOLLOWED[1]) for ray in PREFERENCES]
    points = [(1.0, 0.0), (0.0, 1.0)] + [(r, a) for r, a in towards if r * l_rec + a * l_attn > 0]

    def product(x: tuple[float, float], y: tuple[float, float]) -> float:
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


class AutoCDSR(SequenceRecommender):
    """AutoCDSR as a `SequenceRecommender`; with `config.plus`, after AutoCDSR+.

    Args:
        domain_of_item: int64 [N+1].
        config: sizes and options.

    Raises:
        ValueError: for an unknown weighting, a negative penalty, or fewer than one token.
    """

    def __init__(self, domain_of_item: Tensor, config: AutoCDSRConfig = AutoCDSRConfig()):
        super().__init__(domain_of_item, config.loss, config.negatives)
        if config.weighting not in ("pareto", "fixed"):
            raise ValueError(f"weighting is {config.weighting!r}: choose pareto or fixed.")
        if config.penalty < 0:
            raise ValueError(
                f"penalty is {config.penalty}: give 0 or more; below 0 it is a reward."
            )
        if config.tokens < 1:
            raise ValueError(
                f"tokens is {config.tokens}: give at least 1, which the domains share."
            )
        self.config = config
        self.head = SimilarityHead("cosine", config.temperature)
        self.id = nn.Parameter(0.02 * torch.randn(len(domain_of_item), config.hidden))
        if config.plus:
            self.encoder: nn.Module = BottleneckEncoder(
                config.hidden,
                config.heads,
                config.layers,
                config.max_length,
                config.dropout,
                config.tokens,
                config.positions,
            )
        else:
            self.encoder = SequenceEncoder.of(config)
        if config.domain_heads and not config.plus:
            self.domain_heads = DomainHeads(config.hidden)
        self.dropout = Dropout(config.dropout)

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        return self.id, self.head.normalized(self.id)

    def read(self, batch: Batch, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """States, and the share of attention that crosses the domains.

        Returns:
            States (B, T, D); and a scalar in 0..1, the mean over events, heads and layers of the
            attention to the other domain (plus: to the tokens).

        Source: the mean over events is ours (the paper sums, so a long sequence would pay more), as
        is attention without dropout.
        """
        x = self.dropout(F.embedding(batch.sequence, inputs))
        domains = self.domain_of_item[batch.sequence]
        if self.config.plus:
            states, shares = self.encoder(x, domains, batch.position_domains, batch.length)
        else:
            states, weights = self.encoder(x, batch.length, need_weights=True)
            other = (domains[:, :, None] != domains[:, None])[:, None]  # (B, 1, Tq, Tk)
            shares = [(layer * other).sum(-1) for layer in weights]  # (B, H, T) each
            if self.config.domain_heads:
                states = self.domain_heads(states, batch.position_domains)
        real = batch.sequence > 0
        across = torch.stack(shares).float().mean((0, 2))  # (B, T)
        return self.head.states(states), (across * real).sum() / real.sum().clamp(min=1)

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
        """l_rec + ratio * l_attn; the ratio is that of this step's Pareto weights, or fixed.

        Source.  Stated (release): gradients of all parameters but the item table; the ratio, found
        for gradients of unit length, multiplies the unscaled loss.  Ours: a negative ratio counts
        as 0; without a gradient (users of one domain only) only l_rec is left.
        """
        recommendation, attention = terms["next item"], terms["cross-domain attention"]
        if self.config.weighting == "fixed":
            return recommendation + self.config.penalty * attention
        gradients = torch.stack([self.gradient(recommendation), self.gradient(attention)])
        gram = (gradients @ gradients.T).double()
        if not (gram.diagonal() > 0).all():
            return recommendation
        w_rec, w_attn = pareto_weights(gram, torch.stack([recommendation, attention]).detach())
        return recommendation + max(0.0, w_attn / w_rec) * attention

    def gradient(self, term: Tensor) -> Tensor:
        """The gradient of a loss term in all parameters but the item table, as one vector."""
        shared = [parameter for parameter in self.parameters() if parameter is not self.id]
        gradients = torch.autograd.grad(
            term, shared, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([gradient.flatten() for gradient in gradients])
