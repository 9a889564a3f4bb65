"""Files as people have them: text with any line ends, JSON, paths for DuckDB.

    numbered_lines(path)    the lines of a text file that are not blank, numbered as in an editor
    read_json(path)         a JSON file
    sql_path(path)          a path for DuckDB: the file of this name, never a pattern

A byte-order mark, empty lines, `\\r\\n` and a lone `\\r` change nothing.  A file that cannot be
read raises `DataError` with one sentence.  Status: ours.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_PIXELS = 50_000_000  # a small file can claim to be a huge picture and fill the memory
BLOCK = 1 << 19  # characters of a text file, read at a time
OTHER_KINDS = {
    b"\xff\xfe": 'is UTF-16 (Excel\'s "Unicode text"): save it as UTF-8',
    b"\xfe\xff": 'is UTF-16 (Excel\'s "Unicode text"): save it as UTF-8',
    b"\x1f\x8b": "is gzipped: let its name end in .gz",
    b"PK\x03\x04": "is an Excel workbook or a zip: export or unpack it as plain text",
    b"PAR1": "is a parquet file: let its name end in .parquet",
}


class DataError(ValueError):
    """Something is wrong with the data: one sentence with the file, the line and the remedy."""


def shown(value: str) -> str:
    """A value in quotes, for a message: its first 60 characters."""
    return repr(value if len(value) <= 60 else value[:60] + "...")


# --- names of files ---


def table_path(path: Path) -> Path:
    """The file itself, its gzipped twin or its parquet form.

    Raises:
        DataError: None of the three exists.
    """
    for candidate in spellings(path):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{path} is missing: a data folder needs interactions.tsv and items.tsv, "
        "plain, with .gz, or as .parquet (see docs/own-data.md)."
    )


def spellings(path: Path) -> tuple[Path, ...]:
    """The three names under which a table is looked for."""
    return path, path.with_name(path.name + ".gz"), path.with_suffix(".parquet")


def has_table(path: Path) -> bool:
    """Whether a table is there under one of its three names."""
    return any(candidate.is_file() for candidate in spellings(path))


def listed(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern in order, without the `._` twins that macOS puts beside them."""
    return sorted(
        path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("._")
    )


def sql_path(path: Path | str) -> str:
    """The path of a file to read, as a parameter of a DuckDB query.

    DuckDB takes a path with `*`, `?` or `[` for a pattern, and one that begins with `~` for
    somebody's home; this spelling names one file only.

    Raises:
        DataError: A pattern cannot express the path (it has a backslash).
    """
    whole = str(Path(path).absolute())
    if not set("*?[") & set(whole):
        return whole
    if os.sep == "/" and "\\" in whole:
        raise DataError(
            f"{path}: DuckDB cannot open a path with both a backslash and one of * ? [: rename it."
        )
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in whole)


# --- text and JSON ---


def check_kind(path: Path) -> bytes:
    """The first bytes of a text file, unpacked.

    A damaged file is not reported here: reading on will find it.

    Raises:
        DataError: The file is of another kind, such as UTF-16 or a workbook.
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
            f'{path} is not plain text, or is UTF-16 (Excel\'s "Unicode text"): save it as UTF-8.'
        )
    return start


def _opened(path: Path, mode: str, **how: Any) -> Any:
    return (gzip.open if path.suffix == ".gz" else open)(path, mode, **how)


def line_blocks(path: Path) -> Iterator[list[str]]:
    """All lines of a text file, plain or gzipped, each ending in `\\n`, some thousand at a time.

    Raises:
        DataError: The file is not UTF-8 text, is cut off, or cannot be opened.
    """
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
        raise DataError(
            f"{path} is cut off or not a gzip file: copy or download it again."
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end) of the lines that are not blank.

    Raises:
        DataError: The file cannot be read as UTF-8 text.
    """
    start = 1
    for block in line_blocks(path):
        for number, line in enumerate(block, start):
            if not line.isspace():
                yield number, line.rstrip("\n")
        start += len(block)


def read_json(path: Path) -> Any:
    """What a JSON file says, in UTF-8, 16 or 32, with or without a byte-order mark.

    Raises:
        DataError: The file is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise DataError(f"{path} is not valid JSON: restore the file.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
