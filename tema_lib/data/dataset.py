"""The tables of interactions and items, the items' global ids, and the names of the domains.

A data folder holds two tab-separated, unquoted UTF-8 files with a header line:

    interactions.tsv   user_id  item_id  domain  timestamp      (domain A or B; Unix seconds)
    items.tsv          item_id  domain  title  [description]  [image]

`image` is a path relative to the folder.  Either file may be gzipped (`interactions.tsv.gz`) or a
parquet file (`interactions.parquet`).  `datasets.load.read_data` reads such a folder, and also the
formats that papers publish; `datasets.amazon` makes these two tables of the official Amazon files.
Every column is read as text: an item id may be all digits with a leading zero, and a title may be
"NA".  Status: ours.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tema_lib.data.files import DataError, shown, table_path
from tema_lib.data.readers import DOMAINS, location_of, plain_names, table_blocks

UNNAMED = ("domain A", "domain B")  # what the domains are called where nobody says more
INTERACTION_COLUMNS = ("user_id", "item_id", "domain", "timestamp")
ITEM_COLUMNS = ("item_id", "domain", "title")
REPEATS = ("first", "keep")  # of a user's events with one item: the first, or all
CONTROL = dict.fromkeys((*range(32), 127, *range(128, 160)), " ")


@dataclass(frozen=True)
class RawData:
    """What a folder says, checked but not yet filtered.

    interactions: user_id, item_id, domain, timestamp (int64 Unix seconds) and `split` ("", "train",
        "valid" or "test"); a user's rows of one second are in the order of their full times,
        which the files may give to the nanosecond.
    items: item_id, domain, title, description, image ("" where missing).
    sha256: over the files that were read; `dataset.json` is not one of them.
    published: True where the folder brings its own split.
    domains: what A and B are called in prompts and pictures, from `dataset.json`.
    repeats: "first" where a user's later events with the same item were dropped, "keep" where they
        are kept, so that a target may be an item of the history.
    dropped: how many rows were left out, by reason.
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
    """N items under global ids: 0 is padding, then all of A, then all of B.

    Every field but `index` has N + 1 entries.
    """

    item_id: tuple[str, ...]
    title: tuple[str, ...]
    description: tuple[str, ...]
    image: tuple[Path | None, ...]
    domain_of_item: np.ndarray  # int64 [N+1]: -1 padding, 0 A, 1 B
    index: dict[str, int] = field(repr=False)  # item_id -> global id

    @property
    def count(self) -> int:
        """N, the number of items without padding."""
        return len(self.item_id) - 1

    def of_domain(self, domain: int) -> np.ndarray:
        """Global ids of one domain, ascending."""
        return np.flatnonzero(self.domain_of_item == domain)

    def text(self, item: int) -> str:
        """Title and description as one text; "" when both are missing."""
        return ". ".join(part for part in (self.title[item], self.description[item]) if part)


# --- reading ---


def read_table(path: Path) -> pd.DataFrame:
    """A table of items as text columns, only those of `readers.COLUMNS`.

    Args:
        path: The .tsv; a gzipped or parquet file may be there instead.

    Raises:
        DataError: The table is missing or cannot be read.
    """
    columns: dict[str, list[str]] = {}
    for block in table_blocks(table_path(path)):
        for name, values in block.items():
            columns.setdefault(name, []).extend(values)
    table = pd.DataFrame(columns, dtype=object)
    # Published tables call the item `asin`.
    return table.rename(columns={"asin": "item_id"}) if "item_id" not in table else table


def lacking(path: Path, header: list[str], required: tuple[str, ...]) -> str:
    """Which required columns a table lacks, as a sentence without its full stop; "" for none.

    "items.tsv, line 1: column title is missing (found ...); it needs ..."
    """
    names = plain_names(path, header)
    names = ["item_id" if name == "asin" and "item_id" not in names else name for name in names]
    missing = [column for column in required if column not in names]
    if not missing:
        return ""
    separated = ", separated by tabs" if ".tsv" in path.suffixes else ""
    return (
        f"{path}, line 1: column {', '.join(missing)} is missing (found {', '.join(header)}); "
        f"it needs {', '.join(required)}{separated}"
    )


