"""Figures of sequences: attention weights as numbers, what a branch reads, and padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from tema_lib.data.sequences import DomainView
from tema_lib.explain.display.style import COLOURS


def weight_maps(weights: Mapping[str, Tensor], names: Sequence[str]) -> Figure:
    """Matrices of attention weights side by side, as numbers: a query is a row, a key a column.

    Args:
        weights: {title: float [T, T]}.
        names: of the T events.
    """
    fig, axes = plt.subplots(
        1, len(weights), figsize=(9.4, 4.4), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (title, matrix) in zip(axes[0], weights.items()):
        sns.heatmap(
            matrix.numpy(),
            annot=True,
            fmt=".2f",
            annot_kws={"size": 11},
            cmap="Blues",
            vmin=0,
            vmax=1,
            cbar=False,
            xticklabels=names,
            yticklabels=names,
            ax=ax,
        )
        ax.set(title=title, xlabel="attended to (key)")
        ax.set_xticklabels(names, rotation=35, ha="right", rotation_mode="anchor", fontsize=10)
        ax.set_yticklabels(names, rotation=0, fontsize=10)
    axes[0, 0].set_ylabel("attending (query)")
    return fig


def read_states(domains: Sequence[str], views: Mapping[str, DomainView]) -> Figure:
    """One merged sequence and the two of its domains; an arrow from each state to where it is read.

    Args:
        domains: "A" or "B" of each event.
        views: {domain: its DomainView of a batch of this one sequence}.
    """
    height = {"A": 2, "merged": 1, "B": 0}
    fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
    for position, domain in enumerate(domains):
        levels = [height["merged"], height[domain]]
        ax.scatter([position] * 2, levels, color=COLOURS[domain], s=130, zorder=3)
    for domain, view in views.items():
        own = [position for position, other in enumerate(domains) if other == domain]
        style = {"arrowstyle": "->", "color": COLOURS[domain], "alpha": 0.6, "shrinkA": 6}
        for position in view.has_any[0].nonzero().flatten().tolist():
            start = (own[int(view.read_at[0, position])], height[domain])
            end = (position, 1.12 if domain == "A" else 0.88)
            ax.annotate("", end, start, arrowprops=style)
    ax.set(yticks=[0, 1, 2], yticklabels=["branch B", "merged", "branch A"], ylim=(-0.5, 2.5))
    ax.set(xticks=range(len(domains)), xlabel="event, oldest first")
    return fig


def padding(batches: Mapping[str, Sequence[Tensor]]) -> Figure:
    """Of each way to make batches, the batch of median width: green is an event, white is padding.

    Args:
        batches: {title: sequences int64 [B, T] of each batch, 0 where padded}.
    """
    fig, axes = plt.subplots(
        1, len(batches), figsize=(9, 2.9), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (title, sequences) in zip(axes[0], batches.items()):
        typical = sorted(sequences, key=lambda sequence: sequence.size(1))[len(sequences) // 2]
        real = (typical > 0).numpy()
        ax.imshow(real, aspect="auto", cmap="Greens", vmin=0, vmax=1.6, interpolation="nearest")
        ax.set(title=title, xlabel="position", xticks=range(0, real.shape[1], 2))
        ax.grid(visible=False)
    axes[0, 0].set_ylabel("user")
    return fig
