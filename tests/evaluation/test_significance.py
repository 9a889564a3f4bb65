"""Paired t tests and Holm's correction against other ways to the same numbers."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tema_lib.evaluation.significance import compare, holm, paired_t


def closed(p_values):
    """Holm's correction as the closed test of Bonferroni's: the worst set that a test is in."""
    indices = range(len(p_values))
    sets = [chosen for size in indices for chosen in itertools.combinations(indices, size + 1)]
    return [
        max(
            min(1.0, len(chosen) * min(p_values[other] for other in chosen))
            for chosen in sets
            if index in chosen
        )
        for index in indices
    ]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_test(seed):
    p_values = (np.random.default_rng(seed).random(6) ** 3).tolist()
    assert holm(p_values) == pytest.approx(closed(p_values))


def test_a_test_that_could_not_be_made_counts_for_nothing():
    corrected = holm([0.01, math.nan, 0.04])
    assert corrected[0] == pytest.approx(0.02)
    assert math.isnan(corrected[1])
    assert corrected[2] == pytest.approx(0.04)
    assert holm([]) == []


def test_the_paired_test_is_that_of_two_related_samples():
    rng = np.random.default_rng(0)
    one, other = rng.random(80), rng.random(80) + 0.1
    assert paired_t(one - other) == pytest.approx(stats.ttest_rel(one, other).pvalue)
    t = (one - other).mean() / ((one - other).std(ddof=1) / 80**0.5)
    assert paired_t(one - other) == pytest.approx(2 * stats.t.sf(abs(t), 79))
    assert paired_t(np.zeros(5)) == 1.0
    assert math.isnan(paired_t(np.ones(1)))


def test_systems_are_compared_case_by_case():
    rng = np.random.default_rng(1)
    reference, lost = rng.random(200), 0.1 + 0.01 * rng.random(200)
    found = compare(reference, {"worse": reference - lost, "same": reference})
    worse, same = found["worse"], found["same"]
    assert worse.difference == pytest.approx(-lost.mean())
    assert worse.error == pytest.approx(stats.sem(lost))
    assert worse.p < 1e-6
    assert worse.corrected == pytest.approx(2 * worse.p)  # the smaller of two
    assert (same.difference, same.p, same.corrected) == (0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="short ranked 3 cases, the reference 200"):
        compare(reference, {"short": np.zeros(3)})
