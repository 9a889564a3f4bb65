"""Who reviewed what, and when: the review files and the ratings tables of the official releases, in bounded memory.

    read_reviews(path, 2014)             one file as a table in file order, and notes on what could not be read
    read_events(connection, path, ...)   the same as a DuckDB table, for files of any size

DuckDB unpacks the file and reads only the keys that are asked for.  Status: ours.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb
import pandas as pd

from tema_lib.data.readers import DataError, check_kind, sql_path, sql_text
from tema_lib.datasets.amazon.metadata import Notes, ends_with_return, lines_of, read_count
from tema_lib.datasets.amazon.releases import release

# Our column -> theirs.  2023: `asin` is one variant, `parent_asin` the product that the metadata knows; `title` is the REVIEW's headline.
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
EVENT_COLUMNS = ("user_id", "item_id", "timestamp")
FIRST_TIME, LAST_TIME = (
    788_918_400,
    2_051_222_400,
)  # 1995, when the domain opened, to 2035: a time outside is a wrong unit
FAR = 9_000_000_000_000  # no time, in seconds or milliseconds
SECOND = 1_000_000  # microseconds, the unit of `moment`: an order inside a second is an order
MEMORY = "1GB"  # DuckDB's own limit; the process around it needs some 200 MB more


def read_reviews(
    path: Path | str, year: int, columns=(*EVENT_COLUMNS, "rating")
) -> tuple[pd.DataFrame, Notes]:
    """A whole review file as a table, in file order, and what could not be read.

    timestamp: int64 Unix seconds, whatever the release counts in; moment, if asked for: int64 microseconds; rating: float; votes: int; everything else text.
    Meant for looking; `preparation` reads files of any size.  Raises `DataError`.
    """
    columns = (*EVENT_COLUMNS, *(column for column in columns if column not in EVENT_COLUMNS))
    with connect() as connection:
        notes = read_events(
            connection,
            Path(path),
            year,
            "events",
            [column for column in columns if column != "moment"],
        )
        select = ", ".join(
            f"moment // {SECOND} AS timestamp" if column == "timestamp" else column
            for column in columns
        )
        table = connection.execute(f"SELECT {select} FROM events ORDER BY line").df()
    for column in set(columns) & {"rating"}:
        table[column] = table[column].astype("float64")
    for column in set(columns) & {"votes"}:
        table[column] = table[column].map(read_count)
    return table, notes


read_ratings = read_reviews  # a ratings table is told by its name (.csv)


def connect(
    work: Path | None = None, memory: str = MEMORY, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A DuckDB session that stays below `memory` and moves what does not fit into a folder beside `work`."""
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit='{memory}'")
    connection.execute(f"SET threads={threads or min(4, os.cpu_count() or 1)}")
    connection.execute("SET enable_progress_bar=false")
    if work is not None:
        connection.execute(f"SET temp_directory={sql_text(work / 'spilled')}")
    return connection


