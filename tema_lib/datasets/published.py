"""Data sets in the forms that papers publish: LLMCDSR, C2DSR, ABXI.

    read_published(folder)     -> RawData, whichever of the three the folder holds; `form_of` tells by the names of its files

Each form numbers items and orders lines in its own way, and each has been misread in published work; the docstrings say how.  None of
them brings descriptions or pictures, and C2DSR and ABXI no titles: an `items.tsv` beside the files may (item_id or asin, title, ...).
Status: ours; the forms are those of the papers' public repositories.
"""

from __future__ import annotations

import pickletools
from collections import Counter
from pathlib import Path

import pandas as pd

from tema_lib.data.dataset import RawData, check_items, clean_text, digest, lacking, read_table
from tema_lib.data.interactions import event_table, moment
from tema_lib.data.readers import (
    DataError,
    has_table,
    listed,
    numbered_lines,
    read_json,
    table_path,
)

TRAIN_PARTS = ("train_A", "train_B", "train_overlap")
C2DSR_NAMES = (
    ("Alist.txt", "Blist.txt", "traindata_new.txt", "validdata_new.txt", "testdata_new.txt"),
    ("items_x.txt", "items_y.txt", "train_new.txt", "val_new.txt", "test_new.txt"),
)


def form_of(folder: Path) -> str:
    """ "llmcdsr", "c2dsr", "abxi", or "" for a folder of another form, our own two tables before all."""
    if has_table(folder / "interactions.tsv") and has_table(folder / "items.tsv"):
        return ""
    if (folder / "train_overlap.txt").is_file():
        return "llmcdsr"
    if any((folder / names[2]).is_file() for names in C2DSR_NAMES):
        return "c2dsr"
    return "abxi" if listed(folder, "*_preprocessed.txt") else ""


def read_published(folder: Path) -> RawData:
    """Read a folder of a published form.  Raises `DataError`."""
    readers = {"llmcdsr": read_llmcdsr, "c2dsr": read_c2dsr, "abxi": read_abxi}
    form = form_of(Path(folder))
    if not form:
        raise DataError(
            f"{folder} holds no published form: expected train_overlap.txt (LLMCDSR), traindata_new.txt (C2DSR) or *_preprocessed.txt (ABXI)."
        )
    return readers[form](Path(folder))


# ---------------------------------------------------------------------------------------------- LLMCDSR


def read_llmcdsr(folder: Path) -> RawData:
    """Lines `seq_no<TAB>i1,i2,...` with 0-based global ids: all of A, then all of B; the last id of a valid or test line is the target.

    A line is a window of at most one year of a person, so its `user_id` is `file:seq_no`: count sequences, not users.  There are no times;
    `timestamp` is the place in the line.  Items come from items.tsv (item_index, asin, domain, title) or from the published pickles.
    """
    plain = has_table(folder / "items.tsv")
    items = _numbered_items(folder) if plain else _pickled_items(folder)
    names, home = items["item_id"].tolist(), items["domain"].tolist()
    users, positions, chosen, domains, splits, lines, serials = [], [], [], [], [], {}, Counter()
    for part in (*TRAIN_PARTS, "valid", "test"):
        path = folder / f"{part}.txt"
        for number, line in _lines(path):
            try:
                serial, listing = line.split("\t")
                sequence = [int(entry) for entry in listing.split(",")]
                if not 0 <= min(sequence) <= max(sequence) < len(names):
                    raise ValueError("an id outside")
            except ValueError:
                raise DataError(
                    f"{path}, line {number}: not of the form number<TAB>i1,i2,... with ids from 0 to {len(names) - 1}; "
                    "restore the published file."
                ) from None
            chosen += [names[entry] for entry in sequence]
            domains += [home[entry] for entry in sequence]
            users += [_owner(f"{part}:{serial}", serials)] * len(sequence)
            positions += range(len(sequence))
            splits += [part if part in ("valid", "test") else "train"] * len(sequence)
            lines[part] = lines.get(part, 0) + 1
    _check_counts(folder / "num.txt", [home.count("A"), home.count("B")], "items of A and B")
    _check_counts(
        folder / "instance_num.txt",
        [lines.get(part, 0) for part in TRAIN_PARTS],
        f"lines of {', '.join(TRAIN_PARTS)}",
    )
    read = (
        ["items.tsv"]
        if plain
        else [f"{kind}_{domain}.pkl" for kind in ("item_set", "text") for domain in "AB"]
    )
    read += [f"{part}.txt" for part in (*TRAIN_PARTS, "valid", "test")]
    return RawData(
        folder.resolve().name,
        folder,
        event_table(users, chosen, domains, positions, splits),
        items,
        digest(folder, read),
        published=True,
    )


