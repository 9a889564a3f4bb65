"""Figures of the notebooks: each function returns a matplotlib figure and changes nothing else.

Where there is nothing to draw, some print a sentence and return None.
"""

from tema_lib.explain.display.figures.cases import (
    attention_heatmap,
    candidate_attention,
    head_grid,
    recommendations,
    thumbnails,
    time_line,
)
from tema_lib.explain.display.figures.charts import (
    bars,
    curves,
    differences,
    intervals,
    losses,
    means,
)
from tema_lib.explain.display.figures.items import ingredients, item_maps
from tema_lib.explain.display.style import (
    AGAINST,
    COLOURS,
    FOR,
    READABLE,
    label,
    title,
    written,
)

__all__ = [
    "AGAINST",
    "COLOURS",
    "FOR",
    "READABLE",
    "attention_heatmap",
    "bars",
    "candidate_attention",
    "curves",
    "differences",
    "head_grid",
    "ingredients",
    "intervals",
    "item_maps",
    "label",
    "losses",
    "means",
    "recommendations",
    "thumbnails",
    "time_line",
    "title",
    "written",
]
