"""Answers to notebook 05.

Yours may be another one; the check decides. Each function here stands alone, so that it can be
copied into the notebook in place of the empty one.
"""

import numpy as np


def share_across(record):
    """Weights are added, not events counted: one event may have most of the attention."""
    pairs = zip(record.history, record.event_weights.tolist())
    return sum(weight for event, weight in pairs if event.domain != record.domain)


def occlusion_effects(log_p, history):
    """By position, not by item: an item may occur twice."""
    whole = log_p(history)
    return [whole - log_p(history[:j] + history[j + 1 :]) for j in range(len(history))]


# Remove two events at once: the loss is larger than the sum of both effects where one of them was
# enough for the model, as with two events of one topic; each single effect is then near 0, and
# occlusion reports that neither matters. It is smaller where the two count only together: each
# single removal destroys the pair, so its credit is counted twice.


def rank_correlation(one, other):
    """Pearson's correlation of the ranks, where tied values share the mean of their ranks."""

    def ranks(values):
        values = np.asarray(values)[:, None]
        return (values > values.T).sum(1) + (values == values.T).sum(1) / 2

    one, other = ranks(one), ranks(other)
    if not one.std() or not other.std():
        return float("nan")
    return np.corrcoef(one, other)[0, 1]


def exact_shapley(log_p, history):
    """What each event adds when it arrives, averaged over all orders of arrival."""
    from itertools import permutations

    values, orders = np.zeros(len(history)), list(permutations(range(len(history))))
    for order in orders:
        for arrived, j in enumerate(order):
            before, after = sorted(order[:arrived]), sorted(order[: arrived + 1])
            gain = log_p([history[k] for k in after]) - log_p([history[k] for k in before])
            values[j] += gain / len(orders)
    return values


def value_weighted(weights, values):
    """The length of what each event really sends on, as a share of all that a query receives."""
    sent = weights * values.norm(dim=-1)[:, None]
    return sent / sent.sum(-1, keepdim=True).clamp(min=1e-9)


# 5. A sharper picture, the open part.
#
# A good answer computes the mean rank correlation with the Shapley values per user, with its
# interval, for four measures side by side: plain attention, the weighted one, the weighted one of
# the network with random weights, and recency. A gain over plain attention that random weights
# show as well comes from the lengths alone, not from what was learned. Develop on some users, and
# report others. Expect little: the residual path and the SASRec of the ids are still left out,
# and neither measure knows the target. If it does not rise, that is the result.
#
# Your user: say which interactions, tags and modalities count for the first recommendation in all
# three networks, and which only in one. An answer without the range over seeds is not an answer.
# Short histories differ from Mina's: with two or three events single removals hide less, so
# occlusion and Shapley values agree more often.
