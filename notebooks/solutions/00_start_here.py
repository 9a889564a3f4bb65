"""Answers to the exercises of notebook 00.

Each function stands alone, so that it can be copied into the notebook in place of the empty one.

Exercise 5, the open question. The mean hides who is served: report HR@10 by the length of the
history (and by domain, and by how often the target occurs in training), each with its number of
users and an interval. A good answer also asks for the spread over seeds, since a slice of few users
moves by chance. As for Mina: the metric says whether the list holds what she took next, not whether
she would have liked it. Ten items for the cocktail party may be a good list that is counted as a
miss; to know, one would have to show it to her, in an experiment with users (an A/B test). Offline,
one can at least count a second thing, such as how many items of the list share a topic with her
recent events; on the synthetic data the topics are known.
"""

import torch


def random_hit_rate(n, k):
    """k of n equally likely places are hits; there are no more than n."""
    return min(k / n, 1.0)


def ranks_of(scores, target):
    """Compare each row with its own target's score; the target is tied with itself, hence - 1."""
    own = scores.gather(1, target[:, None])
    higher = (scores > own).sum(1)
    tied = (scores == own).sum(1) - 1
    return 1 + higher + tied / 2


def constant_model(n):
    """All others are tied: the rank is 1 + (n - 1) / 2. Without ties counted, it is 1."""
    return 2 / (n + 1), 1.0


def top_k(scores, history, domain_of_item, domain, k):
    """What may not appear gets minus infinity; what is still finite is sorted."""
    allowed = domain_of_item == domain
    allowed[torch.tensor(history, dtype=torch.long)] = False
    scores = scores.masked_fill(~allowed, -torch.inf)  # a new tensor
    return scores.topk(min(k, int(allowed.sum()))).indices.tolist()
