"""The official Amazon review files of 2014, 2018 and 2023: where they lie, what their columns mean, and their pitfalls.

    addresses("food-kitchen", 2014, "ratings")     where the files of a pair lie
    read_metadata(path, 2014, wanted)              title, description, brand, category, price, sales rank, picture address of items
    read_image_features(path, wanted)              the 4,096 numbers of each item, 2014 only

Their reviews are read in `reviews.py`.
The files are for research use and are no part of this project.  Status: ours; the releases are McAuley's group's.
"""

from __future__ import annotations

import ast
import codecs
import gzip
import json
import math
import re
import warnings
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tema_lib.data.dataset import clean_text
from tema_lib.data.readers import DataError, check_kind
from tema_lib.datasets.amazon.releases import release

ITEM_FIELDS = ("item_id", "title", "description", "brand", "category", "price", "rank", "image")
SCRAPED = re.compile(
    r"<span id|getTime|<script|<a href|var aPageStart", re.IGNORECASE
)  # page source where a text should stand


@dataclass
class Notes:
    """What a reader met on its way: lines read, those it could not use (the first numbers of them), and those that repeat an item."""

    lines: int = 0
    bad: int = 0
    bad_lines: list[int] = field(default_factory=list)
    repeated: int = 0

    def count_bad(self, number: int) -> None:
        self.bad += 1
        if len(self.bad_lines) < 10:
            self.bad_lines.append(number)

    def sentence(self, path: Path) -> str:
        """ "reviews.json.gz: 2 of 1,000 lines could not be read (lines 7, 30)"."""
        text = f"{Path(path).name}: {self.bad:,} of {self.lines:,} lines could not be read"
        return text + (
            f" (lines {', '.join(map(str, self.bad_lines))}{', ...' if self.bad > len(self.bad_lines) else ''})"
            if self.bad
            else ""
        )


# ---------------------------------------------------------------------------------------------- lines


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of every line of a plain or gzipped file, whatever ends its lines; a byte-order mark is no part of it.

    Raises `DataError` for a missing, cut-off or damaged file, or one that is no UTF-8 text.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is missing: download it again with `make data`.")
    start = check_kind(path)
    alone = (
        ends_with_return(start) or ".csv" in path.suffixes
    )  # in JSON, DuckDB ends a line with \n only, and so do we
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            lines = (
                (line for part in file for line in part.splitlines(keepends=True))
                if alone
                else file
            )
            for number, line in enumerate(lines, start=1):
                yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path} is cut off or damaged: delete it and download it again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


def ends_with_return(start: bytes) -> bool:
    """Whether a file that starts like this ends its lines with `\\r` alone, as old Macs did."""
    return b"\r" in start.rstrip() and b"\n" not in start


# ---------------------------------------------------------------------------------------------- metadata


def read_metadata(
    path: Path | str, year: int, wanted: Container[str] | None = None
) -> tuple[pd.DataFrame, Notes]:
    """Items of a metadata file, one row each in file order, columns `ITEM_FIELDS` ("" where missing), and what could not be read.

    Source: the official files.  2014 has Python literals, which `ast.literal_eval` reads without running anything.  wanted: only these
    item ids are parsed, which saves most of the time.  The first of several lines about an item counts.
    """
    release(year)
    key = "parent_asin" if year == 2023 else "asin"
    spelt = re.compile(rf"""['"]{key}['"]\s*:\s*['"]([^'"]*)['"]""".encode())
    parse = _literal if year == 2014 else json.loads
    found, notes = {}, Notes()
    for number, line in lines_of(Path(path)):
        if not line.strip():
            continue
        notes.lines += 1
        named = [name.decode("utf-8", "replace") for name in spelt.findall(line)]
        if wanted is not None and named and not any(name in wanted for name in named):
            continue
        try:
            record = parse(line.decode("utf-8"))
            item = record[key]
            if not isinstance(item, str) or not item:
                raise ValueError("no id")
        except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
            notes.count_bad(number)
            continue
        if wanted is not None and item not in wanted:
            continue
        if item in found:
            notes.repeated += 1
            continue
        found[item] = item_record(record, year)
    return pd.DataFrame(list(found.values()), columns=list(ITEM_FIELDS)), notes


def _literal(text: str):
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # "\d" in a description is no escape, and Python says so for every line
        return ast.literal_eval(text)


