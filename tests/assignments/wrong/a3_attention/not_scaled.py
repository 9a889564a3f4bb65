"""The scores are not divided by the root of the width."""

MARKS = {
    "attend_tests": 0,
    "visible_events_tests": 4,
    "masked_attention_tests": 3,
    "empty_rows_tests": 2,
    "positions_from_newest_tests": 3,
    "own_domain_tests": 4,
}


def attend(query, key, value):
    return (query @ key.transpose(-2, -1)).softmax(-1) @ value
