"""Metrics by hand, and slices."""

import math

import numpy as np
import pytest

from tema_lib.evaluation.intervals import interval, paired_difference
from tema_lib.evaluation.metrics import METRICS, metric_of_ranks
from tests.helpers.ranking import ranks_of


def test_metrics_by_hand():
    ranks = np.array([1, 2, 5, 6, 10, 11, 1.5])
    by_hand = {
        "MRR": [1, 1 / 2, 1 / 5, 1 / 6, 1 / 10, 1 / 11, 1 / 1.5],
        "HR@1": [1, 0, 0, 0, 0, 0, 0],
        "HR@5": [1, 1, 1, 0, 0, 0, 1],
        "HR@10": [1, 1, 1, 1, 1, 0, 1],
        "NDCG@5": [1, 1 / math.log2(3), 1 / math.log2(6), 0, 0, 0, 1 / math.log2(2.5)],
        "NDCG@10": [
            1,
            1 / math.log2(3),
            1 / math.log2(6),
            1 / math.log2(7),
            1 / math.log2(11),
            0,
            1 / math.log2(2.5),
        ],
    }
    assert set(by_hand) == set(METRICS)
    for name, values in by_hand.items():
        assert metric_of_ranks(ranks, name) == pytest.approx(values), name


def test_slices_are_means_over_their_own_cases():
    ranks = ranks_of([1, 20, 2, 1], domain=[0, 0, 1, 1])
    assert ranks.of_domain(0).metric("HR@1") == 0.5
    assert ranks.of_domain(1).metric("MRR") == 0.75


@pytest.mark.parametrize(
    "name", ["ndcg@10", "Recall@10", "HR", "HR@0", "HR@ten", "mrr", "NDCG@10 ", "MRR@10"]
)
def test_a_metric_of_another_name_is_refused(name):
    """`Recall@10` must not come back as an NDCG."""
    with pytest.raises(ValueError, match="is unknown: write MRR, HR@k or NDCG@k"):
        ranks_of([1, 20]).metric(name)


def test_an_empty_slice_has_no_number():
    """0.0 would be the worst of all models; that no case was ranked is something else."""
    ranks = ranks_of([1, 20], domain=[0, 0])
    assert len(ranks.of_domain(1)) == 0
    assert all(
        np.isnan(ranks.of_domain(1).metric(metric, sampled))
        for metric in METRICS
        for sampled in (False, True)
    )
    assert np.isnan(interval(np.zeros(0))).all()
    mean, bounds = paired_difference([ranks], [ranks], "MRR", domain=1)
    assert np.isnan([mean, *bounds]).all()
    assert ranks.of_domain(0).metric("HR@1") == 0.5
