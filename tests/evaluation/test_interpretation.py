"""Three sentences about a table: the verdicts are those of the intervals, chance stands beside."""

import numpy as np
import pytest

from tema_lib.evaluation.interpretation import interpretation
from tema_lib.evaluation.metrics import expected_at_random
from tests.helpers.ranking import ranks_of

DOMAIN = np.repeat([0, 1], 200)
RNG = np.random.default_rng(0)
MIDDLE = RNG.integers(1, 40, size=400).astype(float)
BETTER = np.where(DOMAIN == 0, np.maximum(MIDDLE / 3, 1), MIDDLE)


def test_what_a_random_ranking_reaches_is_the_mean_over_all_ranks():
    drawn = np.array([np.mean(RNG.permutation(20)[:10] + 1 <= 5) for _ in range(2000)])
    assert expected_at_random(np.array([20, 4]), "HR@5") == pytest.approx([0.25, 1.0])
    assert drawn.mean() == pytest.approx(0.25, abs=0.01)
    by_hand = (1 + 1 / 2 + 1 / 3) / 3
    assert expected_at_random(np.array([3, 3]), "MRR") == pytest.approx([by_hand, by_hand])
    assert expected_at_random(np.array([], dtype=int), "MRR").shape == (0,)


def test_the_verdict_is_that_of_the_interval():
    ranks = {
        "popularity": ranks_of(MIDDLE + 30, DOMAIN),
        "sasrec": ranks_of(MIDDLE, DOMAIN),
        "tema": ranks_of(BETTER, DOMAIN),
        "tema-shuffled-tags": ranks_of(BETTER, DOMAIN),
        "tema-no-tags": ranks_of(np.maximum(BETTER / 4, 1), DOMAIN),
    }
    first, second, third = interpretation(ranks)
    assert first.startswith("tema-no-tags has the highest mean NDCG@10 of 5 systems, 0.")
    assert "a random ranking reaches 0.045" in first  # among 100 candidates
    assert "TEMA-LLM is above sasrec in A (+0." in second
    assert "level with sasrec in B (+0.000 [+0.000, +0.000])" in second
    assert "below tema-no-tags in A (-0." in third
    assert "level with tema-shuffled-tags in A" in third
    assert third.endswith("One seed; intervals (95 %) are over test cases.")


def test_what_was_not_ranked_is_left_open():
    one = ranks_of(MIDDLE[:200], DOMAIN[:200])
    first, second, third = interpretation({"popularity": one})
    assert first.startswith("popularity has the highest mean NDCG@10 of 1 systems")
    assert "is open" in second
    assert "is open" in third
    both = interpretation({"tema": one, "sasrec": one})
    assert " in B " not in both[1]  # no test case there
