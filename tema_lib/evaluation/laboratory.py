"""One set of scores under many rules: which candidates, which tie rule, which discount.

Published numbers differ in these rules as much as in their models (notebook 06).  `evaluate` ranks
large catalogues in parts; here all scores of a few cases are kept, so that a rule is one line.

Status: ours.  That sampled metrics may order systems differently than exact ones is shown by
Krichene and Rendle 2020 ("On Sampled Metrics for Item Recommendation").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tema_lib.data.batches import ranking_batches
from tema_lib.data.sequences import Sequences
from tema_lib.models.base import Recommender, evaluation_mode

TIES = ("target first", "middle", "target last")
DISCOUNTS = {
    "1 / log2(1 + rank)": lambda rank: 1 / np.log2(1 + rank),
    # Jaervelin and Kekaelaeinen 2002: nothing is discounted before rank 2.
    "1 / max(1, log2 rank)": lambda rank: 1 / np.maximum(1, np.log2(rank)),
}


@dataclass(frozen=True)
class Scores:
    """What a model gives to every item of a domain, in the test cases whose target is there.

    Args:
        values: float [C, M].
        target: int [C], the column of the target.
        allowed: bool [C, M], the candidates: items outside of the history, without the target.
    """

    values: np.ndarray
    target: np.ndarray
    allowed: np.ndarray

    def __len__(self) -> int:
        return len(self.target)


@torch.inference_mode()
def all_scores(
    model: Recommender,
    sequences: Sequences,
    domain_of_item: Tensor,
    domain: int,
    most: int = 1000,
    seed: int = 0,
) -> Scores:
    """The scores of all items of a domain after each history whose target is in it.

    Args:
        model: on the processor.
        sequences: test part of a split; the last event is the target.
        domain_of_item: int64 [N+1].
        domain: 0 for A, 1 for B.
        most: so many cases at most, drawn at random with `seed`.
    """
    items = torch.nonzero(domain_of_item == domain).flatten()
    column = torch.full_like(domain_of_item, -1)
    column[items] = torch.arange(len(items))
    cases = torch.nonzero(domain_of_item[sequences.last] == domain).flatten()
    if not len(cases):
        none = np.zeros((0, len(items)))
        return Scores(none, np.zeros(0, np.int64), none.astype(bool))
    chosen = torch.randperm(len(cases), generator=torch.Generator().manual_seed(seed))[:most]
    cases = cases[chosen.sort().values]
    batches = ranking_batches(
        sequences, domain_of_item, max_length=model.max_length, batch_size=160, cases=cases
    )
    with evaluation_mode(model):
        parts = [(batch.rows, model.score(batch, items)) for batch in batches]
    order = torch.cat([rows for rows, _ in parts])
    values = torch.cat([scores for _, scores in parts])[order.argsort()]
    target = column[sequences.last[cases]]
    allowed = torch.ones(len(cases), len(items), dtype=torch.bool)
    row, seen = sequences.before_last(cases)
    inside = column[seen] >= 0
    allowed[row[inside], column[seen[inside]]] = False
    allowed[torch.arange(len(cases)), target] = False
    return Scores(values.float().numpy(), target.numpy(), allowed.numpy())


def sampled_candidates(
    scores: Scores, count: int, weight: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Sampled candidates of each case, without replacement: bool [C, M].

    Args:
        count: how many; a case with fewer candidates keeps them all.
        weight: float [M], to draw in proportion to; None: uniformly.  What has weight 0 is not
            drawn.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    uniform = np.ones(scores.values.shape[1]) if weight is None else weight
    with np.errstate(divide="ignore"):  # the largest log w + Gumbel noise are such a draw
        keys = np.log(uniform) + rng.gumbel(size=scores.values.shape)
    keys = np.where(scores.allowed, keys, -np.inf)
    last = np.sort(keys, axis=1)[:, -min(count, keys.shape[1])]
    return (keys >= last[:, None]) & np.isfinite(keys)


def ranks_among(
    scores: Scores, candidates: np.ndarray | None = None, ties: str = "middle"
) -> np.ndarray:
    """The rank of each target, float [C], 1 for the best.

    Args:
        candidates: bool [C, M]; None: all that are allowed.
        ties: "target first", "middle" or "target last".

    Raises:
        ValueError: for another tie rule.
    """
    if ties not in TIES:
        raise ValueError(f"ties is {ties!r}: choose from {', '.join(TIES)}.")
    among = scores.allowed if candidates is None else candidates
    own = scores.values[np.arange(len(scores)), scores.target][:, None]
    higher = ((scores.values > own) & among).sum(1)
    tied = ((scores.values == own) & among).sum(1)
    return 1 + higher + tied * TIES.index(ties) / 2


def ndcg(ranks: np.ndarray, cut: int = 10, discount: str = "1 / log2(1 + rank)") -> np.ndarray:
    """NDCG at a cut of cases with one target each, float [C]; `discount`: one of `DISCOUNTS`."""
    return np.where(ranks <= cut, DISCOUNTS[discount](ranks), 0.0)
