"""Explorers for JupyterLab and Notebook 7: a case, an item, and "what if".

Every control is a plain ipywidget and answers to the keyboard; every picture is HTML from `pages.py`, made anew when a control changes.
`seconds` of an explorer holds how long each of its answers took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import ipywidgets

from tema_lib.data.sequences import Sequences
from tema_lib.explain import what_if
from tema_lib.explain.attention import Event, event_of, record_of, shortened, title_of
from tema_lib.explain.composition import composition, turned
from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.display.html import Pages
from tema_lib.explain.occlusion import FIRST, NEXT, Explanation, explain

WIDE = {"layout": {"width": "auto", "min_width": "24em"}, "style": {"description_width": "initial"}}
LETTERS = 80  # of a title in a list
CHOOSE = "choose …"  # the entry that stands for no choice; None will not do, ipywidgets shows it as a blank field
Times = Callable[[str], Sequence[int]]


def user_label(sequences: Sequences, row: int, reader: CounterfactualModel, pages: Pages) -> str:
    """Who a test case is, in words: how much was bought where, and where the next interaction happens."""
    *history, target = reader.items.domain_of_item[sequences[row].numpy()].tolist()
    seen = " and ".join(
        f"{history.count(domain)} in {pages.domains[name]}" for domain, name in enumerate("AB")
    )
    return f"{shortened(sequences.user_id[row], LETTERS)}: bought {seen}, next in {pages.domains['AB'[target]]}"


def event_label(position: int, event: Event) -> str:
    return f"{position + 1} {event.domain}  {shortened(event.title, LETTERS)}"


def item_labels(reader: CounterfactualModel) -> dict[str, int]:
    """A different label for each item: its title, cut, with the item's own id where titles repeat or are missing."""
    labels: dict[str, int] = {}
    for item in range(1, reader.items.count + 1):
        label = shortened(title_of(reader.items, item), LETTERS)
        while label in labels:
            label = f"{label} [{reader.items.item_id[item]}]"
        labels[label] = item
    return labels


def offer(control: ipywidgets.Dropdown, options: Sequence, position: int = 0) -> None:
    """Give a drop-down list new entries and choose one.  The browser shows a choice only when it changes, hence the step over none."""
    control.options, control.index = options, None
    control.index = position if options else None


class Explorer(ipywidgets.VBox):
    """Controls above, picture below; `name` is its class in the page."""

    def __init__(self, name: str, *rows: Sequence[ipywidgets.Widget]):
        self.picture, self.seconds = ipywidgets.HTML(), []
        super().__init__(
            [
                *(ipywidgets.HBox(row, layout={"flex_flow": "row wrap"}) for row in rows),
                self.picture,
            ]
        )
        self.add_class(name)

    def show(self, _=None) -> None:
        start = time.perf_counter()
        self.picture.value = self.draw()
        self.seconds.append(time.perf_counter() - start)

    def draw(self) -> str:
        raise NotImplementedError


