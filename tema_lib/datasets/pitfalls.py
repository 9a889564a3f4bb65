"""What each pitfall does when it is missed: the synthetic data set's files, read as a hasty reader would read them.

    folder = ...; write_official(world, folder, 2023) or write_published(world, folder, "c2dsr")
    read_with_pitfall("variants not joined", folder)    -> RawData with that one mistake and no other
    read_correctly("variants not joined", folder)    -> RawData of the same files without it

For lectures and their tests; nothing else reads data this way.  Status: ours; every mistake has been seen in published code or data.
"""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tema_lib.data.dataset import RawData
from tema_lib.data.filters import first_interactions
from tema_lib.data.readers import DataError, numbered_lines
from tema_lib.datasets.amazon.metadata import lines_of, read_metadata
from tema_lib.datasets.amazon.releases import FILES, PAIRS
from tema_lib.datasets.amazon.reviews import read_reviews
from tema_lib.datasets.published import read_c2dsr, read_llmcdsr

# Trap -> the form in which it lies in wait, and what it does.
PITFALLS = {
    "repeats kept": (
        "2014",
        "a second review of the same product counts as a interaction, so some targets are known already",
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


def _checked(pitfall: str) -> str:
    if pitfall not in PITFALLS:
        raise DataError(f"{pitfall!r} is no pitfall: choose from {', '.join(PITFALLS)}.")
    return PITFALLS[pitfall][0]


def read_correctly(pitfall: str, folder: Path | str) -> RawData:
    """The form of this pitfall, read with all care.  Raises `DataError` for an unknown pitfall or missing files."""
    form, folder = _checked(pitfall), Path(folder)
    return (
        {"c2dsr": read_c2dsr, "llmcdsr": read_llmcdsr}[form](folder)
        if form in ("c2dsr", "llmcdsr")
        else _official(folder, int(form))
    )


def read_with_pitfall(pitfall: str, folder: Path | str) -> RawData:
    """The form of this pitfall, with the pitfall sprung.  Raises `DataError` for an unknown pitfall or missing files."""
    _checked(pitfall)
    folder = Path(folder)
    if pitfall == "repeats kept":
        return _official(folder, 2014, repeats=True)
    if pitfall == "variants not joined":
        return _official(folder, 2023, key="asin")
    raw = read_correctly(pitfall, folder)
    if pitfall == "entities left":
        return replace(raw, items=raw.items.assign(title=_raw_titles(folder)))
    if pitfall == "headlines as titles":
        headline = (
            _reviews(folder, 2023, ("headline",))
            .drop_duplicates("item_id")
            .set_index("item_id")["headline"]
        )
        return replace(
            raw, items=raw.items.assign(title=raw.items["item_id"].map(headline).fillna(""))
        )
    if pitfall == "lines left unsorted":
        return replace(raw, interactions=_in_line_order(folder, raw))
    in_train = (raw.interactions["split"] == "train") & (
        raw.interactions["domain"] == "B"
    )  # ids of B not moved
    shelf = {
        domain: raw.items.loc[raw.items["domain"] == domain, "item_id"].tolist() for domain in "AB"
    }
    taken_for = {
        item: shelf["A"][number % len(shelf["A"])] for number, item in enumerate(shelf["B"])
    }
    events = raw.interactions.copy()
    events.loc[in_train, "item_id"] = events.loc[in_train, "item_id"].map(taken_for)
    events.loc[in_train, "domain"] = "A"
    return replace(raw, interactions=events)


def _reviews(folder: Path, year: int, more=(), key: str = "") -> pd.DataFrame:
    """The reviews of both domains, in time order."""
    tables = []
    for domain, category in zip("AB", PAIRS["food-kitchen"]):
        path = folder / FILES[year]["reviews"].format(category)
        tables.append(read_reviews(path, year, (*more, "moment"))[0].assign(domain=domain))
        if key:
            tables[-1]["item_id"] = [name for name in _values(path, key) if name]
    return pd.concat(tables, ignore_index=True).sort_values(
        ["user_id", "moment"], kind="stable", ignore_index=True
    )


def _values(path: Path, key: str):
    """One key of every whole line; "" for a line that is none."""
    for _, line in lines_of(path):
        try:
            yield json.loads(line)[key]
        except ValueError:
            yield ""


def _official(folder: Path, year: int, repeats: bool = False, key: str = "") -> RawData:
    events = _reviews(folder, year, key=key).assign(split="")
    tables = [
        read_metadata(folder / FILES[year]["metadata"].format(category), year)[0].assign(
            domain=domain
        )
        for domain, category in zip("AB", PAIRS["food-kitchen"])
    ]
    items = pd.concat(tables, ignore_index=True)[
        ["item_id", "domain", "title", "description"]
    ].assign(image="")
    strangers = events.loc[
        ~events["item_id"].isin(items["item_id"]), ["item_id", "domain"]
    ].drop_duplicates()  # variants: no metadata knows them
    items = pd.concat(
        [items, strangers.assign(title="", description="", image="")], ignore_index=True
    )
    raw = RawData(
        folder.name,
        folder,
        events[["user_id", "item_id", "domain", "timestamp", "split"]],
        items,
        "",
    )
    return raw if repeats else first_interactions(raw)


def _raw_titles(folder: Path) -> list[str]:
    """Titles of 2014 as they stand in the file, entities and all."""
    titles = []
    for category in PAIRS["food-kitchen"]:
        titles += [
            ast.literal_eval(line.decode()).get("title", "")
            for _, line in lines_of(folder / FILES[2014]["metadata"].format(category))
        ]
    return titles


def _in_line_order(folder: Path, raw: RawData) -> pd.DataFrame:
    """C2DSR's events in the order of the line; `timestamp` is the place in the line."""
    names, home = raw.items["item_id"].tolist(), raw.items["domain"].tolist()
    rows, users = [], iter(dict.fromkeys(raw.interactions["user_id"]))
    for part, name in (
        ("train", "traindata_new.txt"),
        ("valid", "validdata_new.txt"),
        ("test", "testdata_new.txt"),
    ):
        for _, line in numbered_lines(folder / name):
            user = next(users)
            numbers = [int(token.split("|")[0]) for token in line.split("\t")[2:]]
            rows += [
                (user, names[number], home[number], position, part)
                for position, number in enumerate(numbers)
            ]
    return pd.DataFrame(rows, columns=raw.interactions.columns)
