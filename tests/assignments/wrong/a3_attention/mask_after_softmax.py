"""Hidden weights are set to 0 after the softmax, so that rows no longer sum to 1."""

MARKS = {
    "attend_tests": 4,
    "visible_events_tests": 4,
    "masked_attention_tests": 0,
    "empty_rows_tests": 0,
    "positions_from_newest_tests": 3,
    "own_domain_tests": 4,
}


def masked_attention(query, key, value, mask):
    scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5
    weights = scores.softmax(-1) * mask
    return weights @ value, weights
