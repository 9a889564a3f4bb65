"""Edits of a history, each a pure function: history in, edited history out.  The reader answers to any of them (`record_of`).

A history is a tuple of `Interaction`; places count from 0, the oldest.  ValueError names a place that is not there or a change that changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from tema_lib.explain.counterfactual import CounterfactualModel, Interaction

History = tuple[Interaction, ...]


def _check(history: History, position: int) -> None:
    if not 0 <= position < len(history):
        raise ValueError(
            f"there is no event {position}: this history has {len(history)}, counted from 0."
        )


def removed(history: History, position: int) -> History:
    _check(history, position)
    return history[:position] + history[position + 1 :]


def swapped(history: History, position: int, item: int) -> History:
    """Another item in the place of the one that was bought."""
    _check(history, position)
    return (*history[:position], Interaction(item), *history[position + 1 :])


def moved(history: History, position: int, to: int) -> History:
    """The event at another time: it comes to stand at place `to`."""
    _check(history, position), _check(history, to)
    rest = history[:position] + history[position + 1 :]
    return (*rest[:to], history[position], *rest[to:])


def other_domain(reader: CounterfactualModel, history: History, position: int) -> History:
    """The same thing, bought in the other domain: its vector stays, the sequence in which it counts changes."""
    _check(history, position)
    return (
        *history[:position],
        replace(history[position], domain=1 - reader.shop_of(history[position])),
        *history[position + 1 :],
    )


def with_tag(reader: CounterfactualModel, history: History, position: int, tag: str) -> History:
    """The event's item with one tag of the vocabulary more; the weights of all its tags are reckoned anew."""
    _check(history, position)
    number, tags = _number(reader, tag), reader.tags_read(history[position])
    if number in tags:
        raise ValueError(f"this item has the tag {tag!r} already.")
    return (
        *history[:position],
        replace(history[position], tags=(*tags, number)),
        *history[position + 1 :],
    )


def without_tag(reader: CounterfactualModel, history: History, position: int, tag: str) -> History:
    """The event's item with one tag less."""
    _check(history, position)
    number, tags = _number(reader, tag), reader.tags_read(history[position])
    if number not in tags:
        raise ValueError(f"this item does not have the tag {tag!r}.")
    return (
        *history[:position],
        replace(history[position], tags=tuple(other for other in tags if other != number)),
        *history[position + 1 :],
    )


def _number(reader: CounterfactualModel, tag: str) -> int:
    if reader.tags is None or tag not in reader.tags.vocabulary[1:]:
        raise ValueError(f"{tag!r} is no tag of the vocabulary.")
    return reader.tags.vocabulary.index(tag)
