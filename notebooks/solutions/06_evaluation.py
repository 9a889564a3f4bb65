"""Answers to notebook 06.

Yours may be another one; the check decides. Each function here stands alone, so that it can be
copied into the notebook in place of the empty one.
"""

import numpy as np
import torch


def precision_at(ranks, k):
    """With one target a case, at most one of the first k is right: HR@k / k."""
    return (ranks <= k).mean() / k


def cases_needed(differences, gap):
    """1.96 sigma / sqrt(n) = gap, solved for n. Of a pair, sigma is that of the differences."""
    return (1.96 * np.std(differences) / gap) ** 2


def rank_of(scores, target, history):
    """NaN is neither above nor tied, so counting alone would put it last without a word."""
    competes = np.ones(len(scores), dtype=bool)
    competes[history] = False
    competes[target] = True
    candidates = scores[competes]
    if not np.isfinite(candidates).all():
        raise FloatingPointError("a score is not a finite number")
    above = (candidates > scores[target]).sum()
    tied = (candidates == scores[target]).sum() - 1
    return 1 + above + tied / 2


def paired_interval(one, other, resamples=2000):
    """Subtract first: then a case that is drawn brings its value under both systems."""
    differences = one - other
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(differences), size=(resamples, len(differences)))
    return np.quantile(differences[drawn].mean(1), [0.025, 0.975])


def leaks(scores_of, sequences):
    """Give one user at a time another last event. No score of anybody may move."""
    before = scores_of(sequences)
    for user in range(len(sequences)):
        changed = sequences.clone()
        changed[user, -1] = changed[user, -1] % (before.size(1) - 1) + 1  # the next item id
        if not torch.equal(scores_of(changed), before):
            return True
    return False


# 5. The open part: a cheat that this check does not find.
#
# It replaces the last event by one other item. A leak that only shows for certain items, or when
# two users change together, passes; trying more items makes it rarer, never impossible. A system
# whose training is random gives other scores each time and would be accused: fix its seed, and ask
# twice with the same sequences first. And what was chosen on the test cases, such as an epoch, a
# width or a vocabulary of tags, leaks without any score of this run depending on them: `scores_of`
# has to include that choice, or the check cannot see it. Replacing events of other users' futures,
# which leave-one-out allows in training, is another question; notebook 01 measures it.
