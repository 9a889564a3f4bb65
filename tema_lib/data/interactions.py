"""The table of interactions: ids as numbers while it is read, times in full, repeats found.

    read_interactions(path, items, repeats)   the table, and how many rows were left out
    moment(text)                              a time as seconds and nanoseconds
    distinct(user, item, ...)                 which rows stay

Status: ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import pandas as pd

from tema_lib.data.files import DataError, shown
from tema_lib.data.readers import DOMAINS, location_of, table_blocks

FAR = 10**17  # not a time, in whatever unit


class _Codes(dict[str, int]):
    """Text -> number, from 0 in the order of appearance; blanks around a text do not count."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __missing__(self, text: str) -> int:
        plain = text.strip()
        if plain != text:
            self[text] = self[plain]
        else:
            self[text] = len(self.names)
            self.names.append(text)
        return self[text]

    def of(self, texts: list[str]) -> np.ndarray:
        """The numbers of some texts, int32."""
        return np.fromiter(map(self.__getitem__, texts), np.int32, len(texts))


# --- times ---


def moment(text: str) -> tuple[int, int]:
    """A time as (Unix seconds, nanoseconds after them).

    An exponent may be written, as Java does (1.3749696E9); one that a spreadsheet or C wrote
    (1.37E+09) has cost digits.

    Raises:
        ValueError: The text is not a time, or has lost digits.
    """
    text = text.strip()
    head, _, tail = text.partition(".")
    if head.isdigit() and (not tail or tail.isdigit()) and text.isascii() and len(head) < 17:
        return int(head), int(f"{tail:0<9.9}")
    try:
        time = Decimal(text.replace("_", "?"))
    except InvalidOperation:
        time = Decimal("nan")
    if not time.is_finite() or abs(time) >= FAR:
        raise ValueError("is not a time: write Unix seconds")
    exponent = time.as_tuple().exponent
    if "+" in text[1:] and isinstance(exponent, int) and exponent > 0:
        raise ValueError("has lost its last digits: write Unix seconds in full")
    whole = int(time) - (time < 0 and time != int(time))
    return whole, int((time - whole) * 10**9)


def _moments(path: Path, texts: list[str], row: int) -> tuple[np.ndarray, np.ndarray]:
    """Times as (seconds int64, nanoseconds int32).  row: of the first text.  Raises `DataError`."""
    every = "".join(texts)
    if every.isdigit() and every.isascii() and "" not in texts and max(map(len, texts)) < 17:
        seconds = np.fromiter(map(int, texts), np.int64, len(texts))
        rest = np.zeros(len(texts), np.int32)
    else:
        pairs = []
        for number, text in enumerate(texts):
            try:
                pairs.append(moment(text))
            except ValueError as error:
                raise DataError(
                    f"{location_of(path, row + number)}: {shown(text)} {error}."
                ) from None
        seconds = np.array([whole for whole, _ in pairs], np.int64)
        rest = np.array([rest for _, rest in pairs], np.int32)
    for bad, complaint in (
        (seconds > 10**11, "looks like milliseconds: divide by 1000"),
        (seconds < 0, "is before 1970: write Unix seconds"),
    ):
        if bad.any():
            number = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"{location_of(path, row + number)}: {shown(texts[number])} {complaint}."
            )
    return seconds, rest


# --- the table ---


