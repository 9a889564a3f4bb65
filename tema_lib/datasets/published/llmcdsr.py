"""The format of LLMCDSR: lines of item numbers, and items from a table or from pickles.

Status: ours; the format is that of the paper's public repository.
"""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import IO, Any

import pandas as pd

from tema_lib.data.dataset import RawData, check_items, clean_text, digest, lacking, read_table
from tema_lib.data.files import DataError, has_table, numbered_lines, table_path
from tema_lib.data.interactions import event_table
from tema_lib.datasets.published.shared import lines_of, owner_of, unique_items

TRAIN_PARTS = ("train_A", "train_B", "train_overlap")
PARTS = (*TRAIN_PARTS, "valid", "test")


def read_llmcdsr(folder: Path) -> RawData:
    """Read lines `seq_no<TAB>i1,i2,...` with 0-based global ids: all of A, then all of B.

    The last id of a valid or test line is the target.  A line is a window of at most one year of a
    person, so its `user_id` is `file:seq_no`: count sequences, not users.  There are no times;
    `timestamp` is the position in the line.  Items come from items.tsv (item_index, asin, domain,
    title) or from the published pickles.

    Raises:
        DataError: A file is missing or does not keep to the format.
    """
    plain = has_table(folder / "items.tsv")
    items = _numbered_items(folder) if plain else _pickled_items(folder)
    names, home = items["item_id"].tolist(), items["domain"].tolist()
    users: list[str] = []
    positions: list[int] = []
    chosen: list[int] = []
    splits: list[str] = []
    lines: Counter[str] = Counter()
    serials: Counter[str] = Counter()
    for part in PARTS:
        path = folder / f"{part}.txt"
        for number, line in lines_of(path):
            try:
                serial, listing = line.split("\t")
                sequence = [int(entry) for entry in listing.split(",")]
                if not 0 <= min(sequence) <= max(sequence) < len(names):
                    raise ValueError("an id outside")
            except ValueError:
                raise DataError(
                    f"{path}, line {number}: expected number<TAB>i1,i2,... with ids from 0 to "
                    f"{len(names) - 1}; restore the published file."
                ) from None
            chosen += sequence
            users += [owner_of(f"{part}:{serial}", serials)] * len(sequence)
            positions += range(len(sequence))
            splits += [part if part in ("valid", "test") else "train"] * len(sequence)
            lines[part] += 1
    _check_counts(folder / "num.txt", [home.count("A"), home.count("B")], "items of A and B")
    _check_counts(
        folder / "instance_num.txt",
        [lines[part] for part in TRAIN_PARTS],
        f"lines of {', '.join(TRAIN_PARTS)}",
    )
    read = [f"{kind}_{domain}.pkl" for kind in ("item_set", "text") for domain in "AB"]
    if plain:
        read = ["items.tsv"]
    read += [f"{part}.txt" for part in PARTS]
    table = event_table(
        users,
        [names[entry] for entry in chosen],
        [home[entry] for entry in chosen],
        positions,
        splits,
    )
    return RawData(
        folder.resolve().name, folder, table, items, digest(folder, read), published=True
    )


def _numbered_items(folder: Path) -> pd.DataFrame:
    """The items of an items.tsv whose item_index counts 0, 1, 2, ..."""
    path, items = table_path(folder / "items.tsv"), read_table(folder / "items.tsv")
    if lack := lacking(path, list(items.columns), ("item_index", "item_id", "domain", "title")):
        raise DataError(f"{lack}.")
    if items["item_index"].tolist() != [str(number) for number in range(len(items))]:
        raise DataError(
            f"{path}: item_index does not count 0, 1, 2, ... line by line; "
            "restore the published order."
        )
    return check_items(path, items)


def _pickled_items(folder: Path) -> pd.DataFrame:
    """The items of the published pickles: their numbers and titles, for each domain from 0."""
    rows: list[tuple[str, str, str]] = []
    for domain in "AB":
        path = folder / f"item_set_{domain}.pkl"
        index = read_pickled_dict(path)
        title = read_pickled_dict(folder / f"text_{domain}.pkl")
        if sorted(index.values(), key=str) != sorted(range(len(index)), key=str):
            raise DataError(
                f"{path}: its numbers are not 0 to {len(index) - 1}; restore the published file."
            )
        rows += [
            (item, domain, clean_text(str(title.get(item) or "")))
            for item in sorted(index, key=lambda item: index[item])
        ]
    items = pd.DataFrame(rows, columns=["item_id", "domain", "title"], dtype=object)
    return unique_items(items.assign(description="", image="").astype(object))


def _check_counts(path: Path, counted: list[int], what: str) -> None:
    """Compare with the counts that the authors publish beside the data, where they do."""
    if not path.is_file():
        return
    said = [word for _, line in numbered_lines(path) for word in line.split()]
    if said != [str(number) for number in counted]:
        raise DataError(
            f"{path} says {' '.join(said)}, but there are {' '.join(map(str, counted))} ({what}); "
            "restore the published files."
        )


class _DataUnpickler(pickle.Unpickler):
    """Builds texts, numbers and containers, and refuses whatever else a file asks for."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file)
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        raise DataError(
            f"{self.path}: the pickle wants to run {module}.{name}, and this file may hold texts "
            "and numbers only; do not use it."
        )

    def persistent_load(self, pid: Any) -> Any:
        raise DataError(
            f"{self.path}: the pickle wants to load {pid!r} from elsewhere, and this file may hold "
            "texts and numbers only; do not use it."
        )


def read_pickled_dict(path: Path) -> dict[str, Any]:
    """A pickled dict from texts to texts or numbers.

    Nothing that the file names is imported or called.

    Raises:
        DataError: The file is missing or damaged, names a class or function, or holds more.
    """
    if not path.is_file():
        raise DataError(
            f"{path} is missing: the LLMCDSR format needs items.tsv, or item_set_A.pkl, "
            "item_set_B.pkl, text_A.pkl and text_B.pkl."
        )
    try:
        with path.open("rb") as file:
            found = _DataUnpickler(file, path).load()
    except DataError:
        raise
    except Exception:  # pickle raises whatever its instructions meet in a broken file
        raise DataError(f"{path} is not a whole pickle: download it again.") from None
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, str | int | float | None)
        for key, value in found.items()
    ):
        raise DataError(
            f"{path} does not hold a dict from items to texts or numbers; "
            "restore the published file."
        )
    return found
