"""Shapley values equal Shapley's formula, and what Captum computes."""

import copy
import itertools
import math

import pytest
import torch
from captum.attr import ShapleyValues

from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.shapley import shapley_values
from tests.helpers.explain import (
    LONG,
    answer,
    close,
)


def exact_shapley_values(value, count):
    """Shapley's own formula, over all subsets."""
    shares = []
    for event in range(count):
        rest, share = [position for position in range(count) if position != event], 0.0
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            share += weight * sum(
                value({*part, event}) - value(set(part))
                for part in itertools.combinations(rest, size)
            )
        shares.append(share)
    return shares


def test_shapley_values_equal_the_formula_and_sum_to_what_the_history_adds(world):
    history, targets = [1, 9, 4, 10], [12, 3]
    shares, errors = shapley_values(world.counterfactual, history, targets, draws=1000)
    for line, target in enumerate(targets):

        def value(part, target=target):
            return answer(world.model, [history[position] for position in sorted(part)], target)

        exact = exact_shapley_values(value, 4)
        assert (abs(shares[line] - torch.tensor(exact)) <= 4 * errors[line] + 1e-5).all()
        assert errors[line].max() < max(map(abs, exact)) / 5
        assert float(shares[line].sum()) == pytest.approx(
            value({0, 1, 2, 3}) - value(set()), abs=1e-4
        )
    few = shapley_values(world.counterfactual, history, targets, draws=3)[0].sum(1)
    assert close(few, shares.sum(1), 1e-4)  # with any number of draws


def test_shapley_values_equal_those_of_captum(world):
    """Captum averages over all orders of switching the events on, from none to all."""
    history, target = [1, 9, 4, 10], 12

    def log_probability(present):
        subset = [item for item, here in zip(history, present[0].tolist()) if here]
        return torch.tensor([answer(world.model, subset, target)])

    captum = ShapleyValues(log_probability).attribute(torch.ones(1, 4), baselines=0)[0]
    values, errors = shapley_values(world.counterfactual, history, [target], draws=1000)
    assert captum.abs().max() > 0.1
    assert (captum - values[0]).abs().le(4 * errors[0] + 1e-5).all()
    assert float(captum.sum()) == pytest.approx(float(values.sum()), abs=1e-4)


def test_the_standard_error_is_the_spread_over_other_draws(world):
    drawn = [
        shapley_values(world.counterfactual, [1, 9, 4, 10], [12], draws=25, seed=seed)
        for seed in range(60)
    ]
    means, errors = (torch.stack(column)[:, 0] for column in zip(*drawn))
    assert (means.std(0) / errors.mean(0)).sub(1).abs().max() < 0.35
    narrow = shapley_values(world.counterfactual, [1, 9, 4, 10], [12], draws=400)[1]
    assert (errors.mean(0) / narrow[0]).sub(4).abs().max() < 0.8
    assert torch.equal(
        shapley_values(world.counterfactual, [1, 9, 4, 10], [12], draws=25, seed=3)[0][0], means[3]
    )
    assert not torch.equal(means[3], means[4])


def test_shapley_values_where_the_answer_is_known(world):
    """Equal neighbours get equal values, and a model that ignores the history gives zeros."""
    shares, errors = shapley_values(world.counterfactual, [4, 9, 9, 1], [3], draws=600)
    assert abs(shares[0, 1] - shares[0, 2]) < 4 * (errors[0, 1] + errors[0, 2])
    assert abs(shares[0, 1]) > 4 * errors[0, 1]
    one = shapley_values(world.counterfactual, [9], [12])
    assert float(one[0]) == pytest.approx(
        answer(world.model, [9], 12) - answer(world.model, [], 12), abs=1e-5
    )
    assert float(one[1]) < 1e-6
    unmoved = copy.deepcopy(world.model)
    torch.nn.init.zeros_(unmoved.across.value)
    torch.nn.init.zeros_(unmoved.sasrec.id)
    assert (
        shapley_values(CounterfactualModel(unmoved, world.items), LONG, [12, 3])[0].abs().max()
        < 1e-6
    )
