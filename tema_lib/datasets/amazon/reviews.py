"""Who reviewed what, and when: review files and ratings tables of the official releases.

    read_reviews(path, 2014)             one file as a table in file order, and notes on bad lines
    read_events(connection, path, ...)   the same as a DuckDB table, in bounded memory

DuckDB unpacks the file and reads only the keys that are asked for.  Status: ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from tema_lib.data.files import DataError, check_kind, sql_path
from tema_lib.datasets.amazon.columns import (
    EVENT_COLUMNS,
    REVIEW_COLUMNS,
    event_source,
    ratings_order,
)
from tema_lib.datasets.amazon.metadata import Notes, ends_with_return, lines_of, read_count

# 1995, when Amazon opened, to 2035: a time outside is in a wrong unit.
FIRST_TIME, LAST_TIME = 788_918_400, 2_051_222_400
FAR = 9_000_000_000_000  # not a time, in seconds or milliseconds
SECOND = 1_000_000  # microseconds, the unit of `moment`: an order inside a second is an order
MEMORY = "1GB"  # DuckDB's own limit; the process around it needs some 200 MB more
USABLE = (
    "user_id <> '' AND item_id <> '' AND moment IS NOT NULL "
    r"AND NOT regexp_matches(user_id || item_id, '[\t\r\n]')"
)


def read_reviews(
    path: Path | str, year: int, columns: Iterable[str] = (*EVENT_COLUMNS, "rating")
) -> tuple[pd.DataFrame, Notes]:
    """A whole file of reviews or ratings as a table, in file order, and what could not be read.

    Meant for looking; `preparation` reads files of any size.

    Args:
        path: The file; a ratings table is told by its name (.csv).
        year: Its release.
        columns: Keys of `REVIEW_COLUMNS[year]`, or "moment".

    Returns:
        user_id, item_id, timestamp (int64 Unix seconds, whatever the release counts in), and what
        was asked for: moment int64 microseconds, rating float, votes int, everything else text; and
        the notes.

    Raises:
        DataError: As `read_events`.
    """
    columns = (*EVENT_COLUMNS, *(column for column in columns if column not in EVENT_COLUMNS))
    asked = [column for column in columns if column != "moment"]
    with connect() as connection:
        notes = read_events(connection, Path(path), year, "events", asked)
        select = ", ".join(
            f"moment // {SECOND} AS timestamp" if column == "timestamp" else column
            for column in columns
        )
        table = connection.execute(f"SELECT {select} FROM events ORDER BY line").df()
    if "rating" in columns:
        table["rating"] = table["rating"].astype("float64")
    if "votes" in columns:
        table["votes"] = table["votes"].map(read_count)
    return table, notes


def connect(
    work: Path | None = None, memory: str = MEMORY, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A DuckDB session that keeps to a limit of memory.

    Args:
        work: The folder in which what does not fit is spilled to disk.
        memory: The limit, as DuckDB writes it.
        threads: None: as many as there are processors, at most 4.
    """
    connection = duckdb.connect()
    connection.execute("SET memory_limit=?", [memory])
    connection.execute("SET threads=?", [threads or min(4, os.cpu_count() or 1)])
    connection.execute("SET enable_progress_bar=false")
    if work is not None:
        connection.execute("SET temp_directory=?", [str(work / "spilled")])
    return connection


