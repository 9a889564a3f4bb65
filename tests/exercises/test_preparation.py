"""Wrong answers that students give to the exercises of notebook 01, and what they are told."""

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tema_lib.data.dataset import RawData
from tema_lib.data.files import DataError
from tema_lib.data.filters import k_core
from tema_lib.data.sequences import domain_view
from tema_lib.exercises import preparation
from tema_lib.exercises.check import verdict


def unstable(times):
    """As a quick sort may: equal times change places."""
    return np.lexsort((-np.arange(len(times)), times))


def last_of_all(users, times):
    """The two latest events of the table, not of each user."""
    part = np.zeros(len(users), dtype=int)
    part[np.argsort(times)[-2:]] = 1, 2
    return part


def in_file_order(users, times):
    """The file is taken to be in time order."""
    part = np.full(len(users), -1)
    for user in np.unique(users):
        own = np.flatnonzero(users == user)
        if len(own) >= 3:
            part[own], part[own[-2]], part[own[-1]] = 0, 1, 2
    return part


def short_users_train(users, times):
    part = in_order(users, times, least=1)
    return np.where(part < 0, 0, part)


def in_order(users, times, least=3, ties=1):
    part = np.full(len(users), -1)
    order = np.lexsort((ties * np.arange(len(users)), times))
    for user in np.unique(users):
        own = order[users[order] == user]
        if len(own) >= least:
            part[own] = 0
            part[own[-2:]] = (1, 2)[-len(own) :]
    return part


def oldest_validates(users, times):
    part = in_order(users, times)
    oldest = np.lexsort((times, users))[np.unique(np.sort(users), return_index=True)[1]]
    oldest = oldest[part[oldest] == 0]
    part[part == 1] = 0
    part[oldest] = 1
    return part


def distinct_users(users, items, domains, m, n):
    """A repeat does not count."""
    kept = np.zeros(len(users), dtype=bool)
    once = np.unique([users, items], axis=1, return_index=True)[1]
    kept[once] = passes(users[once], items[once], domains[once], m, n, 50)
    same = [(one == items) & (user == users) for user, one in zip(users[kept], items[kept])]
    return np.any(same, axis=0) if same else kept


def passes(users, items, domains, m, n, count=1):
    """A fixed number of passes."""
    kept = np.ones(len(users), dtype=bool)
    for _ in range(count):
        kept &= np.bincount(items[kept], minlength=items.max() + 1)[items] >= m
        for domain in (0, 1):
            own = users[kept & (domains == domain)]
            kept &= np.bincount(own, minlength=users.max() + 1)[users] >= n
    return kept


def in_all(users, items, domains, m, n):
    """A user needs n events in all, not in each domain."""
    return passes(users, items, domains * 0, m, 0, 50)


def both_limits(users, items, domains, m, n):
    """The limit of items for users, too."""
    return passes(users, items, domains, m, m, 50)


def always_both(users, items, domains, m, n):
    return passes(users, items, domains, m, max(n, 1), 50)


def reads(sequence, domain_of_item, domain, shift=0, first=False):
    view = domain_view(sequence, domain_of_item, domain)
    at = (view.read_at + shift).clamp(0, view.sequence.size(1) - 1)
    return view.sequence.gather(1, at) * (view.has_any | first)


def compact(sequence, domain_of_item, domain):
    """The domain's own sequence, without the way back to merged time."""
    own = domain_view(sequence, domain_of_item, domain).sequence
    return torch.nn.functional.pad(own, (0, sequence.size(1) - own.size(1)))


def only_own(sequence, domain_of_item, domain):
    return sequence * (domain_of_item[sequence] == domain)


def split(users, times, cut, which="first", new_users=False, strict=False):
    train = times < cut if strict else times <= cut
    target = np.zeros(len(users), dtype=bool)
    for user in np.unique(users):
        own = np.flatnonzero((users == user) & (times > cut))
        if len(own) and (new_users or train[users == user].any()):
            target[own[times[own].argmin() if which == "first" else times[own].argmax()]] = True
    return train, target


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("time_order", np.sort, "each of them once"),
        ("time_order", lambda times: np.argsort(-times), "oldest event"),
        ("time_order", lambda times: np.argsort(np.argsort(times)), "oldest event"),
        ("time_order", unstable, "is your sort stable?"),
        ("hold_out", last_of_all, "a user has 0 test targets"),
        ("hold_out", in_file_order, "later than all events before it"),
        ("hold_out", short_users_train, "mark them all -1"),
        ("hold_out", oldest_validates, "the validation target must be"),
        ("hold_out", lambda *given: in_order(*given, ties=-1), "further down the file"),
        ("in_core", passes, "an item that is left has fewer than 2"),
        ("in_core", lambda *given: passes(*given, 3), "an item that is left has fewer than 2"),
        ("in_core", in_all, "fewer than 1 events in one domain"),
        ("in_core", distinct_users, "there is a larger part"),
        ("in_core", both_limits, "were dropped"),
        ("in_core", always_both, "every event must stay"),
        ("branch_reads", lambda *given: reads(*given, shift=1), "no reading ahead"),
        ("branch_reads", lambda *given: reads(*given, shift=-1), "this very event"),
        ("branch_reads", lambda sequence, *_: sequence, "of its own domain"),
        ("branch_reads", compact, "no reading ahead"),
        ("branch_reads", only_own, "still reads its own latest event"),
        ("branch_reads", lambda *given: reads(*given, first=True), "no reading ahead"),
        ("split_at", lambda users, times, cut: (times > 0, times > cut), "is trained on"),
        ("split_at", lambda users, times, cut: (times <= cut, times <= cut), "after the cut"),
        ("split_at", lambda *given: split(*given, which="last"), "the first event after the cut"),
        ("split_at", lambda *given: split(*given, new_users=True), "needs a history"),
        ("split_at", lambda *given: split(*given, strict=True), "at or before the cut"),
        ("split_at", lambda users, times, cut: (times <= cut, times > cut), "has 2 targets"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(name, wrong, says):
    said = verdict(getattr(preparation, name), wrong)
    assert said.startswith("not solved yet: ")
    assert says in said


def library_core(users, items, domains, m, n):
    table = pd.DataFrame(
        {"user_id": users, "item_id": items, "domain": np.array(["A", "B"])[domains]}
    )
    raw = RawData("an exercise", Path(), table, pd.DataFrame({"item_id": np.unique(items)}), "")
    kept = np.zeros(len(table), dtype=bool)
    with contextlib.suppress(DataError):  # nothing is left
        kept[k_core(raw, items=m, users_per_domain=n).interactions.index] = True
    return kept


@pytest.mark.parametrize(("name", "right"), [("in_core", library_core), ("branch_reads", reads)])
def test_the_library_passes(name, right):
    assert verdict(getattr(preparation, name), right) == "solved"
