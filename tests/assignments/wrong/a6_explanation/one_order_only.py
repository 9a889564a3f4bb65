"""Events are added in the order of time only, and the newest one gets no credit for it.

Chance is counted without the observed order.
"""

import numpy as np

MARKS = {
    "predict_tests": 4,
    "occlusion_tests": 4,
    "agreement_tests": 4,
    "chance_level_tests": 0,
    "shapley_values_tests": 0,
}


def log_p_of(history, target, keys, values):
    if not history:
        return -np.log(len(values))
    weights = np.exp(keys[history] @ keys[history[-1]] / keys.shape[1] ** 0.5)
    scores = values @ (values[history].T @ (weights / weights.sum()))
    return scores[target] - np.log(np.exp(scores).sum())


def shapley_values(history, target, keys, values):
    sizes = range(len(history) + 1)
    return np.diff([log_p_of(history[:size], target, keys, values) for size in sizes])


def chance_level(attention, effect, draws, seed):
    rng = np.random.default_rng(seed)
    ranks, other = np.argsort(np.argsort(attention)), np.argsort(np.argsort(effect))
    drawn = [rng.permutation(ranks) @ other >= ranks @ other for _ in range(draws)]
    return float(np.mean(drawn))
