"""What the exercises of notebook 05 have to do: shares, occlusion, rank correlation, Shapley.

Where a model is asked, it is a function from a history, a list of item ids, to log P(target). Here
these are small and invented, so that what an event contributes is known.

Status: ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tema_lib.exercises.check import Answer, number
from tema_lib.explain.occlusion import agreement

LogP = Callable[[list[int]], float]


def share_across(answer: Answer) -> None:
    """A record -> the share of `event_weights` on the domain that is not the target's."""

    def share(domains: str, weights: Tensor, domain: str) -> float:
        history = [SimpleNamespace(domain=d) for d in domains]
        return number(
            answer(SimpleNamespace(history=history, event_weights=weights, domain=domain))
        )

    weights = torch.rand(7).softmax(-1)
    assert _near(share("AAAAAAA", weights, "A"), 0), (
        "nothing lies in the other domain: the share is 0"
    )
    assert _near(share("BBBBBBB", weights, "A"), 1), "everything lies in the other domain: it is 1"
    single = torch.eye(7)[2]
    assert _near(share("AABAAAA", single, "A"), 1), (
        "one event has all the attention, and it is in the other domain: add weights, not events"
    )
    assert _near(share("AABAAAA", single, "B"), 0), (
        "the domain that counts is the one that is not the target's (`record.domain`)"
    )
    assert _near(share("ABBABAB", weights, "A") + share("ABBABAB", weights, "B"), 1), (
        "for a target in A and one in B, the two shares must add up to 1"
    )
    for part in torch.rand(5):
        two = part * torch.eye(7)[2] + (1 - part) * torch.eye(7)[5]
        assert _near(share("AABAAAA", two, "A"), part), (
            "two events have the attention, one in each domain: the share is the weight of one"
        )


def occlusion_effects(answer: Answer) -> None:
    """(log_p, history) -> what log P loses without each event, one number an event."""
    value = _values_of_items()
    history = [4, 9, 2, 4, 7]
    whole = list(history)
    asked: list[list[int]] = []

    def adds_up(past: list[int]) -> float:
        asked.append(list(past))
        return sum(value[item] for item in past) - 5

    found = _numbers(answer(adds_up, history), 5)
    assert history == whole, "the history itself was changed: ask about a shortened copy"
    gaps = [past for past in asked if not set(past) <= set(whole)]
    assert not gaps, "an event leaves no gap: those behind it move up, and nothing fills its place"
    assert all(len(past) >= 4 for past in asked), (
        "more than one event is missing: an item may occur twice in a history, so go by position"
    )
    expected = [value[item] for item in whole]
    assert not _near(found, [-effect for effect in expected]), (
        "the sign: an event that supports the target has a positive effect"
    )
    assert _near(found, expected), (
        "where log P is a sum of what the events add, each effect is what its event adds"
    )

    def newest_counts_most(past: list[int]) -> float:
        return sum(value[item] / 2**age for age, item in enumerate(reversed(past)))

    oldest, *_ = _numbers(answer(newest_counts_most, history), 5)
    assert _near(oldest, value[4] / 16), "the order of the remaining events must stay as it was"
    assert _near(_numbers(answer(adds_up, [9]), 1), [value[9]]), (
        "a history of one event is shortened to an empty one"
    )


def rank_correlation(answer: Answer) -> None:
    """(one [T], other [T]) -> Spearman's rank correlation; NaN where one of them is constant."""
    rng = np.random.default_rng(0)

    def rho(one: np.ndarray, other: np.ndarray) -> float:
        return number(answer(one, other))

    for size in (3, 8, 21):
        one, other = rng.normal(size=(2, size))
        assert _near(rho(one, 3 * one + 7), 1), "the same order gives 1"
        assert _near(rho(one, -one), -1), "the opposite order gives -1"
        plain = rho(one, other)
        assert _near(rho(np.exp(3 * one), other), plain), (
            "only the order counts: another scale of one attribution must not change the result"
        )
    tied, other = rng.integers(4, size=20).astype(float), rng.integers(6, size=20).astype(float)
    for _ in range(5):
        order = rng.permutation(20)
        assert _near(rho(tied[order], other[order]), rho(tied, other)), (
            "with ties, the result depends on which event is listed first: "
            "tied values have to share the mean of their ranks"
        )
    assert math.isnan(rho(np.ones(6), other[:6])), (
        "constant weights have no order to agree with: return NaN"
    )
    assert _near(rho(tied, other), agreement(tied, other)), (
        "with ties this is not Spearman's: the formula with squared differences of ranks "
        "holds without ties only; start from the correlation of the ranks"
    )