def item_record(record: dict, year: int) -> dict:
    """One line of metadata in our words: `ITEM_FIELDS`, all text but price (float or NaN) and rank (float or NaN)."""
    item, brand, category = {
        2014: ("asin", "brand", "categories"),
        2018: ("asin", "brand", "category"),
        2023: ("parent_asin", "store", "categories"),
    }[year]
    rank = record.get("salesRank") if year == 2014 else record.get("rank")
    return {
        "item_id": record[item],
        "title": read_text(record.get("title")),
        "description": read_text(record.get("description")),
        "brand": read_text(record.get(brand)),
        "category": _category(record.get(category)),
        "price": read_price(record.get("price")),
        "rank": read_rank(rank),
        "image": _picture_address(record, year),
    }


def read_text(value) -> str:
    """A text, or a list of texts as one; "" for anything else and for page source that was scraped by mistake."""
    if isinstance(value, list):
        value = " ".join(part for part in value if isinstance(part, str))
    return "" if not isinstance(value, str) or SCRAPED.search(value) else clean_text(value)


def read_count(value) -> int:
    """A number of votes as an int: 3, "3" or "1,234"; 0 where there is none."""
    text = "" if value is None or value != value else str(value).replace(",", "").strip()
    return int(text) if text.isdigit() else 0


def read_price(value) -> float:
    """Dollars: 12.5, "$1,234.56" or "12.5"; NaN where there is none, where it is a range, or where page source stands there."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) and value >= 0 else math.nan
    match = re.fullmatch(r"\s*\$?\s*([\d,]*\.?\d+)\s*", value) if isinstance(value, str) else None
    return float(match[1].replace(",", "")) if match else math.nan


def read_rank(value) -> float:
    """Best sales rank: of {category: rank}, "1,234 in Kitchen (", or a list of such texts; NaN where there is none."""
    if isinstance(value, dict):
        ranks = [rank for rank in value.values() if isinstance(rank, (int, float))]
    else:
        texts = value if isinstance(value, list) else [value]
        ranks = [
            int(match[1].replace(",", ""))
            for text in texts
            if isinstance(text, str) and (match := re.match(r"[\s>#]*(\d[\d,]*)", text))
        ]
    return float(min(ranks)) if ranks else math.nan


def _category(value) -> str:
    """The most special category of the (first) path."""
    path = value[0] if isinstance(value, list) and value and isinstance(value[0], list) else value
    names = [name for name in path if isinstance(name, str)] if isinstance(path, list) else []
    return read_text(names[-1]) if names else ""


def _picture_address(record: dict, year: int) -> str:
    """Address of the item's main picture, the largest that is offered; "" where there is none."""
    if year == 2014:
        offers = [record.get("imUrl")]
    elif year == 2018:
        offers = [
            address
            for name in ("imageURLHighRes", "imageURL")
            for address in _list(record.get(name))[:1]
        ]
    else:
        images = record.get("images")
        if isinstance(
            images, dict
        ):  # the Hugging Face loader turns the list of records into a record of lists
            images = [dict(zip(images, values)) for values in zip(*images.values())]
        images = [image for image in _list(images) if isinstance(image, dict)]
        main = [image for image in images if image.get("variant") == "MAIN"] or images
        offers = [image.get(size) for image in main[:1] for size in ("hi_res", "large", "thumb")]
    return next(
        (offer for offer in offers if isinstance(offer, str) and re.match(r"https?://\S+$", offer)),
        "",
    )


def _list(value) -> list:
    return value if isinstance(value, list) else []


# ---------------------------------------------------------------------------------------------- image features of 2014


def read_image_features(
    path: Path | str, wanted: Container[str] | None = None
) -> dict[str, np.ndarray]:
    """{item: float32 [4096]} of a file `image_features_*.b`, read record by record; only the wanted items are kept.

    Raises `DataError` where the file is missing or damaged, or its last record is cut off.
    """
    size, found, path = 10 + 4 * 4096, {}, Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            while record := file.read(size):
                if len(record) < size:
                    raise DataError(
                        f"{path}, record {len(found) + 1 if wanted is None else file.tell() // size + 1}: {len(record)} bytes where a record "
                        f"has {size:,}; download the file again."
                    )
                item = record[:10].decode("ascii", "replace")
                if wanted is None or item in wanted:
                    found[item] = np.frombuffer(record, dtype="<f4", offset=10).copy()
    except (EOFError, zlib.error, OSError):
        raise DataError(f"{path} is missing, cut off or damaged: download it again.") from None
    return found