def clean_text(text: str) -> str:
    """A text without HTML entities, control characters and runs of white space.

    Published titles are escaped up to twice, so entities are resolved until nothing changes.
    Applied again it changes nothing: writing and reading a table again gives the same bytes.
    """
    while (plain := " ".join(html.unescape(text).translate(CONTROL).split())) != text:
        text = plain
    return text


def check_items(path: Path, items: pd.DataFrame) -> pd.DataFrame:
    """The item table, checked and with clean texts.

    Raises:
        DataError: A row has an unknown domain, no item id, or the id of an earlier row.
    """
    for column in ("item_id", "domain"):
        items[column] = items[column].str.strip().astype(object)
    item_id, domain = items["item_id"], items["domain"]
    _refuse(path, ~domain.isin(DOMAINS), domain.map(shown), "is not a domain: write A or B")
    _refuse(
        path,
        item_id == "",
        item_id.map(shown),
        "is not an item id: fill in item_id or drop the line",
    )
    _refuse(path, item_id.duplicated(), "item " + item_id, "appears twice; keep one line per item")
    for column in ("description", "image"):
        if column not in items:
            items[column] = ""
    for column in ("title", "description"):
        items[column] = items[column].map(clean_text)
    return items[["item_id", "domain", "title", "description", "image"]].astype(object)


def _refuse(path: Path, bad: pd.Series, values: pd.Series, complaint: str) -> None:
    """Raise `DataError` for the first row where `bad` is true, with its line and value."""
    wrong = np.asarray(bad)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{location_of(path, row)}: {values.iloc[row]} {complaint}.")


def domain_names(names: Iterable[Any]) -> tuple[str, str]:
    """The two names of domains A and B, cleaned.

    Raises:
        DataError: Not two different names of 1 to 40 characters.
    """
    clean = tuple(clean_text(name) for name in names)
    if len(clean) != 2 or len(set(clean)) != 2 or not all(0 < len(name) <= 40 for name in clean):
        raise DataError(
            f"domains are {', '.join(clean) or 'not named'}: give two different short names, "
            "such as food,kitchen."
        )
    return clean


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


# --- global ids ---


def encode_ids(raw: RawData) -> Items:
    """One global id space: 0 is padding, then all of domain A, then all of B, in file order.

    Raises:
        DataError: Pictures that the table names are missing, or outside of the folder: a table from
            elsewhere must not choose what of this machine is read.  All are counted in one message.
    """
    table = pd.concat(
        [raw.items[raw.items["domain"] == domain] for domain in DOMAINS], ignore_index=True
    )
    names = ("", *table["item_id"])
    images = (None, *(raw.folder / image if image else None for image in table["image"]))
    named = dict.fromkeys(image for image in images if image is not None)
    outside = [
        image for image in table["image"] if Path(image).is_absolute() or ".." in Path(image).parts
    ]
    if outside:
        raise DataError(
            f"{raw.folder / 'items.tsv'}: {len(outside):,} pictures are not in the folder, such as "
            f"{shown(outside[0])}: give paths inside of it."
        )
    missing = [image for image in named if not image.is_file()]
    if missing:
        more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
        raise DataError(
            f"{raw.folder / 'items.tsv'}: missing pictures: {', '.join(map(str, missing[:5]))}"
            f"{more}; bring them, or leave the column empty for items without one."
        )
    return Items(
        item_id=names,
        title=("", *table["title"]),
        description=("", *table["description"]),
        image=images,
        domain_of_item=np.concatenate([[-1], table["domain"].map(DOMAINS.index)]).astype("int64"),
        index={name: index for index, name in enumerate(names) if index},
    )
