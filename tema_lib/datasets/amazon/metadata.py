"""The metadata files of the official releases: titles, descriptions, addresses of pictures.

    read_metadata(path, 2014, wanted)    items as a table, and notes on what could not be read
    lines_of(path)                       the lines of any official file, as bytes

Reviews are read in `reviews.py`.  Status: ours.
"""

from __future__ import annotations

import ast
import codecs
import gzip
import json
import re
import warnings
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tema_lib.data.dataset import clean_text
from tema_lib.data.files import DataError, check_kind
from tema_lib.datasets.amazon.releases import release

ITEM_FIELDS = ("item_id", "title", "description", "image")
# Page source where a text should stand.
SCRAPED = re.compile(r"<span id|getTime|<script|<a href|var aPageStart", re.IGNORECASE)


@dataclass
class Notes:
    """What a reader met on its way.

    lines: how many were read; bad: how many could not be used, with the first of their numbers in
    bad_lines; repeated: how many describe an item again.
    """

    lines: int = 0
    bad: int = 0
    bad_lines: list[int] = field(default_factory=list)
    repeated: int = 0

    def count_bad(self, number: int) -> None:
        """Count a line that cannot be used; number: from 1."""
        self.bad += 1
        if len(self.bad_lines) < 10:
            self.bad_lines.append(number)

    def sentence(self, path: Path | str) -> str:
        """ "reviews.json.gz: 2 of 1,000 lines could not be read (lines 7, 30)"."""
        text = f"{Path(path).name}: {self.bad:,} of {self.lines:,} lines could not be read"
        if not self.bad:
            return text
        more = ", ..." if self.bad > len(self.bad_lines) else ""
        return f"{text} (lines {', '.join(map(str, self.bad_lines))}{more})"


# --- lines ---


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of every line of a plain or gzipped file, whatever ends its lines.

    A byte-order mark is left out.

    Raises:
        DataError: The file is missing, cut off, damaged, or not UTF-8 text.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is missing: download it again with `make data`.")
    # In JSON, DuckDB ends a line with \n only, and so do we.
    any_end = ends_with_return(check_kind(path)) or ".csv" in path.suffixes
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            lines: Iterator[bytes] = iter(file)
            if any_end:
                lines = (line for part in file for line in part.splitlines(keepends=True))
            for number, line in enumerate(lines, start=1):
                yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path} is cut off or damaged: delete it and download it again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


def ends_with_return(start: bytes) -> bool:
    """Whether a file that starts like this ends its lines with `\\r` alone, as old Macs did."""
    return b"\r" in start.rstrip() and b"\n" not in start


# --- items ---


def read_metadata(
    path: Path | str, year: int, wanted: Container[str] | None = None
) -> tuple[pd.DataFrame, Notes]:
    """The items of a metadata file, and what could not be read.

    2014 has Python literals, which `ast.literal_eval` reads without running anything.  The first of
    several lines about an item counts.

    Args:
        path: A metadata file, plain or gzipped.
        year: Its release.
        wanted: Only these item ids are parsed, which saves most of the time; None: all.

    Returns:
        One row an item in file order, columns `ITEM_FIELDS` ("" where missing), and the notes.

    Raises:
        DataError: The file is missing or damaged, or there was no release in that year.

    Source: the official files.
    """
    release(year)
    key = "parent_asin" if year == 2023 else "asin"
    spelt = re.compile(rf"""['"]{key}['"]\s*:\s*['"]([^'"]*)['"]""".encode())
    parse = _literal if year == 2014 else json.loads
    found: dict[str, dict[str, str]] = {}
    notes = Notes()
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
        found[item] = {
            "item_id": item,
            "title": read_text(record.get("title")),
            "description": read_text(record.get("description")),
            "image": _picture_address(record, year),
        }
    return pd.DataFrame(list(found.values()), columns=list(ITEM_FIELDS)), notes


def _literal(text: str) -> Any:
    with warnings.catch_warnings():
        # "\d" in a description is an invalid escape, and Python says so for every line.
        warnings.simplefilter("ignore")
        return ast.literal_eval(text)


def read_text(value: Any) -> str:
    """A text, or a list of texts as one; "" for anything else and for scraped page source."""
    if isinstance(value, list):
        value = " ".join(part for part in value if isinstance(part, str))
    return "" if not isinstance(value, str) or SCRAPED.search(value) else clean_text(value)


def read_count(value: Any) -> int:
    """A number of votes as an int: 3, "3" or "1,234"; 0 where there is none."""
    text = "" if value is None or value != value else str(value).replace(",", "").strip()
    return int(text) if text.isdigit() else 0


def _picture_address(record: dict[str, Any], year: int) -> str:
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
        if isinstance(images, dict):
            # The Hugging Face loader turns the list of records into a record of lists.
            images = [dict(zip(images, values)) for values in zip(*images.values())]
        images = [image for image in _list(images) if isinstance(image, dict)]
        main = [image for image in images if image.get("variant") == "MAIN"] or images
        offers = [image.get(size) for image in main[:1] for size in ("hi_res", "large", "thumb")]
    for offer in offers:
        if isinstance(offer, str) and re.match(r"https?://\S+$", offer):
            return offer
    return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
