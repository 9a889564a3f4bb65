"""Shapley values of the events of a history."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tema_lib.explain.counterfactual import CounterfactualModel, Interaction


def shapley_values(
    model: CounterfactualModel,
    history: Sequence[Interaction | int],
    targets: Sequence[int],
    draws: int = 100,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """What each event adds to log P(target), averaged over random orders of adding the events.

    Events that carry the same information hide each other in leave-one-out occlusion; here they
    share its value. The values of a history sum to log P(target | history) - log P(target | no
    history). Every subset of the history stays in the order of time.

    Args:
        targets: global ids.
        draws: the number of random orders, at least two.
        seed: of the random orders.

    Returns:
        (mean, standard error) over the orders, float [targets, T] each.

    Raises:
        ValueError: fewer than two draws, which have no standard error.

    Source: Shapley (1953); sampled orders: Castro et al. (2009).
    """
    if draws < 2:
        raise ValueError(f"{draws} orders give no standard error: draw at least two.")
    events, targets = model.interactions(history), list(targets)
    if not events:
        return torch.zeros(len(targets), 0), torch.zeros(len(targets), 0)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(events), generator=generator).tolist() for _ in range(draws)]
    subsets: dict[frozenset[int], int] = {}  # each subset is predicted once
    paths = torch.tensor(
        [
            [
                subsets.setdefault(frozenset(order[:size]), len(subsets))
                for size in range(len(events) + 1)
            ]
            for order in orders
        ]
    )
    histories = [[events[position] for position in sorted(subset)] for subset in subsets]
    log_probability = torch.cat(
        [
            model.predict(histories[start : start + 512]).log_probability[:, targets]
            for start in range(0, len(histories), 512)
        ]
    )
    gains = torch.zeros(draws, len(events), len(targets))
    positions = torch.tensor(orders, dtype=torch.long).view(draws, -1, 1).expand_as(gains)
    gains.scatter_(1, positions, log_probability[paths].diff(dim=1))
    return gains.mean(0).T, gains.std(0).T / draws**0.5