def _numbered_items(folder: Path) -> pd.DataFrame:
    path, items = table_path(folder / "items.tsv"), read_table(folder / "items.tsv")
    if lack := lacking(path, list(items.columns), ("item_index", "item_id", "domain", "title")):
        raise DataError(f"{lack}.")
    if items["item_index"].tolist() != [str(number) for number in range(len(items))]:
        raise DataError(
            f"{path}: item_index does not count 0, 1, 2, ... line by line; restore the published order."
        )
    return check_items(path, items)


def _pickled_items(folder: Path) -> pd.DataFrame:
    rows = []
    for domain in "AB":
        index = read_pickled_dict(folder / f"item_set_{domain}.pkl")
        title = read_pickled_dict(folder / f"text_{domain}.pkl")
        if sorted(index.values(), key=str) != sorted(range(len(index)), key=str):
            raise DataError(
                f"{folder / f'item_set_{domain}.pkl'}: its numbers are not 0 to {len(index) - 1}; restore the published file."
            )
        rows += [
            (item, domain, clean_text(title.get(item) or ""))
            for item in sorted(index, key=index.get)
        ]  # B's numbers start at 0 again
    return _unique(
        pd.DataFrame(rows, columns=["item_id", "domain", "title"], dtype=object)
        .assign(description="", image="")
        .astype(object)
    )


def _check_counts(path: Path, counted: list[int], what: str) -> None:
    """The counts that the authors publish beside the data, where they do."""
    if not path.is_file():
        return
    said = [word for _, line in numbered_lines(path) for word in line.split()]
    if said != [str(number) for number in counted]:
        raise DataError(
            f"{path} says {' '.join(said)}, but there are {' '.join(map(str, counted))} ({what}); restore the published files."
        )


def read_pickled_dict(path: Path) -> dict:
    """A pickled dict of texts and numbers.  Nothing is unpickled: the file's instructions are listed and only those that build data are followed.

    Raises `DataError` for anything that names a class or calls a function.
    """
    if not path.is_file():
        raise DataError(
            f"{path} is missing: the LLMCDSR form needs items.tsv, or item_set_A.pkl, item_set_B.pkl, text_A.pkl and text_B.pkl."
        )
    stack, memo, mark = [], {}, object()

    def since_mark():
        index = len(stack) - 1 - stack[::-1].index(mark)
        taken = stack[index + 1 :]
        del stack[index:]
        return taken

    try:
        for code, value, position in pickletools.genops(path.read_bytes()):
            name = code.name
            if name in ("PROTO", "FRAME"):
                continue
            if name == "STOP":
                break
            if name == "MARK":
                stack.append(mark)
            elif name == "EMPTY_DICT":
                stack.append({})
            elif name == "DICT":
                taken = since_mark()
                stack.append(dict(zip(taken[::2], taken[1::2])))
            elif name == "SETITEMS":
                taken = since_mark()
                stack[-1].update(zip(taken[::2], taken[1::2]))
            elif name == "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1][key] = value
            elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
                memo[len(memo) if name == "MEMOIZE" else int(value)] = stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                stack.append(memo[int(value)])
            elif name == "NONE":
                stack.append(None)
            elif type(value) in (str, int, float) and name not in (
                "GLOBAL",
                "INST",
                "PERSID",
                "EXT1",
                "EXT2",
                "EXT4",
            ):
                stack.append(value)
            else:
                raise DataError(
                    f"{path}, byte {position}: the pickle wants to run {name} {value or ''}, and this file may hold texts and numbers only; "
                    "do not use it."
                )
        found = stack[-1]
    except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is no whole pickle: download it again.") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise DataError(
            f"{path} holds no dict from item to text or number; restore the published file."
        )
    return found


