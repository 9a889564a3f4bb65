"""Notebook 00: what chance reaches, ranks with ties, a constant model, and a list to show.

Status: ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tema_lib.exercises.check import Answer, same, shaped


def random_hit_rate(answer: Answer) -> None:
    """The expected HR@k of a random order of n items."""
    n, k = 100 + int(torch.randint(900, ())), 5 + int(torch.randint(20, ()))
    one, several = answer(n, 1), answer(n, k)
    assert 0 < one < 1, "one place of several is a hit: the share lies between 0 and 1"
    assert several > one, "more places that count mean more hits: does your answer depend on k?"
    assert answer(2 * n, k) < several, "among more items a hit is rarer: does it depend on n?"
    assert abs(several - k * one) < 1e-9, (
        "each place is equally likely, so k places make k times as many hits as one"
    )
    assert abs(answer(n, n) - 1) < 1e-9, "if every place counts, every user is a hit"
    assert abs(answer(k, n) - 1) < 1e-9, "with fewer than k items every user is a hit, and no more"


def ranks_of(answer: Answer) -> None:
    """Ranks with ties, for a batch of users."""
    users, n = 6, 9
    scores = torch.stack([torch.randperm(n) for _ in range(users)]).float()
    everybody = torch.arange(users)
    target = torch.randint(n, (users,))
    found = shaped(answer(scores.clone(), target), users).double()
    assert same(found, _places(scores, target)), (
        "without ties, the best item has rank 1, the last rank n"
    )
    assert same(shaped(answer(10 * scores - 3, target), users).double(), found), (
        "a rank depends on the order of the scores alone, not on their size"
    )

    tied = (scores / 3).floor()  # each value three times
    found = shaped(answer(tied.clone(), target), users).double()
    above = (scores / 3).floor()[everybody, target]
    for user in range(users):
        middle = 3 * (2 - float(above[user])) + 2
        assert abs(float(found[user]) - middle) < 1e-6, (
            "three items share ranks 1, 2 and 3: each has the middle one. "
            "Count half of the *other* tied items; the target is tied with itself"
        )
    alike = shaped(answer(torch.full((users, n), float(torch.rand(()))), target), users).double()
    assert same(alike, (n + 1) / 2), "if all are tied, each has the middle rank"
    pair = shaped(answer(torch.tensor([[1.0, 1.0]]), torch.tensor([1])), 1).double()
    assert same(pair, 1.5), "two tied items share ranks 1 and 2: the middle is not whole"


def constant_model(answer: Answer) -> None:
    """The MRR of a model that gives all items the same score, under two rules for ties."""
    n = 20 + int(torch.randint(500, ()))
    for count in (n, n + 1, 2):
        fair, naive = answer(count)
        assert abs(naive - 1) < 1e-9, "nothing scores *higher* than the target: what is its rank?"
        assert fair < 1, "with ties counted half, the model must not be perfect"
        # The tied items fill all ranks from the first to the last, and the middle is a mean.
        middle = sum(range(1, count + 1)) / count
        assert abs(fair * middle - 1) < 1e-9, (
            "count half of the *other* items, then 1 / rank: all users have the same rank"
        )


def top_k(answer: Answer) -> None:
    """The k best items of one domain that are not in the history."""
    n, first_of_b = 30, 14
    domain_of_item = torch.tensor([-1] + [0] * (first_of_b - 1) + [1] * (n + 1 - first_of_b))
    for domain in (0, 1):
        scores = torch.randn(n + 1) - 3.0  # most are negative
        scores[0] = 9.0  # padding scores high, and is no item
        own = [item for item in range(n + 1) if domain_of_item[item] == domain]
        best = max(own, key=lambda item: float(scores[item]))
        history = [best, *torch.randint(1, n + 1, (5,)).tolist(), best]
        free = [item for item in own if item not in history]
        before = scores.clone()
        chosen = _ids(answer(scores, list(history), domain_of_item, domain, 4))
        assert torch.equal(scores, before), "your function changes the scores: work on a copy"
        assert 0 not in chosen, "row 0 is padding, not an item"
        assert not set(chosen) & set(history), "an item of the history is in the list"
        assert set(chosen) <= set(own), "an item of the other domain is in the list"
        assert len(chosen) == 4, f"it has {len(chosen)} items, and 4 were asked for"
        assert len(set(chosen)) == 4, "an item is there twice"
        values = [float(scores[item]) for item in chosen]
        assert values == sorted(values, reverse=True), "the best comes first"
        left = max(float(scores[item]) for item in free if item not in chosen)
        assert values[-1] > left, "an item with a higher score was left out"
        everything = _ids(answer(scores, list(history), domain_of_item, domain, n))
        assert sorted(everything) == free, (
            "asked for more than there are, it should return all that are left, and nothing else"
        )
    assert not _ids(answer(torch.ones(3), [1], torch.tensor([-1, 0, 1]), 0, 5)), (
        "where every item of the domain is in the history, the list is empty"
    )


def _places(scores: Tensor, target: Tensor) -> Tensor:
    """Where the targets [B] stand in each sorted row of scores [B, n], from 1."""
    order = scores.argsort(1, descending=True)
    return 1.0 + (order == target[:, None]).float().argmax(1)


def _ids(value: object) -> list[int]:
    """An answer as a list of item ids; a tensor of ids will do."""
    listed = value.tolist() if isinstance(value, Tensor) else value
    assert isinstance(listed, list | tuple), (
        f"it should be a list of item ids, not a {type(value).__name__}"
    )
    return [int(item) for item in listed]