def read_events(
    connection, path: Path, year: int, table: str, columns=EVENT_COLUMNS, kept: Path | None = None
) -> Notes:
    """Read one file into `table` (line, user_id, item_id, ..., moment: microseconds since 1970), without the lines that say nothing.

    A line is left out, counted and named where it is no JSON object or has no user, item or time.  kept: a parquet file to hold the table;
    without it the table lies in memory.  Raises `DataError` for a damaged file, a file without a usable line, or times in the wrong unit.
    """
    texts = ", ".join(column for column in columns if column != "timestamp")
    source = event_source(path, year, columns)
    start = check_kind(path)
    if ".csv" not in path.suffixes and ends_with_return(start):
        raise DataError(
            f"{path}: its lines end with a carriage return alone, and only the first would be "
            "read; convert the line ends."
        )
    try:
        unit = _unit(connection, path, year, source)
        # A double tells microseconds in seconds and in milliseconds alike.
        time = "TRY_CAST(timestamp AS DOUBLE)"
        near = f"greatest(-{FAR}, least({FAR}, {time}))"
        moment = (
            f"CASE WHEN isfinite({time}) THEN CAST(round({near} * {SECOND // unit}) AS BIGINT) END"
        )
        select = f"SELECT row_number() OVER () AS line, {texts}, {moment} AS moment FROM ({source})"
        _keep(connection, select, f"{table}_read", kept and kept.with_suffix(".read"))
    except duckdb.Error as error:
        said = str(error)
        reason = (
            "is cut off"
            if "GZIP" in said
            else "is not UTF-8"
            if "utf-8" in said
            else "cannot be read"
        )
        raise DataError(
            f"{path} {reason} ({str(error).splitlines()[0][:120]}): delete it and download it again."
        ) from None
    usable = r"user_id <> '' AND item_id <> '' AND moment IS NOT NULL AND NOT regexp_matches(user_id || item_id, '[\t\r\n]')"
    notes = Notes(lines=connection.execute(f"SELECT count(*) FROM {table}_read").fetchone()[0])
    empty = {
        row[0]
        for row in connection.execute(
            f"SELECT line FROM {table}_read WHERE NOT coalesce({usable}, false)"
        ).fetchall()
    }
    connection.execute(f"CREATE OR REPLACE TEMP TABLE saved AS SELECT * FROM {table}_read LIMIT 0")
    if empty:
        _second_look(connection, path, year, columns, empty, notes, SECOND // unit)
    if notes.lines == notes.bad:
        raise DataError(
            f"{path}: none of {notes.lines} lines has a user, an item and a time in the form of {year}; is it a review file of that release?"
        )
    select = f"SELECT * FROM {table}_read" + (
        f" WHERE {usable} UNION ALL SELECT * FROM saved" if empty else ""
    )
    _check_times(connection, path, year, select, unit)
    if kept and not empty:  # the usual case: what was read is what is kept
        os.replace(kept.with_suffix(".read"), kept)
        view(connection, table, kept)
        return notes
    _keep(connection, select, table, kept)
    if kept:
        kept.with_suffix(".read").unlink()
    return notes


def _keep(connection, select: str, table: str, kept: Path | None) -> None:
    """The rows of a query as a table in memory, or in a parquet file."""
    if kept is None:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {select}")
        return
    connection.execute(f"COPY ({select}) TO {sql_text(kept)} (FORMAT parquet)")
    view(connection, table, kept)


def view(connection, table: str, kept: Path) -> None:
    """A parquet file under the name of a table."""
    source = f"read_parquet({sql_path(kept)}, hive_partitioning=false)"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM {source}")


def _second_look(
    connection, path: Path, year: int, columns, empty: set[int], notes: Notes, scale: int
) -> None:
    """Read the lines that DuckDB gave up once more with Python, which forgives a half surrogate, and number those that stay bad.

    Reading the whole file again also checks its gzip checksum, which DuckDB does not.
    """
    table = ".csv" in path.suffixes
    counted = -1 if table and ratings_order(path, year)[0] else 0  # a header is no line of DuckDB's
    theirs = REVIEW_COLUMNS[year]
    for number, line in lines_of(path):
        if not line.strip():
            continue  # DuckDB does not count empty lines
        counted += 1
        if counted not in empty:
            continue
        try:
            if table:
                raise ValueError("nothing to save in four plain columns")
            record = json.loads(line)
            user, item = record[theirs["user_id"]], record[theirs["item_id"]]
            moment = round(float(record[theirs["timestamp"]]) * scale)
            if (
                abs(moment) >= 2**63
                or not (isinstance(user, str) and isinstance(item, str) and user and item)
                or set("\t\r\n") & set(user + item)
            ):
                raise ValueError("no id")
            user.encode(), item.encode()
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            notes.count_bad(number)
            continue
        more = [
            None
            if record.get(theirs[column]) is None
            else str(record[theirs[column]]).encode("utf-8", "replace").decode()
            for column in columns
            if column not in EVENT_COLUMNS
        ]
        named = [
            "line",
            "user_id",
            "item_id",
            "moment",
            *(column for column in columns if column not in EVENT_COLUMNS),
        ]
        connection.execute(
            f"INSERT INTO saved ({', '.join(named)}) VALUES ({', '.join('?' * len(named))})",
            [counted, user, item, moment, *more],
        )


def _unit(connection, path: Path, year: int, source: str) -> int:
    """1 for seconds (2014, 2018), 1000 for the milliseconds of 2023; the ratings tables of 2023 have been seen in both."""
    if year != 2023 or ".csv" not in path.suffixes:
        return 1000 if year == 2023 else 1
    first = f"SELECT TRY_CAST(timestamp AS DOUBLE) AS time FROM ({source}) LIMIT 1000"
    return (
        1000
        if connection.execute(f"SELECT median(time) > 100000000000 FROM ({first})").fetchone()[0]
        else 1
    )


def _check_times(connection, path: Path, year: int, events: str, unit: int) -> None:
    """A file that mixes units or counts in another is refused."""
    wrong = connection.execute(
        f"SELECT min(line), arg_min(moment, line) FROM ({events}) WHERE moment NOT BETWEEN {FIRST_TIME * SECOND} AND "
        f"{LAST_TIME * SECOND}"
    ).fetchone()
    if wrong[0]:
        name, time = "milliseconds" if unit == 1000 else "seconds", wrong[1] / (SECOND // unit)
        time = f"{time:.15g}" if abs(time) < FAR else f"of {FAR} or more"
        raise DataError(
            f"{path}, line {wrong[0]}: the time {time} lies outside 1995 to 2035 when read as {name}, the unit of "
            f"{year}; check the release, or put the file into one unit."
        )


# ---------------------------------------------------------------------------------------------- columns


def event_source(path: Path, year: int, columns=EVENT_COLUMNS) -> str:
    """The SQL that reads a review or ratings file as text columns, in file order; a line that is no JSON object comes back empty.

    Only the named columns are unpacked, which is what makes it quick.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path} is missing: give the file of reviews or ratings that was downloaded."
        )
    if ".csv" in path.suffixes:
        header, order = ratings_order(path, year)
        parts = ", ".join(
            f"""nullif(trim(split_part(text, ',', {order.index(column) + 1}), ' "\t'), '') AS {column}"""
            for column in columns
        )
        # No id, rating or time holds a comma or a quote; strict_mode=false lets lines of one file end differently.
        return (
            f"SELECT {parts} FROM (SELECT CASE WHEN len(string_split(text, ',')) = {len(order)} THEN text ELSE '' END AS text "
            f"FROM read_csv({sql_path(path)}, auto_detect=false, header={header}, delim='\x01', quote='', escape='', "
            f"columns={{text: 'VARCHAR'}}, null_padding=true, strict_mode=false, hive_partitioning=false) "
            "WHERE NOT regexp_full_match(coalesce(text, ''), '\\s*'))"
        )
    theirs = REVIEW_COLUMNS[release(year)]
    unknown = [column for column in columns if column not in theirs]
    if unknown:
        raise DataError(
            f"{path}: the reviews of {year} have no {', '.join(unknown)}; choose from {', '.join(theirs)}."
        )
    spelt = ", ".join(f"{theirs[column]}: 'VARCHAR'" for column in columns)
    return (
        f"SELECT {', '.join(f'{theirs[column]} AS {column}' for column in columns)} FROM read_json({sql_path(path)}, format='newline_delimited', "
        f"columns={{{spelt}}}, ignore_errors=true, hive_partitioning=false)"
    )


def ratings_order(path: Path, year: int) -> tuple[bool, tuple[str, ...]]:
    """(has a header, order of the columns).  The first rows decide; what the release documents, only where they do not tell.

    An item number (ASIN) has 10 characters; a reviewer's begins with A and has 12 or more.
    """
    rows = []
    for number, line in lines_of(path):
        if line.strip():
            rows.append(
                [
                    cell.strip(' "\t')
                    for cell in line.decode("utf-8", "replace").rstrip("\r\n").split(",")
                ]
            )
        if number == 200:
            break
    if not rows or len(rows[0]) < 4:
        raise DataError(
            f"{path}, line 1: not four columns; a ratings file has user, item, rating and time, separated by commas."
        )
    if {"user_id", "parent_asin", "timestamp"} <= set(rows[0]):
        return True, tuple("item_id" if name == "parent_asin" else name for name in rows[0])

    def looks_like_user(text):
        return text.startswith("A") and len(text) >= 12

    first, second = (
        sum(looks_like_user(row[column]) for row in rows if len(row) >= 4) for column in (0, 1)
    )
    if first == second:
        if year not in RATINGS_ORDER:
            raise DataError(
                f"{path}, line 1: the ratings of {year} have a header with user_id, parent_asin, rating, timestamp; this file has none."
            )
        return False, RATINGS_ORDER[year]
    return False, RATINGS_ORDER[2014 if first > second else 2018]
