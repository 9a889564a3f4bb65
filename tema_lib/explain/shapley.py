"""tema_lib.explain.shapley"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tema_lib.explain.counterfactual import CounterfactualModel, Interaction


def shapley_values(
    reader: CounterfactualModel,
    history: Sequence[Interaction | int],
    targets: Sequence[int],
    draws: int = 100,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """What each event adds to log P(target), averaged over random orders of putting the history together: (mean, standard error), [targets, T] each.

    Events that stand in for each other hide each other when one alone is removed; here they share what they have in common.  The shares sum to
    log P(target | history) - log P(target | nothing).  The parts keep their order in time.  Source: Shapley 1953; drawn orders: Castro et al. 2009.
    Raises ValueError for fewer than two draws, which have no standard error.
    """
    if draws < 2:
        raise ValueError(f"{draws} orders give no standard error: draw at least two.")
    history, targets, generator = (
        reader.interactions(history),
        list(targets),
        torch.Generator().manual_seed(seed),
    )
    if not history:
        return torch.zeros(len(targets), 0), torch.zeros(len(targets), 0)
    orders = [torch.randperm(len(history), generator=generator).tolist() for _ in range(draws)]
    parts: dict[frozenset, int] = {}
    paths = torch.tensor(
        [
            [
                parts.setdefault(frozenset(order[:size]), len(parts))
                for size in range(len(history) + 1)
            ]
            for order in orders
        ]
    )
    asked = [[history[position] for position in sorted(part)] for part in parts]
    known = torch.cat(
        [
            reader.read(asked[start : start + 512]).log_probability[:, targets]
            for start in range(0, len(asked), 512)
        ]
    )
    gained = torch.zeros(draws, len(history), len(targets))
    gained.scatter_(
        1,
        torch.tensor(orders, dtype=torch.long).modality(draws, -1, 1).expand_as(gained),
        known[paths].diff(dim=1),
    )
    return gained.mean(0).T, gained.std(0).T / draws**0.5
