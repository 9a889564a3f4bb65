"""Answers to notebook 04.

Yours may be another one; the check decides. Each function here stands alone, so that it can be
copied into the notebook in place of the empty one.
"""

import torch
import torch.nn.functional as F


def positions_from_the_end(lengths, width):
    """The newest event stands at length - 1; behind it, clamping keeps padding at 0."""
    return (lengths[:, None] - 1 - torch.arange(width)).clamp(min=0)


def causal_weights(scores, sequence):
    """A large finite number instead of -inf: a row without any key gets weights, and then 0.

    Adding a mask of -inf and replacing the NaN after the softmax gives the same weights, and a
    gradient of NaN: 0 times NaN is NaN.
    """
    real = sequence > 0
    causal = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    allowed = causal & real[:, None] & real[:, :, None]
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~allowed, lowest).softmax(-1) * allowed


def mixed_branches(states, scores, present):
    """`F.normalize` divides by at least a tiny number, so zeros stay zeros."""
    lowest = torch.finfo(scores.dtype).min
    weights = scores.masked_fill(~present, lowest).softmax(-1) * present
    return (weights[..., None] * F.normalize(states, dim=-1)).sum(-2)


def loss_of_possible(states, vectors, targets, possible):
    """-inf leaves an item out of the sum; here no row is without any candidate."""
    logits = (states @ vectors.T).masked_fill(~possible, -torch.inf)
    return F.cross_entropy(logits, targets)


# 5. An experiment of your own.
#
# A good answer says beforehand what it expects, changes one thing, trains with three seeds, and
# reports the spread over seeds beside the difference. It also says what would refute it.
#
# Branches: `replace(fresh.config, branches=("merged",))` and `("A", "B")`. Compare on validation
# targets, each domain on its own. `tema-merged` in notebook 06 is the first of the two, with
# records: if the merged sequence alone is level with all three, weights near one third were no
# evidence that each branch is needed. The number of parameters hardly changes, since the branches
# share their encoder: say so, for it is the first objection.
#
# Prefixes: a user with n events becomes n - 1 cases, so positions to encode grow with the square
# of the length, and an epoch takes about half a mean length times as long. What can be gained is
# that no state knows how many events follow. On long histories the cost decides; for LLM4CDSR a
# prefix also changes what "a user" means in its contrastive loss, so the two effects mix.
#
# A leak: training loss falls far below what any earlier run reached, and validation MRR falls or
# stays near random, because at the last event there is nothing to copy. The distance between the
# two curves is what gives it away, and the property test of section 6 finds it without training.
