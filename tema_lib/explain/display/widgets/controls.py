"""What all explorers share: their frame, their drop-down lists and the labels in these lists."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import ipywidgets

from tema_lib.data.sequences import Sequences
from tema_lib.explain.attention import Event, shortened, title_of
from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.display.html import Pages

WIDE = {"layout": {"width": "auto", "min_width": "24em"}, "style": {"description_width": "initial"}}
LETTERS = 80  # of a title in a list


def user_label(sequences: Sequences, row: int, model: CounterfactualModel, pages: Pages) -> str:
    """A test case in words: its interactions per domain, and the domain of the next one."""
    *history, target = model.items.domain_of_item[sequences[row].numpy()].tolist()
    counts = " and ".join(
        f"{history.count(domain)} in {pages.domains[name]}" for domain, name in enumerate("AB")
    )
    user = shortened(sequences.user_id[row], LETTERS)
    return f"{user}: {counts}, next in {pages.domains['AB'[target]]}"


def user_control(
    sequences: Sequences, rows: Sequence[int], model: CounterfactualModel, pages: Pages
) -> ipywidgets.Dropdown:
    """A drop-down list of test cases."""
    options = [(user_label(sequences, row, model, pages), row) for row in rows]
    return ipywidgets.Dropdown(options=options, description="user", **WIDE)


def event_label(position: int, event: Event) -> str:
    """An event in words: its position counted from 1, its domain and its title."""
    return f"{position + 1} {event.domain}  {shortened(event.title, LETTERS)}"


def item_labels(model: CounterfactualModel) -> dict[str, int]:
    """{label: global id} with a different label for each item.

    The label is the item's title, cut. Where titles repeat, the item's own id follows.
    """
    labels: dict[str, int] = {}
    for item in range(1, model.items.count + 1):
        label = shortened(title_of(model.items, item), LETTERS)
        while label in labels:
            label = f"{label} [{model.items.item_id[item]}]"
        labels[label] = item
    return labels


def offer(control: ipywidgets.Dropdown, options: Sequence[Any], position: int = 0) -> None:
    """Give a drop-down list new options and choose one of them."""
    # The browser draws a choice only when the index changes, hence the step over None.
    control.options, control.index = options, None
    control.index = position if options else None


class Explorer(ipywidgets.VBox):
    """Controls above, picture below.

    `seconds` holds how long each drawing took.

    Args:
        name: the CSS class in the page.
        rows: the controls.
    """

    def __init__(self, name: str, *rows: Sequence[ipywidgets.Widget]):
        self.picture = ipywidgets.HTML()
        self.seconds: list[float] = []
        controls = [ipywidgets.HBox(row, layout={"flex_flow": "row wrap"}) for row in rows]
        super().__init__([*controls, self.picture])
        self.add_class(name)

    def show(self, _: object = None) -> None:
        """Draw the picture anew."""
        start = time.perf_counter()
        self.picture.value = self.draw()
        self.seconds.append(time.perf_counter() - start)

    def draw(self) -> str:
        """The picture as HTML."""
        raise NotImplementedError
