"""Exercises of notebook 01: order, leave-one-out, the k-core, what a branch reads, a split in time.

Each function tries the answer of the same name (`check.verdict`).

Status: ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tema_lib.exercises.check import Answer, shaped


def time_order(answer: Answer) -> None:
    """The positions of events, oldest first: times [E] -> int [E]."""
    rng = np.random.default_rng(0)
    for times in (86_400 * rng.permutation(40), rng.integers(0, 5, 400)):
        order = _row(answer(times.copy()), len(times))
        assert sorted(order) == list(range(len(times))), (
            "return positions 0 to E-1, each of them once"
        )
        step = np.diff(times[order])
        assert (step >= 0).all(), (
            "times[order] must never fall: order[0] is where the oldest event is"
        )
        assert (np.diff(order)[step == 0] > 0).all(), (
            "events of one day must stay in the order of the file; is your sort stable?"
        )


def hold_out(answer: Answer) -> None:
    """Leave-one-out: users [E], times [E] -> int [E], 0 train, 1 validation, 2 test, -1 unused."""
    rng = np.random.default_rng(0)
    users = rng.permutation(np.repeat(np.arange(30), rng.integers(1, 9, 30)))
    for times, what in (
        (rng.permutation(len(users)), "later than all events before it"),
        (rng.integers(0, 3, len(users)), "the later one of a tie, which is further down the file"),
    ):
        part = _row(answer(users.copy(), times.copy()), len(users))
        for user in range(30):
            own = np.flatnonzero(users == user)
            own = own[np.lexsort((own, times[own]))]  # in time order, ties as in the file
            if len(own) < 3:
                assert (part[own] == -1).all(), (
                    "with fewer than three events nothing is left to train on: mark them all -1"
                )
                continue
            for number, name in ((2, "test"), (1, "validation")):
                count = int((part[own] == number).sum())
                assert count == 1, f"a user has {count} {name} targets, not one"
            assert np.isin(part[own], (0, 1, 2)).all(), (
                "an event of a user with at least three is none of 0, 1, 2"
            )
            assert part[own[-1]] == 2, f"a test target must be {what}"
            assert part[own[-2]] == 1, "the validation target must be the last before the test's"


def in_core(answer: Answer) -> None:
    """The k-core: users, items, domains [E] and the limits m, n -> bool [E], the events in it."""
    rng = np.random.default_rng(0)
    log, in_ring = _chain_and_ring()
    shuffled = rng.permutation(len(in_ring))
    log, in_ring = log[:, shuffled], in_ring[shuffled]
    kept = _row(answer(*log, 2, 1), len(in_ring)).astype(bool)
    _assert_enough(kept, log, 2, 1)
    assert kept[in_ring].all(), "events of items and users that have enough were dropped"
    log = rng.integers(0, 50, (3, 30)) % [[20], [40], [2]]
    assert np.all(answer(*log, 1, 0)), "with the limits 1 and 0 every event must stay"
    for _ in range(30):
        users, items = rng.integers(0, (3, 4), (10, 2)).T
        log = np.stack([users, items, items // 2])
        kept = _row(answer(*log, 2, 1), 10).astype(bool)
        _assert_enough(kept, log, 2, 1)
        assert kept.sum() == _largest_part(log), (
            "there is a larger part in which everyone has enough; drop no more than you must"
        )


def branch_reads(answer: Answer) -> None:
    """What a branch reads: sequence [B, T], domain_of_item [N+1], domain -> items [B, T]."""
    domain_of_item = torch.tensor([-1] + [0] * 7 + [1] * 5)
    sequence = torch.randint(1, 13, (9, 12))
    real = torch.arange(12) < torch.tensor([1, 2, 12, 12, 12, 9, 8, 12, 11])[:, None]
    sequence = sequence * real
    for domain in (0, 1):
        read = shaped(answer(sequence.clone(), domain_of_item, domain), *sequence.shape).long()
        assert set(domain_of_item[read[real]].tolist()) <= {-1, domain}, (
            "a branch reads items of its own domain, and 0 where there is none yet"
        )
        future = sequence.clone()
        future[:, 6:] = future[:, 6:].flip(0)
        again = shaped(answer(future, domain_of_item, domain), *sequence.shape).long()
        past = real[:, :6]
        assert torch.equal(read[:, :6][past], again[:, :6][past]), (
            "another future changes what was read before it: no reading ahead"
        )
        own = domain_of_item[sequence] == domain
        assert torch.equal(read[own], sequence[own]), (
            "at an event of its own domain, the branch may read this very event"
        )
        before = torch.cat([torch.zeros(9, 1, dtype=torch.long), read[:, :-1]], dim=1)
        assert torch.equal(read[real & ~own], before[real & ~own]), (
            "at an event of the other domain, the branch still reads its own latest event "
            "(0 if it has none)"
        )


def split_at(answer: Answer) -> None:
    """A split in time: users [E], times [E], a moment -> (train, target), bool [E] each."""
    rng = np.random.default_rng(0)
    users, times = rng.integers(0, 60, 400), rng.permutation(400)
    users[times > 300] += 10  # new users, and users who have left
    for cut in (250, 299):
        found = answer(users.copy(), times.copy(), cut)
        assert isinstance(found, (tuple, list)), "return two: train, target"
        assert len(found) == 2, f"return two, train and target, not {len(found)}"
        train, target = (_row(each, 400).astype(bool) for each in found)
        assert not train[times > cut].any(), "an event after the cut is trained on"
        assert train[times <= cut].all(), "an event at or before the cut is not trained on"
        assert not target[times <= cut].any(), "a target must be after the cut"
        for user in np.unique(users):
            own = np.flatnonzero(users == user)
            after = own[times[own] > cut]
            count = int(target[own].sum())
            if not train[own].any():
                assert not count, "a target needs a history: its user has no training event"
            elif len(after):
                assert count == 1, f"a user with events on both sides has {count} targets, not one"
                assert target[after[times[after].argmin()]], (
                    "a target must be the first event after the cut, so that its history is whole"
                )


def _row(found: Any, length: int) -> np.ndarray:
    found = np.asarray(found)
    assert found.shape == (length,), (
        f"return one value per event: the shape must be ({length},), not {found.shape}"
    )
    return found


def _chain_and_ring() -> tuple[np.ndarray, np.ndarray]:
    """(users, items, domains) [3, E] of twelve users in a chain and six in a ring; who is in it.

    Each has one event in A and one in B, and shares either item with a neighbour. The two ends of
    the chain have an item of their own, so it is taken apart from both, one step after the other.
    """
    chain = [(user, user + end, (user + end) % 2) for user in range(12) for end in (0, 1)]
    ring = [(50 + i, 50 + (i + end) % 6, (i + end) % 2) for i in range(6) for end in (0, 1)]
    return np.array(chain + ring).T, np.arange(36) >= 24


def _assert_enough(kept: np.ndarray, log: np.ndarray, m: int, n: int) -> None:
    users, items, domains = log
    left = np.unique(items[kept], return_counts=True)[1]
    assert (left >= m).all(), f"an item that is left has fewer than {m} events; go on dropping"
    for user in np.unique(users[kept]):
        counts = np.bincount(domains[kept & (users == user)], minlength=2)
        assert (counts >= n).all(), (
            f"a user who is left has fewer than {n} events in one domain; go on dropping"
        )


def _largest_part(log: np.ndarray) -> int:
    """How many events the largest part has with two an item and one a user and domain.

    All subsets are tried.
    """
    users, items, domains = log
    parts = np.indices((2,) * len(users)).reshape(len(users), -1).T  # [2^E, E]
    of_item = parts @ np.eye(items.max() + 1, dtype=int)[items]
    of_user = parts @ np.eye(2 * users.max() + 2, dtype=int)[2 * users + domains]
    of_user = of_user.reshape(len(parts), -1, 2)
    enough = (of_item != 1).all(1) & ((of_user > 0).all(2) | ~of_user.any(2)).all(1)
    return int(parts[enough].sum(1).max())