# ---------------------------------------------------------------------------------------------- C2DSR


def read_c2dsr(folder: Path) -> RawData:
    """Lines `user<TAB>serial<TAB>item|unix time|clock text|<TAB>...`, put into time order (stable), since many are not.

    An id of B is its index plus the number of items of A; `Blist.txt` may number its items from 0, or go
    on from A's.  A list has three columns (old id, asin, number), or two of them.  The second column is no length, and the clock text is eight hours ahead: both are
    ignored.  Training, validation and test are separate lines; a user's lines are `part:user`, `part:user#2`, ...
    """
    names = next(names for names in C2DSR_NAMES if (folder / names[2]).is_file())
    rows = []
    for domain, name in zip("AB", names):
        rows += [(item, domain) for item in _listed_items(folder / name, len(rows))]
    items = _with_texts(
        folder, _unique(pd.DataFrame(rows, columns=["item_id", "domain"], dtype=object))
    )
    item_id, home = items["item_id"].tolist(), items["domain"].tolist()
    people = {}
    if (folder / "userlist.txt").is_file():
        people = {
            fields[1]: fields[0]
            for _, line in _lines(folder / "userlist.txt")
            if len(fields := line.split("\t")) == 2
        }
    events, count = [], Counter()
    for part, name in zip(("train", "valid", "test"), names[2:]):
        for number, line in _lines(folder / name):
            try:
                user, _, *tokens = line.split("\t")
                parts = [token.split("|") for token in tokens if token]
                sequence = [(moment(time), int(item)) for item, time, _, end in parts if end == ""]
                if (
                    len(sequence) < len(parts)
                    or not sequence
                    or not all(0 <= item < len(item_id) for _, item in sequence)
                ):
                    raise ValueError("a broken token")
            except ValueError:
                raise DataError(
                    f"{folder / name}, line {number}: not of the form user<TAB>serial<TAB>item|time|text|<TAB>... with items from 0 to "
                    f"{len(item_id) - 1}; restore the published file."
                ) from None
            key = _owner(f"{part}:{people.get(user, user)}", count)
            events += [
                (key, item_id[item], home[item], time[0], part)
                for time, item in sorted(sequence, key=lambda event: event[0])
            ]
    return _published(
        folder, events, items, [*names, *(["userlist.txt"] if people else [])], split=True
    )


def _listed_items(path: Path, before: int) -> list[str]:
    """The items of a list.  Its last column counts from 0, or from `before`, the number of A's items."""
    lines = [(number, line.split("\t")) for number, line in numbered_lines(path)]
    width = max((len(fields) for _, fields in lines), default=3)
    counted = width == 3 or all(fields[-1].isdigit() for _, fields in lines)  # else: old id, asin
    start = before if lines and lines[0][1][-1] == str(before) else 0
    for index, (number, fields) in enumerate(lines):
        in_turn = fields[-1] == str(start + index) or not counted
        if width not in (2, 3) or len(fields) != width or not in_turn:
            raise DataError(
                f"{path}, line {number}: not of the form old id<TAB>asin<TAB>{start + index}; "
                "restore the published file."
            )
    return [fields[-2 if counted else -1] for _, fields in lines]


# ---------------------------------------------------------------------------------------------- ABXI


