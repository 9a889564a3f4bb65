"""NDCG with the natural logarithm, and negatives drawn with replacement."""

import numpy as np

MARKS = {
    "ranks_of_tests": 5,
    "mean_metrics_tests": 0,
    "sampled_rank_tests": 0,
    "sampled_hit_rate_tests": 0,
    "paired_interval_tests": 4,
}


def mean_metrics(ranks, k):
    hit = ranks <= k
    ndcg = (hit / np.log(1 + ranks)).mean()
    return {"HR": hit.mean(), "NDCG": ndcg, "MRR": (1 / ranks).mean()}


def sampled_rank(scores, target, count, seed):
    others = np.delete(scores, target)
    drawn = np.random.default_rng(seed).choice(others, count)
    return 1 + (drawn > scores[target]).sum() + (drawn == scores[target]).sum() / 2


def sampled_hit_rate(rank, candidates, negatives, k):
    above = (rank - 1) / (candidates - 1)
    drawn = np.random.default_rng(0).binomial(negatives, above, size=100_000)
    return float((drawn < k).mean())
