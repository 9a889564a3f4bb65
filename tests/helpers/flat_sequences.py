"""A few sequences of item ids, with the domains of the items."""

import torch

from tema_lib.data.sequences import Sequences

DOMAIN = torch.tensor([-1, 0, 0, 0, 1, 1, 1])


def flat(*sequences):
    lengths = torch.tensor([0, *map(len, sequences)])
    return Sequences(
        tuple(f"u{number}" for number in range(len(sequences))),
        torch.tensor([item for one in sequences for item in one]),
        lengths.cumsum(0),
    )
