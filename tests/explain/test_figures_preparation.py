"""Figures of notebook 01 show the numbers that they are given, and say what they lack."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from tema_lib.experiment import Experiment
from tema_lib.explain.display import figures


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_core_is_drawn_with_its_numbers_and_an_empty_one_is_said(capsys):
    columns = ["events per item", "events per user and domain", "users left", "items left"]
    cores = pd.DataFrame([(1, 1, 40, 9), (1, 2, 30, 8), (5, 1, 20, 7)], columns=columns)
    users, items = figures.core_sizes(cores).axes
    assert [text.get_text() for text in users.texts] == ["40", "30", "20"]
    assert [text.get_text() for text in items.texts] == ["9", "8", "7"]
    assert figures.core_sizes(cores[:0]) is None
    assert "every core is empty" in capsys.readouterr().out


@pytest.mark.parametrize("dated", [True, False])
def test_what_is_held_out_is_hollow(evil, dated):
    history = evil.sequences[0].tolist()
    times = [86_400 * day for day in range(len(history))] if dated else None
    parts = ["train"] * (len(history) - 2) + ["validation", "test"]
    fig = figures.held_out(evil.items, history, parts, times)
    fig.canvas.draw()
    (ax,) = fig.axes
    points = [dots for dots in ax.collections if isinstance(dots, PathCollection)]
    inside = [to_hex(dots.get_facecolor()[0]) for dots in points]
    assert [colour == "#ffffff" for colour in inside] == [part != "train" for part in parts]
    domains = ["AB"[evil.items.domain_of_item[item]] for item in history]
    assert [text.get_color() for text in ax.get_yticklabels()] == [
        figures.READABLE[domain] for domain in domains
    ]


@pytest.mark.parametrize("dated", [True, False])
def test_every_event_falls_into_one_week(dated):
    rng = np.random.default_rng(0)
    groups = {"one": rng.integers(1.7e9, 1.71e9, 300), "two": rng.integers(1.705e9, 1.72e9, 40)}
    (ax,) = figures.event_times(groups, dated).axes
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    assert [sum(each) for each in heights] == [300, 40]
    assert ax.get_ylabel() == ("events per week" if dated else "events")


def test_the_long_tail_is_sorted_and_its_share_is_said():
    (ax,) = figures.long_tail(np.array([0, 7, 2, 9, 3]), few=2).axes
    assert ax.lines[0].get_ydata().tolist() == [9, 7, 3, 2, 0]
    assert ax.get_title() == "40% of the items have at most 2 training events"


def test_pictures_are_those_of_their_topic_and_their_absence_is_said(capsys):
    run = Experiment("synthetic")
    topics = ("sushi night", "cookout")
    axes = np.array(figures.topic_pictures(run.items, run.item_truth, topics, each=2).axes)
    shown = [[len(ax.images) for ax in line] for line in axes.reshape(2, 5)]
    assert shown == [[1, 1, 0, 1, 1]] * 2
    assert [ax.texts[0].get_text() for ax in axes if ax.texts] == ["sushi\nnight", "cookout"]
    assert figures.topic_pictures(run.items, run.item_truth[:0], topics) is None
    assert "no pictures or no ground truth" in capsys.readouterr().out


def test_the_whole_dot_of_the_largest_value_is_inside():
    """Its centre was drawn on the frame, which cut it in two."""
    panels = {
        "NDCG": {"a bug": ([0.2, 0.3], [0.1, 0.0]), "another": ([0.25, 0.1], [0.4, 0.1])},
        "precision": {"a third": ([0.1], [0.05])},
    }
    both, single = figures.bug_costs(panels).axes
    for ax, largest in ((both, 0.4), (single, 0.1)):
        low, high = ax.get_xlim()
        assert low < 0
        assert high > 1.03 * largest
    dots = [line.get_xdata()[0] for line in both.lines if line.get_marker() == "o"]
    bars = [line.get_xdata()[0] for line in both.lines if line.get_marker() == "|"]
    assert (dots, bars) == ([0.2, 0.3, 0.25, 0.1], [0.1, 0.0, 0.4, 0.1])
    assert [text.get_text() for text in both.get_yticklabels()] == ["a bug", "another"]


def test_horizontal_bars_show_their_values_and_the_base():
    (ax,) = figures.horizontal_bars({"one": 0.25, "two": 1.0}, "share", base=0.5).axes
    assert [bar.get_width() for bar in ax.patches] == [0.25, 1.0]
    assert [text.get_text() for text in ax.texts] == ["0.25", "1.00"]
    assert ax.lines[0].get_xdata()[0] == 0.5
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first on top
    assert figures.horizontal_bars({}, "share") is None