def exact_shapley(answer: Answer) -> None:
    """(log_p, history) -> the Shapley value of each event, over all orders of a short history."""
    rng = np.random.default_rng(0)
    for history in ([5, 2, 8], [3, 1], [6, 4, 9, 7]):
        size, games = len(history), []
        for members in range(1, 2**size):  # only together do these events count
            inside = [member for member in range(size) if members >> member & 1]
            together = {history[member] for member in inside}
            games.append((float(rng.normal()), together))
            found = _numbers(answer(_needs(together, history), history), size)
            alone, others = found[inside], np.delete(found, inside)
            assert _near(found.sum(), 1), (
                "the values must add up to log P(whole history) - log P(empty history)"
            )
            assert _near(others, np.zeros(len(others))), (
                "an event that never changes log P has the value 0"
            )
            assert _near(alone, np.full(len(inside), alone.mean())), (
                "events that count only together must share the credit equally"
            )
        parts = [
            weight * _numbers(answer(_needs(together, history), history), size)
            for weight, together in games
        ]
        assert _near(_numbers(answer(_sum_of(games), history), size), sum(parts)), (
            "the value in a sum of two functions must be the sum of the values in each"
        )
    enough = _numbers(answer(lambda past: float(4 in past), [4, 4, 1]), 3)
    assert _near(enough, [0.5, 0.5, 0]), (
        "two events of the same item, of which one is enough, share the credit: go by position"
    )


def value_weighted(answer: Answer) -> None:
    """(weights (H, T, T), values (H, T, Dh)) -> weights (H, T, T) by the values' lengths, too."""
    weights = torch.randn(2, 6, 6).masked_fill(~torch.ones(6, 6).tril().bool(), -math.inf)
    weights = weights.softmax(-1)
    values = torch.randn(2, 6, 4) * (0.3 + torch.rand(2, 6, 1))
    found = answer(weights, values)
    assert isinstance(found, Tensor), "return a tensor of shape (2, 6, 6)"
    assert found.shape == (2, 6, 6), f"return a tensor of shape (2, 6, 6), not {found.shape}"
    assert not found.triu(1).any(), "an event has a weight that the mask had taken from it"
    assert _near(found.sum(-1), torch.ones(2, 6)), "each row of weights must sum to 1 again"
    units = values / values.norm(dim=-1, keepdim=True)
    assert _near(answer(weights, units), weights), (
        "where all value vectors have one length, the weights stay as they are"
    )
    longer = values.clone()
    longer[0, 2] *= 2
    changed = answer(weights, longer)
    assert _near(changed[1], found[1]), "each head has value vectors of its own"
    odds, twice = (w[0, 4, 2] / (1 - w[0, 4, 2]) for w in (found, changed))
    assert _near(twice, 2 * odds), (
        "a value vector of twice the length must double the odds w / (1 - w) of its event"
    )
    values[:, 0] = 0
    found = answer(weights, values)
    assert not found.isnan().any(), (
        "NaN: the oldest event attends to itself alone, and here its value vector is 0"
    )


def _values_of_items() -> list[float]:
    """What each of ten items adds to log P."""
    return np.random.default_rng(0).normal(size=10).tolist()


def _needs(together: set[int], history: list[int]) -> LogP:
    """log P is 1 higher once all these items are there; events out of order are not accepted."""

    def log_p(past: list[int]) -> float:
        assert list(past) == [item for item in history if item in past], (
            "an order says when an event is added; what is asked about stays in the order of time"
        )
        return float(together <= set(past)) - 3

    return log_p


def _sum_of(games: list[tuple[float, set[int]]]) -> LogP:
    """log P is higher by the weight of each set of items that is complete."""
    return lambda past: sum(weight * (together <= set(past)) for weight, together in games)


def _numbers(values: Any, count: int) -> np.ndarray:
    """A list, array or tensor of so many numbers."""
    assert hasattr(values, "__len__"), "return one number for each event"
    assert len(values) == count, f"return one number for each event, here {count}"
    return np.array([number(value) for value in values])


def _near(found: Any, expected: Any) -> bool:
    return np.allclose(np.asarray(found), np.asarray(expected), rtol=1e-3, atol=1e-5)
