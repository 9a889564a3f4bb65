"""Tables of interactions and items: readers, filters, global ids.

A data folder holds two tab-separated, unquoted UTF-8 files with a header line:

    interactions.tsv   user_id  item_id  domain  timestamp            (domain A or B; Unix seconds)
    items.tsv          item_id  domain  title  [description]  [image] (image: a path relative to the folder)

Either may be gzipped (`interactions.tsv.gz`) or a parquet file (`interactions.parquet`).  `read_data` also knows the forms that papers
publish (`published.py`); the official Amazon files are turned into these two tables by `preparation.py`.
Every column is read as text: an item id may be all digits with a leading zero, and a title may be "NA".
"""

from __future__ import annotations

import hashlib
import html
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tema_lib.data.readers import (
    DOMAINS,
    DataError,
    location_of,
    plain_names,
    shown,
    table_blocks,
    table_path,
)

UNNAMED = ("domain A", "domain B")  # what the domains are called where nobody says more
INTERACTION_COLUMNS = ("user_id", "item_id", "domain", "timestamp")
ITEM_COLUMNS = ("item_id", "domain", "title")
REPEATS = ("first", "keep")  # of a user's events with one item: the first, or all


@dataclass(frozen=True)
class RawData:
    """What a folder says, checked but not yet filtered.

    interactions: user_id, item_id, domain, timestamp (int64 Unix seconds) and `split` ("", "train",
    "valid" or "test"); a user's rows of one second stand in the order of their full times, which the
    files may tell to the nanosecond.  items: item_id, domain, title, description, image ("" where missing).
    `published` is True where the folder brings its own split.  `sha256` is over the files that were read.
    domains: what A and B are called in prompts and pictures, from `dataset.json`, which is no part of `sha256`.
    repeats: "first" where a user's later events with the same item were dropped, "keep" where they are
    kept, so that a target may be an item of the history.  dropped: how many rows were left out, by reason.
    """

    name: str
    folder: Path
    interactions: pd.DataFrame
    items: pd.DataFrame
    sha256: str
    published: bool = False
    domains: tuple[str, str] = UNNAMED
    repeats: str = "first"
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Items:
    """N items under global ids: 0 is padding, then all of A, then all of B.  Every field has N + 1 rows."""

    item_id: tuple[str, ...]
    title: tuple[str, ...]
    description: tuple[str, ...]
    image: tuple[Path | None, ...]
    domain_of_item: np.ndarray  # int64 [N+1]: -1 padding, 0 A, 1 B
    index: dict[str, int] = field(repr=False)  # item_id -> global id

    @property
    def count(self) -> int:
        return len(self.item_id) - 1

    def of_domain(self, domain: int) -> np.ndarray:
        """Global ids of one domain, ascending."""
        return np.flatnonzero(self.domain_of_item == domain)

    def text(self, item: int) -> str:
        """Title and description as one text; "" when both are missing."""
        return ". ".join(part for part in (self.title[item], self.description[item]) if part)


# ---------------------------------------------------------------------------------------------- reading


def read_table(path: Path) -> pd.DataFrame:
    """A table of items as text columns, only those of `COLUMNS`.  Raises `DataError`.

    path: the .tsv; its gzipped twin or its parquet form may lie in its place.
    """
    columns: dict[str, list[str]] = {}
    for block in table_blocks(table_path(path)):
        for name, values in block.items():
            columns.setdefault(name, []).extend(values)
    return _named(pd.DataFrame(columns, dtype=object))


def lacking(path: Path, header: list[str], required: tuple[str, ...]) -> str:
    """ "items.tsv, line 1: column title is missing (found ...); it needs ..." or "" when nothing is missing."""
    names = plain_names(path, header)
    names = ["item_id" if name == "asin" and "item_id" not in names else name for name in names]
    missing = [column for column in required if column not in names]
    if not missing:
        return ""
    return (
        f"{path}, line 1: column {', '.join(missing)} is missing (found {', '.join(header)}); "
        f"it needs {', '.join(required)}"
        + (", separated by tabs" if ".tsv" in path.suffixes else "")
    )