def read_interactions(
    path: Path, items: pd.DataFrame, repeats: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The table of interactions, checked against the items.

    An id is held once: a row costs some numbers while it is read, and references in the table.
    Warns where a user's time goes backwards.

    Args:
        path: The table's file.
        items: The checked table of items.
        repeats: As in `distinct`.

    Returns:
        The table without what `distinct` drops, and how much that was, by reason.

    Raises:
        DataError: A row has an unknown domain, user, item or time.
    """
    users, goods, domain_codes = _Codes(), _Codes(), _Codes()
    parts = []
    row = 0
    for block in table_blocks(path):
        listed = block["item_id"] if "item_id" in block else block["asin"]
        parts.append(
            (
                users.of(block["user_id"]),
                goods.of(listed),
                domain_codes.of(block["domain"]),
                *_moments(path, block["timestamp"], row),
            )
        )
        row += len(listed)
    columns = list(zip(*parts))
    del parts
    # One column after the other: no column is held twice for longer than needed.
    user, item, domain_code, seconds, rest = (np.concatenate(columns.pop(0)) for _ in range(5))
    home = dict(zip(items["item_id"], items["domain"]))
    _check_codes(
        path,
        domain_codes,
        domain_code,
        DOMAINS.__contains__,
        lambda _: "is not a domain: write A or B",
    )
    _check_codes(
        path, users, user, bool, lambda _: "is not a user id: fill in user_id or drop the line"
    )
    _check_codes(path, goods, item, home.__contains__, lambda name: _unknown_item(name, home))
    domain = _domain_numbers(home[name] for name in goods.names)[item]
    wrong = domain != _domain_numbers(domain_codes.names)[domain_code]
    if wrong.any():
        position = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{location_of(path, position)}: {shown(goods.names[item[position]])} is in "
            "another domain than in items.tsv: an item has one domain."
        )
    _warn_of_backward_times(path, users, user, seconds, rest)
    kept, dropped = distinct(user, item, seconds, rest, repeats)
    del domain_code, rest, wrong

    def named(names: Sequence[str], codes: np.ndarray) -> np.ndarray:
        return np.array(names, dtype=object)[codes[kept]]

    table = event_table(
        named(users.names, user), named(goods.names, item), named(DOMAINS, domain), seconds[kept]
    )
    return table, dropped


def _domain_numbers(domains: Iterable[str]) -> np.ndarray:
    return np.array([DOMAINS.index(domain) for domain in domains], np.int8)


def _check_codes(
    path: Path,
    codes: _Codes,
    column: np.ndarray,
    accepts: Callable[[str], bool],
    complaint: Callable[[str], str],
) -> None:
    """Raise `DataError` for the first row whose name is not accepted."""
    bad = np.array([not accepts(name) for name in codes.names])
    if bad.any():
        row = int(np.flatnonzero(bad[column])[0])
        name = codes.names[column[row]]
        raise DataError(f"{location_of(path, row)}: {shown(name)} {complaint(name)}.")


def event_table(
    users: Sequence[str] | np.ndarray,
    items: Sequence[str] | np.ndarray,
    domains: Sequence[str] | np.ndarray,
    seconds: Sequence[int] | np.ndarray,
    splits: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The five columns of `RawData.interactions`; without `splits` the last holds "" everywhere."""

    def text(values: Sequence[str] | np.ndarray) -> pd.Series:
        return pd.Series(values, dtype=object, copy=False)

    return pd.DataFrame(
        {
            "user_id": text(users),
            "item_id": text(items),
            "domain": text(domains),
            "timestamp": np.asarray(seconds, dtype=np.int64),
            "split": text(np.full(len(seconds), "", object) if splits is None else splits),
        },
        copy=False,
    )


def _unknown_item(name: str, home: Mapping[str, str]) -> str:
    """What to say of an id that items.tsv lacks; often the same id is there in another spelling."""

    def number(text: str) -> str:
        return text.removesuffix(".0").lstrip("0").casefold()

    twin = next((other for other in home if name and number(other) == number(name)), None)
    if twin is None:
        return "is not in items.tsv: add the item or drop the line"
    return (
        f"is not in items.tsv, which has {twin!r}: write ids alike in both tables, as text "
        "(a program that took them for numbers adds .0 or drops leading zeros)"
    )


def _warn_of_backward_times(
    path: Path, users: _Codes, user: np.ndarray, seconds: np.ndarray, rest: np.ndarray
) -> None:
    order = np.argsort(user, kind="stable")
    same = user[order][1:] == user[order][:-1]
    step, finer = np.diff(seconds[order]), np.diff(rest[order])
    backwards = np.sort(order[1:][same & ((step < 0) | (step == 0) & (finer < 0))])
    if len(backwards):
        first = int(backwards[0])
        warnings.warn(
            f"{location_of(path, first)}: the time of user {users.names[user[first]]} goes "
            f"backwards (lines like it: {len(backwards)}); each user's events are put into "
            "time order.",
            stacklevel=5,
        )


def distinct(
    user: np.ndarray, item: np.ndarray, seconds: np.ndarray, rest: np.ndarray, repeats: str
) -> tuple[np.ndarray, dict[str, int]]:
    """Which rows stay when repeats are dropped.

    Rows keep their order; only where times are finer than a second, a user's are put into time
    order.

    Args:
        user: Code of each row's user, int.
        item: Code of each row's item, int.
        seconds: Unix seconds, int64.
        rest: Nanoseconds after them, int32.
        repeats: "first" keeps a user's first event with an item, "keep" all of them.

    Returns:
        The rows that stay, int64, and the counts of those that do not: "identical" repeat a row to
        the letter, "repeats" are a user's later events with the same item.
    """
    pair = user.astype(np.int64) * (int(item.max(initial=0)) + 1) + item
    order = np.lexsort((rest, seconds, pair) if rest.any() else (seconds, pair))

    def changes(values: np.ndarray) -> np.ndarray:
        return np.concatenate([[True], values[1:] != values[:-1]])[: len(order)]

    other = changes(pair[order])
    later = other | changes(seconds[order]) | changes(rest[order])
    del pair
    kept = order[other if repeats == "first" else later]
    kept.sort()
    if rest.any():
        kept = kept[np.lexsort((rest[kept], seconds[kept], user[kept]))]
    repeated = int((later & ~other).sum()) if repeats == "first" else 0
    return kept, {"identical": int((~later).sum()), "repeats": repeated}
