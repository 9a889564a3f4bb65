"""Files as people have them: text with any line ends, tables as TSV or parquet, JSON, paths for SQL.

    table_blocks(path)      a table of any size as blocks of text columns
    numbered_lines(path)    the lines of a text file that are not blank, numbered as in an editor
    read_json(path)         a JSON file
    sql_path(path)          a path for DuckDB: the file of this name, never a pattern

A byte-order mark, empty lines, `\\r\\n` and a lone `\\r` change nothing.  What cannot be read is a
`DataError`: one sentence.  Status: ours.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path

import duckdb

DOMAINS = ("A", "B")
BLOCK = 1 << 19  # characters of a text file, read at a time
ROWS = 10_000  # rows of a parquet file, read at a time
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
)  # what a reader asks for; other columns are passed over
OTHER_KINDS = {
    b"\xff\xfe": 'is UTF-16 (Excel\'s "Unicode text"): save it as UTF-8',
    b"\xfe\xff": 'is UTF-16 (Excel\'s "Unicode text"): save it as UTF-8',
    b"\x1f\x8b": "is gzipped: let its name end in .gz",
    b"PK\x03\x04": "is an Excel workbook or a zip: export or unpack it as plain text",
    b"PAR1": "is a parquet file: let its name end in .parquet",
}


class DataError(ValueError):
    """Something is wrong with a data folder: one sentence with the file, the line and the remedy."""


def shown(value: str) -> str:
    """A value in quotes, for a message: its first 60 signs."""
    return repr(value if len(value) <= 60 else value[:60] + "...")


# -------------------------------------------------------------------------------- names


def table_path(path: Path) -> Path:
    """The file itself, its gzipped twin or its parquet form.  Raises `DataError` for none."""
    for candidate in spellings(path):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{path} is missing: a data folder needs interactions.tsv and items.tsv, "
        "plain, with .gz, or as .parquet (see README, 'Your own data')."
    )


def spellings(path: Path) -> tuple[Path, ...]:
    return path, path.with_name(path.name + ".gz"), path.with_suffix(".parquet")


def has_table(path: Path) -> bool:
    return any(candidate.is_file() for candidate in spellings(path))


def listed(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern in order, without the `._` twins that macOS puts beside them."""
    return sorted(
        path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("._")
    )


def sql_text(text: Path | str) -> str:
    """A text, or the path of a file to write, as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


def sql_path(path: Path | str) -> str:
    """The path of a file to read as an SQL literal.  Raises `DataError` where it cannot be told.

    DuckDB takes a path with `*`, `?` or `[` for a pattern, and one that begins with `~` for
    somebody's home.  In a pattern a backslash cannot be told.
    """
    whole = str(Path(path).absolute())
    if not set("*?[") & set(whole):
        return sql_text(whole)
    if os.sep == "/" and "\\" in whole:
        raise DataError(
            f"{path}: a path with a backslash and one of * ? [ cannot be told to DuckDB: rename it."
        )
    return sql_text("".join(f"[{sign}]" if sign in "*?[" else sign for sign in whole))


# -------------------------------------------------------------------------------- text


def check_kind(path: Path) -> bytes:
    """The first bytes of a text file, unpacked.  Raises `DataError` for those of another kind.

    Nothing is said of a damaged file here: whoever reads on meets the damage.
    """
    try:
        with _opened(path, "rb") as file:
            start = file.read(1 << 16)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return b""
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
    for first, words in OTHER_KINDS.items():
        if start.startswith(first):
            raise DataError(f"{path} {words}.")
    if b"\0" in start[:200]:
        raise DataError(
            f'{path} is no plain text, or UTF-16 (Excel\'s "Unicode text"): save it as UTF-8.'
        )
    return start


def _opened(path: Path, mode: str, **how):
    return (gzip.open if path.suffix == ".gz" else open)(path, mode, **how)


def _line_blocks(path: Path) -> Iterator[list[str]]:
    """All lines of a text file, plain or gzipped, each ending in `\\n`.  Raises `DataError`."""
    check_kind(path)
    try:
        with _opened(path, "rt", encoding="utf-8-sig") as file:
            while block := file.readlines(BLOCK):
                yield block
    except UnicodeDecodeError:
        with _opened(path, "rt", encoding="utf-8-sig", errors="replace") as file:
            bad = next((number for number, line in enumerate(file, start=1) if "\ufffd" in line), 1)
        raise DataError(f"{path} is not UTF-8 (line {bad}): save it as UTF-8.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path} is cut off or no gzip file: copy or download it again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end) of lines that are not blank.  Raises `DataError`."""
    number = 0
    for block in _line_blocks(path):
        for number, line in enumerate(block, start=number + 1):
            if not line.isspace():
                yield number, line.rstrip("\n")


