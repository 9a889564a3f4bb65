"""Colours and labels that figures, pages and explorers share.

The colours are safe for colour-blind readers: A orange, B blue, everything that joins them green.
"""

from __future__ import annotations

from tema_lib.data.dataset import Items
from tema_lib.explain.attention import Event, shortened, title_of

COLOURS = {"A": "#E69F00", "B": "#0072B2", "merged": "#009E73"}
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#000000")
# Positive and negative effects; the side of the zero says the same.
FOR, AGAINST = "#009E73", "#D55E00"
# The colours of the domains, dark enough for small letters on white.
READABLE = {"A": "#9A6A00", "B": "#0072B2"}


def label(event: Event, width: int = 30) -> str:
    """The title of an event for matplotlib."""
    return written(event.title, width)


def title(items: Items, item: int, width: int = 30) -> str:
    """The title of an item for matplotlib."""
    return written(title_of(items, item), width)


def written(text: str, width: int = 30) -> str:
    """Any untrusted text for matplotlib, cut to `width` characters; $...$ is no formula."""
    return shortened(text, width).replace("$", r"\$")
