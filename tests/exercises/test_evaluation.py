"""Typical wrong answers to the exercises of notebook 06, and what they are told."""

import numpy as np
import pytest
import torch

from tema_lib.exercises import evaluation
from tema_lib.exercises.check import verdict


def hit_rate(ranks, k):
    return (ranks <= k).mean()


def strictly_before(ranks, k):
    return (ranks < k).mean() / k


def rounded_down(ranks, k):
    return (np.floor(ranks) <= k).mean() / k


def summed(ranks, k):
    return (ranks <= k).sum() / k


def of_any_case(ranks, k):
    return (ranks <= k).any() / k


def without_the_gap(differences, gap):
    return (1.96 * np.std(differences)) ** 2


def half_the_gap_half_the_cases(differences, gap):
    return 1.96 * np.std(differences) / abs(gap)


def around_zero(differences, gap):
    return (1.96 * np.sqrt((differences**2).mean()) / gap) ** 2


def one_standard_error(differences, gap):
    return (np.std(differences) / gap) ** 2


def variance_of_the_pilot_mean(differences, gap):
    return (1.96 * np.std(differences) / np.sqrt(len(differences)) / gap) ** 2 * 900


def competing(scores, target, history):
    keep = np.ones(len(scores), dtype=bool)
    keep[history] = False
    keep[target] = True
    return scores[keep]


def target_first(scores, target, history):
    return 1 + (competing(scores, target, history) > scores[target]).sum()


def target_last(scores, target, history):
    return (competing(scores, target, history) >= scores[target]).sum()


def lowest_first(scores, target, history):
    return len(competing(scores, target, history)) + 1 - rightly(scores, target, history)


def rightly(scores, target, history):
    candidates = competing(scores, target, history)
    above, tied = (candidates > scores[target]).sum(), (candidates == scores[target]).sum()
    return 1 + above + (tied - 1) / 2


def close_is_tied(scores, target, history):
    candidates = competing(scores, target, history)
    tied = np.isclose(candidates, scores[target])
    return 1 + ((candidates > scores[target]) & ~tied).sum() + (tied.sum() - 1) / 2


def middle_only_if_all_are_tied(scores, target, history):
    if len(set(scores)) == 1:
        return (len(scores) + 1) / 2
    return target_first(scores, target, history)


def subtracts_the_history(scores, target, history):
    above = (scores > scores[target]).sum() - (scores[history] > scores[target]).sum()
    tied = (scores == scores[target]).sum() - (scores[history] == scores[target]).sum()
    return 1 + above + (tied - 1) / 2


def stable_sort(scores, target, history):
    order = np.argsort(-scores, kind="stable").tolist()
    return 1 + sum(i not in history for i in order[: order.index(target)])


def everything_competes(scores, target, history):
    above, tied = (scores > scores[target]).sum(), (scores == scores[target]).sum()
    return 1 + above + (tied - 1) / 2


def target_of_the_history_is_gone(scores, target, history):
    others = [i for i in range(len(scores)) if i not in history and i != target]
    above, tied = (scores[others] > scores[target]).sum(), (scores[others] == scores[target]).sum()
    return len(scores) if target in history else 1 + above + tied / 2


def resampled_apart(one, other):
    rng = np.random.default_rng(1)
    drawn = rng.integers(len(one), size=(2, 2000, len(one)))
    return np.quantile(one[drawn[0]].mean(1) - other[drawn[1]].mean(1), [0.025, 0.975])


def means_of(one, other, size=None, level=0.95):
    rng = np.random.default_rng(1)
    drawn = rng.integers(len(one), size=(2000, size or len(one)))
    return np.quantile((one - other)[drawn].mean(1), [(1 - level) / 2, (1 + level) / 2])


def lowest_and_highest(one, other):
    return means_of(one, other, level=1)


