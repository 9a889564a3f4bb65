"""Data sets in the formats that papers publish: LLMCDSR, C2DSR, ABXI.

    format_of(folder)           which of the three a folder holds, by the names of its files
    read_published(folder)      -> RawData

Each format numbers items and orders lines in its own way, and each has been misread in published
work; the docstrings of `llmcdsr`, `c2dsr` and `abxi` say how.  None of them brings descriptions or
pictures, and C2DSR and ABXI no titles: an `items.tsv` beside the files may (item_id or asin, title,
...).  Status: ours; the formats are those of the papers' public repositories.
"""

from __future__ import annotations

from pathlib import Path

from tema_lib.data.dataset import RawData
from tema_lib.data.files import DataError, has_table, listed
from tema_lib.datasets.published.abxi import read_abxi
from tema_lib.datasets.published.c2dsr import FILE_NAMES, read_c2dsr
from tema_lib.datasets.published.llmcdsr import read_llmcdsr

READERS = {"llmcdsr": read_llmcdsr, "c2dsr": read_c2dsr, "abxi": read_abxi}


def format_of(folder: Path) -> str:
    """ "llmcdsr", "c2dsr" or "abxi"; "" for any other folder, and where our own two tables lie."""
    if has_table(folder / "interactions.tsv") and has_table(folder / "items.tsv"):
        return ""
    if (folder / "train_overlap.txt").is_file():
        return "llmcdsr"
    if any((folder / names.train).is_file() for names in FILE_NAMES):
        return "c2dsr"
    return "abxi" if listed(folder, "*_preprocessed.txt") else ""


def read_published(folder: Path | str) -> RawData:
    """Read a folder of a published format.

    Raises:
        DataError: The folder holds none, or files that do not keep to their format.
    """
    folder = Path(folder)
    found = format_of(folder)
    if not found:
        raise DataError(
            f"{folder} does not hold a published format: expected train_overlap.txt (LLMCDSR), "
            "traindata_new.txt (C2DSR) or *_preprocessed.txt (ABXI)."
        )
    return READERS[found](folder)
