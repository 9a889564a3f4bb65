"""Tables as people have them: TSV or parquet files of any size, as blocks of text columns.

    header_of(path)         the column names as they are in the file
    table_blocks(path)      the rows, some thousand at a time
    location_of(path, row)  "items.tsv, line 7", for a message

The lines and paths beneath are those of `files.py`.  Status: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import duckdb

from tema_lib.data.files import DataError, line_blocks, numbered_lines, sql_path

DOMAINS = ("A", "B")
ROWS = 10_000  # rows of a parquet file, read at a time
# What a reader asks for; other columns are skipped.
COLUMNS = (
    "user_id",
    "item_id",
    "asin",
    "item_index",
    "domain",
    "timestamp",
    "title",
    "description",
    "image",
)
# The file is the one parameter; no column comes from a folder's name.
READ_PARQUET = "read_parquet(?, hive_partitioning=false)"


def header_of(path: Path) -> list[str]:
    """The column names of a table, as they stand there.

    Raises:
        DataError: The file is empty or cannot be read.
    """
    if path.suffix == ".parquet":
        return [name for name, _ in _parquet_columns(path)]
    for _, line in numbered_lines(path):
        return line.split("\t")
    raise _no_rows(path)


def plain_names(path: Path, header: list[str]) -> list[str]:
    """Column names as the readers know them: "User ID " is `user_id`.

    Raises:
        DataError: A name appears twice; DuckDB calls the second of a parquet file name_1.
    """
    names = ["_".join(name.replace("-", " ").lower().split()) for name in header]
    for name in names:
        second = path.suffix == ".parquet" and f"{name}_1" in names
        if name in COLUMNS and (names.count(name) > 1 or second):
            raise DataError(f"{path}, line 1: column {name} appears twice; keep one.")
    return names


def table_blocks(path: Path) -> Iterator[dict[str, list[str]]]:
    """A table as blocks of text columns {name: values}, only those of `COLUMNS`.

    Raises:
        DataError: A broken file, a ragged line, a column twice, or no row.
    """
    names = plain_names(path, header_of(path))
    blocks = _parquet_blocks if path.suffix == ".parquet" else _tsv_blocks
    empty = True
    for columns in blocks(path, names):
        empty = False
        yield {name: column for name, column in zip(names, columns) if name in COLUMNS}
    if empty:
        raise _no_rows(path)


def _no_rows(path: Path) -> DataError:
    return DataError(f"{path} holds no rows: it needs a header line and at least one row.")


def location_of(path: Path, row: int) -> str:
    """ "items.tsv, line 7" of a row counted from 0: empty lines count, as in an editor."""
    if path.suffix == ".parquet":
        return f"{path}, row {row + 1}"
    return f"{path}, line {next(islice(numbered_lines(path), row + 1, None))[0]}"


def _tsv_blocks(path: Path, names: list[str]) -> Iterator[list[list[str]]]:
    """Columns of some thousand rows at a time.  A block is cut as one text, which is quick."""
    width = len(names)
    seen = 0  # rows so far, the header among them
    for block in line_blocks(path):
        lines = [line for line in block if not line.isspace()]
        tabs = list(map(str.count, lines, repeat("\t")))
        if set(tabs) - {width - 1}:
            bad = next(number for number, found in enumerate(tabs) if found != width - 1)
            raise DataError(
                f"{location_of(path, seen + bad - 1)}: {tabs[bad] + 1} columns where the "
                f"header has {width}; remove tabs and line breaks inside the text."
            )
        rows = lines[not seen :]
        seen += len(lines)
        if rows:
            cells = "".join(rows).removesuffix("\n").replace("\n", "\t").split("\t")
            yield [cells[column::width] for column in range(width)]


# --- parquet ---


def _parquet_blocks(path: Path, names: list[str]) -> Iterator[list[list[str]]]:
    """The columns of a parquet file as texts.

    A time stamp becomes Unix seconds, a missing value "", and a whole number has no point.
    """
    asked, readers = [], []
    for (column, kind), name in zip(_parquet_columns(path), names):
        expression, reader = _as_text(path, column, kind, name)
        asked.append(expression)
        readers.append(reader)
    with duckdb.connect() as connection:
        try:
            found = connection.execute(
                f"SELECT {', '.join(asked)} FROM {READ_PARQUET}", [sql_path(path)]
            )
            while rows := found.fetchmany(ROWS):
                yield [
                    ["" if value is None else read(value) for value in column]
                    for read, column in zip(readers, zip(*rows))
                ]
        except duckdb.Error as error:
            raise _unreadable(path, error) from None


def _as_text(path: Path, column: str, kind: str, name: str) -> tuple[str, Callable[[Any], str]]:
    """(SQL of one column, how to write its values as text)."""
    quoted = '"' + column.replace('"', '""') + '"'
    if name == "timestamp" and kind == "FLOAT":
        raise DataError(
            f"{path}: the timestamps are 32-bit floats, which cannot hold seconds; "
            "write whole numbers."
        )
    if name == "timestamp" and kind.startswith("TIMESTAMP_NS"):
        return f"epoch_ns({quoted})", lambda tick: _seconds(tick, 10**9)
    if name == "timestamp" and kind.startswith(("TIMESTAMP", "DATE")):
        return f"epoch_us({quoted})", lambda tick: _seconds(tick, 10**6)
    if kind == "FLOAT":
        return f"CAST({quoted} AS DOUBLE)", _number
    if kind == "DOUBLE" or kind.startswith("DECIMAL"):
        return quoted, _number
    if kind == "BLOB":
        return f"decode({quoted})", str
    return (f"CAST({quoted} AS VARCHAR)" if name in COLUMNS else "NULL"), str


def _seconds(tick: int, unit: int) -> str:
    """A count of 1/unit seconds as seconds, with a fraction where there is one."""
    whole, rest = divmod(tick, unit)
    return f"{whole}.{rest * (10**9 // unit):09d}" if rest else str(whole)


def _number(value: Any) -> str:
    """A float or a decimal as a text; NaN counts as missing."""
    if value != value:
        return ""
    return str(int(value)) if abs(value) < 2**63 and value == int(value) else str(value)


def _parquet_columns(path: Path) -> list[tuple[str, str]]:
    """(name, DuckDB type) of each column."""
    with duckdb.connect() as connection:
        try:
            found = connection.execute(
                f"DESCRIBE SELECT * FROM {READ_PARQUET}", [sql_path(path)]
            ).fetchall()
        except duckdb.Error as error:
            raise _unreadable(path, error) from None
    return [(name, kind) for name, kind, *_ in found]


def _unreadable(path: Path, error: duckdb.Error) -> DataError:
    reason = str(error).splitlines()[0].removeprefix("Invalid Input Error: ")[:100]
    return DataError(f"{path} cannot be read as parquet ({reason}): write it again.")