class AttentionExplorer(Explorer):
    """Test cases `rows`: what an event looks at, beside what its removal changes; `control` reads with random weights."""

    def __init__(
        self,
        reader: CounterfactualModel,
        control: CounterfactualModel,
        sequences: Sequences,
        rows: Sequence[int],
        pages: Pages,
        times: Times | None = None,
    ):
        self.reader, self.control, self.sequences, self.pages, self.times = (
            reader,
            control,
            sequences,
            pages,
            times,
        )
        self.known: dict[int, Explanation] = {}
        config = reader.model.config
        self.user = ipywidgets.Dropdown(
            options=[(user_label(sequences, row, reader, pages), row) for row in rows],
            description="user",
            **WIDE,
        )
        self.of = ipywidgets.Dropdown(options=[FIRST, NEXT], description="explain", **WIDE)
        self.branch = ipywidgets.ToggleButtons(
            options=list(config.branches)[::-1], style={"button_width": "auto"}
        )
        self.layer = ipywidgets.Dropdown(
            options=[(str(layer + 1), layer) for layer in range(config.layers)],
            value=config.layers - 1,
            description="layer",
            layout={"width": "10em"},
        )
        self.head = ipywidgets.Dropdown(
            options=[
                ("mean of all", 0),
                *((str(head), head) for head in range(1, config.heads + 1)),
            ],
            description="head",
            layout={"width": "16em"},
        )
        self.event = ipywidgets.Dropdown(options=[], description="looks", **WIDE)
        super().__init__(
            "tema-attention",
            (self.user, self.of),
            (ipywidgets.Label("sequence"), self.branch, self.layer, self.head),
            (self.event,),
        )
        for control_ in (self.of, self.layer, self.head, self.event):
            control_.observe(self.show, "value")
        for control_ in (self.user, self.branch):
            control_.observe(self.choose, "value")
        self.choose()

    @property
    def explanation(self) -> Explanation:
        row = self.user.value
        if row not in self.known:
            times = None if self.times is None else self.times(self.sequences.user_id[row])
            self.known[row] = explain(self.reader, self.control, self.sequences, row, times=times)
        return self.known[row]

    def choose(self, _=None) -> None:
        """Another user or sequence has other events; the newest is chosen."""
        events = self.explanation.record.events[self.branch.value]
        self.event.unobserve(self.show, "value")
        offer(
            self.event,
            [
                (event_label(position, event), position)
                for position, event in reversed(list(enumerate(events)))
            ],
        )
        self.event.observe(self.show, "value")
        self.show()

    def draw(self) -> str:
        looking, head = (
            (-1 if self.event.value is None else self.event.value),
            (self.head.value - 1 if self.head.value else None),
        )
        return self.pages.explorer(
            self.explanation,
            branch=self.branch.value,
            layer=self.layer.value,
            head=head,
            looking=looking,
            of=self.of.value,
        )


class ItemExplorer(Explorer):
    """What one item's vector is made of, what the language model wrote about it, and its neighbours."""

    def __init__(self, reader: CounterfactualModel, pages: Pages, item: int = 1):
        self.reader, self.pages, self.labels = reader, pages, item_labels(reader)
        names = {item_: label for label, item_ in self.labels.items()}
        self.item = ipywidgets.Combobox(
            value=names[item],
            options=list(self.labels),
            ensure_option=True,
            continuous_update=False,
            description="item",
            placeholder="type a part of a title",
            **WIDE,
        )
        super().__init__("tema-item", (self.item,))
        self.item.observe(self.show, "value")
        self.show()

    def draw(self) -> str:
        return (
            self.pages.item(composition(self.reader, self.labels[self.item.value]))
            if self.item.value in self.labels
            else self.picture.value
        )


