"""Ranks are exact, ties are fair, samples are the same for everyone, and metrics are what one gets by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tema_lib.data.sequences import Sequences
from tema_lib.evaluation import ranking as evaluation
from tema_lib.evaluation.intervals import interval, paired_difference
from tema_lib.evaluation.metrics import METRICS, metric_of_ranks
from tema_lib.evaluation.protocols import PROTOCOLS, Protocol
from tema_lib.evaluation.ranking import Ranks, evaluate
from tema_lib.models.base import Recommender


def sequences_of(*rows):
    return Sequences(
        tuple(f"u{row}" for row in range(len(rows))),
        torch.tensor(sum(rows, [])),
        torch.tensor([0, *map(len, rows)]).cumsum(0),
    )


class Fixed(Recommender):
    """One score an item and row: whatever the table says."""

    def __init__(self, table):
        super().__init__()
        self.table = torch.as_tensor(table, dtype=torch.float)

    def score(self, batch, candidates):
        return self.table[batch.rows][:, candidates]


def world(a=12, b=9, users=30, seed=0):
    """Users with 2 to 8 events in two domains; repeats happen, so a target may have been bought before."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(1, a + b + 1, size=rng.integers(2, 9)).tolist() for _ in range(users)]
    return sequences_of(*rows), torch.tensor([-1] + [0] * a + [1] * b), rng


def brute_force(scores, history, target, domain_of_item):
    """Sort the candidates; the target stands in the middle of those that share its score."""
    item_range = [
        item
        for item in range(1, len(domain_of_item))
        if domain_of_item[item] == domain_of_item[target]
        and (item == target or item not in history)
    ]
    positions = [
        position
        for position, item in enumerate(sorted(item_range, key=lambda item: -scores[item]), start=1)
        if scores[item] == scores[target]
    ]
    return sum(positions) / len(positions), len(item_range), len(positions) > 1


FEW = Protocol(negatives=5)


# ---- ranks


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([1, 2, 4, 1000]))
def test_ranks_equal_brute_force(seed, levels):
    """Few levels of score make many ties; one level is the constant model."""
    sequences, domain, rng = world(seed=seed, users=12)
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
    """Items 1..5 score 9 7 7 7 1 and the target is item 3: places 2, 3 and 4 are shared."""
    domain = torch.tensor([-1, 0, 0, 0, 0, 0, 1])
    ranks = evaluate(Fixed([[0, 9, 7, 7, 7, 1, 0]]), sequences_of([6, 3]), domain)
    assert ranks.rank.tolist() == [3.0]
    assert ranks.tied.tolist() == [True]
    assert ranks.candidates.tolist() == [5]


def test_a_constant_model_stands_mid_list():
    sequences, domain, _ = world(users=40)
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


def test_the_other_shop_and_what_was_bought_do_not_compete():
    """Item 1 was bought and items 4, 5 lie in the other domain: all three score higher, none counts."""
    ranks = evaluate(
        Fixed([[0, 9, 1, 2, 9, 9]]), sequences_of([1, 4, 3]), torch.tensor([-1, 0, 0, 0, 1, 1])
    )
    assert ranks.rank.tolist() == [1.0]
    assert ranks.candidates.tolist() == [2]


@pytest.mark.parametrize("size", [1, 7, 256])
def test_neither_batches_nor_the_room_for_scores_change_anything(size, monkeypatch):
    sequences, domain, rng = world(users=30)
    model = Fixed(rng.integers(0, 5, size=(30, len(domain))))
    other = evaluate(
        model, sequences, domain, batch_size=4, protocol=FEW
    )  # fewer than there are: negatives are really drawn
    one = evaluate(model, sequences, domain, batch_size=size, protocol=FEW)
    monkeypatch.setitem(evaluation.CELLS, "cpu", 40)  # three or four cases at a time
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


# ---- 999 sampled


def test_a_small_shop_uses_all_its_candidates_and_says_how_many():
    sequences, domain, rng = world(a=12, b=9)
    ranks = evaluate(Fixed(rng.normal(size=(30, len(domain)))), sequences, domain)
    assert np.array_equal(ranks.rank, ranks.rank_sampled)
    assert np.array_equal(ranks.candidates, ranks.candidates_sampled)
    assert ranks.of_domain(0).candidates_sampled.max() <= 12
    assert ranks.of_domain(1).candidates_sampled.max() <= 9


def test_a_large_shop_draws_999_and_the_target():
    domain = torch.tensor([-1] + [0] * 1500 + [1] * 20)
    sequences = sequences_of([1, 2, 3, 700], [1, 2, 1510], [4, 5, 900])
    ranks = evaluate(Fixed(np.random.default_rng(0).normal(size=(3, 1521))), sequences, domain)
    assert ranks.candidates.tolist() == [1497, 20, 1498]
    assert ranks.candidates_sampled.tolist() == [
        1000,
        20,
        1000,
    ]
    assert (ranks.rank_sampled <= ranks.rank).all()
    assert ranks.rank_sampled[0] < ranks.rank[0]


