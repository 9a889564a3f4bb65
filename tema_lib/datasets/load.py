"""tema_lib.datasets.load"""

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
from tema_lib.data.filters import without_repeats
from tema_lib.data.interactions import read_interactions
from tema_lib.data.readers import (
    DataError,
    header_of,
    read_json,
    table_path,
)
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
    """Read a data folder: the two tables, or one of the published forms.

    Rows that stand there twice, to the letter, are dropped, and of a user's events with one item all
    but the first; repeats="keep" keeps these, and so does {"repeats": "keep"} in dataset.json, which is
    asked where `repeats` is "".  A published split is left as it is, whatever `repeats`
    says: its targets are part of other people's protocol, and a dropped event would change them; where
    it repeats items, `RawData.repeats` is "keep".
    Raises `DataError`; all columns that are missing, in either table, stand in one message.
    """
    from tema_lib.datasets.published import form_of, read_published  # it builds on this module

    folder = Path(folder)
    if repeats and repeats not in REPEATS:
        raise DataError(f"repeats={repeats!r}: choose {' or '.join(REPEATS)}.")
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder: give DATA= a folder with interactions.tsv and items.tsv."
        )
    domains, said = read_description(folder)
    repeats = repeats or said
    if not form_of(folder):
        return replace(_read_tables(folder, repeats), domains=domains)
    raw = replace(read_published(folder), domains=domains)
    if raw.published:
        again = raw.interactions.duplicated(["user_id", "item_id"]).any()
        return replace(raw, repeats="keep" if again else repeats)
    return without_repeats(raw, repeats)


def _read_tables(folder: Path, repeats: str) -> RawData:
    paths = {name: table_path(folder / name) for name in ("items.tsv", "interactions.tsv")}
    lack = [
        lacking(path, header_of(path), required)
        for path, required in zip(paths.values(), (ITEM_COLUMNS, INTERACTION_COLUMNS))
    ]
    if any(lack):
        raise DataError("; ".join(filter(None, lack)) + ".")
    items = check_items(paths["items.tsv"], read_table(folder / "items.tsv"))
    interactions, dropped = read_interactions(paths["interactions.tsv"], items, repeats)
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
    """(names of domains A and B, what happens to repeats) from an optional `dataset.json`.

    {"domains": ["food", "kitchen"], "repeats": "keep"}; either may be missing.  Raises `DataError`.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        return UNNAMED, REPEATS[0]
    try:
        described = read_json(path)
        names = domain_names(described.get("domains", UNNAMED))
    except (ValueError, AttributeError, TypeError):
        raise DataError(
            f'{path} does not name two domains: write {{"domains": ["food", "kitchen"]}}, or delete it.'
        ) from None
    if (repeats := described.get("repeats", REPEATS[0])) not in REPEATS:
        raise DataError(f"{path}: repeats is {repeats!r}: write {' or '.join(REPEATS)}.")
    return names, repeats
