"""The format of C2DSR: item lists and lines of `item|time|clock text|`.

Status: ours; the format is that of the paper's public repository.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tema_lib.data.dataset import RawData
from tema_lib.data.files import DataError, numbered_lines
from tema_lib.data.interactions import moment
from tema_lib.datasets.published.shared import (
    Event,
    lines_of,
    owner_of,
    raw_data,
    unique_items,
    with_texts,
)


class FileNames(NamedTuple):
    """What the five files are called."""

    items_a: str
    items_b: str
    train: str
    valid: str
    test: str


FILE_NAMES = (
    FileNames(
        "Alist.txt", "Blist.txt", "traindata_new.txt", "validdata_new.txt", "testdata_new.txt"
    ),
    FileNames("items_x.txt", "items_y.txt", "train_new.txt", "val_new.txt", "test_new.txt"),
)


def read_c2dsr(folder: Path) -> RawData:
    """Read lines `user<TAB>serial<TAB>item|unix time|clock text|<TAB>...`, put into time order.

    Many published lines are not in time order; the sort is stable.  An id of B is its index plus
    the number of items of A; `Blist.txt` may number its items from 0, or go on from A's.  A list
    has three columns (old id, asin, number), or two of them.  The second column of a line does not
    hold a length, and the clock text is eight hours ahead: both are ignored.  Training, validation
    and test are separate lines; a user's lines are `part:user`, `part:user#2`, ...

    Raises:
        DataError: A file is missing or does not keep to the format.
    """
    names = next(names for names in FILE_NAMES if (folder / names.train).is_file())
    rows: list[tuple[str, str]] = []
    for domain, name in zip("AB", (names.items_a, names.items_b)):
        rows += [(item, domain) for item in _listed_items(folder / name, len(rows))]
    items = unique_items(pd.DataFrame(rows, columns=["item_id", "domain"], dtype=object))
    items = with_texts(folder, items)
    item_id, home = items["item_id"].tolist(), items["domain"].tolist()
    people = _people(folder / "userlist.txt")
    events: list[Event] = []
    count: Counter[str] = Counter()
    for part, name in zip(("train", "valid", "test"), (names.train, names.valid, names.test)):
        for number, line in lines_of(folder / name):
            try:
                user, sequence = _parsed(line, len(item_id))
            except ValueError:
                raise DataError(
                    f"{folder / name}, line {number}: expected user<TAB>serial<TAB>"
                    f"item|time|text|<TAB>... with items from 0 to {len(item_id) - 1}; "
                    "restore the published file."
                ) from None
            key = owner_of(f"{part}:{people.get(user, user)}", count)
            events += [
                (key, item_id[item], home[item], time[0], part)
                for time, item in sorted(sequence, key=lambda event: event[0])
            ]
    read = [*names, *(["userlist.txt"] if people else [])]
    return raw_data(folder, events, items, read, split=True)


def _people(path: Path) -> dict[str, str]:
    """Number of a user -> name, where the list of users is published."""
    if not path.is_file():
        return {}
    rows = [line.split("\t") for _, line in lines_of(path)]
    return {fields[1]: fields[0] for fields in rows if len(fields) == 2}


def _parsed(line: str, count: int) -> tuple[str, list[tuple[tuple[int, int], int]]]:
    """(user, [(time, item), ...]) of a line.  Raises `ValueError`."""
    user, _, *tokens = line.split("\t")
    parts = [token.split("|") for token in tokens if token]
    sequence = [(moment(time), int(item)) for item, time, _, end in parts if end == ""]
    whole = sequence and len(sequence) == len(parts)
    if not whole or not all(0 <= item < count for _, item in sequence):
        raise ValueError("a broken token")
    return user, sequence


def _listed_items(path: Path, before: int) -> list[str]:
    """The items of a list.  Its last column counts from 0, or from `before`, the number of A's."""
    lines = [(number, line.split("\t")) for number, line in numbered_lines(path)]
    width = max((len(fields) for _, fields in lines), default=3)
    counted = width == 3 or all(fields[-1].isdigit() for _, fields in lines)  # else: old id, asin
    start = before if lines and lines[0][1][-1] == str(before) else 0
    for index, (number, fields) in enumerate(lines):
        in_turn = fields[-1] == str(start + index) or not counted
        if width not in (2, 3) or len(fields) != width or not in_turn:
            raise DataError(
                f"{path}, line {number}: expected old id<TAB>asin<TAB>{start + index}; "
                "restore the published file."
            )
    return [fields[-2 if counted else -1] for _, fields in lines]