def test_sampled_negatives_never_hold_the_history():
    """What was bought scores above everything: one drawn event would push the target down."""
    sequences, domain, _ = world(users=60)
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
    """Scores count upwards, so the sampled rank tells which negatives were drawn; a shift of all scores must not change them."""
    sequences, domain, rng = world(a=40, b=40, users=60)
    scores = rng.normal(size=(60, len(domain)))
    one, other = (
        evaluate(Fixed(scores + shift), sequences, domain, protocol=FEW) for shift in (0, 8)
    )
    assert np.array_equal(one.rank_sampled, other.rank_sampled)
    assert not np.array_equal(
        one.rank_sampled,
        evaluate(Fixed(scores), sequences, domain, seed=1, protocol=FEW).rank_sampled,
    )


# ---- published protocols

RULES = {  # name: (what is never drawn besides the target, with replacement, B's pool begins early, ties for the target, margin)
    "ours": ("history", False, 0, False, 0.0),
    "c2dsr": ("nothing", True, 0, True, 1e-5),
    "abxi": ("history", False, 1, True, 0.0),
    "llmcdsr": ("nothing", False, 0, False, 0.0),
}


def sampled_by_hand(scores, drawn, target, favoured, margin):
    if favoured:
        return 1 + sum(scores[item] > scores[target] + margin for item in drawn)
    return (
        1
        + sum(scores[item] > scores[target] for item in drawn)
        + sum(scores[item] == scores[target] for item in drawn) / 2
    )


@pytest.fixture
def draws(monkeypatch):
    """Which global ids each case was given as negatives, seen on their way."""
    seen, real = {}, evaluation.draw_negatives

    def watched(rows, position, line, interacted, count, seed, protocol):
        negatives, drawn = real(rows, position, line, interacted, count, seed, protocol)
        for row, some, many, where in zip(
            rows.tolist(), negatives.tolist(), drawn.tolist(), position.tolist()
        ):
            seen[row] = [
                number - where for number in some[:many]
            ]  # relative to the target: the pool's first id is not ours to know
        return negatives, drawn

    monkeypatch.setattr(evaluation, "draw_negatives", watched)
    return seen