def read_abxi(folder: Path) -> RawData:
    """One line a user, `user item|unix time item|unix time ...`: items count from 1, users from 0; the maps are JSON despite their `.txt`.

    The domain of an item stands in the map.  A day lists A before B (see `shuffle_ties`).  There is no split: leave-one-out is used.
    """
    paths = listed(folder, "*_preprocessed.txt")
    if len(paths) != 1:
        raise DataError(
            f"{folder} holds {len(paths)} files *_preprocessed.txt: keep one data set a folder."
        )
    maps = {}
    for kind in ("item", "user"):
        found = listed(folder, f"map_{kind}*.txt")
        if len(found) != 1:
            raise DataError(
                f"{folder} holds {len(found)} files map_{kind}*.txt: the ABXI form needs one."
            )
        maps[kind] = found[0], read_json(found[0])
    (path_of_items, listing), (path_of_users, people) = maps["item"], maps["user"]
    try:
        order = sorted(listing, key=lambda item: listing[item][0])
        right = [listing[item][0] for item in order] == list(range(1, len(order) + 1))
        if not right or not all(listing[item][1] in (0, 1) for item in order):
            raise ValueError("other numbers")
    except (ValueError, TypeError, LookupError):
        raise DataError(
            f"{path_of_items}: not asin -> [1, 2, 3, ..., domain 0 or 1]; restore the published file."
        ) from None
    try:
        people = {str(index): name for name, index in people.items()}
    except AttributeError:
        raise DataError(
            f"{path_of_users}: not user -> 0, 1, 2, ...; restore the published file."
        ) from None
    items = _with_texts(
        folder,
        pd.DataFrame(
            [(item, "AB"[listing[item][1]]) for item in order],
            columns=["item_id", "domain"],
            dtype=object,
        ),
    )
    home = items["domain"].tolist()
    events = []
    for number, line in _lines(paths[0]):
        try:
            user, *tokens = line.split()
            sequence = [
                (int(item), moment(time)) for item, time in (token.split("|") for token in tokens)
            ]
            if (
                not sequence
                or not all(1 <= item <= len(order) for item, _ in sequence)
                or user not in people
            ):
                raise ValueError("an id outside")
        except ValueError:
            raise DataError(
                f"{paths[0]}, line {number}: not of the form user item|time item|time ... with items from 1 to {len(order)} and a user of "
                "the map; restore the published file."
            ) from None
        events += [
            (people[user], order[item - 1], home[item - 1], time[0], "")
            for item, time in sorted(sequence, key=lambda event: event[1])
        ]
    return _published(
        folder,
        events,
        items,
        [paths[0].name, *(path.name for path, _ in maps.values())],
        split=False,
    )


# ---------------------------------------------------------------------------------------------- shared


def _lines(path: Path):
    """(number, line) of a text file, without empty lines.  Raises `DataError` where the file is missing or not UTF-8."""
    if not path.is_file():
        raise DataError(f"{path} is missing: the published form needs it.")
    return numbered_lines(path)


def _owner(name: str, lines: Counter) -> str:
    """The user of a line: one name before several lines is several, since each line is a sequence."""
    lines[name] += 1
    return name if lines[name] == 1 else f"{name}#{lines[name]}"


def _unique(items: pd.DataFrame) -> pd.DataFrame:
    """An item that both domains list is two items here, since the form numbers it twice: the second gets `@B` behind its id."""
    again = items["item_id"].duplicated()
    return items.assign(
        item_id=items["item_id"].where(~again, items["item_id"] + "@" + items["domain"])
    )


def _with_texts(folder: Path, items: pd.DataFrame) -> pd.DataFrame:
    """Titles and the like from an items.tsv beside the published files, where there is one."""
    texts = {}
    if has_table(folder / "items.tsv"):
        path, table = table_path(folder / "items.tsv"), read_table(folder / "items.tsv")
        if not {"item_id", "title"} <= set(table):
            raise DataError(f"{path}, line 1: beside a published form it needs item_id and title.")
        table = table.drop_duplicates("item_id").assign(domain="A")  # the form itself says which
        texts = check_items(path, table).set_index("item_id")
    for column in ("title", "description", "image"):
        known = texts[column].to_dict() if len(texts) and column in texts else {}
        items[column] = [clean_text(known.get(item, "")) for item in items["item_id"]]
    return items.astype(object)


def _published(
    folder: Path, events: list, items: pd.DataFrame, read: list[str], split: bool
) -> RawData:
    if not events:
        raise DataError(f"{folder} holds no sequence: restore the published files.")
    table = event_table(*zip(*events))
    beside = ["items.tsv"] if has_table(folder / "items.tsv") else []
    return RawData(
        folder.resolve().name,
        folder,
        table,
        items[["item_id", "domain", "title", "description", "image"]],
        digest(folder, read + [table_path(folder / name).name for name in beside]),
        published=split,
    )
