"""Occlusion equals asking the model again."""

import math

import numpy as np
import pytest
import torch

from tema_lib.explain.occlusion import agreement, log_probabilities, occlusion, occlusions
from tema_lib.models.baselines import Popularity
from tests.helpers.explain import (
    COUNT,
    HISTORIES,
    LONG,
    answer,
)


def test_occlusion_equals_brute_force_alone_and_in_a_batch(world):
    cases = [(LONG, 12), ([1, 4, 6], 9), ([13], 2), ([2, 9, 2, 3], 1), ([], 2)]
    together = occlusions(world.model, *map(list, zip(*cases)), world.items)
    for (history, target), effect in zip(cases, together):
        whole = answer(world.model, history, target)
        brute = [
            whole - answer(world.model, history[:position] + history[position + 1 :], target)
            for position in range(len(history))
        ]
        assert effect.tolist() == pytest.approx(brute, abs=1e-5)
        assert occlusion(world.model, history, target, world.items).tolist() == pytest.approx(
            brute, abs=1e-5
        )
    assert together[0].abs().max() > 1e-2  # something is being compared


def test_log_probabilities_of_targets_of_both_domains_at_once(world):
    targets = [2, 9, 12, 8, 15, 1]
    found = log_probabilities(world.model.train(), list(HISTORIES), targets, world.items)
    assert world.model.training
    assert found.tolist() == pytest.approx(
        [
            answer(world.model.eval(), history, target)
            for history, target in zip(HISTORIES, targets)
        ],
        abs=2e-5,
    )


def test_no_older_event_moves_in_for_a_removed_one(world):
    long, window = [6, 7, 1, 9, 4], [1, 9, 4]
    assert torch.equal(
        occlusion(world.model, long, 12, world.items, max_length=3),
        occlusion(world.model, window, 12, world.items),
    )
    assert float(
        log_probabilities(world.model, [long], 12, world.items, max_length=3)[0]
    ) == pytest.approx(answer(world.model, window, 12), abs=1e-5)


def test_occlusion_of_a_model_that_ignores_the_history_is_zero(world):
    popularity = Popularity(torch.from_numpy(world.items.domain_of_item))
    popularity.fit_statistics(world.sequences)
    assert occlusion(popularity, [1, 9, 4], 12, world.items).abs().max() == 0
    counts = np.bincount(world.sequences.items, minlength=COUNT + 1)[9:]
    by_hand = math.log(math.exp(counts[0]) / np.exp(counts).sum())
    assert log_probabilities(popularity, [[1], [9, 4]], 9, world.items).tolist() == pytest.approx(
        [by_hand] * 2, abs=1e-5
    )


def test_agreement_is_a_rank_correlation():
    assert agreement([0.1, 0.2, 0.7], [1, 2, 50]) == pytest.approx(1)
    assert agreement([0.1, 0.2, 0.7], [3, 2, 1]) == pytest.approx(-1)
    assert np.isnan(agreement([0.4, 0.5], [1, 2]))
    assert np.isnan(agreement([1, 2, 3], [0, 0, 0]))
    assert np.isnan(agreement([2, 2, 2], [0, 1, 2]))
    with pytest.raises(ValueError, match="2 weights beside 3 effects"):
        agreement([1, 2], [1, 2, 3])
