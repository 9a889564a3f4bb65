"""Tables of purchases and items: readers, filters, global ids.

A data folder holds two tab-separated, unquoted UTF-8 files with a header line:

    interactions.tsv   user_id  item_id  domain  timestamp            (domain A or B; Unix seconds)
    items.tsv          item_id  domain  title  [description]  [image] (image: a path relative to the folder)

Either may be gzipped (`interactions.tsv.gz`) or a parquet file (`interactions.parquet`).  `read_data` also knows the forms that papers
publish (`published.py`); the official Amazon files are turned into these two tables by `preparation.py`.
Every column is read as text: an item id may be all digits with a leading zero, and a title may be "NA".
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import html
import json
import warnings
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

DOMAINS = ("A", "B")
UNNAMED = ("domain A", "domain B")       # what the domains are called where nobody says more
INTERACTION_COLUMNS = ("user_id", "item_id", "domain", "timestamp")
ITEM_COLUMNS = ("item_id", "domain", "title")


class DataError(ValueError):
    """Something is wrong with a data folder: one sentence that names the file, the line and the remedy."""


@dataclass(frozen=True)
class RawData:
    """What a folder says, checked but not yet filtered.

    interactions: user_id, item_id, domain, timestamp (int64) and `split` ("", "train", "valid" or "test");
    items: item_id, domain, title, description, image ("" where missing).
    `published` is True where the folder brings its own split.  `sha256` is over the files that were read.
    domains: what A and B are called in prompts and pictures, from `dataset.json`, which is no part of `sha256`.
    """

    name: str
    folder: Path
    interactions: pd.DataFrame
    items: pd.DataFrame
    sha256: str
    published: bool = False
    domains: tuple[str, str] = UNNAMED
    repeats: str = "first"


@dataclass(frozen=True)
class Items:
    """N items under global ids: 0 is padding, then all of A, then all of B.  Every field has N + 1 rows."""

    item_id: tuple[str, ...]
    title: tuple[str, ...]
    description: tuple[str, ...]
    image: tuple[Path | None, ...]
    domain_of_item: np.ndarray                       # int64 [N+1]: -1 padding, 0 A, 1 B
    index: dict[str, int] = field(repr=False)        # item_id -> global id

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

def table_path(path: Path) -> Path:
    """The file itself, its gzipped twin or its parquet form.  Raises `DataError` when there is none."""
    for candidate in (path, path.with_name(path.name + ".gz"), path.with_suffix(".parquet")):
        if candidate.is_file():
            return candidate
    raise DataError(f"{path} is missing: a data folder needs interactions.tsv and items.tsv, plain, with .gz, or as .parquet (see README, 'Your own data').")


def read_table(path: Path, required: tuple[str, ...]) -> pd.DataFrame:
    """One TSV or parquet file as text columns.  Raises `DataError` for a missing or broken file, a missing column or a ragged line."""
    found = table_path(path)
    if found.suffix == ".parquet":
        return _read_parquet(found, required)
    try:
        with (gzip.open if found.suffix == ".gz" else open)(found, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(f"{found} is cut off or no gzip file: copy or download it again.") from None
    if len(rows) < 2:
        raise DataError(f"{path} holds no rows: it needs a header line with {', '.join(required)} and at least one row.")
    header = rows[0]
    if lack := lacking(path, header, required):
        raise DataError(f"{lack}.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"{path}, line {number}: {len(row)} columns where the header has {len(header)}; "
                            "remove tabs and line breaks inside the text.")
    return pd.DataFrame(rows[1:], columns=header, dtype=object)


def _read_parquet(path: Path, required: tuple[str, ...]) -> pd.DataFrame:
    """A parquet file as text columns: dates become Unix seconds, what is missing becomes ""."""
    import duckdb

    name = str(path).replace("'", "''")
    quoted = lambda column: '"' + column.replace('"', '""') + '"'
    try:
        kinds = [row[:2] for row in duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{name}')").fetchall()]
        if lack := lacking(path, [column for column, _ in kinds], required):
            raise DataError(f"{lack}.")
        text = lambda column, kind: f"CAST(epoch({quoted(column)}) AS BIGINT)" if kind.startswith(("TIMESTAMP", "DATE")) else quoted(column)
        table = duckdb.sql(f"SELECT {', '.join(f'coalesce(CAST({text(*one)} AS VARCHAR), {chr(39) * 2}) AS {quoted(one[0])}' for one in kinds)} "
                           f"FROM read_parquet('{name}')").df()
    except duckdb.Error as error:
        raise DataError(f"{path} is no readable parquet file ({str(error).splitlines()[0][:100]}): write it again.") from None
    if table.empty:
        raise DataError(f"{path} holds no rows: it needs at least one.")
    return table.astype(object)


def lacking(path: Path, header, required: tuple[str, ...]) -> str:
    """"items.tsv, line 1: column title is missing (found ...); it needs ..." or "" when nothing is missing."""
    missing = [column for column in required if column not in header]
    return missing and (f"{path}, line 1: column {', '.join(missing)} is missing (found {', '.join(header)}); it needs {', '.join(required)}"
                        + (", separated by tabs" if ".tsv" in path.suffixes else "")) or ""


CONTROL = {code: " " for code in (*range(32), 127, *range(128, 160))}


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
    _check_domain(path, items)
    repeated = items["item_id"].duplicated()
    _refuse(path, repeated, "item " + items["item_id"], "stands there twice; keep one line an item", quote=False)
    for column in ("description", "image"):
        if column not in items:
            items[column] = ""
    for column in ("title", "description"):
        items[column] = items[column].map(clean_text)
    return items[["item_id", "domain", "title", "description", "image"]].astype(object)


def check_interactions(path: Path, interactions: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """The table of purchases, checked against the items.  Raises `DataError`; warns where a user's time goes backwards."""
    _check_domain(path, interactions)
    times = pd.to_numeric(interactions["timestamp"], errors="coerce")
    _refuse(path, times.isna(), interactions["timestamp"], "is no time: write Unix seconds")
    _refuse(path, times > 10**11, interactions["timestamp"], "looks like milliseconds: divide by 1000")
    _refuse(path, times < 0, interactions["timestamp"], "lies before 1970: write Unix seconds")
    _refuse(path, interactions["user_id"] == "", interactions["user_id"], "is no user: fill in user_id or drop the line")
    home = items.set_index("item_id")["domain"]
    _refuse(path, ~interactions["item_id"].isin(home.index), interactions["item_id"], "is not in items.tsv: add the item or drop the line")
    _refuse(path, interactions["item_id"].map(home) != interactions["domain"], interactions["item_id"],
            "stands in another domain than in items.tsv: an item has one domain")
    interactions = interactions.assign(timestamp=times.astype("int64"), split="").astype({"split": object})
    backwards = interactions.groupby("user_id", sort=False)["timestamp"].diff() < 0
    if backwards.any():
        row = int(np.flatnonzero(backwards.to_numpy())[0])
        warnings.warn(f"{_place(path, row)}: the time of user {interactions['user_id'].iloc[row]} goes backwards "
                      f"(lines like it: {int(backwards.sum())}); each user's events are put into time order.", stacklevel=2)
    return interactions[[*INTERACTION_COLUMNS, "split"]]