def too_few_drawn(one, other):
    return means_of(one, other, size=len(one) // 2)


def of_single_cases(one, other):
    return np.quantile(one - other, [0.025, 0.975])


def one_standard_error_each_side(one, other):
    error = np.std(one - other) / len(one) ** 0.5
    return np.mean(one - other) + np.array([-error, error])


def symmetric(one, other):
    error = 1.96 * np.std(one - other) / len(one) ** 0.5
    return np.mean(one - other) + np.array([-error, error])


def high_first(one, other):
    return means_of(one, other)[::-1]


def the_other_way_round(one, other):
    return means_of(other, one)


def event_removed(scores_of, sequences):
    return not torch.equal(scores_of(sequences), scores_of(sequences[:, :-1]))


def event_hidden(scores_of, sequences):
    changed = sequences.clone()
    changed[:, -1] = 0
    return not torch.equal(scores_of(sequences), scores_of(changed))


def first_user_only(scores_of, sequences):
    changed = sequences.clone()
    changed[0, -1] = changed[0, -1] % 8 + 1
    return not torch.equal(scores_of(sequences)[0], scores_of(changed)[0])


def own_score_only(scores_of, sequences):
    """Changes all, but asks whether each user's best item became the new last event."""
    return bool((scores_of(sequences).argmax(1) == sequences[:, -1]).all())


def ranking_only(scores_of, sequences):
    changed = sequences.clone()
    changed[:, -1] = changed[:, -1] % 8 + 1
    one, other = (scores_of(s).argsort(dim=1, stable=True) for s in (sequences, changed))
    return not torch.equal(one, other)


def earlier_event(scores_of, sequences):
    changed = sequences.clone()
    changed[:, 0] = changed[:, 0] % 8 + 1
    return not torch.equal(scores_of(sequences), scores_of(changed))


def in_place(scores_of, sequences):
    before = scores_of(sequences)
    sequences[:, -1] = sequences[:, -1] % 8 + 1
    return not torch.equal(scores_of(sequences), before)


@pytest.mark.parametrize(
    ("check", "answer", "says"),
    [
        ("precision_at", hit_rate, "there is only one in a case"),
        ("precision_at", strictly_before, "at 1 it is 1"),
        ("precision_at", rounded_down, "behind the first k"),
        ("precision_at", summed, "at 1 it is 1"),
        ("precision_at", of_any_case, "a third of the cases"),
        ("cases_needed", without_the_gap, "in another unit"),
        ("cases_needed", half_the_gap_half_the_cases, "four times as many"),
        ("cases_needed", around_zero, "a constant added"),
        ("cases_needed", one_standard_error, "times the gap, not 1"),
        ("cases_needed", variance_of_the_pilot_mean, "a longer pilot run"),
        ("rank_of", target_first, "in the middle of the list"),
        ("rank_of", target_last, "in the middle of the list"),
        ("rank_of", lowest_first, "nothing is above the target"),
        ("rank_of", close_is_tied, "nearly agree are not tied"),
        ("rank_of", middle_only_if_all_are_tied, "add up to"),
        ("rank_of", subtracts_the_history, "is left out once"),
        ("rank_of", stable_sort, "in the middle of the list"),
        ("rank_of", everything_competes, "items of the history do not compete"),
        ("rank_of", target_of_the_history_is_gone, "is still ranked"),
        ("rank_of", rightly, "a score of nan was ranked"),
        ("paired_interval", resampled_apart, "much too wide"),
        ("paired_interval", lowest_and_highest, "too wide"),
        ("paired_interval", too_few_drawn, "too wide"),
        ("paired_interval", of_single_cases, "too wide"),
        ("paired_interval", one_standard_error_each_side, "too narrow"),
        ("paired_interval", symmetric, "nobody lost"),
        ("paired_interval", high_first, "low must be below high"),
        ("paired_interval", the_other_way_round, "one minus other"),
        ("leaks", event_removed, "an honest system is accused"),
        ("leaks", event_hidden, "replace, do not remove"),
        ("leaks", first_user_only, "a system that cheats passes"),
        ("leaks", own_score_only, "its training has seen"),
        ("leaks", ranking_only, "the leak is small"),
        ("leaks", earlier_event, "an honest system is accused"),
        ("leaks", in_place, "the sequences were changed"),
        ("leaks", lambda scores_of, sequences: False, "a system that cheats passes"),
        ("leaks", lambda scores_of, sequences: True, "an honest system is accused"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(check, answer, says):
    assert says in verdict(getattr(evaluation, check), answer)
