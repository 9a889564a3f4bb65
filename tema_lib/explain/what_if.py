"""Edits of a history, each a pure function: history in, edited history out.  The reader answers to any of them (`record_of`).

A history is a tuple of `Purchase`; places count from 0, the oldest.  ValueError names a place that is not there or a change that changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from tema_lib.explain.counterfactual import Purchase, Reader

History = tuple[Purchase, ...]


def _check(history: History, place: int) -> None:
    if not 0 <= place < len(history):
        raise ValueError(
            f"there is no event {place}: this history has {len(history)}, counted from 0."
        )


def removed(history: History, place: int) -> History:
    _check(history, place)
    return history[:place] + history[place + 1 :]


def swapped(history: History, place: int, item: int) -> History:
    """Another item in the place of the one that was bought."""
    _check(history, place)
    return (*history[:place], Purchase(item), *history[place + 1 :])


def moved(history: History, place: int, to: int) -> History:
    """The event at another time: it comes to stand at place `to`."""
    _check(history, place), _check(history, to)
    rest = history[:place] + history[place + 1 :]
    return (*rest[:to], history[place], *rest[to:])


def other_shop(reader: Reader, history: History, place: int) -> History:
    """The same thing, bought in the other shop: its vector stays, the sequence in which it counts changes."""
    _check(history, place)
    return (
        *history[:place],
        replace(history[place], shop=1 - reader.shop_of(history[place])),
        *history[place + 1 :],
    )


def with_tag(reader: Reader, history: History, place: int, tag: str) -> History:
    """The event's item with one tag of the vocabulary more; the weights of all its tags are reckoned anew."""
    _check(history, place)
    number, tags = _number(reader, tag), reader.tags_read(history[place])
    if number in tags:
        raise ValueError(f"this item has the tag {tag!r} already.")
    return (*history[:place], replace(history[place], tags=(*tags, number)), *history[place + 1 :])


def without_tag(reader: Reader, history: History, place: int, tag: str) -> History:
    """The event's item with one tag less."""
    _check(history, place)
    number, tags = _number(reader, tag), reader.tags_read(history[place])
    if number not in tags:
        raise ValueError(f"this item does not have the tag {tag!r}.")
    return (
        *history[:place],
        replace(history[place], tags=tuple(other for other in tags if other != number)),
        *history[place + 1 :],
    )


def _number(reader: Reader, tag: str) -> int:
    if reader.tags is None or tag not in reader.tags.vocabulary[1:]:
        raise ValueError(f"{tag!r} is no tag of the vocabulary.")
    return reader.tags.vocabulary.index(tag)
