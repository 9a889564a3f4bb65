"""The explorer of edited histories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from tema_lib.data.sequences import Sequences
from tema_lib.explain import what_if
from tema_lib.explain.attention import AttentionRecord, event_of, record_of, shortened
from tema_lib.explain.composition import turned
from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.display.html import Pages
from tema_lib.explain.display.widgets.controls import (
    LETTERS,
    WIDE,
    Explorer,
    event_label,
    item_labels,
    offer,
    user_control,
)

CHOOSE = "choose …"  # no choice yet; ipywidgets would show None as an empty field
# (history, position) -> (edited history, the edit in words, position of the chosen event)
Edit = Callable[[what_if.History, int], tuple[what_if.History, str, int]]


class WhatIfExplorer(Explorer):
    """Edit a history and see how ranking, attention and item vectors change.

    The items of the real history are never recommended, whatever the edits.
    """

    def __init__(
        self, model: CounterfactualModel, sequences: Sequences, rows: Sequence[int], pages: Pages
    ):
        self.model = model
        self.sequences = sequences
        self.pages = pages
        self.labels = item_labels(model)
        self.user = user_control(sequences, rows, model, pages)
        self.event = ipywidgets.Dropdown(options=[], description="event", **WIDE)
        self.remove = _button("remove", "as if this interaction had not happened")
        self.earlier = _button("earlier", "one position back in time")
        self.later = _button("later", "one position forward in time")
        self.domain = _button("other domain", "count it in the other domain")
        self.undo = _button("undo", "the last edit")
        self.reset = _button("reset", "all edits")
        self.swap = ipywidgets.Combobox(
            options=list(self.labels),
            ensure_option=True,
            continuous_update=False,
            description="swap for",
            placeholder="a title",
            **WIDE,
        )
        vocabulary = model.tags.vocabulary[1:] if model.tags and model.has_tags else ()
        self.add = ipywidgets.Combobox(
            options=list(vocabulary),
            ensure_option=True,
            continuous_update=False,
            description="add tag",
            placeholder="a tag",
            disabled=not model.has_tags,
        )
        self.delete = ipywidgets.Dropdown(
            options=[CHOOSE],
            description="delete tag",
            disabled=not model.has_tags,
            style={"description_width": "initial"},
        )
        buttons = [self.remove, self.earlier, self.later, self.domain, self.undo, self.reset]
        edits = ipywidgets.VBox(
            [
                ipywidgets.HBox(buttons),
                ipywidgets.HBox([self.swap]),
                ipywidgets.HBox([self.add, self.delete]),
            ]
        )
        super().__init__("tema-what-if", (self.user,), (self.event, edits))
        self._connect()
        self.start()

    def _connect(self) -> None:
        """Connect every control with what it does."""
        self.user.observe(self.start, "value")
        self.event.observe(self.clear, "value")
        self.reset.on_click(self.start)
        self.undo.on_click(lambda _: self.back())
        self.remove.on_click(lambda _: self.change(self._remove))
        self.earlier.on_click(lambda _: self.change(self._move(-1)))
        self.later.on_click(lambda _: self.change(self._move(1)))
        self.domain.on_click(lambda _: self.change(self._other_domain))
        for control, edit in (
            (self.swap, self._swap),
            (self.add, self._add_tag),
            (self.delete, self._delete_tag),
        ):
            control.observe(self._choice_of(edit), "value")

    def _choice_of(self, edit: Callable[[str], Edit]) -> Callable[[dict[str, Any]], None]:
        """What a list does when an entry is chosen in it."""

        def chosen(change: dict[str, Any]) -> None:
            if change["new"] not in (None, "", CHOOSE):
                self.change(edit(change["new"]))

        return chosen

    # ---- the edits

    def _remove(self, history: what_if.History, position: int) -> tuple[what_if.History, str, int]:
        said = f"without {self.title(position)}"
        return what_if.removed(history, position), said, min(position, len(history) - 2)

    def _move(self, step: int) -> Edit:
        def edit(history: what_if.History, position: int) -> tuple[what_if.History, str, int]:
            said = f"{self.title(position)} {'later' if step > 0 else 'earlier'}"
            return what_if.moved(history, position, position + step), said, position + step

        return edit

    def _other_domain(
        self, history: what_if.History, position: int
    ) -> tuple[what_if.History, str, int]:
        said = f"{self.title(position)} counts in the other domain"
        return what_if.other_domain(self.model, history, position), said, position

    def _swap(self, label: str) -> Edit:
        def edit(history: what_if.History, position: int) -> tuple[what_if.History, str, int]:
            said = f"{label} in place of {self.title(position)}"
            return what_if.swapped(history, position, self.labels[label]), said, position

        return edit

    def _add_tag(self, tag: str) -> Edit:
        def edit(history: what_if.History, position: int) -> tuple[what_if.History, str, int]:
            said = f"{self.title(position)} also tagged {tag}"
            return what_if.with_tag(self.model, history, position, tag), said, position

        return edit

    def _delete_tag(self, tag: str) -> Edit:
        def edit(history: what_if.History, position: int) -> tuple[what_if.History, str, int]:
            said = f"{self.title(position)} not tagged {tag}"
            return what_if.without_tag(self.model, history, position, tag), said, position

        return edit

    # ---- the state

    @property
    def history(self) -> what_if.History:
        """The history after all edits."""
        return self.past[-1][0]

    def title(self, position: int) -> str:
        """The quoted title of an event of the edited history."""
        return f"“{shortened(event_of(self.model, self.history[position]).title, LETTERS)}”"

    def record(self, history: what_if.History) -> AttentionRecord:
        """The record of an edited history of the chosen user."""
        *seen, target = self.sequences[self.user.value].tolist()
        domain = int(self.model.items.domain_of_item[target])
        return record_of(self.model, history, domain, target=target, seen=seen)

    def start(self, _: object = None) -> None:
        """Show the real history."""
        real = self.model.interactions(self.sequences[self.user.value][:-1].tolist())
        self.past: list[tuple[what_if.History, str]] = [(real, "")]
        self.before = self.record(self.history)
        self.follow(len(self.history) - 1)

    def back(self) -> None:
        """Undo the last edit."""
        if len(self.past) > 1:
            self.past.pop()
        self.follow(min(self.event.value or 0, len(self.history) - 1))

    def change(self, edit: Edit) -> None:
        """Apply an edit to the chosen event, or show why it is not possible."""
        if self.event.value is None:
            return
        try:
            history, said, position = edit(self.history, self.event.value)
        except ValueError as error:
            self.picture.value = self.draw(str(error))
            return
        self.past.append((history, said))
        self.follow(position)

    def follow(self, position: int) -> None:
        """Offer the events of the edited history, choose one, and draw."""
        events = [event_of(self.model, interaction) for interaction in self.history]
        options = [(event_label(number, event), number) for number, event in enumerate(events)]
        self.event.unobserve(self.clear, "value")
        offer(self.event, options, position)
        self.event.observe(self.clear, "value")
        self.clear()
        self.show()

    def clear(self, _: object = None) -> None:
        """Offer the tags of the chosen event for deletion, and empty the other fields."""
        tags: tuple[str, ...] = ()
        if self.event.value is not None:
            tags = event_of(self.model, self.history[self.event.value]).tags
        offer(self.delete, [CHOOSE, *tags])
        self.swap.value = self.add.value = ""

    def draw(self, refused: str = "") -> str:
        edited = [interaction for interaction in self.history if interaction.tags is not None]
        angles = [
            (
                event_of(self.model, interaction),
                turned(self.model.inputs[interaction.item], vector),
            )
            for interaction, vector in zip(edited, self.model.fused(edited))
        ]
        return self.pages.what_if(
            self.before,
            self.record(self.history),
            [said for _, said in self.past[1:]],
            angles,
            refused,
        )


def _button(name: str, tooltip: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=name, tooltip=tooltip, layout={"width": "auto"})
