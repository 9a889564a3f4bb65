"""Filters of the interactions: repeats, the k-core, and the order of equal times.

    without_repeats(raw)      a user's later events with the same item are dropped
    k_core(raw, ...)          items and users with too few events are dropped
    shuffle_ties(table, seed) random order inside one time stamp

Status: ours; published data sets are filtered the same way, each with limits of its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from tema_lib.data.dataset import RawData, user_codes
from tema_lib.data.files import DataError
from tema_lib.data.interactions import distinct
from tema_lib.data.readers import DOMAINS


def without_repeats(raw: RawData, repeats: str = "first") -> RawData:
    """The data without the rows that `interactions.distinct` drops.

    Args:
        raw: A row is known by its user, item and second.
        repeats: "first" drops a user's later events with one item, "keep" only identical rows.
    """
    table = raw.interactions

    def codes(column: str) -> np.ndarray:
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
    """Keep a user's first interaction with an item: the task is the next *new* item.

    Source: ours, as in the published data sets.
    """
    return without_repeats(raw, "first")


def k_core(raw: RawData, *, items: int = 1, users_per_domain: int = 1) -> RawData:
    """Drop items and users with too few events, again and again until nothing changes.

    Items without an interaction leave too.

    Args:
        raw: The data to filter.
        items: Fewest interactions of an item.
        users_per_domain: Fewest interactions of a user *in each domain*.

    Raises:
        DataError: Nothing remains.
    """
    table = raw.interactions
    while True:
        size = len(table)
        table = table[table.groupby("item_id")["item_id"].transform("size") >= items]
        counts = events_per_domain(table)
        keep = counts.index[(counts >= users_per_domain).all(axis=1)]
        table = table[table["user_id"].isin(keep)]
        if table.empty:
            raise DataError(
                f"{raw.name}: nothing is left of {len(raw.interactions)} interactions with at "
                f"least {items} per item and {users_per_domain} per user and domain; "
                "lower these limits."
            )
        if len(table) == size:
            break
    known = raw.items["item_id"].isin(set(table["item_id"]))
    return replace(raw, interactions=table, items=raw.items[known])


def events_per_domain(interactions: pd.DataFrame) -> pd.DataFrame:
    """How many events each user has in each domain: one row a user, columns A and B."""
    sizes = interactions.groupby(["user_id", "domain"]).size().unstack(fill_value=0)
    return sizes.reindex(columns=list(DOMAINS), fill_value=0)


def shuffle_ties(interactions: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Order every user by time, in random order inside one time stamp.

    Published day-granular files sort a day by domain and then by item id, which a model can learn
    (notebook 01).  No item ever moves to another time; equal seeds give equal orders.
    """
    rank = np.random.default_rng(seed).random(len(interactions))
    order = np.lexsort((rank, interactions["timestamp"].to_numpy(), user_codes(interactions)[0]))
    return interactions.iloc[order]
