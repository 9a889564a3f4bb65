"""Only higher scores count, so a model that gives all items one score is perfect."""

import numpy as np

MARKS = {
    "ranks_of_tests": 0,
    "mean_metrics_tests": 4,
    "sampled_rank_tests": 3,
    "sampled_hit_rate_tests": 4,
    "paired_interval_tests": 4,
}


def ranks_of(scores, targets, history):
    own = scores[np.arange(len(scores)), targets][:, None]
    return 1.0 + ((scores > own) & ~history).sum(1)
