"""Figures of the notebooks: each function returns a matplotlib figure and changes nothing else.

Colours are the same everywhere and safe for colour-blind readers: A orange, B blue, everything that joins them green.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage, TextArea

from tema_lib.data.dataset import Items
from tema_lib.encoders.image import read_picture
from tema_lib.explain.attention import AttentionRecord, Event, shortened, title_of
from tema_lib.explain.composition import Composition
from tema_lib.explain.occlusion import FIRST, Explanation

COLOURS = {"A": "#E69F00", "B": "#0072B2", "merged": "#009E73"}
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#000000")
FOR, AGAINST = (
    "#009E73",
    "#D55E00",
)  # speaks for, speaks against; the side of the zero says the same
READABLE = {
    "A": "#9A6A00",
    "B": "#0072B2",
}  # the same orange, dark enough for small letters on white


def label(event: Event, width: int = 30) -> str:
    """The title of an event, as matplotlib shall write it."""
    return written(event.title, width)


def title(items: Items, item: int, width: int = 30) -> str:
    """The title of an item, as matplotlib shall write it."""
    return written(title_of(items, item), width)


def written(text: str, width: int = 30) -> str:
    """Any text of strangers, cut to `width` letters and safe for matplotlib, which would read $...$ as a formula."""
    return shortened(text, width).replace("$", r"\$")


def _colour_labels(axis_labels, events: Sequence[Event]) -> None:
    for text, event in zip(axis_labels, events):
        text.set_color(READABLE[event.domain])


def attention_heatmap(
    record: AttentionRecord,
    branch: str = "merged",
    head: int | None = None,
    layer: int = -1,
    last: int = 12,
) -> Figure:
    """Who looks (rows) at whom (columns) in one branch; `head=None` averages the heads; only the `last` events are shown.

    Raises ValueError for a branch without events.
    """
    events = record.events[branch][-last:]
    if not events:
        raise ValueError(f"this history has no events in branch {branch}: choose another branch.")
    weights = record.weights[branch][layer]
    weights = (weights.mean(0) if head is None else weights[head])[-last:, -last:].numpy()
    future = np.triu(np.ones_like(weights, dtype=bool), 1)
    names = [label(event) for event in events]
    fig, ax = plt.subplots(figsize=(8.6, 2.4 + 0.36 * len(events)), layout="constrained")
    sns.heatmap(
        weights,
        mask=future,
        cmap="Greens",
        vmin=0,
        linewidths=0.5,
        xticklabels=names,
        yticklabels=names,
        ax=ax,
        cbar_kws={"label": "attention weight", "shrink": 0.7},
    )
    ax.set_xticklabels(names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set(xlabel="looked at (orange: A, blue: B)", ylabel="looking", facecolor="#f4f4f4")
    _colour_labels(ax.get_xticklabels(), events), _colour_labels(ax.get_yticklabels(), events)
    return fig


def head_grid(record: AttentionRecord, last: int = 12) -> Figure:
    """Last layer, all heads of all branches side by side: a small heat map each."""
    branches = [branch for branch in record.events if record.events[branch]]
    if not branches:
        raise ValueError("this history is empty: there is nothing to look at.")
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
            weights, ax = (
                record.weights[branch][-1, head, -last:, -last:].numpy(),
                axes[head, column],
            )
            sns.heatmap(
                weights,
                mask=np.triu(np.ones_like(weights, dtype=bool), 1),
                cmap="Greens",
                vmin=0,
                vmax=1,
                square=True,
                ax=ax,
                cbar=False,
                xticklabels=False,
                yticklabels=False,
            )
            ax.set(title=f"branch {branch}, head {head + 1}", facecolor="#f4f4f4")
    (
        fig.supxlabel("looked at, oldest to newest", fontsize="medium"),
        fig.supylabel("looking, newest at the bottom", fontsize="medium"),
    )
    return fig


def branch_bars(records: Mapping[str, AttentionRecord]) -> Figure:
    """How much the last step listens to each branch: a stacked bar for each named record."""
    fig, ax = plt.subplots(figsize=(8.6, 1.3 + 0.45 * len(records)), layout="constrained")
    start = np.zeros(len(records))
    branches = list(
        dict.fromkeys(branch for record in records.values() for branch in record.branch_weights)
    )
    for branch in branches:
        width = np.array([record.branch_weights.get(branch, 0.0) for record in records.values()])
        ax.barh(
            list(records), width, left=start, color=COLOURS[branch], label=branch, edgecolor="white"
        )
        start += width
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="share of the attention across branches")
    ax.legend(title="branch", ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    sns.despine(ax=ax, left=True)
    return fig


def thumbnails(
    ax: Axes,
    items: Items,
    events: Sequence[Event],
    positions: Sequence[tuple[float, float]],
    zoom: float = 0.26,
) -> None:
    """Small pictures at (x, y) places of the axes; the letter of the domain where an item has none that can be read."""
    for event, (x, y) in zip(events, positions):
        try:
            small = read_picture(items.image[event.item] or "")
            small.thumbnail((96, 96))
            content = OffsetImage(np.asarray(small), zoom=zoom * 96 / max(small.size))
        except (OSError, ValueError):
            content = TextArea(event.domain, textprops={"fontweight": "bold", "ha": "center"})
        ax.add_artist(
            AnnotationBbox(
                content,
                (x, y),
                pad=0.15,
                bboxprops={
                    "edgecolor": COLOURS[event.domain],
                    "linewidth": 1.6,
                    "boxstyle": "round,pad=0.1",
                },
            )
        )


def time_line(explanation: Explanation, items: Items, of: str = FIRST, last: int = 14) -> Figure:
    """The history as two rails of pictures, titles and tags; beside each event attention, loss when it is removed alone, and Shapley value.

    Only the `last` events are shown.  Error bars: two standard errors of the drawn orders.
    """
    record, effects = explanation.record, explanation.about(of)
    events, height = record.history[-last:], np.arange(min(last, len(record.history)))
    fig, axes = plt.subplots(
        1,
        5,
        figsize=(11.5, 1.5 + 0.46 * len(events)),
        sharey=True,
        layout="constrained",
        width_ratios=[0.75, 3.1, 1.5, 1.5, 1.5],
    )
    rails, titles, *bars = axes
    for x, domain in enumerate("AB"):
        rails.axvline(x, color=COLOURS[domain], linewidth=2, zorder=0)
    rails.set(xlim=(-0.6, 1.6), xticks=[0, 1], xticklabels=["A", "B"], yticks=[], title="domain")
    thumbnails(
        rails,
        items,
        events,
        [("AB".index(event.domain), position) for event, position in zip(events, height)],
    )
    for event, position in zip(events, height):
        titles.text(
            0, position - 0.16, label(event, 46), fontweight="bold", fontsize="small", va="center"
        )
        titles.text(
            0,
            position + 0.22,
            written(" · ".join(event.tags), 54),
            fontsize="x-small",
            color="#555555",
            va="center",
        )
    titles.set(xlim=(0, 1), xticks=[], title="bought, with its tags")
    lost = np.array([effect.lost for effect in effects.events])[-last:]
    shares, errors = effects.shares.numpy()[-last:], effects.shares_error.numpy()[-last:]

    def signed(values):
        return [FOR if value >= 0 else AGAINST for value in values]

    bars[0].barh(
        height,
        record.event_weights.numpy()[-last:],
        color=[COLOURS[event.domain] for event in events],
        height=0.6,
    )
    bars[1].barh(height, lost, color=signed(lost), height=0.6)
    bars[2].barh(
        height,
        shares,
        xerr=2 * errors,
        color=signed(shares),
        height=0.6,
        error_kw={"elinewidth": 0.9},
    )
    for ax, title, xlabel in zip(
        bars,
        ("attention", "removed alone", "Shapley value"),
        ("sums to 1", "log P lost", "log P added"),
    ):
        ax.set(title=title, xlabel=xlabel)
        ax.axvline(0, color="black", linewidth=0.8)
    bars[0].set_ylim(len(events) - 0.4, -0.6)  # the oldest on top
    sns.despine(fig=fig, left=True)
    rails.spines["bottom"].set_visible(False), titles.spines["bottom"].set_visible(False)
    for ax in axes:
        ax.tick_params(left=False, labelleft=False)
    return fig


def recommendations(record: AttentionRecord, items: Items) -> Figure:
    """The first items of both domains with their probability; the true next one is marked where it is among them."""
    fig, axes = plt.subplots(
        1, 2, figsize=(11.5, 0.8 + 0.46 * max(map(len, record.top.values()))), layout="constrained"
    )
    for ax, (domain, best) in zip(axes, record.top.items()):
        height = np.arange(len(best))
        ax.barh(height, [chance for _, chance in best], color=COLOURS[domain], height=0.6)
        hit = [record.target is not None and event.item == record.target.item for event, _ in best]
        ax.set_yticks(
            height,
            [
                f"{label(event, 36)}{'  (bought next)' if right else ''}"
                for (event, _), right in zip(best, hit)
            ],
        )
        for text, right in zip(ax.get_yticklabels(), hit):
            text.set_fontweight("bold" if right else "normal")
        ax.set(title=f"recommended in {domain}", xlabel="probability")
        ax.invert_yaxis()
        ax.tick_params(axis="y", pad=26)
        thumbnails(ax, items, [event for event, _ in best], [(0, position) for position in height])
        for box in [artist for artist in ax.artists if isinstance(artist, AnnotationBbox)]:
            box.xybox, box.boxcoords = (-14, 0), "offset points"
    sns.despine(fig=fig)
    return fig


def ingredients(found: Composition) -> Figure:
    """By how many degrees an item's vector turns when a modality (left) or a single tag (right) is left out."""
    fig, (left, right) = plt.subplots(
        1,
        2,
        figsize=(9, 1.2 + 0.3 * max(len(found.modalities), len(found.tags), 1)),
        layout="constrained",
    )
    for ax, parts, title in (
        (left, found.modalities, "a modality left out"),
        (right, found.tags, "a tag left out"),
    ):
        ax.barh(range(len(parts)), [part.turn for part in parts], color=COLOURS["merged"])
        ax.set_yticks(range(len(parts)), [written(part.name) for part in parts])
        ax.set(title=title, xlabel="the vector turns by (degrees)")
        ax.invert_yaxis()
    sns.despine(fig=fig)
    return fig


