"""The explorer of attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets

from tema_lib.data.sequences import Sequences
from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.display.html import Pages
from tema_lib.explain.display.widgets.controls import (
    WIDE,
    Explorer,
    event_label,
    offer,
    user_control,
)
from tema_lib.explain.explanation import FIRST, NEXT, Explanation, explain

Times = Callable[[str], Sequence[int]]


class AttentionExplorer(Explorer):
    """Test cases: what an event attends to, beside what its removal changes.

    Args:
        control: the same network with random weights.
        rows: the test cases on offer.
        times: gives the seconds of a user's events.
    """

    def __init__(
        self,
        model: CounterfactualModel,
        control: CounterfactualModel,
        sequences: Sequences,
        rows: Sequence[int],
        pages: Pages,
        times: Times | None = None,
    ):
        self.model = model
        self.control = control
        self.sequences = sequences
        self.pages = pages
        self.times = times
        self.known: dict[int, Explanation] = {}
        config = model.model.config
        self.user = user_control(sequences, rows, model, pages)
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
        heads = [(str(head), head) for head in range(1, config.heads + 1)]
        self.head = ipywidgets.Dropdown(
            options=[("mean of all", 0), *heads], description="head", layout={"width": "16em"}
        )
        self.event = ipywidgets.Dropdown(options=[], description="query event", **WIDE)
        super().__init__(
            "tema-attention",
            (self.user, self.of),
            (ipywidgets.Label("sequence"), self.branch, self.layer, self.head),
            (self.event,),
        )
        for widget in (self.of, self.layer, self.head, self.event):
            widget.observe(self.show, "value")
        for widget in (self.user, self.branch):
            widget.observe(self.choose, "value")
        self.choose()

    @property
    def explanation(self) -> Explanation:
        """The explanation of the chosen user, computed once."""
        row = self.user.value
        if row not in self.known:
            times = None if self.times is None else self.times(self.sequences.user_id[row])
            self.known[row] = explain(self.model, self.control, self.sequences, row, times=times)
        return self.known[row]

    def choose(self, _: object = None) -> None:
        """Offer the events of the chosen user and branch, and choose the newest."""
        events = self.explanation.record.events[self.branch.value]
        options = [
            (event_label(position, event), position) for position, event in enumerate(events)
        ]
        self.event.unobserve(self.show, "value")
        offer(self.event, options[::-1])
        self.event.observe(self.show, "value")
        self.show()

    def draw(self) -> str:
        return self.pages.explorer(
            self.explanation,
            branch=self.branch.value,
            layer=self.layer.value,
            head=self.head.value - 1 if self.head.value else None,
            query=-1 if self.event.value is None else self.event.value,
            of=self.of.value,
        )