def _refuse(path: Path, bad: pd.Series, values: pd.Series, complaint: str, quote: bool = True) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise DataError(f"{_place(path, row)}: {repr(values.iloc[row]) if quote else values.iloc[row]} {complaint}.")


def _place(path: Path, row: int) -> str:
    return f"{path}, row {row + 1}" if path.suffix == ".parquet" else f"{path}, line {row + 2}"


def _check_domain(path: Path, table: pd.DataFrame) -> None:
    _refuse(path, ~table["domain"].isin(DOMAINS), table["domain"], "is no domain: write A or B")


def read_data(folder: str | Path) -> RawData:
    """Read a data folder: the two tables, or one of the published forms.

    Raises `DataError`; all columns that are missing, in either table, stand in one message.
    """
    from tema_lib.data.published import form_of, read_published          # it builds on this module

    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give DATA= a folder with interactions.tsv and items.tsv.")
    if form_of(folder):
        return replace(read_published(folder), domains=read_domains(folder))
    tables, lack = [], []
    for name, required in (("items.tsv", ITEM_COLUMNS), ("interactions.tsv", INTERACTION_COLUMNS)):
        path = table_path(folder / name)
        tables.append((path, _named(read_table(folder / name, ()))))
        lack.append(lacking(path, tables[-1][1].columns, required))
    if any(lack):
        raise DataError("; ".join(filter(None, lack)) + ".")
    items = check_items(*tables[0])
    interactions = check_interactions(*tables[1], items)
    return RawData(folder.resolve().name, folder, interactions, items, digest(folder, ["interactions.tsv", "items.tsv"]),
                   domains=read_domains(folder))


