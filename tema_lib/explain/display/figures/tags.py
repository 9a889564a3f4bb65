"""Figures of tags: how frequent they are, where they come from, and what they join."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tema_lib.data.dataset import Items
from tema_lib.explain.display.style import COLOURS, OTHERS, READABLE, title, written
from tema_lib.tags.evidence import uses, weight_table
from tema_lib.tags.item_tags import MAPPED, NEAREST, ORIGINS, OWN, ItemTags

ORIGIN_COLOURS = {OWN: OTHERS[0], MAPPED: COLOURS["A"], NEAREST: OTHERS[2]}
SYSTEM_COLOURS = ("#009E73", "#999999", "#BBBBBB", "#CC79A7", "#56B4E9", "#000000")


def tag_origins(tags: ItemTags, domains: tuple[str, str]) -> Figure:
    """How many tags of an item are the model's own, mapped to the list, or the nearest ones.

    Args:
        tags: with the origin of each tag.
        domains: the names of both domains.
    """
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 2.8), sharey=True, layout="constrained")
    domain, width = tags.domain_of_item[1:], tags.tag_ids.size(1)
    for index, (ax, name) in enumerate(zip(axes, domains)):
        own = tags.source[1:][domain == index]
        for origin, colour in ORIGIN_COLOURS.items():
            count = (own == origin).sum(1).bincount(minlength=width + 1)
            ax.plot(count / len(own), marker="o", label=ORIGINS[origin], color=colour)
        ax.set(title=f"domain {'AB'[index]} ({written(name)})")
        ax.set(xlabel="tags of this kind on an item", ylabel="share of items")
    axes[0].legend(fontsize=8)
    fig.suptitle("Where the tags of an item come from")
    return fig


def frequent_tags(tags: ItemTags, domains: tuple[str, str], most: int = 14) -> Figure:
    """The tags that most items of each domain carry.

    Args:
        tags: any tags.
        domains: the names of both domains.
        most: how many tags are shown.
    """
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 4), layout="constrained")
    for index, (ax, count, name) in enumerate(zip(axes, uses(tags), domains)):
        chosen = _largest(count, most)
        names = [written(tags.vocabulary[tag], 28) for tag in chosen]
        ax.barh(range(len(chosen)), count[chosen], color=COLOURS["AB"[index]])
        ax.set_yticks(range(len(chosen)), names)
        ax.invert_yaxis()
        ax.set(title=f"domain {'AB'[index]}: {written(name)}", xlabel="items")
    fig.suptitle("The most frequent tags of each domain")
    return fig


def shared_tags(tags: ItemTags, domains: tuple[str, str], most: int = 16) -> Figure:
    """The tags that most items of both domains carry, by the smaller of the two counts.

    Args:
        tags: any tags.
        domains: the names of both domains.
        most: how many tags are shown.
    """
    in_a, in_b = uses(tags)
    chosen = _largest(np.minimum(in_a, in_b), most)
    rows = range(len(chosen))
    fig, ax = plt.subplots(figsize=(8.6, 0.27 * max(len(chosen), 1) + 1.1), layout="constrained")
    ax.barh(rows, -in_a[chosen], color=COLOURS["A"], label=f"A {written(domains[0])}")
    ax.barh(rows, in_b[chosen], color=COLOURS["B"], label=f"B {written(domains[1])}")
    ax.set_yticks(rows, [written(tags.vocabulary[tag]) for tag in chosen])
    ax.axvline(0, color="black", linewidth=1)
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    ax.invert_yaxis()
    ax.legend()
    ax.set(xlabel="items", title="The most frequent tags that both domains share")
    return fig


def _largest(count: np.ndarray, most: int) -> list[int]:
    """The tags with the largest counts, those without items left out."""
    order = np.argsort(-count, kind="stable")[:most]
    return [int(tag) for tag in order if count[tag]]


def tag_weights(
    tags: ItemTags, items: Items, chosen: Sequence[int], most: int = 18
) -> Figure | None:
    """The weights of the tags of some items; tags that several of them carry come first.

    Args:
        tags: any tags.
        items: N items under global ids.
        chosen: global ids, one a row.
        most: how many tags are shown. An item with tags has its heaviest one among them.

    Returns:
        None where none of the items has a tag; a sentence says so.
    """
    weights = weight_table(tags)[list(chosen)]  # [items, G+1]
    counts = Counter(tag for item in chosen for tag in tags.tag_ids[item].tolist() if tag)
    repeated = [tag for tag, count in counts.most_common() if count > 1]
    heaviest = [int(row.argmax()) for row in weights if row.any()]  # so that no tagged row is blank
    columns = list(dict.fromkeys([*repeated, *heaviest, *counts]))[:most]
    if not columns:
        print("none of these items has a tag, so there is nothing to draw")
        return None
    fig, ax = plt.subplots(figsize=(8.6, 1.4 + 0.3 * len(chosen)), layout="constrained")
    sns.heatmap(
        weights[:, columns],
        cmap="Greens",
        vmin=0,
        ax=ax,
        linewidths=0.5,
        cbar_kws={"label": "weight"},
        xticklabels=[written(tags.vocabulary[tag], 22) for tag in columns],
        yticklabels=[title(items, item, 38) for item in chosen],
    )
    for text, item in zip(ax.get_yticklabels(), chosen):
        text.set_color(READABLE["AB"[items.domain_of_item[item]]])
    ax.set_xticklabels(ax.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    return fig


def precision_recall(measured: pd.DataFrame, truth: pd.DataFrame) -> Figure | None:
    """Precision and recall of tags and their controls; the dashed line is that of random pairs.

    Args:
        measured: as from `tags.evidence.joined_table`.
        truth: N rows with a column "topic", as in `Experiment.item_truth`.

    Returns:
        None where the topics are not known.
    """
    if truth.empty:
        return None
    fig, ax = plt.subplots(figsize=(8.6, 3.4), layout="constrained")
    for where, marker in (("all pairs", "o"), ("across the domains", "s")):
        for (name, point), colour in zip(measured.loc[where].iterrows(), SYSTEM_COLOURS):
            label = written(str(name)) if marker == "o" else None
            ax.scatter(
                point["recall"], point["precision"], s=60, color=colour, marker=marker, label=label
            )
    topic = truth["topic"].to_numpy()
    pairs = np.triu_indices(len(topic), 1)
    chance = (topic[:, None] == topic[None])[pairs].mean()
    ax.axhline(chance, color="black", linestyle="--", linewidth=1)
    ax.set(
        xlabel="recall: share of the belonging pairs that share a tag",
        ylabel="precision",
        title="The model's tags and the controls (dashed: random pairs)",
        ylim=(0, None),
    )
    ax.legend(fontsize=8, title="circle: all pairs, square: across", title_fontsize=8)
    return fig