@settings(
    max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10**9),
    name=st.sampled_from(sorted(RULES)),
    levels=st.sampled_from([1, 2, 4, 1000]),
    negatives=st.sampled_from([0, 3, 8, 999]),
    poison=st.sampled_from([None, None, None, float("nan"), float("inf")]),
    within=st.sampled_from(["domain", "catalogue"]),
)
def test_every_protocol_equals_brute_force(draws, seed, name, levels, negatives, poison, within):
    """Few levels of score plant ties (and, a hair above the target, what C2DSR's margin calls a tie); a NaN or an infinity must raise."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(2, 14, size=2)
    sequences, domain, _ = world(a, b, users=4, seed=seed)
    scores = rng.integers(0, levels, size=(4, len(domain))).astype(float)
    scores += 4e-6 * rng.integers(0, 2, size=scores.shape) * (levels == 4)
    protocol = replace(PROTOCOLS[name], negatives=negatives, within=within)
    draws.clear()
    if poison is not None:
        row = rng.integers(4)
        own = domain[sequences.last[row]]
        scores[row, rng.choice(np.flatnonzero((domain == own).numpy()))] = poison
        with pytest.raises(FloatingPointError, match="not a finite number"):
            evaluate(Fixed(scores), sequences, domain, batch_size=3, protocol=protocol)
        return
    without, repeated, early, favoured, margin = RULES[name]
    ranks = evaluate(Fixed(scores), sequences, domain, batch_size=3, seed=seed, protocol=protocol)
    scores = torch.as_tensor(scores, dtype=torch.float).numpy()
    for row in range(4):
        *history, target = sequences[row].tolist()
        item_range = [
            item
            for item in range(1, len(domain))
            if within == "catalogue" or domain[item] == domain[target]
        ]
        rank, candidates, tied = brute_force(
            scores[row],
            history,
            target,
            domain if within == "domain" else torch.where(domain >= 0, 0, -1),
        )
        assert (ranks.rank[row], ranks.candidates[row], bool(ranks.tied[row])) == (
            rank,
            candidates,
            tied,
        )
        if not negatives:
            assert np.isnan(ranks.rank_sampled[row])
            assert ranks.candidates_sampled[row] == 1
            continue
        pool = ([a] if early and within == "domain" and domain[target] == 1 else []) + item_range
        allowed = [
            item
            for item in pool
            if item != target and not (without == "history" and item in history)
        ]
        drawn = [target + step for step in draws[row]]
        assert set(drawn) <= set(allowed)
        assert len(drawn) == (
            negatives * bool(allowed) if repeated else min(negatives, len(allowed))
        )
        assert repeated or len(set(drawn)) == len(drawn)
        assert ranks.candidates_sampled[row] == len(drawn) + 1
        assert ranks.rank_sampled[row] == sampled_by_hand(
            scores[row], drawn, target, favoured, np.float32(margin)
        )


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_allowed_item_is_drawn_equally_often(draws, name):
    """2,000 users of one history: each allowed negative comes up in its share of the draws (five standard errors)."""
    a, b, users = 8, 12, 2000
    domain = torch.tensor([-1] + [0] * a + [1] * b)
    sequences = sequences_of(*[[9, 10, 3, 15]] * users)
    protocol = replace(PROTOCOLS[name], negatives=4)
    evaluate(Fixed(torch.zeros(users, len(domain))), sequences, domain, protocol=protocol)
    count = np.bincount(
        [15 + step for steps in draws.values() for step in steps], minlength=a + b + 1
    )
    without, _, early, *_ = RULES[name]
    allowed = (
        set(range(a + 1 - early, a + b + 1)) - {15} - ({9, 10} if without == "history" else set())
    )
    assert set(np.flatnonzero(count)) == allowed
    share = 4 / len(allowed)
    assert all(abs(count[item] - users * share) < 5 * (users * share) ** 0.5 for item in allowed)


def test_unknown_rules_and_empty_splits_are_refused():
    for wrong in (
        {"within": "catalog"},
        {"without": "histroy"},
        {"ties": "Target"},
        {"history": "candidate"},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*: choose .* or "):
            Protocol(**wrong)
    with pytest.raises(ValueError, match="negatives is -1: give 0 or more."):
        Protocol(negatives=-1)
    with pytest.raises(ValueError, match="no case to rank"):
        evaluate(Fixed(torch.zeros(1, 3)), sequences_of([1]).select([]), torch.tensor([-1, 0, 1]))
    with pytest.raises(
        ValueError, match="have to follow one another: number the items with `encode_ids`"
    ):
        evaluate(Fixed(torch.zeros(1, 5)), sequences_of([1, 2]), torch.tensor([-1, 0, 1, 0, 1]))


def test_a_constant_model_is_perfect_where_ties_favour_the_target_and_mid_list_where_they_do_not():
    sequences, domain, _ = world(users=40)
    worth = {
        name: evaluate(
            Fixed(torch.zeros(40, len(domain))), sequences, domain, protocol=PROTOCOLS[name]
        ).metric("HR@1", sampled=True)
        for name in PROTOCOLS
    }
    assert worth == {"ours": 0, "llmcdsr": 0, "c2dsr": 1, "abxi": 1}


# ---- metrics


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
    assert set(by_hand) == set(evaluation.METRICS)
    for name, values in by_hand.items():
        assert metric_of_ranks(ranks, name) == pytest.approx(values), name


def ranks_of(values, domain=None, rows=None):
    values = np.asarray(values, dtype=float)
    count = len(values)
    whole = np.full(count, 100)
    return Ranks(
        np.arange(count) if rows is None else np.asarray(rows),
        np.ones(count, dtype=int),
        np.zeros(count, dtype=int) if domain is None else np.asarray(domain),
        values,
        values,
        whole,
        whole,
        np.zeros(count, dtype=bool),
    )


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


def test_where_repeats_are_kept_the_history_competes_too():
    """The target may stand in the history; left out of the candidates, all that was bought would leave it alone at the top."""
    sequences, domain = (
        sequences_of([1, 2, 3, 1], [1, 2, 3, 4]),
        torch.tensor([-1, 0, 0, 0, 0, 0, 1]),
    )
    model = Fixed(
        np.tile([0.0, 1, 5, 4, 3, 2, 9], (2, 1))
    )  # of the five items of A the target 1 is the last
    assert evaluate(model, sequences, domain).rank.tolist() == [3, 1]  # against 4 and 5; against 5
    keeping = Protocol(history="candidates", without="target")
    ranks = evaluate(model, sequences, domain, protocol=keeping)
    assert ranks.rank.tolist() == ranks.rank_sampled.tolist() == [5, 3]
    assert ranks.candidates.tolist() == ranks.candidates_sampled.tolist() == [5, 5]


# ---- intervals


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    bounds = [
        interval(rng.exponential(size=150), resamples=300, seed=trial) for trial in range(150)
    ]
    share = np.mean([low <= 1 <= high for low, high in bounds])
    assert 0.86 <= share <= 0.99


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
