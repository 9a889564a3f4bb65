"""The properties of `tests.helpers.properties` for every system, and what `score` may read."""

from dataclasses import replace

import pytest
import torch

from tema_lib.models.baselines import CoOccurrence, Popularity
from tests.helpers.models import (
    ALL_ITEMS,
    DOMAIN,
    MODELS,
    SEQUENCE_MODELS,
    USERS,
    awake,
    ranking,
    sequences,
)
from tests.helpers.properties import EVERY_MODEL, SEQUENCE_MODEL


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("holds", EVERY_MODEL, ids=lambda holds: holds.__name__)
def test_every_model(holds, name):
    holds(MODELS[name], name)


@pytest.mark.parametrize("name", SEQUENCE_MODELS)
@pytest.mark.parametrize("holds", SEQUENCE_MODEL, ids=lambda holds: holds.__name__)
def test_every_sequence_model(holds, name):
    holds(MODELS[name], name)


class Untouchable:
    """Replaces the targets: any use of it is an error."""

    def __getattribute__(self, name):
        raise AssertionError(f"score read the targets ({name})")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("extra", ["popularity", "co-occurrence"])
def test_score_never_reads_the_targets(name, extra):
    hidden = replace(ranking(*USERS), targets=Untouchable())
    model = awake(MODELS[name]())
    elsewhere = replace(ranking(*USERS), rows=torch.arange(4) + 90)  # nor who the users are
    torch.testing.assert_close(model.score(hidden, ALL_ITEMS), model.score(elsewhere, ALL_ITEMS))
    counting = Popularity(DOMAIN) if extra == "popularity" else CoOccurrence(DOMAIN, history=True)
    counting.fit_statistics(sequences(USERS))
    counting.score(hidden, ALL_ITEMS)