class WhatIfExplorer(Explorer):
    """Edit a history and see ranking, attention and fused vectors follow.  What was really bought is never recommended, whatever the edits."""

    def __init__(
        self, reader: CounterfactualModel, sequences: Sequences, rows: Sequence[int], pages: Pages
    ):
        self.reader, self.sequences, self.pages, self.labels = (
            reader,
            sequences,
            pages,
            item_labels(reader),
        )

        def button(name, tooltip):
            return ipywidgets.Button(description=name, tooltip=tooltip, layout={"width": "auto"})

        self.user = ipywidgets.Dropdown(
            options=[(user_label(sequences, row, reader, pages), row) for row in rows],
            description="user",
            **WIDE,
        )
        self.event = ipywidgets.Dropdown(options=[], description="event", **WIDE)
        self.remove, self.earlier, self.later = (
            button("remove", "as if it had not been bought"),
            button("earlier", "one place back in time"),
            button("later", "one place on"),
        )
        self.domain, self.undo, self.reset = (
            button("other domain", "count it in the other sequence"),
            button("undo", "the last edit"),
            button("start anew", "all edits"),
        )
        self.swap = ipywidgets.Combobox(
            options=list(self.labels),
            ensure_option=True,
            continuous_update=False,
            description="swap for",
            placeholder="a title",
            **WIDE,
        )
        tagged = reader.tags is not None and "tags" in reader.shares
        self.add = ipywidgets.Combobox(
            options=list(reader.tags.vocabulary[1:]) if tagged else [],
            ensure_option=True,
            continuous_update=False,
            description="add tag",
            placeholder="a tag",
            disabled=not tagged,
        )
        self.delete = ipywidgets.Dropdown(
            options=[CHOOSE],
            description="delete tag",
            disabled=not tagged,
            style={"description_width": "initial"},
        )
        super().__init__(
            "tema-what-if",
            (self.user,),
            (
                self.event,
                ipywidgets.VBox(
                    [
                        ipywidgets.HBox(
                            [
                                self.remove,
                                self.earlier,
                                self.later,
                                self.domain,
                                self.undo,
                                self.reset,
                            ]
                        ),
                        ipywidgets.HBox([self.swap]),
                        ipywidgets.HBox([self.add, self.delete]),
                    ]
                ),
            ),
        )
        self.user.observe(self.start, "value")
        self.event.observe(self.clear, "value")
        self.reset.on_click(self.start)
        self.undo.on_click(lambda _: self.back())

        def move(step):
            return lambda history, position: (
                what_if.moved(history, position, position + step),
                f"{self.title(position)} {'later' if step > 0 else 'earlier'}",
                position + step,
            )

        for control, edit in (
            (
                self.remove,
                lambda history, position: (
                    what_if.removed(history, position),
                    f"without {self.title(position)}",
                    min(position, len(history) - 2),
                ),
            ),
            (self.earlier, move(-1)),
            (self.later, move(1)),
            (
                self.domain,
                lambda history, position: (
                    what_if.other_domain(reader, history, position),
                    f"{self.title(position)} counts in the other domain",
                    position,
                ),
            ),
        ):
            control.on_click(lambda _, edit=edit: self.change(edit))

        def chosen(change):
            return change["new"] not in (None, "", CHOOSE)

        self.swap.observe(
            lambda change: (
                chosen(change)
                and self.change(
                    lambda history, position: (
                        what_if.swapped(history, position, self.labels[change["new"]]),
                        f"{change['new']} in place of {self.title(position)}",
                        position,
                    )
                )
            ),
            "value",
        )
        self.add.observe(
            lambda change: (
                chosen(change)
                and self.change(
                    lambda history, position: (
                        what_if.with_tag(reader, history, position, change["new"]),
                        f"{self.title(position)} also tagged {change['new']}",
                        position,
                    )
                )
            ),
            "value",
        )
        self.delete.observe(
            lambda change: (
                chosen(change)
                and self.change(
                    lambda history, position: (
                        what_if.without_tag(reader, history, position, change["new"]),
                        f"{self.title(position)} not tagged {change['new']}",
                        position,
                    )
                )
            ),
            "value",
        )
        self.start()

    @property
    def history(self) -> what_if.History:
        return self.past[-1][0]

    def title(self, position: int) -> str:
        return f"“{shortened(event_of(self.reader, self.history[position]).title, LETTERS)}”"

    def record(self, history: what_if.History):
        *seen, target = self.sequences[self.user.value].tolist()
        return record_of(
            self.reader,
            history,
            int(self.reader.items.domain_of_item[target]),
            target=target,
            seen=seen,
        )

    def start(self, _=None) -> None:
        """The history as it was."""
        self.past = [(self.reader.interactions(self.sequences[self.user.value][:-1].tolist()), "")]
        self.before = self.record(self.history)
        self.follow(len(self.history) - 1)

    def back(self) -> None:
        if len(self.past) > 1:
            self.past.pop()
        self.follow(min(self.event.value or 0, len(self.history) - 1))

    def change(self, edit) -> None:
        """Apply an edit to the chosen event; one that is not possible is told and changes nothing."""
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
        """Offer the events of the edited history, choose one, and answer."""
        self.event.unobserve(self.clear, "value")
        events = [event_of(self.reader, interaction) for interaction in self.history]
        offer(
            self.event,
            [(event_label(number, event), number) for number, event in enumerate(events)],
            position,
        )
        self.event.observe(self.clear, "value")
        self.clear()
        self.show()

    def clear(self, _=None) -> None:
        """Offer the tags that the chosen event can lose; the fields for other edits are empty again."""
        tags = (
            ()
            if self.event.value is None
            else event_of(self.reader, self.history[self.event.value]).tags
        )
        offer(self.delete, [CHOOSE, *tags])
        self.swap.value = self.add.value = ""

    def draw(self, refused: str = "") -> str:
        edited = [interaction for interaction in self.history if interaction.tags is not None]
        turns = [
            (
                event_of(self.reader, interaction),
                turned(self.reader.inputs[interaction.item], vector),
            )
            for interaction, vector in zip(edited, self.reader.fused(edited))
        ]
        return self.pages.what_if(
            self.before,
            self.record(self.history),
            [said for _, said in self.past[1:]],
            turns,
            refused,
        )
