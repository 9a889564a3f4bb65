"""A softmax over nothing: rows in which nothing is visible become NaN."""

import torch

MARKS = {
    "attend_tests": 4,
    "visible_events_tests": 4,
    "masked_attention_tests": 3,
    "empty_rows_tests": 0,
    "positions_from_newest_tests": 3,
    "own_domain_tests": 4,
}


def masked_attention(query, key, value, mask):
    scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    return weights @ value, weights
