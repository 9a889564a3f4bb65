"""The explorer of items."""

from __future__ import annotations

import ipywidgets

from tema_lib.explain.composition import composition
from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.display.html import Pages
from tema_lib.explain.display.widgets.controls import WIDE, Explorer, item_labels


class ItemExplorer(Explorer):
    """What an item vector is made of, what the language model wrote, and the item's neighbours."""

    def __init__(self, model: CounterfactualModel, pages: Pages, item: int = 1):
        self.model = model
        self.pages = pages
        self.labels = item_labels(model)
        label_of = {known: label for label, known in self.labels.items()}
        self.item = ipywidgets.Combobox(
            value=label_of[item],
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
        if self.item.value not in self.labels:
            return self.picture.value
        return self.pages.item(composition(self.model, self.labels[self.item.value]))
