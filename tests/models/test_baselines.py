"""Popularity and co-occurrence against a loop."""

import numpy as np
import pytest
import torch

from tema_lib.models.baselines import CoOccurrence, Popularity
from tests.helpers.models import (
    ALL_ITEMS,
    DOMAIN,
    USERS,
    ranking,
    small_split,
)


@pytest.mark.parametrize("history", [False, True])
def test_co_occurrence_is_a_loop_over_pairs(history):
    split, decay, reach = small_split(), 0.3, 3
    model = CoOccurrence(DOMAIN, history, decay, reach)
    model.fit_statistics(split.train)
    pairs, count = np.zeros((23, 23)), np.zeros(23)
    for user in range(len(split.train)):
        events = split.train[user].tolist()
        for position, item in enumerate(events):
            count[item] += 1
            for distance in range(1, (reach if history else 1) + 1):
                if position + distance < len(events):
                    pairs[item, events[position + distance]] += decay ** (distance - 1)
    expected = np.zeros((len(USERS), 23))
    for row, user in enumerate(USERS):
        for age, item in enumerate(reversed(user)):
            if history or age == 0:
                expected[row] += (decay**age if history else 1) * pairs[item]
    expected = torch.from_numpy(expected + 1e-4 * count / count.max()).float()
    torch.testing.assert_close(model.score(ranking(*USERS), ALL_ITEMS), expected[:, 1:])
    shuffled = ALL_ITEMS.flip(0).expand(4, -1)
    torch.testing.assert_close(model.score(ranking(*USERS), shuffled), expected[:, 1:].flip(1))
    popularity = Popularity(DOMAIN)
    popularity.fit_statistics(split.train)
    torch.testing.assert_close(
        popularity.score(ranking(*USERS), ALL_ITEMS)[0], torch.from_numpy(count[1:]).float()
    )
