"""Positions are counted from the oldest event, and padding may be attended to."""

import torch

MARKS = {
    "attend_tests": 4,
    "visible_events_tests": 0,
    "masked_attention_tests": 3,
    "empty_rows_tests": 2,
    "positions_from_newest_tests": 0,
    "own_domain_tests": 4,
}


def visible_events(length, size):
    return torch.ones(len(length), size, size, dtype=torch.bool).tril()


def positions_from_newest(sequence):
    return torch.arange(sequence.size(1)) * (sequence > 0)
