"""Figures of the way from raw lines to sequences: filters, times, splits and preprocessing bugs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tema_lib.data.dataset import Items
from tema_lib.encoders.image import read_picture
from tema_lib.explain.display.style import AGAINST, COLOURS, OTHERS, READABLE, title, written

WEEK = 7 * 86_400
MARKERS = {"train": "o", "validation": "D", "test": "*"}
Values = Sequence[float]


def core_sizes(cores: pd.DataFrame) -> Figure | None:
    """What stricter limits leave: a heat map of the users and one of the items.

    Args:
        cores: columns "events per item", "events per user and domain", "users left", "items left".

    Returns:
        None where every core is empty; a sentence says so.
    """
    if cores.empty:
        print("no user is active in both domains, so every core is empty: there is nothing to draw")
        return None
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 2.9), layout="constrained")
    for ax, left in zip(axes, ("users left", "items left")):
        table = cores.pivot(
            index="events per item", columns="events per user and domain", values=left
        )
        sns.heatmap(table, annot=True, fmt=".0f", cmap="crest", cbar=False, ax=ax, vmin=0)
        ax.set_title(left)
    fig.suptitle("What a k-core keeps: users and items under stricter limits")
    return fig


def held_out(
    items: Items,
    history: Sequence[int],
    parts: Sequence[str],
    times: Sequence[int] | None = None,
) -> Figure:
    """The events of one user in time; what is held out is hollow.

    Args:
        items: N items under global ids.
        history: T global ids, oldest first.
        parts: T times "train", "validation" or "test".
        times: T seconds since 1970; None draws the positions in their place.
    """
    when = np.arange(len(history))
    if times is not None:
        when = pd.to_datetime(np.asarray(times), unit="s").to_numpy()
    fig, ax = plt.subplots(figsize=(8.6, 0.34 * len(history) + 1))
    domains = ["AB"[items.domain_of_item[item]] for item in history]
    for height, (domain, part, moment) in enumerate(zip(domains, parts, when)):
        colour = COLOURS[domain]
        ax.hlines(height, when.min(), moment, color=colour, alpha=0.25)
        ax.scatter(
            moment,
            height,
            s=80,
            marker=MARKERS[part],
            color=colour if part == "train" else "white",
            edgecolor=colour,
            linewidth=2,
            zorder=3,
        )
    names = [f"{title(items, item, 44)}  ({domain})" for item, domain in zip(history, domains)]
    ax.set_yticks(range(len(history)), names)
    for text, domain in zip(ax.get_yticklabels(), domains):
        text.set_color(READABLE[domain])
    ax.invert_yaxis()
    ax.set(xlabel="time", title="circle: training, diamond: validation, star: test")
    fig.autofmt_xdate()
    return fig


def event_times(groups: Mapping[str, np.ndarray], dated: bool = True) -> Figure:
    """How many events of each group fall into each week.

    Args:
        groups: {name: seconds since 1970, [E]}.
        dated: False for positions in place of times, in twenty bins.
    """
    fig, ax = plt.subplots(figsize=(8.6, 2.7), layout="constrained")
    every = np.concatenate(list(groups.values()))
    for (name, moments), colour in zip(groups.items(), ("#999999", OTHERS[0])):
        values, bins = moments, 20
        if dated:
            weeks = np.arange(every.min(), every.max() + WEEK + 1, WEEK)
            values, bins = pd.to_datetime(moments, unit="s"), pd.to_datetime(weeks, unit="s")
        ax.hist(values, bins=bins, color=colour, label=name, alpha=0.6)
    ax.set(xlabel="time", ylabel="events per week" if dated else "events")
    ax.set_title(" and ".join(groups))
    ax.legend()
    fig.autofmt_xdate()
    return fig


def long_tail(counts: np.ndarray, few: int = 2) -> Figure:
    """The events of each item, most frequent first; items with at most `few` lie in the band.

    Args:
        counts: int [N], the events of each item.
        few: where the band ends.
    """
    fig, ax = plt.subplots(figsize=(8.6, 2.6), layout="constrained")
    ax.plot(np.sort(counts)[::-1], color=COLOURS["B"], linewidth=2)
    ax.axhspan(-1, few, color=AGAINST, alpha=0.25, label=f"at most {few} training events")
    ax.set(yscale="symlog", xlabel="items, most frequent first", ylabel="training events")
    ax.set_ylim(bottom=-0.5)
    ax.set_title(f"{(counts <= few).mean():.0%} of the items have at most {few} training events")
    ax.legend()
    return fig


def topic_pictures(
    items: Items, truth: pd.DataFrame, topics: Sequence[str], each: int = 4
) -> Figure | None:
    """Pictures of some latent topics, one a row: items of A on the left, of B on the right.

    Args:
        items: N items under global ids.
        truth: N rows with a column "topic", as in `Experiment.item_truth`.
        topics: which topics.
        each: how many pictures of each domain.

    Returns:
        None where there are no pictures or the topics are not known; a sentence says so.
    """
    if truth.empty or not any(items.image):
        print("these data have no pictures or no ground truth")
        return None
    fig, axes = plt.subplots(
        len(topics), 2 * each + 1, figsize=(8.6, 1.07 * len(topics)), squeeze=False
    )
    for ax in axes.flat:
        ax.set_axis_off()
    topic = truth["topic"].to_numpy()
    for line, name in zip(axes, topics):
        for domain, places in ((0, line[:each]), (1, line[each + 1 :])):
            own = items.of_domain(domain)
            shown = [item for item in own if topic[item - 1] == name and items.image[item]]
            for ax, item in zip(places, shown):
                ax.imshow(read_picture(items.image[item]))
        line[each].text(0.5, 0.5, written(name).replace(" ", "\n"), ha="center", va="center")
    fig.tight_layout(pad=0.3)
    return fig


def bug_costs(panels: Mapping[str, Mapping[str, tuple[Values, Values]]]) -> Figure:
    """What each preprocessing bug does to a metric: from the correct value to the one with the bug.

    Args:
        panels: {metric: {bug: (correct values, values with the bug)}}, with one value for A and
            one for B, or a single one for both.
    """
    shown = {name: len(next(iter(rows.values()))[0]) for name, rows in panels.items()}
    fig, axes = plt.subplots(
        1,
        len(panels),
        figsize=(8.6, 2.9),
        width_ratios=list(shown.values()),
        squeeze=False,
        layout="constrained",
    )
    for ax, (metric, rows) in zip(axes[0], panels.items()):
        colours = [COLOURS["A"], COLOURS["B"]] if shown[metric] == 2 else ["#333333"]
        for position, (correct, wrong) in enumerate(rows.values()):
            for number, (before, after) in enumerate(zip(correct, wrong)):
                height, colour = position + 0.24 * number, colours[number]
                ax.plot([before, after], [height] * 2, color=colour, linewidth=1.6)
                ax.plot(before, height, "o", color=colour, markersize=4)
                ax.plot(after, height, "|", color=colour, markersize=9)
        ax.set_yticks([position + 0.12 for position in range(len(rows))], list(rows))
        largest = max(value for pair in rows.values() for values in pair for value in values)
        # Beyond 0 and beyond the largest value there is space for a whole mark.
        ax.set(xlim=(-0.03 * largest, 1.06 * largest), ylim=(len(rows) - 0.4, -0.4), xlabel=metric)
    fig.suptitle("From the correct value (dot) to the value with the bug (bar)", fontsize=11)
    return fig