def item_maps(
    maps: Mapping[str, np.ndarray], domain: np.ndarray, groups: np.ndarray | None = None
) -> Figure:
    """Points [N, 2] of each named map side by side: circles are A, crosses are B; `groups` (an topic each) give the colours and are named."""
    fig, axes = plt.subplots(
        1, len(maps), figsize=(6.2 * len(maps), 5.6), squeeze=False, layout="constrained"
    )
    names = [] if groups is None else sorted(set(groups))
    colours = dict(zip(names, sns.color_palette("husl", len(names))))
    for ax, (title, points) in zip(axes[0], maps.items()):
        for index, marker in ((0, "o"), (1, "x")):
            own = domain == index
            colour = (
                COLOURS["AB"[index]]
                if groups is None
                else [colours[group] for group in groups[own]]
            )
            ax.scatter(
                *points[own].T,
                c=colour,
                marker=marker,
                s=22,
                linewidths=1.1 if marker == "x" else 0,
                alpha=0.85,
                label="AB"[index],
            )
        for (
            name
        ) in names:  # a name where most of its group lies: colour alone tells nothing to many eyes
            ax.text(
                *np.median(points[groups == name], axis=0),
                written(name),
                fontsize="x-small",
                ha="center",
                va="center",
                bbox={
                    "boxstyle": "round,pad=0.15",
                    "facecolor": "white",
                    "edgecolor": colours[name],
                    "alpha": 0.85,
                },
            )
        ax.set(title=title, xticks=[], yticks=[])
    legend = axes[0][0].legend(frameon=False, loc="upper left", title="domain")
    for handle in legend.legend_handles:
        handle.set_color("black")
    sns.despine(fig=fig, left=True, bottom=True)
    return fig


