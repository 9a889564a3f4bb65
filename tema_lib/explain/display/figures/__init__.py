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
    factors,
    grouped_bars,
    intervals,
    losses,
    means,
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
    "candidate_attention",
    "cluster_map",
    "curves",
    "differences",
    "factors",
    "grouped_bars",
    "head_grid",
    "ingredients",
    "intervals",
    "item_card",
    "item_maps",
    "label",
    "learning_curves",
    "losses",
    "means",
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