def read_events(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    year: int,
    table: str,
    columns: Iterable[str] = EVENT_COLUMNS,
    kept: Path | None = None,
) -> Notes:
    """Read one file into a DuckDB table, without the lines that say nothing.

    A line is left out, counted and named where it does not hold a JSON object or lacks a user, item
    or time.

    Args:
        connection: A session of `connect`.
        path: The file of reviews or ratings.
        year: Its release.
        table: The name of the table: line, user_id, item_id, ..., moment (microseconds since 1970).
        columns: Keys of `REVIEW_COLUMNS[year]`.
        kept: A parquet file to hold the table; without it the table is in memory.

    Raises:
        DataError: The file is damaged, has no usable line, or counts its times in another unit.
    """
    columns = tuple(columns)
    source = event_source(path, year, columns)
    start = check_kind(path)
    if ".csv" not in path.suffixes and ends_with_return(start):
        raise DataError(
            f"{path}: its lines end with a carriage return alone, and only the first would be "
            "read; convert the line ends."
        )
    first_kept = kept and kept.with_suffix(".read")
    try:
        unit = _unit(connection, path, year, source)
        _keep(connection, _numbered(source, columns, unit), f"{table}_read", first_kept, path)
    except duckdb.Error as error:
        raise DataError(
            f"{path} {_complaint(str(error))} ({str(error).splitlines()[0][:120]}): "
            "delete it and download it again."
        ) from None
    notes = Notes(lines=_one(connection, f"SELECT count(*) FROM {table}_read")[0])
    unusable = f"SELECT line FROM {table}_read WHERE NOT coalesce({USABLE}, false)"
    empty = {row[0] for row in connection.execute(unusable).fetchall()}
    connection.execute(f"CREATE OR REPLACE TEMP TABLE saved AS SELECT * FROM {table}_read LIMIT 0")
    if empty:
        _second_look(connection, path, year, columns, empty, notes, SECOND // unit)
    if notes.lines == notes.bad:
        raise DataError(
            f"{path}: none of {notes.lines} lines has a user, an item and a time in the form of "
            f"{year}; is it a review file of that release?"
        )
    select = f"SELECT * FROM {table}_read"
    if empty:
        select += f" WHERE {USABLE} UNION ALL SELECT * FROM saved"
    _check_times(connection, path, year, select, unit)
    if kept and first_kept and not empty:  # the usual case: what was read is what is kept
        os.replace(first_kept, kept)
        view(connection, table, kept)
        return notes
    _keep(connection, select, table, kept)
    if first_kept:
        first_kept.unlink()
    return notes


def _numbered(source: str, columns: tuple[str, ...], unit: int) -> str:
    """SQL: the rows of a source with their line and their time in microseconds."""
    texts = ", ".join(column for column in columns if column != "timestamp")
    # A double tells microseconds in seconds and in milliseconds alike.
    time = "TRY_CAST(timestamp AS DOUBLE)"
    near = f"greatest(-{FAR}, least({FAR}, {time}))"
    moment = f"CASE WHEN isfinite({time}) THEN CAST(round({near} * {SECOND // unit}) AS BIGINT) END"
    return f"SELECT row_number() OVER () AS line, {texts}, {moment} AS moment FROM ({source})"


def _complaint(error: str) -> str:
    """What DuckDB's error says of a file."""
    if "GZIP" in error:
        return "is cut off"
    return "is not UTF-8" if "utf-8" in error else "cannot be read"


def _one(connection: duckdb.DuckDBPyConnection, query: str, *values: Any) -> tuple[Any, ...]:
    """The one row of a query; `fetchone` would leave the result open."""
    return connection.execute(query, list(values)).fetchall()[0]


def _keep(
    connection: duckdb.DuckDBPyConnection,
    select: str,
    table: str,
    kept: Path | None,
    source: Path | None = None,
) -> None:
    """The rows of a query as a table in memory, or in a parquet file; source: its parameter."""
    values = [] if source is None else [sql_path(source)]
    if kept is None:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {select}", values)
        return
    connection.execute(f"COPY ({select}) TO ? (FORMAT parquet)", [*values, str(kept)])
    view(connection, table, kept)


def view(connection: duckdb.DuckDBPyConnection, table: str, kept: Path) -> None:
    """A parquet file under the name of a table."""
    parquet = connection.read_parquet(sql_path(kept), hive_partitioning=False)
    parquet.create_view(table, replace=True)


def _second_look(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    year: int,
    columns: tuple[str, ...],
    empty: set[int],
    notes: Notes,
    scale: int,
) -> None:
    """Read the lines that DuckDB gave up once more with Python, and number those that stay bad.

    Python forgives half a surrogate pair.  Reading the whole file again also checks its gzip
    checksum, which DuckDB does not.
    """
    ratings = ".csv" in path.suffixes
    counted = -1 if ratings and ratings_order(path, year)[0] else 0  # DuckDB skips a header
    more = [column for column in columns if column not in EVENT_COLUMNS]
    named = ["line", "user_id", "item_id", "moment", *more]
    insert = f"INSERT INTO saved ({', '.join(named)}) VALUES ({', '.join('?' * len(named))})"
    for number, line in lines_of(path):
        if not line.strip():
            continue  # DuckDB does not count empty lines
        counted += 1
        if counted not in empty:
            continue
        try:
            if ratings:
                raise ValueError("nothing to save in four plain columns")
            values = _saved(json.loads(line), year, more, scale)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            notes.count_bad(number)
            continue
        connection.execute(insert, [counted, *values])


def _saved(record: Any, year: int, more: list[str], scale: int) -> list[Any]:
    """user, item, moment and more columns of a record that DuckDB refused.  Raises `ValueError`."""
    theirs = REVIEW_COLUMNS[year]
    user, item = record[theirs["user_id"]], record[theirs["item_id"]]
    moment = round(float(record[theirs["timestamp"]]) * scale)
    texts = isinstance(user, str) and isinstance(item, str) and user and item
    if abs(moment) >= 2**63 or not texts or set("\t\r\n") & set(user + item):
        raise ValueError("no id")
    for text in (user, item):
        text.encode()  # half a surrogate pair in an id cannot be saved
    values = [record.get(theirs[column]) for column in more]
    return [
        user,
        item,
        moment,
        *(
            None if value is None else str(value).encode("utf-8", "replace").decode()
            for value in values
        ),
    ]


def _unit(connection: duckdb.DuckDBPyConnection, path: Path, year: int, source: str) -> int:
    """1 for seconds (2014, 2018), 1000 for the milliseconds of 2023.

    The ratings tables of 2023 have been seen in both.
    """
    if year != 2023:
        return 1
    if ".csv" not in path.suffixes:
        return 1000
    first = f"SELECT TRY_CAST(timestamp AS DOUBLE) AS time FROM ({source}) LIMIT 1000"
    median = f"SELECT median(time) > 100000000000 FROM ({first})"
    return 1000 if _one(connection, median, sql_path(path))[0] else 1


def _check_times(
    connection: duckdb.DuckDBPyConnection, path: Path, year: int, events: str, unit: int
) -> None:
    """Refuse a file that mixes units or counts in another."""
    line, moment = _one(
        connection,
        f"SELECT min(line), arg_min(moment, line) FROM ({events}) WHERE moment NOT BETWEEN ? AND ?",
        FIRST_TIME * SECOND,
        LAST_TIME * SECOND,
    )
    if line:
        time = moment / (SECOND // unit)
        text = f"{time:.15g}" if abs(time) < FAR else f"of {FAR} or more"
        raise DataError(
            f"{path}, line {line}: the time {text} is outside 1995 to 2035 when read as "
            f"{'milliseconds' if unit == 1000 else 'seconds'}, the unit of {year}; "
            "check the release, or put the file into one unit."
        )
