"""The synthetic data set written out as LLMCDSR, C2DSR and ABXI publish theirs.

    write_published(world, folder, "c2dsr")     item lists and sequences in that format

The files have the pitfalls of their format: items of B numbered from the end of A's, lines out of
time order, titles with entities.  Synthetic, like the data set itself.  Status: ours.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from tema_lib.data.dataset import RawData
from tema_lib.data.files import DataError
from tema_lib.datasets.synthetic.official import escaped
from tema_lib.workspace import write_atomically

Event = tuple[str, str, int]  # item, domain, Unix seconds
People = list[tuple[str, list[Event]]]  # (user, their events in time order)
DomainItems = dict[str, pd.DataFrame]


def write_published(world: RawData, folder: Path | str, name: str, seed: int = 0) -> None:
    """Write one line a user; in the first two formats, every 9th validates and every 10th tests.

    What a format cannot hold is lost: LLMCDSR has no user ids and no times, C2DSR and ABXI no
    titles; none has descriptions or pictures.

    Args:
        world: The synthetic data set.
        folder: Where to write it.
        name: "llmcdsr", "c2dsr" or "abxi".
        seed: Of the old ids and of the lines that are out of order.

    Raises:
        DataError: The format is unknown.
    """
    writers = {"llmcdsr": _write_llmcdsr, "c2dsr": _write_c2dsr, "abxi": _write_abxi}
    if name not in writers:
        raise DataError(f"{name} is not a published format: choose {', '.join(writers)}.")
    events = world.interactions.sort_values(["user_id", "timestamp"], kind="stable")
    people = [
        (str(user), list(zip(rows["item_id"], rows["domain"], rows["timestamp"])))
        for user, rows in events.groupby("user_id", sort=True)
    ]
    domain_items = {domain: world.items[world.items["domain"] == domain] for domain in "AB"}
    writers[name](Path(folder), people, domain_items, random.Random(seed))


def part_of(number: int) -> str:
    """Which file the user of this number goes to."""
    return {8: "valid", 9: "test"}.get(number % 10, "train")


def _global_ids(domain_items: DomainItems) -> dict[str, int]:
    """Item -> number from 0, all of A before all of B."""
    items = [item for domain in "AB" for item in domain_items[domain]["item_id"]]
    return {item: number for number, item in enumerate(items)}


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def _write_llmcdsr(
    folder: Path, people: People, domain_items: DomainItems, rng: random.Random
) -> None:
    number_of = _global_ids(domain_items)
    parts: dict[str, list[str]] = {
        name: [] for name in ("train_A", "train_B", "train_overlap", "valid", "test")
    }
    for position, (_, events) in enumerate(people):
        part, domains = part_of(position), {domain for _, domain, _ in events}
        if part == "train":
            part = "train_overlap" if len(domains) == 2 else f"train_{domains.pop()}"
        numbers = ",".join(str(number_of[item]) for item, _, _ in events)
        parts[part].append(f"{len(parts[part]) + 1}\t{numbers}")
    for name, lines in parts.items():
        _write_lines(folder / f"{name}.txt", lines)
    _write_lines(folder / "num.txt", (str(len(items)) for items in domain_items.values()))
    trained = ("train_A", "train_B", "train_overlap")
    _write_lines(folder / "instance_num.txt", (str(len(parts[name])) for name in trained))
    for domain, items in domain_items.items():
        numbers_of = {item: number for number, item in enumerate(items["item_id"])}
        titles = {
            item: escaped(title, number)
            for number, (item, title) in enumerate(zip(items["item_id"], items["title"]))
        }
        write_atomically(folder / f"item_set_{domain}.pkl", pickled(numbers_of))
        write_atomically(folder / f"text_{domain}.pkl", pickled(titles))


def pickled(texts: dict[str, str] | dict[str, int]) -> bytes:
    """A dict of texts and small numbers as a pickle, written by hand.

    PROTO 2, EMPTY_DICT, MARK, keys and values, SETITEMS, STOP.
    """

    def text(value: str) -> bytes:
        return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    body = b"".join(
        text(key) + (text(value) if isinstance(value, str) else number(value))
        for key, value in texts.items()
    )
    return b"\x80\x02}(" + body + b"u."


def _write_c2dsr(
    folder: Path, people: People, domain_items: DomainItems, rng: random.Random
) -> None:
    number_of = _global_ids(domain_items)
    for name, items in zip(("Alist.txt", "Blist.txt"), domain_items.values()):
        _write_lines(
            folder / name,
            (
                f"{rng.randrange(10**5)}\t{item}\t{number}"
                for number, item in enumerate(items["item_id"])
            ),
        )
    _write_lines(
        folder / "userlist.txt",
        (f"{user}\t{position}" for position, (user, _) in enumerate(people)),
    )
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for position, (_, events) in enumerate(people):
        tokens = [f"{number_of[item]}|{seconds}|{_clock(seconds)}|" for item, _, seconds in events]
        if rng.random() < 0.6:  # more than half of the published lines are not in time order
            rng.shuffle(tokens)
        serial = str(rng.randrange(1, 30))
        parts[part_of(position)].append("\t".join([str(position), serial, *tokens]))
    for name, lines in parts.items():
        _write_lines(folder / f"{name}data_new.txt", lines)


def _clock(seconds: int) -> str:
    """The clock text of C2DSR, which is eight hours ahead."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds + 8 * 3600))


def _write_abxi(
    folder: Path, people: People, domain_items: DomainItems, rng: random.Random
) -> None:
    number_of = {item: number + 1 for item, number in _global_ids(domain_items).items()}
    domain_of = {
        item: number
        for number, items in enumerate(domain_items.values())
        for item in items["item_id"]
    }
    item_map = {item: [number, domain_of[item]] for item, number in number_of.items()}
    user_map = {user: position for position, (user, _) in enumerate(people)}
    write_atomically(folder / "map_item_50.txt", json.dumps(item_map).encode())
    write_atomically(folder / "map_user_50.txt", json.dumps(user_map).encode())
    _write_lines(
        folder / "afk_50_preprocessed.txt",
        (
            f"{position} {' '.join(f'{number_of[item]}|{seconds}' for item, _, seconds in events)}"
            for position, (_, events) in enumerate(people)
        ),
    )
