"""Metrics of one test case, from the rank of its target."""

from __future__ import annotations

import re

import numpy as np

METRICS = ("MRR", "NDCG@5", "NDCG@10", "HR@1", "HR@5", "HR@10")


def metric_of_ranks(ranks: np.ndarray, name: str) -> np.ndarray:
    """One value per case.

    Args:
        ranks: float [cases], 1 for the best; halves where tied.
        name: MRR (not cut off), HR@k or NDCG@k (one target a case, so the ideal DCG is 1).

    Returns:
        float [cases], between 0 and 1.

    Raises:
        ValueError: for another name.
    """
    if name == "MRR":
        return 1.0 / ranks
    cut = re.fullmatch(r"(HR|NDCG)@([1-9]\d*)", name)
    if not cut:
        raise ValueError(f"metric {name!r} is unknown: write MRR, HR@k or NDCG@k.")
    hit = ranks <= int(cut[2])
    return hit.astype(float) if cut[1] == "HR" else np.where(hit, 1.0 / np.log2(1.0 + ranks), 0.0)


def expected_at_random(candidates: np.ndarray, name: str) -> np.ndarray:
    """What a random ranking of the candidates reaches on average, one value per case.

    Args:
        candidates: int [cases], how many items each case ranks.
        name: as in `metric_of_ranks`.
    """
    counts, case = np.unique(candidates, return_inverse=True)
    means = [metric_of_ranks(np.arange(1.0, count + 1), name).mean() for count in counts]
    return np.array(means)[case] if len(counts) else np.zeros(0)
