"""Figures of the notebooks: each function returns a matplotlib figure and changes nothing else."""

from tema_lib.explain.display.figures.cases import (
    attention_heatmap,
    branch_bars,
    head_grid,
    recommendations,
    thumbnails,
    time_line,
)
from tema_lib.explain.display.figures.charts import bars, horizontal_bars, intervals
from tema_lib.explain.display.figures.items import ingredients, item_maps
from tema_lib.explain.display.figures.preparation import (
    bug_costs,
    core_sizes,
    event_times,
    held_out,
    long_tail,
    topic_pictures,
)
from tema_lib.explain.display.figures.tags import (
    frequent_tags,
    precision_recall,
    shared_tags,
    tag_origins,
    tag_weights,
)
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
    "bug_costs",
    "core_sizes",
    "event_times",
    "frequent_tags",
    "head_grid",
    "held_out",
    "horizontal_bars",
    "ingredients",
    "intervals",
    "item_maps",
    "label",
    "long_tail",
    "precision_recall",
    "recommendations",
    "shared_tags",
    "tag_origins",
    "tag_weights",
    "thumbnails",
    "time_line",
    "title",
    "topic_pictures",
    "written",
]
