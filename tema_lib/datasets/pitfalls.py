"""Preprocessing bugs on purpose: what each pitfall of the published files does when it is missed.

    write_official(world, folder, 2023) or write_published(world, folder, "c2dsr")
    read_with_pitfall("variants not joined", folder)    RawData with that one bug and no other
    read_correctly("variants not joined", folder)       RawData of the same files without it

For lectures and their tests; nothing else reads data this way.  Status: ours; every one of these
bugs has been seen in published code or data.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tema_lib.data.dataset import RawData
from tema_lib.data.files import DataError, numbered_lines
from tema_lib.data.filters import first_interactions
from tema_lib.datasets.amazon.metadata import lines_of, read_metadata
from tema_lib.datasets.amazon.releases import FILES, PAIRS
from tema_lib.datasets.amazon.reviews import read_reviews
from tema_lib.datasets.published.c2dsr import read_c2dsr
from tema_lib.datasets.published.llmcdsr import read_llmcdsr

# Pitfall -> the format that has it, and what it does.
PITFALLS = {
    "repeats kept": (
        "2014",
        "a second review of the same product counts as an interaction, so some targets are known "
        "already",
    ),
    "entities left": ("2014", "&amp;quot; and the like become words that many titles share"),
    "variants not joined": (
        "2023",
        "colours and sizes become items of their own, under asin in place of parent_asin",
    ),
    "headlines as titles": ("2023", "the review's title is taken for the product's"),
    "lines left unsorted": ("c2dsr", "the last item of a line is taken for the latest"),
    "ids of B not moved": (
        "llmcdsr",
        "in training, the items of B are taken for those of A with the same number",
    ),
}


def _format_of(pitfall: str) -> str:
    if pitfall not in PITFALLS:
        raise DataError(f"{pitfall!r} is not a pitfall: choose from {', '.join(PITFALLS)}.")
    return PITFALLS[pitfall][0]


def read_correctly(pitfall: str, folder: Path | str) -> RawData:
    """The format of this pitfall, read without any bug.

    Args:
        pitfall: A key of `PITFALLS`.
        folder: The synthetic data set as that format writes it.

    Raises:
        DataError: An unknown pitfall or missing files.
    """
    source, folder = _format_of(pitfall), Path(folder)
    if source == "c2dsr":
        return read_c2dsr(folder)
    if source == "llmcdsr":
        return read_llmcdsr(folder)
    return _official(folder, int(source))


def read_with_pitfall(pitfall: str, folder: Path | str) -> RawData:
    """The format of this pitfall, read with the preprocessing bug that it leads to.

    Args:
        pitfall: A key of `PITFALLS`.
        folder: The synthetic data set as that format writes it.

    Raises:
        DataError: An unknown pitfall or missing files.
    """
    _format_of(pitfall)
    folder = Path(folder)
    if pitfall == "repeats kept":
        return _official(folder, 2014, repeats=True)
    if pitfall == "variants not joined":
        return _official(folder, 2023, key="asin")
    raw = read_correctly(pitfall, folder)
    if pitfall == "entities left":
        return replace(raw, items=raw.items.assign(title=_raw_titles(folder)))
    if pitfall == "headlines as titles":
        reviews = _reviews(folder, 2023, ("headline",)).drop_duplicates("item_id")
        headline = reviews.set_index("item_id")["headline"]
        titles = raw.items["item_id"].map(headline).fillna("")
        return replace(raw, items=raw.items.assign(title=titles))
    if pitfall == "lines left unsorted":
        return replace(raw, interactions=_in_line_order(folder, raw))
    return _with_ids_of_b_as_of_a(raw)


def _with_ids_of_b_as_of_a(raw: RawData) -> RawData:
    """In training, each item of B becomes the item of A with the same number."""
    items = raw.items
    of_a, of_b = (items.loc[items["domain"] == domain, "item_id"].tolist() for domain in "AB")
    taken_for = {item: of_a[number % len(of_a)] for number, item in enumerate(of_b)}
    events = raw.interactions.copy()
    wrong = (events["split"] == "train") & (events["domain"] == "B")
    events.loc[wrong, "item_id"] = events.loc[wrong, "item_id"].map(taken_for)
    events.loc[wrong, "domain"] = "A"
    return replace(raw, interactions=events)


def _official(folder: Path, year: int, repeats: bool = False, key: str = "") -> RawData:
    """The release of that year; repeats: kept; key: where the item id is read instead."""
    events = _reviews(folder, year, key=key).assign(split="")
    tables = [
        read_metadata(folder / FILES[year]["metadata"].format(category), year)[0].assign(
            domain=domain
        )
        for domain, category in zip("AB", PAIRS["food-kitchen"])
    ]
    items = pd.concat(tables, ignore_index=True)[["item_id", "domain", "title", "description"]]
    # Variants: the metadata do not know them.
    unknown = events.loc[~events["item_id"].isin(items["item_id"]), ["item_id", "domain"]]
    unknown = unknown.drop_duplicates().assign(title="", description="")
    items = pd.concat([items, unknown], ignore_index=True).assign(image="")
    raw = RawData(
        folder.name,
        folder,
        events[["user_id", "item_id", "domain", "timestamp", "split"]],
        items,
        "",
    )
    return raw if repeats else first_interactions(raw)


def _reviews(folder: Path, year: int, more: tuple[str, ...] = (), key: str = "") -> pd.DataFrame:
    """The reviews of both domains, in time order."""
    tables = []
    for domain, category in zip("AB", PAIRS["food-kitchen"]):
        path = folder / FILES[year]["reviews"].format(category)
        table, _ = read_reviews(path, year, (*more, "moment"))
        if key:
            table["item_id"] = [name for name in _values(path, key) if name]
        tables.append(table.assign(domain=domain))
    return pd.concat(tables, ignore_index=True).sort_values(
        ["user_id", "moment"], kind="stable", ignore_index=True
    )


def _values(path: Path, key: str) -> Iterable[str]:
    """One key of every whole line; "" for a line that is cut off."""
    for _, line in lines_of(path):
        try:
            yield json.loads(line)[key]
        except ValueError:
            yield ""


def _raw_titles(folder: Path) -> list[str]:
    """Titles of 2014 as they are in the file, entities and all."""
    titles = []
    for category in PAIRS["food-kitchen"]:
        path = folder / FILES[2014]["metadata"].format(category)
        titles += [ast.literal_eval(line.decode()).get("title", "") for _, line in lines_of(path)]
    return titles


def _in_line_order(folder: Path, raw: RawData) -> pd.DataFrame:
    """C2DSR's events in the order of the line; `timestamp` is the position in the line."""
    names, home = raw.items["item_id"].tolist(), raw.items["domain"].tolist()
    users = iter(dict.fromkeys(raw.interactions["user_id"]))
    rows: list[tuple[str, str, str, int, str]] = []
    for part in ("train", "valid", "test"):
        for _, line in numbered_lines(folder / f"{part}data_new.txt"):
            user = next(users)
            numbers = [int(token.split("|")[0]) for token in line.split("\t")[2:]]
            rows += [
                (user, names[number], home[number], position, part)
                for position, number in enumerate(numbers)
            ]
    return pd.DataFrame(rows, columns=raw.interactions.columns)
