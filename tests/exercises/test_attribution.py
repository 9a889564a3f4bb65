"""Typical wrong answers to the exercises of notebook 05, and what they are told."""

from itertools import permutations

import numpy as np
import pytest
import torch

from tema_lib.exercises import attribution
from tema_lib.exercises.check import verdict


def events_counted(record):
    return sum(e.domain != record.domain for e in record.history) / len(record.history)


def own_domain(record):
    pairs = zip(record.history, record.event_weights.tolist())
    return sum(weight for event, weight in pairs if event.domain == record.domain)


def always_domain_b(record):
    pairs = zip(record.history, record.event_weights.tolist())
    return sum(weight for event, weight in pairs if event.domain == "B")


def winner_takes_all(record):
    return round(1 - own_domain(record))


def largest_weight_only(record):
    pairs = zip(record.history, record.event_weights.tolist())
    return max([weight for event, weight in pairs if event.domain != record.domain], default=0)


def newest_first(log_p, history):
    """What is left is asked about in the wrong order."""
    shorter = [history[:j] + history[j + 1 :] for j in range(len(history))]
    return [log_p(history) - log_p(past[::-1]) for past in shorter]


def nothing_for_a_single_event(log_p, history):
    return occlusion(log_p, history) if len(history) > 1 else [0.0]


def every_event_of_the_item(log_p, history):
    return [log_p(history) - log_p([i for i in history if i != item]) for item in history]


def padding_in_its_place(log_p, history):
    gaps = [[*history[:j], 0, *history[j + 1 :]] for j in range(len(history))]
    return [log_p(history) - log_p(gap) for gap in gaps]


def other_sign(log_p, history):
    shorter = [history[:j] + history[j + 1 :] for j in range(len(history))]
    return [log_p(past) - log_p(history) for past in shorter]


def popped(log_p, history):
    effects = []
    for j in range(len(history)):
        whole, item = log_p(history), history.pop(j)
        effects.append(whole - log_p(history))
        history.append(item)
    return effects


def alone(log_p, history):
    return [log_p([item]) - log_p([]) for item in history]


def pearson(one, other):
    return np.corrcoef(one, other)[0, 1]


def ties_by_position(one, other):
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (one, other)]
    return np.corrcoef(*ranks)[0, 1]


def mid_ranks(values):
    return (values[:, None] > values).sum(1) + (values[:, None] == values).sum(1) / 2


def short_formula(one, other):
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    squares = (mid_ranks(one) - mid_ranks(other)) ** 2
    return 1 - 6 * squares.sum() / (len(one) ** 3 - len(one))


def one_for_constant(one, other):
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 1.0
    return np.corrcoef(mid_ranks(one), mid_ranks(other))[0, 1]


def occlusion(log_p, history):
    shorter = [history[:j] + history[j + 1 :] for j in range(len(history))]
    return [log_p(history) - log_p(past) for past in shorter]


def in_order_of_time_only(log_p, history):
    return [log_p(history[: j + 1]) - log_p(history[:j]) for j in range(len(history))]


def equal_parts(log_p, history):
    return [(log_p(history) - log_p([])) / len(history)] * len(history)


def in_order_of_arrival(log_p, history):
    orders = list(permutations(range(len(history))))
    values = np.zeros(len(history))
    for order in orders:
        for n, j in enumerate(order):
            after, before = ([history[k] for k in order[:m]] for m in (n + 1, n))
            values[j] += (log_p(after) - log_p(before)) / len(orders)
    return values


def by_item(log_p, history):
    """Right as long as no item occurs twice."""
    values = dict.fromkeys(history, 0.0)
    orders = list(permutations(values))
    for order in orders:
        for n, item in enumerate(order):
            after, before = ([i for i in history if i in order[:m]] for m in (n + 1, n))
            values[item] += (log_p(after) - log_p(before)) / len(orders)
    return [values[item] for item in history]


def unweighted(weights, values):
    return weights


def uniform(weights, values):
    seen = (weights > 0).float()
    return seen / seen.sum(-1, keepdim=True)


def not_normalised(weights, values):
    return weights * values.norm(dim=-1)[:, None]


def softmax_of_products(weights, values):
    return (weights * values.norm(dim=-1)[:, None]).softmax(-1)


def one_length_for_all_heads(weights, values):
    sent = weights * values.norm(dim=(0, 2))
    return sent / sent.sum(-1, keepdim=True)


def by_sum_of_entries(weights, values):
    sent = weights * values.sum(-1).abs()[:, None]
    return sent / sent.sum(-1, keepdim=True)


def zero_over_zero(weights, values):
    sent = weights * torch.linalg.vector_norm(values, dim=-1)[:, None]
    return sent / sent.sum(-1, keepdim=True)


@pytest.mark.parametrize(
    ("check", "answer", "says"),
    [
        ("share_across", events_counted, "add weights, not events"),
        ("share_across", own_domain, "the share is 0"),
        ("share_across", always_domain_b, "not the target's"),
        ("share_across", winner_takes_all, "the weight of one"),
        ("share_across", largest_weight_only, "everything lies in the other domain"),
        ("occlusion_effects", nothing_for_a_single_event, "shortened to an empty one"),
        ("occlusion_effects", newest_first, "the order of the remaining events"),
        ("occlusion_effects", every_event_of_the_item, "go by position"),
        ("occlusion_effects", padding_in_its_place, "leaves no gap"),
        ("occlusion_effects", other_sign, "the sign"),
        ("occlusion_effects", popped, "the history itself was changed"),
        ("occlusion_effects", alone, "more than one event is missing"),
        ("rank_correlation", pearson, "only the order counts"),
        ("rank_correlation", ties_by_position, "share the mean of their ranks"),
        ("rank_correlation", short_formula, "holds without ties only"),
        ("rank_correlation", one_for_constant, "return NaN"),
        ("exact_shapley", occlusion, "must add up to"),
        ("exact_shapley", in_order_of_time_only, "share the credit equally"),
        ("exact_shapley", equal_parts, "has the value 0"),
        ("exact_shapley", in_order_of_arrival, "stays in the order of time"),
        ("exact_shapley", by_item, "go by position"),
        ("value_weighted", unweighted, "double the odds"),
        ("value_weighted", uniform, "the weights stay as they are"),
        ("value_weighted", not_normalised, "sum to 1 again"),
        ("value_weighted", softmax_of_products, "the mask had taken"),
        ("value_weighted", one_length_for_all_heads, "of its own"),
        ("value_weighted", by_sum_of_entries, "stay as they are"),
        ("value_weighted", zero_over_zero, "NaN"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(check, answer, says):
    assert says in verdict(getattr(attribution, check), answer)
