"""Charts of named numbers: points with intervals, and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tema_lib.explain.display.style import COLOURS, OTHERS


def intervals(
    rows: Mapping[str, Mapping[str, tuple[float, float, float]]], xlabel: str, zero: bool = False
) -> Figure:
    """A point with its interval for each named row; the first row is on top.

    Args:
        rows: {row: {kind: (value, low, high)}}; "A", "B" and "merged" have their own colours.
        zero: draws a line at 0, where two systems do not differ.
    """
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row))
    fig, ax = plt.subplots(figsize=(8.6, 1.4 + 0.42 * len(rows)), layout="constrained")
    for number, kind in enumerate(kinds):
        positions = [position for position, row in enumerate(rows.values()) if kind in row]
        values, low, high = np.array([row[kind] for row in rows.values() if kind in row]).T
        ax.errorbar(
            values,
            np.array(positions) + 0.22 * (number - (len(kinds) - 1) / 2),
            xerr=[values - low, high - values],
            fmt="o",
            markersize=5,
            color=COLOURS.get(kind, OTHERS[number % len(OTHERS)]),
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
    """A plain bar for each name, in a figure of its own unless `ax` is given."""
    if ax is None:
        _, ax = plt.subplots(figsize=(8.6, 3), layout="constrained")
    ax.bar(list(values), list(values.values()), color=colours or COLOURS["merged"])
    ax.set_ylabel(ylabel)
    sns.despine(ax=ax)
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def horizontal_bars(
    values: Mapping[str, float],
    xlabel: str,
    title: str = "",
    colours: Sequence[str] | None = None,
    base: float | None = None,
) -> Figure | None:
    """A bar with its number for each name, the first on top.

    Args:
        values: {name: value}, none negative.
        xlabel, title: what the values are, and what they show.
        colours: one a bar.
        base: draws a dashed line, for example at what is expected without any information.

    Returns:
        None where there are no values.
    """
    if not values:
        return None
    fig, ax = plt.subplots(figsize=(8.6, 0.9 + 0.35 * len(values)), layout="constrained")
    drawn = ax.barh(list(values), list(values.values()), color=colours or COLOURS["merged"])
    numbers = ax.bar_label(drawn, fmt="%.2f", padding=3)
    for number in numbers:  # readable where it stands on the dashed line
        number.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    if base is not None:
        ax.axvline(base, color="black", linestyle="--", linewidth=1)
    ax.set(xlabel=xlabel, title=title, xlim=(0, 1.1 * max(values.values())))
    ax.grid(axis="y", visible=False)
    ax.invert_yaxis()
    sns.despine(ax=ax, left=True)
    return fig
