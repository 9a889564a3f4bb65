"""tema_lib.data.filters"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from tema_lib.data.dataset import RawData, user_codes
from tema_lib.data.interactions import distinct
from tema_lib.data.readers import (
    DOMAINS,
    DataError,
)

# ---------------------------------------------------------------------------------------------- filters


def without_repeats(raw: RawData, repeats: str = "first") -> RawData:
    """The data without rows that `distinct` drops; a row is known by user, item and second."""
    table = raw.interactions

    def codes(column):
        return pd.factorize(table[column].to_numpy().astype(object))[0]

    kept, dropped = distinct(
        codes("user_id"),
        codes("item_id"),
        table["timestamp"].to_numpy(),
        np.zeros(len(table), np.int32),
        repeats,
    )
    if len(kept) < len(table):
        table = table.iloc[kept]
    return replace(raw, interactions=table, repeats=repeats, dropped=dropped)


def first_interactions(raw: RawData) -> RawData:
    """Keep a user's first interaction of an item: the task is the next *new* item (ours, as in the published sets)."""
    return without_repeats(raw, "first")


def k_core(raw: RawData, *, items: int = 1, users_per_domain: int = 1) -> RawData:
    """Drop rare items and short users again and again until nothing changes.

    `items`: fewest interactions of an item; `users_per_domain`: fewest interactions of a user *in each domain*.
    Items without an interaction leave too.  Raises `DataError` when nothing remains.
    """
    table = raw.interactions
    while True:
        size = len(table)
        table = table[table.groupby("item_id")["item_id"].transform("size") >= items]
        counts = (
            table.groupby(["user_id", "domain"])
            .size()
            .unstack(fill_value=0)
            .reindex(columns=list(DOMAINS), fill_value=0)
        )
        keep = counts.index[(counts >= users_per_domain).all(axis=1)]
        table = table[table["user_id"].isin(keep)]
        if table.empty:
            raise DataError(
                f"{raw.name}: nothing is left of {len(raw.interactions)} interactions with at least {items} an item and "
                f"{users_per_domain} a user and domain; lower these limits."
            )
        if len(table) == size:
            break
    return replace(
        raw, interactions=table, items=raw.items[raw.items["item_id"].isin(set(table["item_id"]))]
    )


def shuffle_ties(interactions: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Order every user by time, in random order inside one time stamp.

    Published day-granular files sort a day by domain and then by item id, which a model can learn (notebook 01).
    No item ever moves to another time; equal seeds give equal orders.
    """
    rng = np.random.default_rng(seed).random(len(interactions))
    order = np.lexsort((rng, interactions["timestamp"].to_numpy(), user_codes(interactions)[0]))
    return interactions.iloc[order]
