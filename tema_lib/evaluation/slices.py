"""Slices of the test cases: by the target, by the user's history, cross-domain transitions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tema_lib.data.dataset import Items
from tema_lib.data.sequences import Sequences
from tema_lib.data.splits import Split
from tema_lib.evaluation.ranking import Ranks

LONG_TAIL = 2  # a target seen at most this often in training has a slice of its own


def slices(
    ranks: Ranks, split: Split, items: Items, item_truth: pd.DataFrame | None = None
) -> dict[str, Ranks]:
    """The slices of a system's test ranks, by name.

    Args:
        item_truth: the synthetic data set's items with their `topic`; None where no truth is known.
    """
    seen = np.bincount(split.train.items.numpy(), minlength=items.count + 1)
    length = split.test.lengths.numpy()[ranks.row]
    parts = {
        "target never seen": ranks.select(seen[ranks.target] == 0),
        f"target seen at most {LONG_TAIL} times": ranks.select(seen[ranks.target] <= LONG_TAIL),
        "short history": ranks.select(length <= np.quantile(length, 0.25)),  # the first quartile
        "history in one domain": ranks.select(in_one_domain(split.test, items)[ranks.row]),
    }
    if item_truth is not None:
        parts["cross-domain transition"] = ranks.select(crosses(ranks, split, items, item_truth))
    return parts | {"target seen": ranks.select(seen[ranks.target] > 0)}


def in_one_domain(test: Sequences, items: Items) -> np.ndarray:
    """bool per test sequence: all events before the target are in one domain."""
    domain = items.domain_of_item
    return np.array([len(set(domain[test[row][:-1].numpy()])) == 1 for row in range(len(test))])


def crosses(ranks: Ranks, split: Split, items: Items, item_truth: pd.DataFrame) -> np.ndarray:
    """bool per case: the event before the target is in the other domain and has its topic."""
    by_id = dict(zip(item_truth["item_id"], item_truth["topic"]))
    topic = np.array([by_id.get(item, "") for item in items.item_id], dtype=object)
    test, domain = split.test, items.domain_of_item
    previous = test.items[test.offsets[1:] - 2].numpy()[ranks.row]
    same_topic = topic[previous] == topic[ranks.target]
    return (domain[previous] != domain[ranks.target]) & same_topic.astype(bool)
