"""SASRec: one model per domain, and how many events are read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tema_lib.data.sequences import Sequences
from tema_lib.evaluation.protocols import Protocol
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.baselines import Popularity
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.training import train
from tests.helpers.models import (
    ALL_ITEMS,
    DOMAIN,
    LITTLE,
    MODELS,
    awake,
    ranking,
    small_split,
)


def test_sasrec_per_domain_ranks_a_domain_by_that_domain_alone():
    model = awake(MODELS["sasrec-per-domain"]())
    for domain, own in ((0, [1, 2]), (1, [13, 14, 15])):
        mixed, alone = ranking([1, 13, 2, 14, 15], domain=domain), ranking(own, domain=domain)
        torch.testing.assert_close(
            model.score(mixed, ALL_ITEMS), model.score(alone, ALL_ITEMS), rtol=0, atol=1e-5
        )


def flat_of(rows):
    return torch.tensor([item for row in rows for item in row]), torch.tensor(
        [0, *np.cumsum([len(row) for row in rows]).tolist()]
    )


@pytest.mark.parametrize("length", [3, 7])
def test_the_model_alone_decides_how_many_events_are_read(length):
    """Histories longer than the model's positions are trained and ranked on their newest events."""
    model = SASRec(DOMAIN, SASRecConfig(hidden=16, max_length=length))
    split = small_split()
    assert int(split.test.lengths.max()) > length + 2
    train(model, split, DOMAIN, replace(LITTLE, epochs=1))
    short = Sequences(
        split.test.user_id,
        *flat_of(
            [
                row[-length - 1 :]
                for row in (split.test[user].tolist() for user in range(len(split.test)))
            ]
        ),
    )
    read = Protocol(history="candidates", without="target")  # the same candidates for both
    assert (
        evaluate(model, split.test, DOMAIN, protocol=read).rank.tolist()
        == evaluate(model, short, DOMAIN, protocol=read).rank.tolist()
    )
    assert Popularity(DOMAIN).max_length == 50
