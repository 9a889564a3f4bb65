"""Scorers, a system with scores of its own, and the evaluation mode."""

import numpy as np
import pytest
import torch

from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.base import evaluation_mode
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tests.helpers.models import (
    DOMAIN,
    awake,
    small_split,
)


def test_a_system_that_scores_in_its_own_way_is_ranked_by_it():
    class Backwards(SASRec):
        def score(self, batch, candidates):
            return -super().score(batch, candidates)

    split, results = small_split(), []
    for kind in (SASRec, Backwards):
        torch.manual_seed(0)
        results.append(
            evaluate(
                awake(kind(DOMAIN, SASRecConfig(hidden=16, max_length=20))), split.test, DOMAIN
            )
        )
    assert np.array_equal(results[0].rank + results[1].rank, results[0].candidates + 1)


def test_a_failed_evaluation_leaves_the_model_as_it_was():
    class Broken(SASRec):
        def last_hidden_states(self, batch, inputs):
            assert not self.training
            return super().last_hidden_states(batch, inputs) * float("nan")

    model = Broken(DOMAIN, SASRecConfig(hidden=16, max_length=20)).train()
    with pytest.raises(FloatingPointError):
        evaluate(model, small_split().test, DOMAIN)
    assert model.training
    with evaluation_mode(model):
        assert not model.training
    assert model.training
