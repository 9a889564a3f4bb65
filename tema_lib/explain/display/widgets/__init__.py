"""Explorers for JupyterLab and Notebook 7: one case, one item, and edited histories.

Every control is a plain ipywidget and works with the keyboard; every picture is HTML from
`display/html.py`, rendered again when a control changes.
"""

from tema_lib.explain.display.widgets.attention import AttentionExplorer
from tema_lib.explain.display.widgets.controls import Explorer, item_labels
from tema_lib.explain.display.widgets.items import ItemExplorer
from tema_lib.explain.display.widgets.what_if import WhatIfExplorer

__all__ = ["AttentionExplorer", "Explorer", "ItemExplorer", "WhatIfExplorer", "item_labels"]
