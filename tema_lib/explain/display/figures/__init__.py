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
    horizontal_bars,
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
from tema_lib.explain.display.figures.preparation import (
    bug_costs,
    core_sizes,
    event_times,
    held_out,
    long_tail,
    topic_pictures,
)
from tema_lib.explain.display.figures.sequences import padding, read_states, weight_maps
from tema_lib.explain.display.figures.tags import (
    frequent_tags,
    precision_recall,
    shared_tags,
    tag_origins,
    tag_weights,
)
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
    "bug_costs",
    "candidate_attention",
    "cluster_map",
    "core_sizes",
    "curves",
    "differences",
    "event_times",
    "factors",
    "frequent_tags",
    "grouped_bars",
    "head_grid",
    "held_out",
    "horizontal_bars",
    "ingredients",
    "intervals",
    "item_card",
    "item_maps",
    "label",
    "learning_curves",
    "long_tail",
    "losses",
    "means",
    "padding",
    "precision_recall",
    "rank_curves",
    "read_states",
    "recommendations",
    "shared_tags",
    "tag_origins",
    "tag_weights",
    "thumbnails",
    "time_line",
    "title",
    "topic_pictures",
    "variance_kept",
    "weight_maps",
    "written",
]
