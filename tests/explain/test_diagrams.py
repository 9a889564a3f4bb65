"""Diagrams fit a laptop, their texts fit their boxes, and no box lies on another."""

import itertools

import pytest
from matplotlib import pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from tema_lib.explain.display import diagrams

DRAWN = (
    diagrams.sasrec,
    diagrams.tema,
    diagrams.llm4cdsr,
    diagrams.autocdsr,
    diagrams.llm_rec,
    diagrams.man,
)


def of(ax, kind):
    return [patch for patch in ax.patches if isinstance(patch, kind)]


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_a_diagram_is_readable_at_the_width_of_a_laptop(draw):
    fig = draw()
    assert fig.get_size_inches()[0] <= diagrams.WIDEST
    fig.canvas.draw()
    (ax,) = fig.axes
    assert ax.get_title(loc="left")
    boxes = [box.get_window_extent() for box in of(ax, FancyBboxPatch)]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for text, box in zip(ax.texts, boxes):  # each box with its text, then the texts of arrows
        inside = text.get_window_extent()
        assert box.x0 < inside.x0, text.get_text()
        assert inside.x1 < box.x1, text.get_text()
    for text in ax.texts[len(boxes) :]:
        assert not any(text.get_window_extent().overlaps(box) for box in boxes), text.get_text()
    plt.close(fig)


def test_an_idea_has_a_thick_edge_and_a_loss_is_dashed():
    boxes = {"one": (0, 0, "A"), "two": (1, 0, ""), "three": (2, 0, "")}
    (ax,) = diagrams.flow(boxes, [("one", "two"), ("two", "three", "a loss")], idea=["two"]).axes
    thick = [box.get_linewidth() > 2 for box in of(ax, FancyBboxPatch)]
    assert thick == [False, True, False]
    assert [arrow.get_linestyle() for arrow in of(ax, FancyArrowPatch)] == ["-", "--"]
    plt.close("all")
