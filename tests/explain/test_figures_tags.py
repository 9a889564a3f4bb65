"""Figures of notebook 02 show what stands in the tags, and draw any tag and title as text."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from tema_lib.explain.display import figures
from tema_lib.tags import evidence
from tests.helpers.hand_tags import Items, small

NAMES = ("$food", "tools <b>")
ITEMS = Items(("", *"abcdef"), ("", "tea $2", *"bcdef"), ("",) * 7, small().domain_of_item.numpy())


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def test_origins_are_shares_of_the_items_of_a_domain():
    of_a, of_b = figures.tag_origins(small(), NAMES).axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in of_a.lines}
    third = pytest.approx(1 / 3)
    assert drawn["the model's own word"] == [third, third, third, 0]
    assert drawn["its word, mapped to the list"] == [pytest.approx(2 / 3), third, 0, 0]
    assert of_b.get_title() == "domain B (tools <b>)"
    assert of_a.get_title() == r"domain A (\$food)"


def test_frequent_and_shared_tags_are_counted_and_unused_ones_left_out():
    in_a, in_b = figures.frequent_tags(small(), NAMES, most=5).axes
    assert labels(in_a) == ["coffee", "espresso", "movie night"]
    assert [bar.get_width() for bar in in_a.patches] == [2, 2, 2]
    assert labels(in_b) == ["red cup", "cups", "coffee", "white cup"]
    (ax,) = figures.shared_tags(small(), NAMES).axes
    assert labels(ax) == ["coffee"]
    assert [bar.get_width() for bar in ax.patches] == [-2, 1]
    ticks = [ax.xaxis.get_major_formatter()(value) for value in (-2.0, 1.0)]
    assert ticks == ["2", "1"]


def test_repeated_tags_come_first_and_every_tagged_row_has_its_heaviest(capsys):
    fig = figures.tag_weights(small(), ITEMS, [1, 4, 5], most=4)
    fig.canvas.draw()
    ax = fig.axes[0]
    names = [text.get_text() for text in ax.get_xticklabels()]
    assert names == ["coffee", "red cup", "cups", "espresso"]
    assert labels(ax) == [r"tea \$2", "d", "e"]
    shown = ax.collections[0].get_array().reshape(3, 4)
    table = evidence.weight_table(small())
    assert np.allclose(shown, table[[1, 4, 5]][:, [1, 4, 5, 2]])
    assert figures.tag_weights(small(), ITEMS, [6]) is None
    assert "nothing to draw" in capsys.readouterr().out


def test_precision_and_recall_are_points_above_random_pairs():
    truth = pd.DataFrame({"topic": ["x", "x", "y", "x", "z", "y"]})
    none = replace(small(), tag_ids=torch.zeros_like(small().tag_ids))
    measured = evidence.joined_table({"tags": small(), "none": none}, truth)
    (ax,) = figures.precision_recall(measured, truth).axes
    points = [dots.get_offsets()[0].tolist() for dots in ax.collections]
    assert points[0] == pytest.approx([3 / 4, 3 / 5])
    assert points[2] == pytest.approx([2 / 3, 1])
    assert ax.lines[0].get_ydata()[0] == pytest.approx(4 / 15)
    assert [text.get_text() for text in ax.get_legend().texts] == ["tags", "none"]
    assert figures.precision_recall(pd.DataFrame(), pd.DataFrame()) is None
