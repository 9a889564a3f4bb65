"""The columns of review and ratings files, release by release, and the SQL that reads them.

    event_source(path, year, columns)    SQL with the file as its one parameter
    ratings_order(path, year)            the order of the columns of a ratings table

Status: ours; the columns are those of the official files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tema_lib.data.files import DataError
from tema_lib.datasets.amazon.metadata import lines_of
from tema_lib.datasets.amazon.releases import release

EVENT_COLUMNS = ("user_id", "item_id", "timestamp")
# Our column -> theirs.  2023: `asin` is one variant, `parent_asin` the product that the metadata
# knows; `title` is the REVIEW's headline.
REVIEW_COLUMNS = {
    2014: {
        "user_id": "reviewerID",
        "item_id": "asin",
        "timestamp": "unixReviewTime",
        "rating": "overall",
        "headline": "summary",
    },
    2018: {
        "user_id": "reviewerID",
        "item_id": "asin",
        "timestamp": "unixReviewTime",
        "rating": "overall",
        "headline": "summary",
        "votes": "vote",
    },
    2023: {
        "user_id": "user_id",
        "item_id": "parent_asin",
        "timestamp": "timestamp",
        "rating": "rating",
        "headline": "title",
        "votes": "helpful_vote",
    },
}
RATINGS_ORDER = {
    2014: ("user_id", "item_id", "rating", "timestamp"),
    2018: ("item_id", "user_id", "rating", "timestamp"),
}


def event_source(path: Path, year: int, columns: Iterable[str] = EVENT_COLUMNS) -> str:
    """The SQL that reads a review or ratings file as text columns, in file order.

    A line that does not hold a JSON object comes back empty.  Only the named columns are unpacked,
    which is what makes it quick.

    Args:
        path: The file; the SQL takes it as its one parameter, `files.sql_path(path)`.
        year: Its release.
        columns: Keys of `REVIEW_COLUMNS[year]`.

    Raises:
        DataError: The file is missing, or the release lacks a column.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path} is missing: give the file of reviews or ratings that was downloaded."
        )
    if ".csv" in path.suffixes:
        return _ratings_source(*ratings_order(path, year), columns)
    theirs = REVIEW_COLUMNS[release(year)]
    unknown = [column for column in columns if column not in theirs]
    if unknown:
        raise DataError(
            f"{path}: the reviews of {year} have no {', '.join(unknown)}; "
            f"choose from {', '.join(theirs)}."
        )
    renamed = ", ".join(f"{theirs[column]} AS {column}" for column in columns)
    types = ", ".join(f"{theirs[column]}: 'VARCHAR'" for column in columns)
    return (
        f"SELECT {renamed} FROM read_json(?, format='newline_delimited', columns={{{types}}}, "
        "ignore_errors=true, hive_partitioning=false)"
    )


def _ratings_source(header: bool, order: tuple[str, ...], columns: Iterable[str]) -> str:
    """Each line is read as one text and cut at its commas: no id, rating or time holds one."""
    # strict_mode=false lets lines of one file end differently.
    lines = (
        f"SELECT * FROM read_csv(?, auto_detect=false, header={header}, delim='\x01', quote='', "
        "escape='', columns={text: 'VARCHAR'}, null_padding=true, strict_mode=false, "
        "hive_partitioning=false) WHERE NOT regexp_full_match(coalesce(text, ''), '\\s*')"
    )
    whole = f"len(string_split(text, ',')) = {len(order)}"
    texts = f"SELECT CASE WHEN {whole} THEN text ELSE '' END AS text FROM ({lines})"

    def cell(column: str) -> str:
        text = f"split_part(text, ',', {order.index(column) + 1})"
        return f"""nullif(trim({text}, ' "\t'), '') AS {column}"""

    return f"SELECT {', '.join(map(cell, columns))} FROM ({texts})"


def ratings_order(path: Path, year: int) -> tuple[bool, tuple[str, ...]]:
    """Whether a ratings table has a header, and the order of its columns.

    The first rows decide; what the release documents, only where they do not tell.  An item number
    (ASIN) has 10 characters; a reviewer's begins with A and has 12 or more.

    Raises:
        DataError: The table does not have four columns, or lacks the header of its release.
    """
    rows = []
    for number, line in lines_of(path):
        if line.strip():
            cells = line.decode("utf-8", "replace").rstrip("\r\n").split(",")
            rows.append([cell.strip(' "\t') for cell in cells])
        if number == 200:
            break
    if not rows or len(rows[0]) < 4:
        raise DataError(
            f"{path}, line 1: not four columns; a ratings file has user, item, rating and time, "
            "separated by commas."
        )
    if {"user_id", "parent_asin", "timestamp"} <= set(rows[0]):
        return True, tuple("item_id" if name == "parent_asin" else name for name in rows[0])
    first, second = (
        sum(_looks_like_user(row[column]) for row in rows if len(row) >= 4) for column in (0, 1)
    )
    if first != second:
        return False, RATINGS_ORDER[2014 if first > second else 2018]
    if year not in RATINGS_ORDER:
        raise DataError(
            f"{path}, line 1: the ratings of {year} have a header with user_id, parent_asin, "
            "rating, timestamp; this file has none."
        )
    return False, RATINGS_ORDER[year]


def _looks_like_user(text: str) -> bool:
    return text.startswith("A") and len(text) >= 12
