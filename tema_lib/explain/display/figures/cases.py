"""Figures of one case: its attention, its explanation and what was recommended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetBox, OffsetImage, TextArea
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from tema_lib.data.dataset import Items
from tema_lib.encoders.image import read_picture
from tema_lib.explain.attention import AttentionRecord, Event
from tema_lib.explain.display.style import AGAINST, COLOURS, FOR, READABLE, label, title, written
from tema_lib.explain.explanation import FIRST, Explanation

EMPTY = "#f4f4f4"  # the future, to which no event attends


def attention_heatmap(
    record: AttentionRecord,
    branch: str = "merged",
    head: int | None = None,
    layer: int = -1,
    last: int = 12,
) -> Figure:
    """Attention from query events (rows) to key events (columns) in one branch.

    Args:
        head: None averages all heads.
        last: how many of the newest events are shown.

    Raises:
        ValueError: the branch has no events.
    """
    events = record.events[branch][-last:]
    if not events:
        raise ValueError(f"this history has no events in branch {branch}: choose another branch.")
    layer_weights = record.weights[branch][layer]
    chosen = layer_weights.mean(0) if head is None else layer_weights[head]
    weights = chosen[-last:, -last:].numpy()
    names = [label(event) for event in events]
    fig, ax = plt.subplots(figsize=(8.6, 2.4 + 0.36 * len(events)), layout="constrained")
    sns.heatmap(
        weights,
        mask=_future(weights),
        cmap="Greens",
        vmin=0,
        linewidths=0.5,
        xticklabels=names,
        yticklabels=names,
        ax=ax,
        cbar_kws={"label": "attention weight", "shrink": 0.7},
    )
    ax.set_xticklabels(names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set(xlabel="key event (orange: A, blue: B)", ylabel="query event", facecolor=EMPTY)
    _colour_labels(ax.get_xticklabels(), events)
    _colour_labels(ax.get_yticklabels(), events)
    return fig


def _future(weights: np.ndarray) -> np.ndarray:
    return np.triu(np.ones_like(weights, dtype=bool), 1)


def _colour_labels(labels: Iterable[Text], events: Sequence[Event]) -> None:
    for text, event in zip(labels, events):
        text.set_color(READABLE[event.domain])


def head_grid(record: AttentionRecord, last: int = 12) -> Figure:
    """A small heat map for each head of the last layer, one column per branch.

    Raises ValueError for an empty history.
    """
    branches = [branch for branch in record.events if record.events[branch]]
    if not branches:
        raise ValueError("this history is empty: it has no attention to show.")
    heads = max(record.weights[branch].size(1) for branch in branches)
    fig, axes = plt.subplots(
        heads,
        len(branches),
        figsize=(2.8 * len(branches), 2.5 * heads),
        squeeze=False,
        layout="constrained",
    )
    for column, branch in enumerate(branches):
        for head in range(heads):
            weights = record.weights[branch][-1, head, -last:, -last:].numpy()
            ax = axes[head, column]
            sns.heatmap(
                weights,
                mask=_future(weights),
                cmap="Greens",
                vmin=0,
                vmax=1,
                square=True,
                ax=ax,
                cbar=False,
                xticklabels=False,
                yticklabels=False,
            )
            ax.set(title=f"branch {branch}, head {head + 1}", facecolor=EMPTY)
    fig.supxlabel("key event, oldest to newest", fontsize="medium")
    fig.supylabel("query event, newest at the bottom", fontsize="medium")
    return fig


def candidate_attention(
    weights: Tensor, candidates: Sequence[int], events: Sequence[int], items: Items
) -> Figure:
    """What several candidates attend to in one history: a row for each candidate.

    Args:
        weights: [C, T], rows sum to 1.
        candidates, events: C and T item ids.
    """
    fig, ax = plt.subplots(figsize=(9.2, 3.2), layout="constrained")
    rows, columns = ([title(items, item, 24) for item in ids] for ids in (candidates, events))
    sns.heatmap(
        weights.numpy(), cmap="Greens", vmin=0, xticklabels=columns, yticklabels=rows, ax=ax
    )
    return fig


def thumbnails(
    ax: Axes,
    items: Items,
    events: Sequence[Event],
    positions: Sequence[tuple[float, float]],
    zoom: float = 0.26,
) -> None:
    """Small pictures at positions (x, y) of the axes.

    An item without a readable picture is shown as the letter of its domain.
    """
    for event, xy in zip(events, positions):
        content: OffsetBox
        try:
            small = read_picture(items.image[event.item] or "")
            small.thumbnail((96, 96))
            content = OffsetImage(np.asarray(small), zoom=zoom * 96 / max(small.size))
        except (OSError, ValueError):
            content = TextArea(event.domain, textprops={"fontweight": "bold", "ha": "center"})
        frame = {
            "edgecolor": COLOURS[event.domain],
            "linewidth": 1.6,
            "boxstyle": "round,pad=0.1",
        }
        ax.add_artist(AnnotationBbox(content, xy, pad=0.15, bboxprops=frame))


def time_line(explanation: Explanation, items: Items, of: str = FIRST, last: int = 14) -> Figure:
    """The history as two rails of pictures, with titles and tags, and three attributions beside it.

    The attributions of each event are its attention, its leave-one-out occlusion and its Shapley
    value, whose error bars are two standard errors.

    Args:
        of: what is explained, NEXT or FIRST.
        last: how many of the newest events are shown.
    """
    record, effects = explanation.record, explanation.about(of)
    events = record.history[-last:]
    height = np.arange(len(events))
    fig, axes = plt.subplots(
        1,
        5,
        figsize=(9.8, 1.5 + 0.46 * len(events)),
        sharey=True,
        layout="constrained",
        width_ratios=[0.75, 3.1, 1.5, 1.5, 1.5],
    )
    rails, titles, *bars = axes
    _draw_rails(rails, items, events)
    _draw_titles(titles, events)
    attention = record.event_weights.numpy()[-last:]
    lost = np.array([effect.lost for effect in effects.events])[-last:]
    values, errors = effects.shapley.numpy()[-last:], effects.shapley_error.numpy()[-last:]
    bars[0].barh(height, attention, color=[COLOURS[event.domain] for event in events], height=0.6)
    bars[1].barh(height, lost, color=_sign_colours(lost), height=0.6)
    bars[2].barh(
        height,
        values,
        xerr=2 * errors,
        color=_sign_colours(values),
        height=0.6,
        error_kw={"elinewidth": 0.9},
    )
    names = ("attention", "occlusion", "Shapley value")
    units = ("sums to 1", "log P lost", "log P added")
    for ax, name, unit in zip(bars, names, units):
        ax.set(title=name, xlabel=unit)
        ax.xaxis.set_major_locator(MaxNLocator(3))  # the axes touch: more labels would, too
        ax.axvline(0, color="black", linewidth=0.8)
    bars[0].set_ylim(len(events) - 0.4, -0.6)  # the oldest on top
    sns.despine(fig=fig, left=True)
    rails.spines["bottom"].set_visible(False)
    titles.spines["bottom"].set_visible(False)
    for ax in axes:
        ax.tick_params(left=False, labelleft=False)
    return fig


def _draw_rails(ax: Axes, items: Items, events: Sequence[Event]) -> None:
    for x, domain in enumerate("AB"):
        ax.axvline(x, color=COLOURS[domain], linewidth=2, zorder=0)
    ax.set(xlim=(-0.6, 1.6), xticks=[0, 1], xticklabels=["A", "B"], yticks=[], title="domain")
    positions = [("AB".index(event.domain), height) for height, event in enumerate(events)]
    thumbnails(ax, items, events, positions)


def _draw_titles(ax: Axes, events: Sequence[Event]) -> None:
    for height, event in enumerate(events):
        name, tags = label(event, 46), written(" · ".join(event.tags), 54)
        ax.text(0, height - 0.16, name, fontweight="bold", fontsize="small", va="center")
        ax.text(0, height + 0.22, tags, fontsize="x-small", color="#555555", va="center")
    ax.set(xlim=(0, 1), xticks=[], title="item and its tags")


def _sign_colours(values: np.ndarray) -> list[str]:
    return [FOR if value >= 0 else AGAINST for value in values]


def recommendations(record: AttentionRecord, items: Items) -> Figure:
    """The first items of both domains with their probability; the true next item is marked."""
    rows = max(map(len, record.top.values()))
    fig, axes = plt.subplots(1, 2, figsize=(9.8, 0.8 + 0.46 * rows), layout="constrained")
    for ax, (domain, best) in zip(axes, record.top.items()):
        height = np.arange(len(best))
        ax.barh(height, [value for _, value in best], color=COLOURS[domain], height=0.6)
        hits = [record.target is not None and event.item == record.target.item for event, _ in best]
        names = [
            f"{label(event, 36)}{'  (true next item)' if hit else ''}"
            for (event, _), hit in zip(best, hits)
        ]
        ax.set_yticks(height, names)
        for text, hit in zip(ax.get_yticklabels(), hits):
            text.set_fontweight("bold" if hit else "normal")
        ax.set(title=f"recommended in {domain}", xlabel="probability")
        ax.invert_yaxis()
        ax.tick_params(axis="y", pad=26)
        events = [event for event, _ in best]
        thumbnails(ax, items, events, [(0, position) for position in range(len(best))])
        for box in ax.artists:
            if isinstance(box, AnnotationBbox):
                box.xybox, box.boxcoords = (-14, 0), "offset points"
    sns.despine(fig=fig)
    return fig
