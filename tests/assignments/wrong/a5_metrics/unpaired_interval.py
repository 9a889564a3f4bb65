"""Both systems are resampled apart, so that what all cases have in common counts as chance."""

import numpy as np

MARKS = {
    "ranks_of_tests": 5,
    "mean_metrics_tests": 4,
    "sampled_rank_tests": 3,
    "sampled_hit_rate_tests": 4,
    "paired_interval_tests": 0,
}


def paired_interval(one, other, resamples, seed):
    rng = np.random.default_rng(seed)
    means = [
        rng.choice(one, len(one)).mean() - rng.choice(other, len(other)).mean()
        for _ in range(resamples)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float((one - other).mean()), float(low), float(high)
