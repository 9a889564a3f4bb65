"""Bootstrap intervals and paired differences."""

import numpy as np
import pytest

from tema_lib.evaluation.intervals import interval, paired_difference
from tests.helpers.ranking import ranks_of


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    bounds = [
        interval(rng.exponential(size=150), resamples=300, seed=trial) for trial in range(150)
    ]
    share = np.mean([low <= 1 <= high for low, high in bounds])
    assert 0.86 <= share <= 0.99


@pytest.mark.parametrize("cases", [1, 2, 150])
def test_an_interval_is_the_quantiles_of_the_means_of_resamples(cases):
    values = np.random.default_rng(2).random(cases)
    generator = np.random.default_rng(7)
    means = [values[generator.integers(cases, size=cases)].mean() for _ in range(400)]
    expected = np.quantile(means, [0.05, 0.95])
    found = interval(values, resamples=400, seed=7, level=0.9)
    assert found == pytest.approx(tuple(expected), abs=1e-12)


def test_an_interval_is_repeatable_and_narrower_with_more_cases():
    values = np.random.default_rng(0).random(400)
    low, high = interval(values)
    assert interval(values) == (low, high)
    assert low < values.mean() < high
    few = interval(values[:25])
    assert few[1] - few[0] > high - low


def test_a_paired_difference_is_narrower_than_two_intervals():
    """Both systems find the same users easy; the pairing takes that out."""
    rng = np.random.default_rng(0)
    hard = rng.integers(1, 40, size=300)
    better, worse = ranks_of(hard), ranks_of(hard + 1)
    mean, (low, high) = paired_difference([better], [worse], "MRR")
    assert mean == pytest.approx(better.metric("MRR") - worse.metric("MRR"))
    assert 0 < low < mean < high
    one, other = interval(better.values("MRR")), interval(worse.values("MRR"))
    assert high - low < (one[1] - one[0]) / 2
    assert one[0] < other[1]


def test_a_paired_difference_averages_seeds_per_case_and_can_look_at_one_domain():
    one, other = (
        [ranks_of([1, 1, 1, 1], [0, 0, 1, 1]), ranks_of([2, 2, 1, 1], [0, 0, 1, 1])],
        [ranks_of([4, 4, 1, 1], [0, 0, 1, 1])],
    )
    assert paired_difference(one, other, "MRR", 0)[0] == pytest.approx(0.75 - 0.25)
    assert paired_difference(one, other, "MRR", 1) == (0.0, (0.0, 0.0))
    assert paired_difference(one, other, "MRR")[0] == pytest.approx(0.25)


@pytest.mark.parametrize(
    "other",
    [ranks_of([1, 2]), ranks_of([1, 2, 3], rows=[0, 1, 3])],
    ids=["fewer cases", "other cases"],
)
def test_different_cases_are_not_compared(other):
    with pytest.raises(ValueError, match="not evaluated on the same cases"):
        paired_difference([ranks_of([1, 2, 3])], [other], "MRR")
