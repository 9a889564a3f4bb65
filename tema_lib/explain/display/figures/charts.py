"""Charts of named numbers: points with intervals, bars, factors, curves, coloured tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tema_lib.evaluation.intervals import interval
from tema_lib.explain.display.style import COLOURS, OTHERS


def intervals(
    rows: Mapping[str, Mapping[str, tuple[float, float, float]]],
    xlabel: str,
    zero: bool = False,
    title: str = "",
    xlim: tuple[float, float | None] | None = None,
    missing: str = "there is nothing to compare",
) -> Figure | None:
    """A point with its interval for each named row; the first row is on top.

    Args:
        rows: {row: {kind: (value, low, high)}}; "A", "B" and "merged" have their own colours.
        zero: draws a line at 0, where two systems do not differ.
        xlim: the ends of the axis; without it and without `zero` the axis starts at 0.
        missing: what is printed where no row has anything to show; then there is no figure.
    """
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row))
    if not kinds:
        print(missing)
        return None
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
    ax.set(xlabel=xlabel, title=title)
    if zero:
        ax.axvline(0, color="black", linewidth=0.8)
    if xlim is not None or not zero:
        ax.set_xlim(*(xlim or (0, None)))
    if len(kinds) > 1:
        ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(1, 0))
    ax.grid(axis="x", alpha=0.3)
    sns.despine(ax=ax, left=True)
    return fig


def means(
    rows: Mapping[str, np.ndarray | Mapping[str, np.ndarray]],
    xlabel: str,
    zero: bool = False,
    title: str = "",
    xlim: tuple[float, float | None] | None = None,
    missing: str = "there is no value to show",
) -> Figure | None:
    """The mean of each row's values with its 95 % bootstrap interval, drawn by `intervals`.

    Args:
        rows: {row: values} or {row: {kind: values}}; whatever has no value is left out.
        zero, title, xlim, missing: as in `intervals`.
    """
    split = {
        row: values if isinstance(values, Mapping) else {"merged": values}
        for row, values in rows.items()
    }
    points = {
        row: {
            kind: (float(values.mean()), *interval(values))
            for kind, values in kinds.items()
            if len(values)
        }
        for row, kinds in split.items()
    }
    shown = {row: kinds for row, kinds in points.items() if kinds}
    return intervals(shown, xlabel, zero, title, xlim, missing)


def curves(
    x: Sequence[float] | np.ndarray,
    rows: Mapping[str, Sequence[float] | np.ndarray],
    zero: bool = False,
    mark: float | None = None,
    **axis: Any,
) -> Figure | None:
    """A line for each named row: the last one in colour, those before it grey.

    Args:
        x: where the values of each row lie.
        rows: {row: values}; without a row there is no figure.
        zero: draws a line at 0.
        mark: draws a dashed upright line there.
        axis: for `Axes.set`, such as xlabel or yscale.
    """
    if not rows:
        return None
    fig, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
    for name, values in rows.items():
        last = name == list(rows)[-1]
        colour = COLOURS["merged"] if last else "#999999"
        ax.plot(x, values, color=colour, linewidth=2 if last else 1.5, label=name)
    if zero:
        ax.axhline(0, color="black", linewidth=0.8)
    if mark is not None:
        ax.axvline(mark, color="black", linestyle="--", linewidth=1)
    ax.set(**axis)
    ax.legend(frameon=False)
    sns.despine(ax=ax)
    return fig


def losses(loss: Mapping[str, Sequence[float]], guessed: Mapping[str, float]) -> Figure | None:
    """Training losses by epoch, side by side; a sentence says so where there is none.

    Args:
        loss: {term: its value in each epoch}, as in `TrainingHistory`.
        guessed: {term: the loss of random guessing}, a dashed line.
    """
    if not any(loss.values()):
        print("no training loss was recorded: there is no curve to show")
        return None
    size = (3.2 * len(loss), 2.7)
    fig, axes = plt.subplots(1, len(loss), figsize=size, layout="constrained", squeeze=False)
    for ax, (name, values) in zip(axes[0], loss.items()):
        ax.plot(range(1, len(values) + 1), values, marker="o", color=COLOURS["merged"])
        ax.set(title=name, xlabel="epoch", xticks=range(1, len(values) + 1, 3))
        if name in guessed:
            ax.axhline(guessed[name], color="black", linestyle="--", linewidth=1)
        sns.despine(ax=ax)
    axes[0, 0].set_ylabel("training loss")
    return fig


def differences(table: pd.DataFrame, title: str, limit: float) -> Figure:
    """A table of differences with a colour for each number: orange above 0, purple below.

    Args:
        table: the names of its columns are broken at spaces and hyphens.
        limit: the difference with the strongest colour.
    """
    size = (2.2 + 0.95 * len(table.columns), 1.2 + 0.28 * len(table))
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    names = [name.replace(" ", "\n").replace("-", "-\n") for name in table.columns]
    colours = {"cmap": "PuOr_r", "center": 0, "vmin": -limit, "vmax": limit, "cbar": False}
    numbers = {"annot": True, "fmt": "+.3f", "annot_kws": {"size": 8}}
    sns.heatmap(table, ax=ax, xticklabels=names, **colours, **numbers)
    ax.set_title(title, loc="left")
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


def grouped_bars(
    table: pd.DataFrame, ylabel: str, line: float | None = None, line_label: str = ""
) -> Figure | None:
    """A group of bars for each row of a table, one bar for each column; nothing without rows.

    Args:
        table: numbers between 0 and 1.
        line: draws a dotted line at this height, named `line_label` in the legend.
    """
    if table.empty:
        print("the table has no rows: there is nothing to draw")
        return None
    fig, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
    colours = ["#999999", COLOURS["A"], COLOURS["B"], *OTHERS][: len(table.columns)]
    table.plot.bar(ax=ax, rot=0, width=0.8, color=colours, ylim=(0, 1))
    if line is not None:
        ax.axhline(line, color="black", linestyle=":", label=line_label)
    ax.set(xlabel="", ylabel=ylabel)
    ax.legend(title="", frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    ax.grid(axis="x", visible=False)
    sns.despine(ax=ax)
    return fig


def factors(values: Mapping[str, float], kinds: Mapping[str, str], xlabel: str) -> Figure:
    """A bar from 1 to each factor, on a logarithmic axis, the largest on top.

    Args:
        kinds: of each name; a kind has one colour, and stands in the legend.
    """
    ascending = sorted(values, key=lambda name: values[name])
    colours = dict(zip(dict.fromkeys(kinds.values()), (*OTHERS, COLOURS["A"], COLOURS["B"])))
    fig, ax = plt.subplots(figsize=(9, 1.2 + 0.28 * len(values)), layout="constrained")
    for kind, colour in colours.items():
        own = [name for name in ascending if kinds[name] == kind]
        places = [ascending.index(name) for name in own]
        widths = [values[name] - 1 for name in own]
        ax.barh(places, widths, left=1, color=colour, label=kind)
    for place, name in enumerate(ascending):
        beside = max(values[name], 1) * 1.02
        ax.text(beside, place, f"{values[name]:.2f}", va="center", fontsize=10)
    ax.axvline(1, color="black", linewidth=1)
    ax.set(xscale="log", xlim=(min(0.95, *values.values()), max(values.values()) * 1.2))
    ax.set_yticks(range(len(ascending)), ascending)
    ticks = [tick for tick in (1, 2, 3, 5, 10) if tick <= max(values.values()) * 1.2]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel(xlabel)
    ax.legend(loc="lower right", title="measured on")
    return fig


def variance_kept(shares: Mapping[str, np.ndarray], kept: int) -> Figure | None:
    """How much of the variance the 1, 2, 3 ... strongest directions hold; a line where they end.

    Args:
        shares: {label: ascending shares [directions]}; those without a variance are left out.
        kept: how many directions are kept.
    """
    drawable = {
        name: share for name, share in shares.items() if len(share) and np.isfinite(share).all()
    }
    if not drawable:
        print("the vectors do not differ: there is no variance to show")
        return None
    fig, ax = plt.subplots(figsize=(8.6, 3.4), layout="constrained")
    for (name, share), colour in zip(drawable.items(), (COLOURS["A"], COLOURS["B"], *OTHERS)):
        ax.plot(np.arange(1, len(share) + 1), share, color=colour, label=name)
    ax.axvline(kept, color="grey", linestyle="--")
    ax.text(kept + 4, 0.1, f"kept: {kept}", color="#555555")
    ax.set(xlabel="number of directions kept", ylabel="share of variance")
    ax.set(ylim=(0, 1.02), xlim=(0, 400))
    ax.legend(loc="lower right")
    return fig


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
