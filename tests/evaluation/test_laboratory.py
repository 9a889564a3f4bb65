"""The laboratory ranks as `evaluate` does, and each rule is what it says."""

import numpy as np
import pytest

from tema_lib.evaluation.laboratory import (
    DISCOUNTS,
    TIES,
    Scores,
    all_scores,
    ndcg,
    ranks_among,
    sampled_candidates,
)
from tema_lib.evaluation.metrics import metric_of_ranks
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.baselines import Popularity
from tests.helpers.models import DOMAIN, MODELS, awake, sequences

USERS = [[1, 2, 13, 3], [1, 2, 14, 5, 15], [1, 13, 15, 2], [5, 16, 6, 1], [2, 13], [14, 1, 2, 17]]


@pytest.mark.parametrize("name", ["sasrec", "tema", "popularity"])
@pytest.mark.parametrize("domain", [0, 1])
def test_all_candidates_and_the_middle_of_ties_give_the_ranks_of_evaluate(name, domain):
    test = sequences(USERS)
    model = Popularity(DOMAIN) if name == "popularity" else awake(MODELS[name]())
    model.fit_statistics(test)
    ranks = evaluate(model, test, DOMAIN).of_domain(domain)
    scores = all_scores(model, test, DOMAIN, domain)
    assert len(scores) == len(ranks) > 0
    np.testing.assert_allclose(ranks_among(scores), ranks.rank)
    assert (scores.allowed.sum(1) + 1 == ranks.candidates).all()
    other = sequences([[1, 13, 2] if domain else [1, 2, 13]])
    assert len(all_scores(model, other, DOMAIN, domain)) == 0
    few = all_scores(model, test, DOMAIN, domain, most=1)
    assert len(few) == 1


def toy(cases=2000, items=6):
    """Every case has the scores 5, 4, 3, 3, 3, 1; the target is the second of the tied."""
    values = np.tile([5.0, 4, 3, 3, 3, 1], (cases, 1))[:, :items]
    allowed = np.ones((cases, items), dtype=bool)
    allowed[:, 3] = False
    allowed[:, 0] = False  # of the history
    return Scores(values, np.full(cases, 3), allowed)


def test_three_tie_rules_and_two_discounts():
    one = toy(1)
    assert [ranks_among(one, ties=rule)[0] for rule in TIES] == [2.0, 3.0, 4.0]
    with pytest.raises(ValueError, match="choose from target first, middle, target last"):
        ranks_among(one, ties="random")
    ranks = np.array([1.0, 2, 3, 8, 10, 11])
    np.testing.assert_allclose(ndcg(ranks), metric_of_ranks(ranks, "NDCG@10"))
    other = ndcg(ranks, discount=list(DISCOUNTS)[1])
    np.testing.assert_allclose(other[:4], [1, 1, 1 / np.log2(3), 1 / 3])
    assert other[-1] == 0


def test_sampled_candidates_are_drawn_without_replacement_by_their_weight():
    scores = toy()
    some = sampled_candidates(scores, 2, seed=1)
    assert (some.sum(1) == 2).all()
    assert not some[:, [0, 3]].any()
    np.testing.assert_allclose(some[:, [1, 2, 4, 5]].mean(0), 0.5, atol=0.04)
    weight = np.array([9.0, 3, 1, 9, 0, 0])
    one = sampled_candidates(scores, 1, weight)
    np.testing.assert_allclose(one.mean(0), [0, 0.75, 0.25, 0, 0, 0], atol=0.04)
    assert sampled_candidates(scores, 3, weight).sum() == 2 * len(scores)  # nothing of weight 0
    assert (sampled_candidates(scores, 99) == scores.allowed).all()
    assert (sampled_candidates(scores, 2, seed=1) == some).all()
    assert (sampled_candidates(scores, 2, seed=2) != some).any()
