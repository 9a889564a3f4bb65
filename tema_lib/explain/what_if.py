"""Edits of a history. Each is a pure function: history in, edited history out.

A history is a tuple of `Interaction`; positions count from 0, the oldest event. All edits raise
ValueError for a position outside the history and for a change that changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from tema_lib.explain.counterfactual import CounterfactualModel, Interaction

History = tuple[Interaction, ...]


def _check(history: History, *positions: int) -> None:
    for position in positions:
        if not 0 <= position < len(history):
            raise ValueError(
                f"there is no event {position}: this history has {len(history)}, counted from 0."
            )


def _replaced(history: History, position: int, event: Interaction) -> History:
    return (*history[:position], event, *history[position + 1 :])


def removed(history: History, position: int) -> History:
    """The history without one event."""
    _check(history, position)
    return history[:position] + history[position + 1 :]


def swapped(history: History, position: int, item: int) -> History:
    """The history with another item at this position."""
    _check(history, position)
    return _replaced(history, position, Interaction(item))


def moved(history: History, position: int, to: int) -> History:
    """The history with one event moved to position `to`."""
    _check(history, position, to)
    rest = history[:position] + history[position + 1 :]
    return (*rest[:to], history[position], *rest[to:])


def other_domain(model: CounterfactualModel, history: History, position: int) -> History:
    """The same item counted in the other domain: its vector stays, its branch changes."""
    _check(history, position)
    event = history[position]
    return _replaced(history, position, replace(event, domain=1 - model.domain_of(event)))


def with_tag(model: CounterfactualModel, history: History, position: int, tag: str) -> History:
    """The event's item with one more tag of the vocabulary; all its tags get new weights."""
    _check(history, position)
    number, tags = _tag_id(model, tag), model.tags_read(history[position])
    if number in tags:
        raise ValueError(f"this item has the tag {tag!r} already.")
    return _replaced(history, position, replace(history[position], tags=(*tags, number)))


def without_tag(model: CounterfactualModel, history: History, position: int, tag: str) -> History:
    """The event's item with one tag less; the remaining tags get new weights."""
    _check(history, position)
    number, tags = _tag_id(model, tag), model.tags_read(history[position])
    if number not in tags:
        raise ValueError(f"this item does not have the tag {tag!r}.")
    remaining = tuple(other for other in tags if other != number)
    return _replaced(history, position, replace(history[position], tags=remaining))


def _tag_id(model: CounterfactualModel, tag: str) -> int:
    if model.tags is None or tag not in model.tags.vocabulary[1:]:
        raise ValueError(f"the tag {tag!r} is not in the vocabulary.")
    return model.tags.vocabulary.index(tag)
