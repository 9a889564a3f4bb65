"""What decided: take one event away, ask the model again, and see how the target's log-probability changes.

An intervention, where attention is only a reading.  It too is no last word: events that repeat each other hide each other's effect,
and a history with a hole was never seen in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from tema_lib.data.interactions import Items
from tema_lib.explain.attention_records import history_batch
from tema_lib.models.contract import Level0


@torch.inference_mode()
def log_probabilities(model: Level0, histories: Sequence[Sequence[int]], target: int, items: Items, max_length: int = 50) -> Tensor:
    """log P(target | history) for each history, [len(histories)]: softmax over all items of the target's domain, as in training."""
    domain = int(items.domain_of_item[target])
    candidates = torch.from_numpy(items.of_domain(domain))
    training, _ = model.training, model.eval()
    scores = model.score(history_batch(histories, domain, max_length), candidates).float()
    model.train(training)
    return scores.log_softmax(-1)[:, target - int(candidates[0])]


def occlusion(model: Level0, history: Sequence[int], target: int, items: Items, max_length: int = 50) -> Tensor:
    """log P(target | history) - log P(target | history without event j), for each event j that the model reads: [T].

    Positive: the event spoke for the target.  The window of `max_length` events is cut first, so no older event slips in for a removed one.
    """
    window = [int(item) for item in history][-max_length:]
    without = [window[:place] + window[place + 1:] for place in range(len(window))]
    answers = log_probabilities(model, [window, *without], target, items, max_length)
    return answers[0] - answers[1:]


def agreement(attention: Tensor | np.ndarray, effect: Tensor | np.ndarray) -> float:
    """Spearman's rank correlation of two readings of the same events; nan for fewer than three events or a constant reading."""
    attention, effect = np.asarray(attention, dtype=float), np.asarray(effect, dtype=float)
    if len(attention) != len(effect):
        raise ValueError(f"{len(attention)} weights beside {len(effect)} effects: both need one number per event.")
    if len(attention) < 3 or np.ptp(attention) == 0 or np.ptp(effect) == 0:
        return float("nan")
    return float(spearmanr(attention, effect).statistic)
