"""The format of ABXI: one line a user, and maps of items and users as JSON.

Status: ours; the format is that of the paper's public repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tema_lib.data.dataset import RawData
from tema_lib.data.files import DataError, listed, read_json
from tema_lib.data.interactions import moment
from tema_lib.datasets.published.shared import Event, lines_of, raw_data, with_texts


def read_abxi(folder: Path) -> RawData:
    """Read lines `user item|unix time item|unix time ...`, one line a user.

    Items count from 1, users from 0; the maps are JSON despite their `.txt`, and the domain of an
    item is in the map.  A day lists A before B (see `filters.shuffle_ties`).  The format has no
    split: leave-one-out is used.

    Raises:
        DataError: A file is missing or does not keep to the format.
    """
    paths = listed(folder, "*_preprocessed.txt")
    if len(paths) != 1:
        raise DataError(
            f"{folder} holds {len(paths)} files *_preprocessed.txt: keep one data set per folder."
        )
    items_path, item_map = _map(folder, "item")
    users_path, user_map = _map(folder, "user")
    order = _item_order(items_path, item_map)
    try:
        people = {str(index): name for name, index in user_map.items()}
    except AttributeError:
        raise DataError(
            f"{users_path}: expected user -> 0, 1, 2, ...; restore the published file."
        ) from None
    rows = [(item, "AB"[item_map[item][1]]) for item in order]
    items = with_texts(folder, pd.DataFrame(rows, columns=["item_id", "domain"], dtype=object))
    home = items["domain"].tolist()
    events: list[Event] = []
    for number, line in lines_of(paths[0]):
        try:
            user, *tokens = line.split()
            pairs = [token.split("|") for token in tokens]
            sequence = [(int(item), moment(time)) for item, time in pairs]
            known = sequence and all(1 <= item <= len(order) for item, _ in sequence)
            if not known or user not in people:
                raise ValueError("an id outside")
        except ValueError:
            raise DataError(
                f"{paths[0]}, line {number}: expected user item|time item|time ... with items "
                f"from 1 to {len(order)} and a user of the map; restore the published file."
            ) from None
        events += [
            (people[user], order[item - 1], home[item - 1], time[0], "")
            for item, time in sorted(sequence, key=lambda event: event[1])
        ]
    read = [paths[0].name, items_path.name, users_path.name]
    return raw_data(folder, events, items, read, split=False)


def _map(folder: Path, kind: str) -> tuple[Path, Any]:
    """(path, content) of the map of items or users."""
    found = listed(folder, f"map_{kind}*.txt")
    if len(found) != 1:
        raise DataError(
            f"{folder} holds {len(found)} files map_{kind}*.txt: the ABXI format needs one."
        )
    return found[0], read_json(found[0])


def _item_order(path: Path, item_map: Any) -> list[str]:
    """The items by their number; the map gives each (number from 1, domain 0 or 1)."""
    try:
        order = sorted(item_map, key=lambda item: item_map[item][0])
        numbers = [item_map[item][0] for item in order]
        in_turn = numbers == list(range(1, len(order) + 1))
        if not in_turn or not all(item_map[item][1] in (0, 1) for item in order):
            raise ValueError("other numbers")
    except (ValueError, TypeError, LookupError):
        raise DataError(
            f"{path}: expected asin -> [1, 2, 3, ..., domain 0 or 1]; restore the published file."
        ) from None
    return order