def intervals(
    rows: Mapping[str, Mapping[str, tuple[float, float, float]]], xlabel: str, zero: bool = False
) -> Figure:
    """A point with its interval for each named row: {row: {"A" | "B" | other: (value, low, high)}}; first row on top.

    `zero` draws the line where a difference is nothing.
    """
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row))
    fig, ax = plt.subplots(figsize=(8.6, 1.4 + 0.42 * len(rows)), layout="constrained")
    for number, kind in enumerate(kinds):
        positions = [position for position, row in enumerate(rows.values()) if kind in row]
        values, low, high = np.array([row[kind] for row in rows.values() if kind in row]).T
        colour = COLOURS.get(kind, OTHERS[number % len(OTHERS)])
        ax.errorbar(
            values,
            np.array(positions) + 0.22 * (number - (len(kinds) - 1) / 2),
            xerr=[values - low, high - values],
            fmt="o",
            markersize=5,
            color=colour,
            capsize=3,
            label=kind,
        )
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)  # first row on top
    ax.set_xlabel(xlabel)
    if zero:
        ax.axvline(0, color="black", linewidth=0.8)
    else:
        ax.set_xlim(left=0)
    if len(kinds) > 1:
        ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(1, 0))
    ax.grid(axis="x", alpha=0.3)
    sns.despine(ax=ax, left=True)
    return fig


def bars(
    values: Mapping[str, float],
    ylabel: str,
    colours: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """A plain bar for each name."""
    if ax is None:
        _, ax = plt.subplots(figsize=(8.6, 3), layout="constrained")
    ax.bar(list(values), list(values.values()), color=colours or COLOURS["merged"])
    ax.set_ylabel(ylabel)
    sns.despine(ax=ax)
    return ax.figure
