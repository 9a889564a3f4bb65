"""Tables of purchases and items: readers, filters, global ids.

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
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tema_lib.data.files import (
    DOMAINS,
    DataError,
    header_of,
    place_of,
    plain_names,
    read_json,
    shown,
    table_blocks,
    table_path,
)
from tema_lib.data.purchases import distinct, read_purchases

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
        raise DataError(f"{place_of(path, row)}: {shown(value) if quote else value} {complaint}.")


def read_data(folder: str | Path, repeats: str = "") -> RawData:
    """Read a data folder: the two tables, or one of the published forms.

    Rows that stand there twice, to the letter, are dropped, and of a user's events with one item all
    but the first; repeats="keep" keeps these, and so does {"repeats": "keep"} in dataset.json, which is
    asked where `repeats` is "".  A published split is left as it is, whatever `repeats`
    says: its targets are part of other people's protocol, and a dropped event would change them; where
    it repeats items, `RawData.repeats` is "keep".
    Raises `DataError`; all columns that are missing, in either table, stand in one message.
    """
    from tema_lib.data.published import form_of, read_published  # it builds on this module

    folder = Path(folder)
    if repeats and repeats not in REPEATS:
        raise DataError(f"repeats={repeats!r}: choose {' or '.join(REPEATS)}.")
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder: give DATA= a folder with interactions.tsv and items.tsv."
        )
    domains, said = read_description(folder)
    repeats = repeats or said
    if not form_of(folder):
        return replace(_read_tables(folder, repeats), domains=domains)
    raw = replace(read_published(folder), domains=domains)
    if raw.published:
        again = raw.interactions.duplicated(["user_id", "item_id"]).any()
        return replace(raw, repeats="keep" if again else repeats)
    return without_repeats(raw, repeats)


def _read_tables(folder: Path, repeats: str) -> RawData:
    paths = {name: table_path(folder / name) for name in ("items.tsv", "interactions.tsv")}
    lack = [
        lacking(path, header_of(path), required)
        for path, required in zip(paths.values(), (ITEM_COLUMNS, INTERACTION_COLUMNS))
    ]
    if any(lack):
        raise DataError("; ".join(filter(None, lack)) + ".")
    items = check_items(paths["items.tsv"], read_table(folder / "items.tsv"))
    interactions, dropped = read_purchases(paths["interactions.tsv"], items, repeats)
    return RawData(
        folder.resolve().name,
        folder,
        interactions,
        items,
        digest(folder, ["interactions.tsv", "items.tsv"]),
        repeats=repeats,
        dropped=dropped,
    )


def read_description(folder: Path) -> tuple[tuple[str, str], str]:
    """(names of domains A and B, what happens to repeats) from an optional `dataset.json`.

    {"domains": ["food", "kitchen"], "repeats": "keep"}; either may be missing.  Raises `DataError`.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        return UNNAMED, REPEATS[0]
    try:
        described = read_json(path)
        names = domain_names(described.get("domains", UNNAMED))
    except (ValueError, AttributeError, TypeError):
        raise DataError(
            f'{path} does not name two domains: write {{"domains": ["food", "kitchen"]}}, or delete it.'
        ) from None
    if (repeats := described.get("repeats", REPEATS[0])) not in REPEATS:
        raise DataError(f"{path}: repeats is {repeats!r}: write {' or '.join(REPEATS)}.")
    return names, repeats


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


def first_purchases(raw: RawData) -> RawData:
    """Keep a user's first purchase of an item: the task is the next *new* item (ours, as in the published sets)."""
    return without_repeats(raw, "first")


def user_codes(interactions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(a number for each row's user, the users' names): numbers follow the order of the names."""
    codes, names = pd.factorize(interactions["user_id"].to_numpy().astype(object), sort=True)
    return codes, names


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
    dice = np.random.default_rng(seed).random(len(interactions))
    order = np.lexsort((dice, interactions["timestamp"].to_numpy(), user_codes(interactions)[0]))
    return interactions.iloc[order]


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
