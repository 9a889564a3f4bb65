"""Figures of notebooks 05 and 06: each function returns a matplotlib figure and changes nothing else.

Colours are the same everywhere and safe for colour-blind readers: A orange, B blue, everything that joins them green.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib import pyplot as plt

from tema_lib.explain.attention_records import AttentionRecord, Event
from tema_lib.training import TrainingHistory

COLOURS = {"A": "#E69F00", "B": "#0072B2", "merged": "#009E73"}
READABLE = {"A": "#9A6A00", "B": "#0072B2"}          # the same orange, dark enough for small letters on white


def label(event: Event, width: int = 30) -> str:
    """A title cut to `width` letters, safe for matplotlib, which would read $...$ as a formula."""
    return textwrap.shorten(event.title, width, placeholder=" …").replace("$", r"\$") or event.title[:width].replace("$", r"\$")


def _colour_labels(axis_labels, events: Sequence[Event]) -> None:
    for text, event in zip(axis_labels, events):
        text.set_color(READABLE[event.domain])


def attention_heatmap(record: AttentionRecord, thread: str = "merged", head: int | None = None, layer: int = -1, last: int = 12) -> Figure:
    """Who looks (rows) at whom (columns) in one thread; `head=None` averages the heads; only the `last` events are shown.

    Raises ValueError for a thread without events.
    """
    events = record.events[thread][-last:]
    if not events:
        raise ValueError(f"this history has no events in thread {thread}: choose another thread.")
    weights = record.weights[thread][layer]
    weights = (weights.mean(0) if head is None else weights[head])[-last:, -last:].numpy()
    future = np.triu(np.ones_like(weights, dtype=bool), 1)
    names = [label(event) for event in events]
    fig, ax = plt.subplots(figsize=(8.6, 2.4 + 0.36 * len(events)), layout="constrained")
    sns.heatmap(weights, mask=future, cmap="Greens", vmin=0, linewidths=0.5, xticklabels=names, yticklabels=names, ax=ax,
                cbar_kws={"label": "attention weight", "shrink": 0.7})
    ax.set_xticklabels(names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set(xlabel="looked at (orange: food, blue: kitchen)", ylabel="looking", facecolor="#f4f4f4")
    _colour_labels(ax.get_xticklabels(), events), _colour_labels(ax.get_yticklabels(), events)
    return fig


def head_grid(record: AttentionRecord, last: int = 12) -> Figure:
    """Last layer, all heads of all threads side by side: a small heat map each."""
    threads = [thread for thread in record.events if record.events[thread]]
    heads = max(record.weights[thread].size(1) for thread in threads)
    fig, axes = plt.subplots(heads, len(threads), figsize=(2.8 * len(threads), 2.5 * heads), squeeze=False, layout="constrained")
    for column, thread in enumerate(threads):
        for head in range(heads):
            weights, ax = record.weights[thread][-1, head, -last:, -last:].numpy(), axes[head, column]
            sns.heatmap(weights, mask=np.triu(np.ones_like(weights, dtype=bool), 1), cmap="Greens", vmin=0, vmax=1, square=True, ax=ax,
                        cbar=False, xticklabels=False, yticklabels=False)
            ax.set(title=f"thread {thread}, head {head + 1}", facecolor="#f4f4f4")
    fig.supxlabel("looked at, oldest to newest", fontsize="medium"), fig.supylabel("looking, newest at the bottom", fontsize="medium")
    return fig


def thread_bars(records: Mapping[str, AttentionRecord]) -> Figure:
    """How much the last step listens to each thread: a stacked bar for each named record."""
    fig, ax = plt.subplots(figsize=(8.6, 1.3 + 0.45 * len(records)), layout="constrained")
    start = np.zeros(len(records))
    threads = list(dict.fromkeys(thread for record in records.values() for thread in record.thread_weights))
    for thread in threads:
        width = np.array([record.thread_weights.get(thread, 0.0) for record in records.values()])
        ax.barh(list(records), width, left=start, color=COLOURS[thread], label=thread, edgecolor="white")
        start += width
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="share of the attention across threads")
    ax.legend(title="thread", ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    sns.despine(ax=ax, left=True)
    return fig


def attention_beside_effect(record: AttentionRecord, effect: Sequence[float], last: int = 12) -> Figure:
    """Left: attention on each event.  Right: what its removal costs the target, in log-probability."""
    events, places = record.history[-last:], np.arange(min(last, len(record.history)))
    colours = [COLOURS[event.domain] for event in events]
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 1.4 + 0.34 * len(events)), sharey=True, layout="constrained")
    left.barh(places, np.asarray(record.event_weights)[-last:], color=colours)
    right.barh(places, np.asarray(effect)[-last:], color=colours)
    left.set_yticks(places, [label(event) for event in events])
    left.invert_yaxis()
    _colour_labels(left.get_yticklabels(), events)
    left.set(xlabel="attention (sums to 1)", title="where the model looked")
    right.set(xlabel="log P(target) lost without this event", title="what its removal changed")
    right.axvline(0, color="black", linewidth=0.8)
    sns.despine(fig=fig)
    return fig


def training_curves(history: TrainingHistory) -> Figure:
    """Training loss (left) and validation MRR of both domains (right); the dashed line is the epoch whose weights were kept.

    Raises ValueError for a system that was not trained.
    """
    if not history.epochs:
        raise ValueError("this system counts and is not trained: there is no curve to draw.")
    epochs = np.arange(1, history.epochs + 1)
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3), layout="constrained")
    for name, values in history.loss.items():
        left.plot(epochs, values, marker="o", markersize=3, color=COLOURS["merged"], label=name)
    for domain in "AB":
        right.plot(epochs, [mrr[domain] for mrr in history.valid_mrr], marker="o", markersize=3, color=COLOURS[domain], label=domain)
    for ax in (left, right):
        ax.axvline(history.best + 1, color="grey", linestyle="--", linewidth=1)
        ax.set_xlabel("epoch"), ax.legend(frameon=False)
    left.set_ylabel("training loss"), right.set_ylabel("validation MRR")
    sns.despine(fig=fig)
    return fig


def intervals(rows: Mapping[str, Mapping[str, tuple[float, float, float]]], xlabel: str, zero: bool = False) -> Figure:
    """A point with its interval for each named row: {row: {"A" | "B" | other: (value, low, high)}}; first row on top.

    `zero` draws the line where a difference is nothing.
    """
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row))
    fig, ax = plt.subplots(figsize=(8.6, 1.4 + 0.42 * len(rows)), layout="constrained")
    for number, kind in enumerate(kinds):
        places = [place for place, row in enumerate(rows.values()) if kind in row]
        values, low, high = np.array([row[kind] for row in rows.values() if kind in row]).T
        ax.errorbar(values, np.array(places) + 0.22 * (number - (len(kinds) - 1) / 2), xerr=[values - low, high - values], fmt="o", markersize=5,
                    color=COLOURS.get(kind, COLOURS["merged"]), capsize=3, label=kind)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)                   # first row on top
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


def bars(values: Mapping[str, float], ylabel: str, colours: Sequence[str] | None = None, ax: Axes | None = None) -> Figure:
    """A plain bar for each name."""
    if ax is None:
        _, ax = plt.subplots(figsize=(8.6, 3), layout="constrained")
    ax.bar(list(values), list(values.values()), color=colours or COLOURS["merged"])
    ax.set_ylabel(ylabel)
    sns.despine(ax=ax)
    return ax.figure
