"""Parts of the readers of published formats that all of them need.  Status: ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tema_lib.data.dataset import RawData, check_items, clean_text, digest, read_table
from tema_lib.data.files import DataError, has_table, numbered_lines, table_path
from tema_lib.data.interactions import event_table

Event = tuple[str, str, str, int, str]  # user, item, domain, Unix seconds, part of the split


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line) of a text file, without empty lines.

    Raises:
        DataError: The file is missing or not UTF-8.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing: the published format needs it.")
    return numbered_lines(path)


def owner_of(name: str, lines: Counter[str]) -> str:
    """The user of a line: a line is a sequence, so a name that comes again gets `#2`, `#3`, ..."""
    lines[name] += 1
    return name if lines[name] == 1 else f"{name}#{lines[name]}"


def unique_items(items: pd.DataFrame) -> pd.DataFrame:
    """The items with an id each: one that both domains list gets `@B` behind its second id.

    It is two items here, since the formats number it twice.
    """
    repeated = items["item_id"].duplicated()
    return items.assign(
        item_id=items["item_id"].where(~repeated, items["item_id"] + "@" + items["domain"])
    )


def with_texts(folder: Path, items: pd.DataFrame) -> pd.DataFrame:
    """Titles and the like from an items.tsv beside the published files, where there is one."""
    texts = pd.DataFrame()
    if has_table(folder / "items.tsv"):
        path, table = table_path(folder / "items.tsv"), read_table(folder / "items.tsv")
        if not {"item_id", "title"} <= set(table):
            raise DataError(
                f"{path}, line 1: beside a published format it needs item_id and title."
            )
        # The published files say which domain an item is of; this one only passes the check.
        table = table.drop_duplicates("item_id").assign(domain="A")
        texts = check_items(path, table).set_index("item_id")
    for column in ("title", "description", "image"):
        known = texts[column].to_dict() if column in texts else {}
        items[column] = [clean_text(known.get(item, "")) for item in items["item_id"]]
    return items.astype(object)


def raw_data(
    folder: Path, events: list[Event], items: pd.DataFrame, read: list[str], split: bool
) -> RawData:
    """The data set of these events; `read` names the files that count for its hash."""
    if not events:
        raise DataError(f"{folder} holds no sequence: restore the published files.")
    users, chosen, domains, seconds, splits = zip(*events)
    beside = ["items.tsv"] if has_table(folder / "items.tsv") else []
    return RawData(
        folder.resolve().name,
        folder,
        event_table(users, chosen, domains, seconds, splits),
        items[["item_id", "domain", "title", "description", "image"]],
        digest(folder, read + [table_path(folder / name).name for name in beside]),
        published=split,
    )