def read_json(path: Path):
    """What a JSON file says, in UTF-8, 16 or 32, with or without a mark.  Raises `DataError`."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise DataError(f"{path} is no JSON: restore the file.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


# -------------------------------------------------------------------------------- tables


def header_of(path: Path) -> list[str]:
    """The column names of a table, as they stand there.  Raises `DataError` for an empty file."""
    if path.suffix == ".parquet":
        return [name for name, _ in _parquet_columns(path)]
    for _, line in numbered_lines(path):
        return line.split("\t")
    raise DataError(f"{path} holds no rows: it needs a header line and at least one row.")


def plain_names(path: Path, header: list[str]) -> list[str]:
    """Column names as the readers know them: `User ID ` is user_id.

    Raises `DataError` for a name that stands there twice; DuckDB calls the second of a parquet file
    name_1.
    """
    names = ["_".join(name.replace("-", " ").lower().split()) for name in header]
    for name in names:
        second = path.suffix == ".parquet" and f"{name}_1" in names
        if name in COLUMNS and (names.count(name) > 1 or second):
            raise DataError(f"{path}, line 1: column {name} stands there twice; keep one.")
    return names


def table_blocks(path: Path) -> Iterator[dict[str, list[str]]]:
    """A table as blocks of text columns {name: values}, only those of `COLUMNS`.

    Raises `DataError` for a broken file, a ragged line, a column twice, or no row.
    """
    names = plain_names(path, header_of(path))
    empty = True
    for columns in (_parquet_blocks if path.suffix == ".parquet" else _tsv_blocks)(path, names):
        empty = False
        yield {name: column for name, column in zip(names, columns) if name in COLUMNS}
    if empty:
        raise DataError(f"{path} holds no rows: it needs a header line and at least one row.")


def location_of(path: Path, row: int) -> str:
    """ "items.tsv, line 7" of a row counted from 0: empty lines count, as in an editor."""
    if path.suffix == ".parquet":
        return f"{path}, row {row + 1}"
    return f"{path}, line {next(islice(numbered_lines(path), row + 1, None))[0]}"


def _tsv_blocks(path: Path, names: list[str]) -> Iterator[list[list[str]]]:
    """Columns of some thousand rows at a time.  A block is cut as one text, which is quick."""
    width, seen = len(names), 0  # seen: rows so far, the header among them
    for block in _line_blocks(path):
        lines = [line for line in block if not line.isspace()]
        tabs = list(map(str.count, lines, repeat("\t")))
        if set(tabs) - {width - 1}:
            bad = next(number for number, found in enumerate(tabs) if found != width - 1)
            raise DataError(
                f"{location_of(path, seen + bad - 1)}: {tabs[bad] + 1} columns where the "
                f"header has {width}; remove tabs and line breaks inside the text."
            )
        rows, seen = lines[not seen :], seen + len(lines)
        if rows:
            cells = "".join(rows).removesuffix("\n").replace("\n", "\t").split("\t")
            yield [cells[column::width] for column in range(width)]


def _parquet_blocks(path: Path, names: list[str]) -> Iterator[list[list[str]]]:
    """The columns of a parquet file as texts.

    A moment becomes Unix seconds, what is missing "", and a whole number has no point.
    """
    asked, readers = [], []
    for (column, kind), name in zip(_parquet_columns(path), names):
        quoted = '"' + column.replace('"', '""') + '"'
        if name == "timestamp" and kind == "FLOAT":
            raise DataError(
                f"{path}: the timestamps are 32-bit floats, which cannot hold seconds; "
                "write whole numbers."
            )
        if name == "timestamp" and kind.startswith(("TIMESTAMP", "DATE")):
            finest = kind.startswith("TIMESTAMP_NS")
            asked.append(f"{'epoch_ns' if finest else 'epoch_us'}({quoted})")
            readers.append(lambda tick, unit=10**9 if finest else 10**6: _seconds(tick, unit))
        elif kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
            asked.append(f"CAST({quoted} AS DOUBLE)" if kind == "FLOAT" else quoted)
            readers.append(_number)
        elif kind == "BLOB":
            asked.append(f"decode({quoted})")
            readers.append(str)
        else:
            asked.append(f"CAST({quoted} AS VARCHAR)" if name in COLUMNS else "NULL")
            readers.append(str)
    with duckdb.connect() as connection:
        try:
            found = connection.execute(f"SELECT {', '.join(asked)} FROM {_parquet(path)}")
            while rows := found.fetchmany(ROWS):
                yield [
                    ["" if value is None else read(value) for value in column]
                    for read, column in zip(readers, zip(*rows))
                ]
        except duckdb.Error as error:
            raise _unreadable(path, error) from None


def _seconds(tick: int, unit: int) -> str:
    whole, rest = divmod(tick, unit)
    return f"{whole}.{rest * (10**9 // unit):09d}" if rest else str(whole)


def _number(value) -> str:
    """A float or a decimal as a text; no number is missing."""
    if value != value:
        return ""
    return str(int(value)) if abs(value) < 2**63 and value == int(value) else str(value)


def _parquet(path: Path) -> str:
    """SQL that reads the file; no column comes from a folder's name."""
    return f"read_parquet({sql_path(path)}, hive_partitioning=false)"


def _parquet_columns(path: Path) -> list[tuple[str, str]]:
    with duckdb.connect() as connection:
        try:
            found = connection.execute(f"DESCRIBE SELECT * FROM {_parquet(path)}")
            return [row[:2] for row in found.fetchall()]
        except duckdb.Error as error:
            raise _unreadable(path, error) from None


def _unreadable(path: Path, error: duckdb.Error) -> DataError:
    reason = str(error).splitlines()[0].removeprefix("Invalid Input Error: ")[:100]
    return DataError(f"{path} is no readable parquet file ({reason}): write it again.")
