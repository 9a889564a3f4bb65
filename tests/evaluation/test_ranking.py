"""Ranks are exact, ties get the mid-rank, and sampled negatives are the same for everyone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tema_lib.evaluation import ranking
from tema_lib.evaluation.protocols import Protocol
from tema_lib.evaluation.ranking import Ranks, evaluate
from tests.helpers.ranking import Fixed, brute_force, random_cases, sequences_of

FEW = Protocol(negatives=5)  # fewer than there are, so negatives are really drawn


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([1, 2, 4, 1000]))
def test_ranks_equal_brute_force(seed, levels):
    """Few levels of score make many ties; one level is the constant model."""
    sequences, domain, rng = random_cases(seed=seed, users=12)
    scores = rng.integers(0, levels, size=(len(sequences), len(domain)))
    ranks = evaluate(Fixed(scores), sequences, domain, batch_size=5)
    assert ranks.row.tolist() == list(range(len(sequences)))
    assert ranks.target.tolist() == sequences.last.tolist()
    for row in range(len(sequences)):
        *history, target = sequences[row].tolist()
        expected = brute_force(scores[row], history, target, domain)
        assert (ranks.rank[row], ranks.candidates[row], bool(ranks.tied[row])) == expected
        assert ranks.domain[row] == domain[target]


def test_ties_stand_at_mid_rank():
    """Items 1..5 score 9 7 7 7 1 and the target is item 3: ranks 2, 3 and 4 are shared."""
    domain = torch.tensor([-1, 0, 0, 0, 0, 0, 1])
    ranks = evaluate(Fixed([[0, 9, 7, 7, 7, 1, 0]]), sequences_of([6, 3]), domain)
    assert ranks.rank.tolist() == [3.0]
    assert ranks.tied.tolist() == [True]
    assert ranks.candidates.tolist() == [5]


def test_a_constant_model_stands_mid_list():
    sequences, domain, _ = random_cases(users=40)
    ranks = evaluate(Fixed(torch.zeros(40, len(domain))), sequences, domain)
    assert np.array_equal(ranks.rank, (ranks.candidates + 1) / 2)
    assert ranks.tied.all()
    assert ranks.metric("HR@1") == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_raises(bad):
    scores = torch.zeros(1, 7)
    scores[0, 2] = bad
    with pytest.raises(FloatingPointError, match="not a finite number"):
        evaluate(Fixed(scores), sequences_of([6, 3]), torch.tensor([-1, 0, 0, 0, 0, 0, 1]))


def test_the_other_domain_and_the_history_do_not_compete():
    """Item 1 is in the history, items 4 and 5 are in B: all score higher, and none counts."""
    ranks = evaluate(
        Fixed([[0, 9, 1, 2, 9, 9]]), sequences_of([1, 4, 3]), torch.tensor([-1, 0, 0, 0, 1, 1])
    )
    assert ranks.rank.tolist() == [1.0]
    assert ranks.candidates.tolist() == [2]


@pytest.mark.parametrize("size", [1, 7, 256])
def test_neither_batches_nor_the_memory_for_scores_change_anything(size, monkeypatch):
    sequences, domain, rng = random_cases(users=30)
    model = Fixed(rng.integers(0, 5, size=(30, len(domain))))
    other = evaluate(model, sequences, domain, batch_size=4, protocol=FEW)
    one = evaluate(model, sequences, domain, batch_size=size, protocol=FEW)
    monkeypatch.setitem(ranking.CELLS, "cpu", 40)  # three or four cases at a time
    held = []
    model.score = lambda batch, candidates: (
        held.append(scores := model.table[batch.rows][:, candidates]) or scores
    )
    tight = evaluate(model, sequences, domain, batch_size=size, protocol=FEW)
    assert max(scores.numel() for scores in held) <= 40
    for column in Ranks.__dataclass_fields__:
        assert np.array_equal(getattr(one, column), getattr(tight, column)), column
    for column in Ranks.__dataclass_fields__:
        assert np.array_equal(getattr(one, column), getattr(other, column)), column


def test_a_small_domain_uses_all_its_candidates_and_counts_them():
    sequences, domain, rng = random_cases(a=12, b=9)
    ranks = evaluate(Fixed(rng.normal(size=(30, len(domain)))), sequences, domain)
    assert np.array_equal(ranks.rank, ranks.rank_sampled)
    assert np.array_equal(ranks.candidates, ranks.candidates_sampled)
    assert ranks.of_domain(0).candidates_sampled.max() <= 12
    assert ranks.of_domain(1).candidates_sampled.max() <= 9


def test_a_large_domain_draws_999_and_the_target():
    domain = torch.tensor([-1] + [0] * 1500 + [1] * 20)
    sequences = sequences_of([1, 2, 3, 700], [1, 2, 1510], [4, 5, 900])
    ranks = evaluate(Fixed(np.random.default_rng(0).normal(size=(3, 1521))), sequences, domain)
    assert ranks.candidates.tolist() == [1497, 20, 1498]
    assert ranks.candidates_sampled.tolist() == [1000, 20, 1000]
    assert (ranks.rank_sampled <= ranks.rank).all()
    assert ranks.rank_sampled[0] < ranks.rank[0]


def test_sampled_negatives_never_hold_the_history():
    """The history scores above everything: one drawn event would push the target down."""
    sequences, domain, _ = random_cases(users=60)
    scores = torch.zeros(60, len(domain))
    for row in range(60):
        scores[row, sequences[row][:-1]] = 9
        scores[row, sequences.last[row]] = 1
    ranks = evaluate(Fixed(scores), sequences, domain, protocol=FEW)
    assert (ranks.rank_sampled == 1).all()
    assert (ranks.candidates_sampled <= 6).all()
    assert (ranks.candidates > 6).any()
    scores[scores == 0] = 2  # now every true negative beats the target
    ranks = evaluate(Fixed(scores), sequences, domain, protocol=FEW)
    assert np.array_equal(ranks.rank_sampled, ranks.candidates_sampled)


def test_the_same_negatives_are_drawn_for_every_system_and_others_for_another_seed():
    """A shift of all scores must not change which negatives are drawn."""
    sequences, domain, rng = random_cases(a=40, b=40, users=60)
    scores = rng.normal(size=(60, len(domain)))
    one, other = (
        evaluate(Fixed(scores + shift), sequences, domain, protocol=FEW) for shift in (0, 8)
    )
    assert np.array_equal(one.rank_sampled, other.rank_sampled)
    assert not np.array_equal(
        one.rank_sampled,
        evaluate(Fixed(scores), sequences, domain, seed=1, protocol=FEW).rank_sampled,
    )


def test_where_repeats_are_kept_the_history_competes_too():
    """The target may be in the history; without its history, it would have no competitor."""
    sequences = sequences_of([1, 2, 3, 1], [1, 2, 3, 4])
    domain = torch.tensor([-1, 0, 0, 0, 0, 0, 1])
    # Of the five items of A, item 1 has the lowest score.
    model = Fixed(np.tile([0.0, 1, 5, 4, 3, 2, 9], (2, 1)))
    assert evaluate(model, sequences, domain).rank.tolist() == [3, 1]  # against 4 and 5; against 5
    keeping = Protocol(history="candidates", without="target")
    ranks = evaluate(model, sequences, domain, protocol=keeping)
    assert ranks.rank.tolist() == ranks.rank_sampled.tolist() == [5, 3]
    assert ranks.candidates.tolist() == ranks.candidates_sampled.tolist() == [5, 5]