CONTROL = dict.fromkeys((*range(32), 127, *range(128, 160)), " ")


def clean_text(text: str) -> str:
    """Unescape HTML entities until nothing changes (published titles are escaped up to twice) and collapse white space and control characters.

    Applied again it changes nothing, so that writing and reading a table any number of times gives the same bytes.
    """
    while (plain := " ".join(html.unescape(text).translate(CONTROL).split())) != text:
        text = plain
    return text


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Published tables call the item `asin`."""
    return table.rename(columns={"asin": "item_id"}) if "item_id" not in table else table


def check_items(path: Path, items: pd.DataFrame) -> pd.DataFrame:
    """The item table, checked and with clean texts.  Raises `DataError`."""
    for column in ("item_id", "domain"):
        items[column] = items[column].str.strip().astype(object)
    _refuse(path, ~items["domain"].isin(DOMAINS), items["domain"], "is no domain: write A or B")
    _refuse(
        path,
        items["item_id"] == "",
        items["item_id"],
        "is no item: fill in item_id or drop the line",
    )
    repeated = items["item_id"].duplicated()
    _refuse(
        path,
        repeated,
        "item " + items["item_id"],
        "stands there twice; keep one line an item",
        quote=False,
    )
    for column in ("description", "image"):
        if column not in items:
            items[column] = ""
    for column in ("title", "description"):
        items[column] = items[column].map(clean_text)
    return items[["item_id", "domain", "title", "description", "image"]].astype(object)


def _refuse(path: Path, bad, values, complaint: str, quote: bool = True) -> None:
    """Raise `DataError` for the first row where `bad` is true, with its line and value."""
    if (bad := np.asarray(bad)).any():
        row = int(np.flatnonzero(bad)[0])
        value = np.asarray(values, dtype=object)[row]
        raise DataError(
            f"{location_of(path, row)}: {shown(value) if quote else value} {complaint}."
        )


def domain_names(names) -> tuple[str, str]:
    """Two different names of at most 40 characters, on one line each.  Raises `DataError`."""
    names = tuple(clean_text(name) for name in names)
    if len(names) != 2 or len(set(names)) != 2 or not all(0 < len(name) <= 40 for name in names):
        raise DataError(
            f"domains are {', '.join(names) or 'not named'}: give two different short names, such as food,kitchen."
        )
    return names


def digest(folder: Path, names: list[str]) -> str:
    """SHA-256 over names and contents of the files that were read."""
    whole = hashlib.sha256()
    for name in names:
        whole.update(name.encode() + b"\0")
        with table_path(folder / name).open("rb") as file:
            while part := file.read(1 << 20):
                whole.update(part)
    return whole.hexdigest()


def user_codes(interactions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(a number for each row's user, the users' names): numbers follow the order of the names."""
    codes, names = pd.factorize(interactions["user_id"].to_numpy().astype(object), sort=True)
    return codes, names


# ---------------------------------------------------------------------------------------------- global ids


def encode_ids(raw: RawData) -> Items:
    """One global id space: 0 = padding, 1..N with all of domain A before all of domain B, in file order.

    Raises `DataError` that names all pictures that are missing.
    """
    table = pd.concat(
        [raw.items[raw.items["domain"] == domain] for domain in DOMAINS], ignore_index=True
    )
    names = ("", *table["item_id"])
    images = (None, *(raw.folder / image if image else None for image in table["image"]))
    if missing := [
        image for image in dict.fromkeys(images) if image is not None and not image.is_file()
    ]:
        more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
        raise DataError(
            f"{raw.folder / 'items.tsv'}: missing pictures: {', '.join(map(str, missing[:5]))}{more}; "
            "bring them, or leave the column empty for items without one."
        )
    return Items(
        names,
        ("", *table["title"]),
        ("", *table["description"]),
        images,
        np.concatenate([[-1], table["domain"].map(DOMAINS.index)]).astype("int64"),
        {name: index for index, name in enumerate(names) if index},
    )
