"""Answers to notebook 00 that are wrong in a typical way, and what each is told."""

import pytest
import torch

from tema_lib.exercises import start
from tema_lib.exercises.check import verdict


def told(check, answer):
    said = verdict(check, answer)
    assert said.startswith("not solved yet: ")
    return said


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda n, k: 10 / n, "depend on k"),
        (lambda n, k: k / 300, "depend on n"),
        (lambda n, k: k / n, "no more"),
        (lambda n, k: min(1, (k - 1) / n), "between 0 and 1"),
        (lambda n, k: min(1, 1 - (1 - 1 / n) ** k), "k times as many"),
    ],
)
def test_hit_rates(answer, says):
    assert says in told(start.random_hit_rate, answer)


def by_comparing(compare, extra):
    """Ranks that count what `compare` says, and `extra` for it."""

    def ranks(scores, target):
        own = scores.gather(1, target[:, None])
        return 1 + compare(scores, own).sum(1) + extra(scores, own)

    return ranks


def half(scores, own):
    return (scores == own).sum(1) / 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (by_comparing(torch.gt, lambda scores, own: 0), "the middle one"),
        (by_comparing(torch.ge, lambda scores, own: -1), "the middle one"),
        (by_comparing(torch.gt, half), "rank 1"),  # the target is tied with itself
        (by_comparing(torch.lt, lambda scores, own: half(scores, own) - 0.5), "rank 1"),
        (lambda scores, target: scores.argsort(1).argsort(1).gather(1, target[:, None])[:, 0], "1"),
        (lambda scores, target: 1 + int((scores[0] > scores[0, target[0]]).sum()), "a tensor"),
        (lambda scores, target: scores, "shape"),
        (
            by_comparing(torch.gt, lambda scores, own: ((scores == own).sum(1) - 1) // 2),
            "not whole",
        ),
        (lambda scores, target: 10 - scores.gather(1, target[:, None])[:, 0] - 1, "not on their"),
    ],
)
def test_ranks(answer, says):
    assert says in told(start.ranks_of, answer)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda n: (1 / n, 1), "half of the *other*"),
        (lambda n: (2 / n, 1), "half of the *other*"),
        (lambda n: (1, 1), "must not be perfect"),
        (lambda n: (2 / (n + 1), 2 / (n + 1)), "nothing scores *higher*"),
        (lambda n: (0.02, 1), "half of the *other*"),  # right for one n only
    ],
)
def test_constant_models(answer, says):
    assert says in told(start.constant_model, answer)


def listing(history=True, domain=True, padding=True, best_first=True):
    """A list with one thing forgotten."""

    def chosen(scores, past, domain_of_item, wanted, k):
        allowed = domain_of_item == wanted if domain else domain_of_item >= 0
        if not padding:
            allowed = allowed | (domain_of_item < 0)
        if history:
            allowed[past] = False
        order = scores.masked_fill(~allowed, -torch.inf).argsort(descending=best_first)
        return [item for item in order.tolist() if allowed[item]][:k]

    return chosen


def in_place(scores, past, domain_of_item, wanted, k):
    scores[past] = -torch.inf
    return listing()(scores, past, domain_of_item, wanted, k)


def never_fewer(scores, past, domain_of_item, wanted, k):
    """Asked for more than are left, it goes on with what must not appear."""
    allowed = domain_of_item == wanted
    allowed[past] = False
    return scores.masked_fill(~allowed, -torch.inf).topk(min(k, len(scores))).indices


def by_zero(scores, past, domain_of_item, wanted, k):
    """What must not appear gets a score of 0, which is above most."""
    allowed = domain_of_item == wanted
    allowed[past] = False
    return (scores * allowed).topk(min(k, int(allowed.sum()))).indices


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (listing(history=False), "of the history"),
        (listing(domain=False), "of the other domain"),
        (listing(padding=False), "padding"),
        (listing(best_first=False), "the best comes first"),
        (in_place, "work on a copy"),
        (never_fewer, "all that are left"),
        (by_zero, "is in the list"),
        (lambda *given: listing()(*given)[1:], "4 were asked for"),
        (lambda *given: listing()(*given)[:1] * 4, "twice"),
        (lambda scores, *given: scores.topk(4).values, "an item"),
    ],
)
def test_lists(answer, says):
    assert says in told(start.top_k, answer)
