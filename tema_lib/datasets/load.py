"""Data sets by folder: our own two tables, or a format that papers publish.

    read_data(folder)           -> RawData
    read_description(folder)    the names of the domains, and what happens to repeats

Status: ours.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tema_lib.data.dataset import (
    INTERACTION_COLUMNS,
    ITEM_COLUMNS,
    REPEATS,
    UNNAMED,
    RawData,
    check_items,
    digest,
    domain_names,
    lacking,
    read_table,
)
from tema_lib.data.files import DataError, read_json, table_path
from tema_lib.data.filters import without_repeats
from tema_lib.data.interactions import read_interactions
from tema_lib.data.readers import header_of
from tema_lib.datasets.published import format_of, read_published
from tema_lib.workspace import data_folder

SYNTHETIC = data_folder() / "synthetic"  # the shipped data set, from drawn pictures to its truth


def load_dataset(name_or_folder: str | Path, repeats: str = "") -> RawData:
    """A data set by name or folder.

    Args:
        name_or_folder: "synthetic" for the shipped data set, else a folder for `read_data`.
        repeats: as for `read_data`.

    Raises:
        DataError: the folder is missing or cannot be read.
    """
    return read_data(SYNTHETIC if name_or_folder == "synthetic" else name_or_folder, repeats)


def read_data(folder: str | Path, repeats: str = "") -> RawData:
    """Read a data folder: the two tables, or one of the published formats.

    Rows that repeat another one to the letter are dropped, and of a user's events with one item all
    but the first.  A published split is left as it is, whatever `repeats` says: its targets belong
    to other people's protocol, and a dropped event would change them; where it repeats items,
    `RawData.repeats` is "keep".

    Args:
        folder: The data folder.
        repeats: "keep" keeps a user's later events with one item, "first" drops them; "" does what
            `dataset.json` says ({"repeats": "keep"}), and drops them where it says nothing.

    Raises:
        DataError: The folder cannot be read; all columns that are missing, in either table, stand
            in one message.
    """
    folder = Path(folder)
    if repeats and repeats not in REPEATS:
        raise DataError(f"repeats={repeats!r}: choose {' or '.join(REPEATS)}.")
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder: give DATA= a folder with interactions.tsv and items.tsv."
        )
    domains, described_repeats = read_description(folder)
    repeats = repeats or described_repeats
    if not format_of(folder):
        return replace(_read_tables(folder, repeats), domains=domains)
    raw = replace(read_published(folder), domains=domains)
    if raw.published:
        repeated = raw.interactions.duplicated(["user_id", "item_id"]).any()
        return replace(raw, repeats="keep" if repeated else repeats)
    return without_repeats(raw, repeats)


def _read_tables(folder: Path, repeats: str) -> RawData:
    """Our own two tables."""
    items_path, interactions_path = (
        table_path(folder / name) for name in ("items.tsv", "interactions.tsv")
    )
    missing = [
        lacking(path, header_of(path), required)
        for path, required in (
            (items_path, ITEM_COLUMNS),
            (interactions_path, INTERACTION_COLUMNS),
        )
    ]
    if any(missing):
        raise DataError("; ".join(filter(None, missing)) + ".")
    items = check_items(items_path, read_table(folder / "items.tsv"))
    interactions, dropped = read_interactions(interactions_path, items, repeats)
    return RawData(
        folder.resolve().name,
        folder,
        interactions,
        items,
        digest(folder, ["interactions.tsv", "items.tsv"]),
        repeats=repeats,
        dropped=dropped,
    )


def read_description(folder: Path) -> tuple[tuple[str, str], str]:
    """What an optional `dataset.json` says: {"domains": ["food", "kitchen"], "repeats": "keep"}.

    Either key may be missing.

    Returns:
        (names of domains A and B, what happens to repeats).

    Raises:
        DataError: The file does not have this form.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        return UNNAMED, REPEATS[0]
    try:
        described = read_json(path)
        names = domain_names(described.get("domains", UNNAMED))
    except (ValueError, AttributeError, TypeError):
        raise DataError(
            f'{path} does not name two domains: write {{"domains": ["food", "kitchen"]}}, '
            "or delete it."
        ) from None
    if (repeats := described.get("repeats", REPEATS[0])) not in REPEATS:
        raise DataError(f"{path}: repeats is {repeats!r}: write {' or '.join(REPEATS)}.")
    return names, repeats
