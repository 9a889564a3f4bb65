"""Figures of items: what is known about one, what its vector is made of, and maps of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from tema_lib.data.dataset import Items
from tema_lib.encoders.image import read_picture
from tema_lib.explain.attention import title_of
from tema_lib.explain.composition import Composition
from tema_lib.explain.display.style import COLOURS, written


def item_card(items: Items, item: int, tags: Sequence[str]) -> Figure:
    """The picture of an item, if there is one, beside its title, description, tags and id."""
    card = [
        title_of(items, item),
        items.description[item],
        "tags: " + ", ".join(tags),
        f"id: {item} of {items.count}",
    ]
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6), width_ratios=[1, 3])
    left.axis("off")
    right.axis("off")
    if picture := items.image[item]:
        left.imshow(read_picture(picture))
    for line, words in enumerate(card):
        weight = "normal" if line else "bold"
        right.text(0, 0.9 - 0.27 * line, written(words, 90), fontsize=12, weight=weight)
    return fig


def ingredients(found: Composition) -> Figure:
    """The angle by which an item vector turns without a modality (left) or a tag (right)."""
    rows = max(len(found.modalities), len(found.tags), 1)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 1.2 + 0.3 * rows), layout="constrained")
    for ax, parts, title in (
        (left, found.modalities, "without a modality"),
        (right, found.tags, "without a tag"),
    ):
        ax.barh(range(len(parts)), [part.turn for part in parts], color=COLOURS["merged"])
        ax.set_yticks(range(len(parts)), [written(part.name) for part in parts])
        ax.set(title=title, xlabel="the vector turns by (degrees)")
        ax.invert_yaxis()
    sns.despine(fig=fig)
    return fig


def item_maps(
    maps: Mapping[str, np.ndarray], domain: np.ndarray, groups: np.ndarray | None = None
) -> Figure | None:
    """Maps of items side by side; circles are items of A, crosses items of B.

    A map on which all items share one place is left out, with a line that says so; without any map
    there is no figure.

    Args:
        maps: {title: points [N, 2]}.
        domain: int [N], 0 or 1.
        groups: a name for each item, such as its topic; groups are coloured, and named on the last
            map, at their medians: where a group is scattered, nothing of it is at its median. Empty
            names alone are as good as none.
    """
    if groups is not None and set(groups) == {""}:
        groups = None
    alike = [title for title, points in maps.items() if len(np.unique(points, axis=0)) < 2]
    for title in alike:
        print(f'no map "{title}": nothing there distinguishes the items')
    maps = {title: points for title, points in maps.items() if title not in alike}
    if not maps:
        return None
    fig, axes = plt.subplots(
        1, len(maps), figsize=(4.8 * len(maps), 4.8), squeeze=False, layout="constrained"
    )
    names = [] if groups is None else sorted(set(groups))
    colours = dict(zip(names, sns.color_palette("husl", len(names))))
    for ax, (title, points) in zip(axes[0], maps.items()):
        for index, marker in ((0, "o"), (1, "x")):
            own = domain == index
            ax.scatter(
                *points[own].T,
                c=COLOURS["AB"[index]]
                if groups is None
                else [colours[group] for group in groups[own]],
                marker=marker,
                s=22,
                linewidths=1.1 if marker == "x" else 0,
                alpha=0.85,
                label="AB"[index],
            )
        for name in names if ax is axes[0][-1] else ():  # colours alone are hard to tell apart
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


def cluster_map(points: np.ndarray, domain: np.ndarray, groups: Sequence[str] = ()) -> Figure:
    """One map of items, coloured by domain; a line leads from each item to the middle of its group.

    A long line is an item that lies far from its group.

    Args:
        points: [N, 2].
        domain: int [N], 0 or 1.
        groups: a name for each item, such as its topic; without them only the items are drawn.
    """
    fig, ax = plt.subplots(figsize=(9, 6.4), layout="constrained")
    for index, name in enumerate("AB"):
        own = points[domain == index]
        dots = ax.scatter(own[:, 0], own[:, 1], s=38, color=COLOURS[name], label=name)
        dots.set(edgecolor="white", linewidth=0.5)
    named = np.array(groups)
    for group in sorted(set(groups)):
        _draw_group(ax, group, points[named == group])
    ax.set(xticks=[], yticks=[])
    ax.margins(0.08)
    ax.legend(title="domain", frameon=False, loc="upper left", markerscale=1.4)
    sns.despine(fig=fig, left=True, bottom=True)
    return fig


def _draw_group(ax: Axes, name: str, points: np.ndarray) -> None:
    """The name above the items that lie together, whose middle is the median, and the lines."""
    middle = np.median(points, axis=0)
    for point in points:
        ax.plot(*np.stack([middle, point]).T, color="#888888", linewidth=0.8, zorder=0.5)
    distance = np.linalg.norm(points - middle, axis=1)
    together = points[distance <= 3 * np.median(distance)]
    ax.annotate(
        written(name),
        (middle[0], together[:, 1].max()),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        fontsize=11,
        path_effects=[withStroke(linewidth=3, foreground="white")],
        zorder=0.8,  # above the lines, below the items
    )
