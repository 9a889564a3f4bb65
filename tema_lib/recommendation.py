"""The next items for one history: what a trained system is for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import DOMAINS, Items
from tema_lib.models.base import Recommender, evaluation_mode


@torch.inference_mode()
def recommend(
    model: Recommender,
    items: Items,
    history: Sequence[str],
    domain: str,
    k: int = 10,
) -> pd.DataFrame:
    """The k items of a domain that a model ranks highest after a history.

    Args:
        model: a trained system.
        items: the items it was trained on.
        history: item ids of both domains, oldest first; the model reads its newest `max_length`.
        domain: "A" or "B", where the next item is wanted.
        k: how many items, from 1 to the number of items that the history does not hold.

    Returns:
        One row per item, best first, numbered from 1: item_id, title, score. Items of the history
        are left out. Scores compare items of one call only.

    Raises:
        ValueError: an item id or the domain is unknown, the history is empty, or k cannot be met.
    """
    if isinstance(history, str) or not len(history):
        raise ValueError('history holds no items: give a list of item ids, such as ["A001"].')
    if unknown := [item for item in dict.fromkeys(history) if item not in items.index]:
        raise ValueError(
            f"history: item {', '.join(map(repr, unknown))} is unknown: give ids of the item "
            f"table, such as {items.item_id[1]}."
        )
    if domain not in DOMAINS:
        raise ValueError(f"domain {domain!r} is unknown: choose {' or '.join(DOMAINS)}.")
    number = DOMAINS.index(domain)
    seen = [items.index[item] for item in history]
    pool = np.setdiff1d(items.of_domain(number), seen)
    if not isinstance(k, int) or not 1 <= k <= len(pool):
        raise ValueError(
            f"k is {k!r}: give a whole number from 1 to {len(pool)}, the items of domain {domain} "
            "that the history does not hold."
        )
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    batch = Batch(
        torch.tensor([seen[-model.max_length :]]), None, torch.tensor([number]), torch.tensor([0])
    )
    candidates = torch.from_numpy(pool)
    with evaluation_mode(model):
        scores = model.score(batch.to(device), candidates.to(device))[0].float().cpu()
    best = torch.sort(scores, descending=True, stable=True).indices[:k]
    chosen = candidates[best].tolist()
    return pd.DataFrame(
        {
            "item_id": [items.item_id[item] for item in chosen],
            "title": [items.title[item] for item in chosen],
            "score": scores[best].numpy(),
        },
        index=pd.RangeIndex(1, k + 1, name="rank"),
    )
