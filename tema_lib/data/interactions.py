"""Tables of purchases and items: readers, filters, global ids.

A data folder holds two tab-separated, unquoted UTF-8 files with a header line:

    interactions.tsv   user_id  item_id  domain  timestamp            (domain A or B; Unix seconds)
    items.tsv          item_id  domain  title  [description]  [image] (image: a path relative to the folder)

Either may be gzipped (`interactions.tsv.gz`).  `read_data` also knows the published LLMCDSR form (`train_A.txt` ... `test.txt` beside `items.tsv`).
Every column is read as text: an item id may be all digits with a leading zero, and a title may be "NA".
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import html
import warnings
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

DOMAINS = ("A", "B")
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
    """

    name: str
    folder: Path
    interactions: pd.DataFrame
    items: pd.DataFrame
    sha256: str
    published: bool = False


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
    """The file itself or its gzipped twin.  Raises `DataError` when neither is there."""
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    raise DataError(f"{path} is missing: a data folder needs interactions.tsv and items.tsv, plain or with .gz (see README, 'Your own data').")


def read_table(path: Path, required: tuple[str, ...]) -> pd.DataFrame:
    """One TSV file as text columns.  Raises `DataError` for a missing or broken file, a missing column or a ragged line."""
    found = table_path(path)
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
    missing = [column for column in required if column not in header]
    if missing:
        raise DataError(f"{path}, line 1: column {', '.join(missing)} is missing (found {', '.join(header)}); "
                        f"it needs {', '.join(required)}, separated by tabs.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"{path}, line {number}: {len(row)} columns where the header has {len(header)}; "
                            "remove tabs and line breaks inside the text.")
    return pd.DataFrame(rows[1:], columns=header, dtype=object)


def clean_text(text: str) -> str:
    """Unescape HTML entities (published titles are escaped up to twice) and collapse white space."""
    for _ in range(2):
        text = html.unescape(text)
    return " ".join(text.split())


def read_items(path: Path) -> pd.DataFrame:
    items = read_table(path, ())
    items = items.rename(columns={"asin": "item_id"}) if "item_id" not in items else items
    missing = [column for column in ITEM_COLUMNS if column not in items]
    if missing:
        raise DataError(f"{path}, line 1: column {', '.join(missing)} is missing; it needs {', '.join(ITEM_COLUMNS)}.")
    _check_domain(path, items)
    repeated = items["item_id"].duplicated()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        raise DataError(f"{path}, line {row + 2}: item {items['item_id'].iloc[row]} stands there twice; keep one line an item.")
    for column in ("description", "image"):
        if column not in items:
            items[column] = ""
    for column in ("title", "description"):
        items[column] = items[column].map(clean_text)
    return items[["item_id", "domain", "title", "description", "image"]]


def read_interactions(path: Path, items: pd.DataFrame) -> pd.DataFrame:
    interactions = read_table(path, ())
    interactions = interactions.rename(columns={"asin": "item_id"}) if "item_id" not in interactions else interactions
    missing = [column for column in INTERACTION_COLUMNS if column not in interactions]
    if missing:
        raise DataError(f"{path}, line 1: column {', '.join(missing)} is missing; it needs {', '.join(INTERACTION_COLUMNS)}.")
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
    interactions = interactions.assign(timestamp=times.astype("int64"), split="")
    backwards = interactions.groupby("user_id", sort=False)["timestamp"].diff() < 0
    if backwards.any():
        row = int(np.flatnonzero(backwards.to_numpy())[0])
        warnings.warn(f"{path}, line {row + 2}: the time of user {interactions['user_id'].iloc[row]} goes backwards "
                      f"(lines like it: {int(backwards.sum())}); each user's events are put into time order.", stacklevel=2)
    return interactions[[*INTERACTION_COLUMNS, "split"]]


def _refuse(path: Path, bad: pd.Series, values: pd.Series, complaint: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise DataError(f"{path}, line {row + 2}: {values.iloc[row]!r} {complaint}.")


def _check_domain(path: Path, table: pd.DataFrame) -> None:
    _refuse(path, ~table["domain"].isin(DOMAINS), table["domain"], "is no domain: write A or B")


def read_data(folder: str | Path) -> RawData:
    """Read a data folder, whichever of the two forms it has.

    Source: ours; the published form is LLMCDSR's.  Raises `DataError`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give DATA= a folder with interactions.tsv and items.tsv.")
    if (folder / "train_overlap.txt").is_file():
        return read_published(folder)
    items = read_items(folder / "items.tsv")
    interactions = read_interactions(folder / "interactions.tsv", items)
    return RawData(folder.resolve().name, folder, interactions, items, _digest(folder, ["interactions.tsv", "items.tsv"]))


PUBLISHED_FILES = ("train_A", "train_B", "train_overlap", "valid", "test")


def read_published(folder: Path) -> RawData:
    """The LLMCDSR form: `seq_no<TAB>i1,i2,...` with 0-based global ids, A below the first number of num.txt.

    A line is a window of at most one year of a person, so its `user_id` is `file:seq_no`: count sequences, not users.
    """
    items = read_table(folder / "items.tsv", ("item_index", "asin", "domain", "title"))
    items = items.assign(item_id=items["asin"], description="", image="", title=items["title"].map(clean_text))
    names = items["item_id"].tolist()
    users, positions, chosen, splits = [], [], [], []
    for part in PUBLISHED_FILES:
        path = folder / f"{part}.txt"
        if not path.is_file():
            raise DataError(f"{path} is missing: the published form needs {', '.join(PUBLISHED_FILES)} (.txt).")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                serial, listing = line.split("\t")
                sequence = [int(entry) for entry in listing.split(",")]
                chosen += [names[entry] if entry >= 0 else names[len(names)] for entry in sequence]
            except (ValueError, IndexError):
                raise DataError(f"{path}, line {number}: not of the form number<TAB>i1,i2,... with ids below {len(names)}; "
                                "restore the published file.") from None
            users += [f"{part}:{serial}"] * len(sequence)
            positions += range(len(sequence))
            splits += [part if part in ("valid", "test") else "train"] * len(sequence)
    home = dict(zip(names, items["domain"]))
    interactions = pd.DataFrame({"user_id": users, "item_id": chosen, "domain": [home[name] for name in chosen],
                                 "timestamp": np.array(positions, dtype="int64"), "split": splits})
    return RawData(folder.resolve().name, folder, interactions, items[["item_id", "domain", "title", "description", "image"]],
                   _digest(folder, ["items.tsv", *(f"{part}.txt" for part in PUBLISHED_FILES)]), published=True)


def _digest(folder: Path, names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + b"\0" + table_path(folder / name).read_bytes())
    return digest.hexdigest()


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
