"""Figures of the notebooks: each function returns a matplotlib figure and changes nothing else.

Where the data lack what a figure shows, some say so in one sentence and return None.
"""

from tema_lib.explain.display.figures.cases import (
    attention_heatmap,
    branch_bars,
    head_grid,
    recommendations,
    thumbnails,
    time_line,
)
from tema_lib.explain.display.figures.charts import (
    bars,
    factors,
    grouped_bars,
    intervals,
    variance_kept,
)
from tema_lib.explain.display.figures.items import (
    cluster_map,
    ingredients,
    item_card,
    item_maps,
)
from tema_lib.explain.display.figures.sequences import padding, read_states, weight_maps
from tema_lib.explain.display.figures.training import learning_curves, rank_curves
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
    "cluster_map",
    "factors",
    "grouped_bars",
    "head_grid",
    "ingredients",
    "intervals",
    "item_card",
    "item_maps",
    "label",
    "learning_curves",
    "padding",
    "rank_curves",
    "read_states",
    "recommendations",
    "thumbnails",
    "time_line",
    "title",
    "variance_kept",
    "weight_maps",
    "written",
]
