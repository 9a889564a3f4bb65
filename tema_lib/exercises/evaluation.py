"""What the exercises of notebook 06 have to do: precision, cases, ranks, intervals, leaks.

Status: ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tema_lib.evaluation.intervals import interval
from tema_lib.exercises.check import Answer, number

ITEMS = 8  # of the invented systems below
Scores = Callable[[Tensor], Tensor]


def precision_at(answer: Answer) -> None:
    """(ranks float [cases], k) -> the mean share of the first k ranks that hold a right item."""

    def precision(ranks: list[float], k: int) -> float:
        return number(answer(np.array(ranks, dtype=float), k))

    assert _near(precision([3, 8, 7.5], 2), 0), "no target is among the first two: it is 0"
    assert _near(precision([1, 1, 1], 1), 1), "each first rank holds its target: at 1 it is 1"
    assert _near(precision([1, 1, 1], 5), 0.2), (
        "every target is first, but there is only one in a case: of the first five ranks, "
        "the share that holds a right item is less than 1"
    )
    assert _near(precision([4.5], 4), 0), "a tied target at rank k + 1/2 is behind the first k"
    rng = np.random.default_rng(0)
    for k in (1, 3, 10):
        inside, behind = rng.uniform(1, k, size=17), k + rng.uniform(0.5, 90, size=34)
        both = rng.permutation(np.concatenate([inside, behind])).tolist()
        assert _near(3 * precision(both, k), precision(inside.tolist(), k)), (
            "where a third of the cases have their target among the first k, the mean over cases "
            "must be a third of what it is where all have it there"
        )


def cases_needed(answer: Answer) -> None:
    """(differences float [cases], gap) -> how many cases make the half-width about the gap."""
    rng = np.random.default_rng(0)
    pilot = rng.exponential(size=900) - 0.4
    gap = 0.05

    def needed(differences: np.ndarray, gap: float) -> float:
        return number(answer(differences, gap))

    found = needed(pilot, gap)
    assert found > 1, "return a number of cases"

    def close(one: float, other: float) -> bool:
        return abs(one / other - 1) < 0.02  # rounding up, or n - 1 for n, are welcome

    assert close(needed(pilot + 3, gap), found), (
        "a constant added to every difference changes the mean, not how much it varies"
    )
    assert close(needed(3 * pilot, 3 * gap), found), (
        "in another unit, three times the differences and three times the gap, n is the same"
    )
    assert close(needed(pilot, gap / 2), 4 * found), (
        "half the gap takes four times as many cases: the interval shrinks with the root of n"
    )
    assert close(needed(np.tile(pilot, 3), gap), found), (
        "a longer pilot run of the same kind does not change how many cases are needed"
    )
    sample = rng.choice(pilot, size=math.ceil(found))
    low, high = interval(sample, resamples=500)
    assert abs((high - low) / 2 / gap - 1) < 0.15, (
        f"of so many cases, the bootstrap's 95 % interval has a half-width of "
        f"{(high - low) / 2 / gap:.1f} times the gap, not 1"
    )


def rank_of(answer: Answer) -> None:
    """(scores float [C], target, history) -> the mid-rank of the target among the candidates."""
    rng = np.random.default_rng(0)

    def rank(scores: np.ndarray, target: int, history: list[int]) -> float:
        return number(answer(scores, target, history))

    for count in (1, 2, 9):
        assert _near(rank(np.zeros(count), 0, []), (count + 1) / 2), (
            "all scores are tied: the target stands in the middle of the list"
        )
    assert _near(rank(np.array([3.0, 1, 2]), 0, []), 1), "nothing is above the target: rank 1"
    assert _near(rank(np.array([3.0, 1, 2]), 1, []), 3), "everything is above it: the last rank"
    scores = rng.integers(6, size=20).astype(float)
    everyone = sum(rank(scores, target, []) for target in range(20))
    assert _near(everyone, 20 * 21 / 2), (
        "as long as all compete, the ranks of all items add up to 1 + 2 + ... + C, with ties, too"
    )
    for target in range(20):
        assert _near(rank(1e-9 * scores, target, []), rank(scores, target, [])), (
            "only the order of the scores counts: two that nearly agree are not tied"
        )
        others = [i for i in range(20) if i != target]
        history = rng.choice(others, size=6, replace=False).tolist()
        kept = [i for i in range(20) if i not in history]
        shorter = rank(scores[kept], kept.index(target), [])
        assert _near(rank(scores, target, history), shorter), (
            "items of the history do not compete, neither above the target nor tied with it"
        )
        assert _near(rank(scores, target, history + history), shorter), (
            "an item that occurs twice in the history is left out once"
        )
        assert _near(rank(scores, target, [*history, target]), shorter), (
            "a target that is in the history, too, is still ranked"
        )
    for broken in (math.nan, math.inf):
        for at in (3, 11):
            damaged = scores.copy()
            damaged[at] = broken
            try:
                rank(damaged, 3, [])
            except FloatingPointError:
                continue
            raise AssertionError(
                f"a score of {broken} was ranked: raise FloatingPointError, "
                "or a broken model gets a rank"
            )


def paired_interval(answer: Answer) -> None:
    """(one [cases], other [cases]) -> (low, high), the 95 % interval of the mean difference."""
    rng = np.random.default_rng(0)

    def bounds(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        found = answer(one, other)
        assert hasattr(found, "__len__"), "return two numbers, low and high"
        assert len(found) == 2, "return two numbers, low and high"
        return np.array([number(bound) for bound in found])

    users = rng.beta(0.4, 1.2, size=400)  # easy and hard ones: both systems share them
    noise = rng.normal(scale=0.05, size=400)
    low, high = bounds(users + 0.02 + noise, users)
    assert low < high, "low must be below high"
    assert low < np.mean(noise) + 0.02 < high, "the interval lies about the mean of one minus other"
    reference = np.ptp(interval(0.02 + noise))
    assert high - low < 3 * reference, (
        "much too wide: easy users are easy for both systems, so both must keep the same cases "
        "in each bootstrap sample"
    )
    assert high - low < 1.15 * reference, (
        "too wide: 95 % of the resampled means lie inside, and each sample has as many cases "
        "as there are"
    )
    assert high - low > 0.85 * reference, (
        "too narrow: 95 % of the resampled means lie inside, and each sample has as many cases "
        "as there are, drawn with replacement"
    )
    one_winner = np.zeros(40)
    one_winner[7] = 1
    assert bounds(one_winner, np.zeros(40))[0] >= 0, (
        "nobody lost, so no resampled mean is below 0, and low must not be: take quantiles of the "
        "resampled means, not the mean plus and minus something"
    )


def leaks(answer: Answer) -> None:
    """(scores_of, sequences int64 (U, T)) -> whether a score depends on what it has to predict.

    `scores_of(sequences)` trains a system on these users and returns the scores (U, N+1) of all
    items for the last event of each; column 0 is padding.
    """
    generator = torch.Generator().manual_seed(0)
    sequences = torch.randint(1, ITEMS + 1, (6, 5), generator=generator)
    before = sequences.clone()
    for scores_of, cheats, says in (
        (_transitions(1), False, "transitions counted without the last events: nothing leaks"),
        (_counts(1), False, "popularity without the last events: nothing leaks"),
        (_by_length, False, "this one knows how many events there are: replace, do not remove"),
        (_constant, False, "a constant does not depend on anything"),
        (_oracle, True, "the scores are the last event itself"),
        (_transitions(0), True, "its training has seen the last events of all users"),
        (_counts(0), True, "its popularity counts the last events"),
        (_unmasked, True, "it averages over all events, as attention without its mask does"),
        (_one_user, True, "the last event of a single user is in its training: try each user"),
        (_hardly, True, "the leak is small: a score need not change much, nor the ranking"),
    ):
        found = bool(answer(scores_of, sequences))
        assert torch.equal(sequences, before), "the sequences were changed: work on a copy"
        assert found or not cheats, f"a system that cheats passes: {says}"
        assert cheats or not found, f"an honest system is accused: {says}"


# --- six cheats and four honest systems ---


def _transitions(held_out: int) -> Scores:
    """How often each item came after the one before the last; held out: events at the end."""

    def scores_of(sequences: Tensor) -> Tensor:
        train = sequences[:, : sequences.size(1) - held_out]
        pairs = torch.zeros(ITEMS + 1, ITEMS + 1)
        pairs.index_put_((train[:, :-1], train[:, 1:]), torch.tensor(1.0), accumulate=True)
        return pairs[sequences[:, -2]]

    return scores_of


def _counts(held_out: int) -> Scores:
    def scores_of(sequences: Tensor) -> Tensor:
        train = sequences[:, : sequences.size(1) - held_out]
        counted = torch.bincount(train.flatten(), minlength=ITEMS + 1).float()
        return counted.expand(len(sequences), -1)

    return scores_of


def _by_length(sequences: Tensor) -> Tensor:
    item = torch.arange(ITEMS + 1.0)
    return torch.cos(item * (sequences > 0).sum(1, keepdim=True)) + _counts(1)(sequences)


def _constant(sequences: Tensor) -> Tensor:
    return torch.zeros(len(sequences), ITEMS + 1)


def _oracle(sequences: Tensor) -> Tensor:
    return F.one_hot(sequences[:, -1], ITEMS + 1).float()


def _unmasked(sequences: Tensor) -> Tensor:
    return F.one_hot(sequences, ITEMS + 1).float().mean(1)


def _one_user(sequences: Tensor) -> Tensor:
    return _counts(1)(sequences) + _oracle(sequences)[3]


def _hardly(sequences: Tensor) -> Tensor:
    no_ties = 1e-2 * torch.arange(ITEMS + 1.0)
    return _transitions(1)(sequences) + no_ties + 1e-4 * _oracle(sequences)


def _near(found: float, expected: float) -> bool:
    return math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)
