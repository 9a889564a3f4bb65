"""Figures of the notebooks: each function returns a matplotlib figure and changes nothing else."""

from tema_lib.explain.display.figures.cases import (
    attention_heatmap,
    branch_bars,
    head_grid,
    recommendations,
    thumbnails,
    time_line,
)
from tema_lib.explain.display.figures.charts import bars, intervals
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
    "branch_bars",
    "head_grid",
    "ingredients",
    "intervals",
    "item_maps",
    "label",
    "recommendations",
    "thumbnails",
    "time_line",
    "title",
    "written",
]