def read_domains(folder: Path) -> tuple[str, str]:
    """The names of domains A and B from an optional `dataset.json`, {"domains": ["food", "kitchen"]}.  Raises `DataError`."""
    path = folder / "dataset.json"
    if not path.is_file():
        return UNNAMED
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig")).get("domains", UNNAMED)
        return domain_names(names)
    except (ValueError, AttributeError, TypeError):
        raise DataError(f'{path} does not name two domains: write {{"domains": ["food", "kitchen"]}}, or delete it.') from None


def domain_names(names) -> tuple[str, str]:
    """Two different names of at most 40 characters, on one line each.  Raises `DataError`."""
    names = tuple(clean_text(name) for name in names)
    if len(names) != 2 or len(set(names)) != 2 or not all(0 < len(name) <= 40 for name in names):
        raise DataError(f"domains are {', '.join(names) or 'not named'}: give two different short names, such as food,kitchen.")
    return names


def digest(folder: Path, names: list[str]) -> str:
    """SHA-256 over names and contents of the files that were read."""
    whole = hashlib.sha256()
    for name in names:
        whole.update(name.encode() + b"\0" + table_path(folder / name).read_bytes())
    return whole.hexdigest()


# ---------------------------------------------------------------------------------------------- filters

def first_purchases(raw: RawData) -> RawData:
    """Keep a user's first purchase of an item: the task is the next *new* item (ours, as in the published sets)."""
    ordered = raw.interactions.sort_values("timestamp", kind="stable")
    keep = ~ordered.duplicated(["user_id", "item_id"])
    return replace(raw, interactions=ordered[keep].sort_index())


def k_core(raw: RawData, *, items: int = 1, users_per_domain: int = 1) -> RawData:
    """Drop rare items and short users again and again until nothing changes.

    `items`: fewest interactions of an item; `users_per_domain`: fewest interactions of a user *in each domain*.
    Items without an interaction leave too.  Raises `DataError` when nothing remains.
    """
    table = raw.interactions
    while True:
        size = len(table)
        table = table[table.groupby("item_id")["item_id"].transform("size") >= items]
        counts = table.groupby(["user_id", "domain"]).size().unstack(fill_value=0).reindex(columns=list(DOMAINS), fill_value=0)
        keep = counts.index[(counts >= users_per_domain).all(axis=1)]
        table = table[table["user_id"].isin(keep)]
        if table.empty:
            raise DataError(f"{raw.name}: nothing is left of {len(raw.interactions)} interactions with at least {items} an item and "
                            f"{users_per_domain} a user and domain; lower these limits.")
        if len(table) == size:
            break
    return replace(raw, interactions=table, items=raw.items[raw.items["item_id"].isin(set(table["item_id"]))])


def shuffle_ties(interactions: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Order every user by time, in random order inside one time stamp.

    Published day-granular files sort a day by domain and then by item id, which a model can learn (notebook 01).
    No item ever moves to another time; equal seeds give equal orders.
    """
    dice = np.random.default_rng(seed).random(len(interactions))
    order = np.lexsort((dice, interactions["timestamp"].to_numpy(), interactions["user_id"].to_numpy().astype(str)))
    return interactions.iloc[order]


# ---------------------------------------------------------------------------------------------- global ids

def encode_ids(raw: RawData) -> Items:
    """One global id space: 0 = padding, 1..N with all of domain A before all of domain B, in file order."""
    table = pd.concat([raw.items[raw.items["domain"] == domain] for domain in DOMAINS], ignore_index=True)
    names = ("", *table["item_id"])
    images = (None, *(raw.folder / image if image else None for image in table["image"]))
    for image in images:
        if image is not None and not image.is_file():
            raise DataError(f"{raw.folder / 'items.tsv'}: picture {image} is missing; leave the column empty for items without one.")
    return Items(names, ("", *table["title"]), ("", *table["description"]), images,
                 np.concatenate([[-1], table["domain"].map(DOMAINS.index)]).astype("int64"),
                 {name: index for index, name in enumerate(names) if index})
