"""Published protocols against brute force, and rules that are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tema_lib.evaluation import ranking
from tema_lib.evaluation.protocols import PROTOCOLS, Protocol
from tema_lib.evaluation.ranking import evaluate
from tests.helpers.ranking import Fixed, brute_force, random_cases, sequences_of

# name: (never drawn besides the target, with replacement, B begins early, ties to target, margin)
RULES = {
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
    """The negatives that were drawn for each case, recorded on the way."""
    seen, real = {}, ranking.draw_negatives

    def watched(rows, position, row_of, interacted, count, seed, protocol):
        negatives, drawn = real(rows, position, row_of, interacted, count, seed, protocol)
        for row, some, many, where in zip(
            rows.tolist(), negatives.tolist(), drawn.tolist(), position.tolist()
        ):
            # Relative to the target, since the pool's first id is not known here.
            seen[row] = [number - where for number in some[:many]]
        return negatives, drawn

    monkeypatch.setattr(ranking, "draw_negatives", watched)
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
    """Few levels of score make ties; a NaN or an infinity must raise.

    Some scores lie just above the target's, which C2DSR's margin counts as a tie.
    """
    rng = np.random.default_rng(seed)
    a, b = rng.integers(2, 14, size=2)
    sequences, domain, _ = random_cases(a, b, users=4, seed=seed)
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
        in_scope = [
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
        pool = ([a] if early and within == "domain" and domain[target] == 1 else []) + in_scope
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
    """2,000 users of one history: each allowed negative has its share (five standard errors)."""
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
    with pytest.raises(ValueError, match="must be consecutive: number the items with `encode_ids`"):
        evaluate(Fixed(torch.zeros(1, 5)), sequences_of([1, 2]), torch.tensor([-1, 0, 1, 0, 1]))


def test_a_constant_model_is_perfect_where_ties_favour_the_target_and_mid_list_where_they_do_not():
    sequences, domain, _ = random_cases(users=40)
    worth = {
        name: evaluate(
            Fixed(torch.zeros(40, len(domain))), sequences, domain, protocol=PROTOCOLS[name]
        ).metric("HR@1", sampled=True)
        for name in PROTOCOLS
    }
    assert worth == {"ours": 0, "llmcdsr": 0, "c2dsr": 1, "abxi": 1}
