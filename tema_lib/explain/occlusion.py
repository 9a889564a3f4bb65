"""Leave-one-out occlusion: remove an event, ask the model again, and see how log P(target) changes.

An intervention, where attention is an observation. It has limits too: events that carry the same
information hide each other's effect, and training never showed a history with a hole.
Works for every recommender.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import Items
from tema_lib.models.base import Recommender, evaluation_mode


@torch.inference_mode()
def log_probabilities(
    model: Recommender,
    histories: Sequence[Sequence[int]],
    targets: Sequence[int] | int,
    items: Items,
    max_length: int | None = None,
) -> Tensor:
    """log P(target | history) for each history, [len(histories)].

    The softmax runs over all items of the target's domain, as in training.

    Args:
        targets: one global id for all histories, or one for each.
        max_length: the number of newest events that are read; by default as in training.
    """
    windows = [window_of(model, history, max_length) for history in histories]
    target = torch.as_tensor(targets).expand(len(windows))
    sequence = torch.zeros(len(windows), max([1, *map(len, windows)]), dtype=torch.long)
    for row, window in enumerate(windows):
        sequence[row, : len(window)] = torch.tensor(window, dtype=torch.long)
    found = torch.empty(len(windows))
    target_domain = torch.from_numpy(items.domain_of_item)[target]
    with evaluation_mode(model):
        for domain in target_domain.unique().tolist():
            rows = torch.nonzero(target_domain == domain).flatten()
            candidates = torch.from_numpy(items.of_domain(domain))
            batch = Batch(sequence[rows], None, torch.full_like(rows, domain), rows)
            parts = model.scorer(candidates, rows=1024)(batch)
            scores = torch.cat([part.float().log_softmax(-1) for part in parts])
            found[rows] = scores.gather(1, target[rows, None] - candidates[0])[:, 0]
    return found


def window_of(
    model: Recommender, history: Sequence[int], max_length: int | None = None
) -> list[int]:
    """The newest events of a history, those that a model reads."""
    longest = max_length or model.max_length
    return [int(item) for item in history][max(len(history) - longest, 0) :]


def occlusion(
    model: Recommender,
    history: Sequence[int],
    target: int,
    items: Items,
    max_length: int | None = None,
) -> Tensor:
    """log P(target | history) - log P(target | history without event j) for each event j, [T].

    Positive: the event supported the target. The history is cut to the window before the removal,
    so no older event moves in.
    """
    return occlusions(model, [history], [target], items, max_length)[0]


def occlusions(
    model: Recommender,
    histories: Sequence[Sequence[int]],
    targets: Sequence[int],
    items: Items,
    max_length: int | None = None,
) -> list[Tensor]:
    """`occlusion` of many cases in one batch, a [T] each."""
    windows = [window_of(model, history, max_length) for history in histories]
    variants, wanted = [], []
    for window, target in zip(windows, targets):
        variants.append(window)
        variants += [window[:position] + window[position + 1 :] for position in range(len(window))]
        wanted += [int(target)] * (len(window) + 1)
    found = log_probabilities(model, variants, wanted, items, max_length)
    return [case[0] - case[1:] for case in found.split([len(window) + 1 for window in windows])]


def agreement(
    attention: Tensor | np.ndarray | Sequence[float], effect: Tensor | np.ndarray | Sequence[float]
) -> float:
    """Spearman's rank correlation of two attributions of the same events.

    Returns nan for fewer than three events or where one of the two is constant.
    """
    attention, effect = np.asarray(attention, dtype=float), np.asarray(effect, dtype=float)
    if len(attention) != len(effect):
        raise ValueError(
            f"{len(attention)} weights beside {len(effect)} effects: "
            "give one number per event to both."
        )
    if len(attention) < 3 or np.ptp(attention) == 0 or np.ptp(effect) == 0:
        return float("nan")
    return float(spearmanr(attention, effect).statistic)
