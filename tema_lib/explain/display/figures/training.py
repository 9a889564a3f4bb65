"""Figures of a training: its curves, and how ranks move from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tema_lib.explain.display.style import COLOURS
from tema_lib.training import TrainingHistory


def learning_curves(
    history: TrainingHistory, uniform: float, term: str = "next item"
) -> Figure | None:
    """The loss of each epoch beside the validation MRR, with a line at the epoch that was kept.

    Args:
        uniform: the loss of a uniform prediction.
        term: which term of the loss.
    """
    if not history.epochs:
        print("nothing was learned, so there are no curves to show")
        return None
    epochs = np.arange(1, history.epochs + 1)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(epochs, history.loss[term], marker="o", color="#555555")
    left.axhline(uniform, color="grey", linestyle=":", label="uniform prediction")
    left.set(title="Loss in training", xlabel="epoch", ylabel="cross-entropy", xticks=epochs)
    left.legend()
    for name, style in (("A", "-"), ("B", "-"), ("mean", "--")):
        mrr = [epoch[name] for epoch in history.valid_mrr]
        colour = COLOURS.get(name, COLOURS["merged"])
        right.plot(epochs, mrr, marker="o", color=colour, linestyle=style, label=name)
    right.axvline(history.best + 1, color="black", linestyle=":", label="epoch kept")
    right.set(title="Validation MRR", xlabel="epoch", ylabel="MRR", xticks=epochs)
    right.legend()
    return fig


def rank_curves(
    ranks: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray], at_random: float
) -> Figure | None:
    """Median rank and quartiles before training and after each epoch, a panel for each group.

    Args:
        ranks: {way to train: float [1 + epochs, cases]}; nothing is drawn without one.
        groups: {title: bool [cases]}, which cases a panel shows.
        at_random: the median rank in a ranking at random.
    """
    if not ranks:
        print("there is nothing to watch: no target is new, or nothing was learned")
        return None
    fig, axes = plt.subplots(
        1,
        len(groups),
        figsize=(9, 3.8),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, (title, chosen) in zip(axes[0], groups.items()):
        for (name, rank), colour in zip(ranks.items(), ("#D55E00", "#009E73", "#0072B2")):
            low, middle, high = np.quantile(rank[:, chosen], (0.25, 0.5, 0.75), axis=1)
            ax.plot(middle, color=colour, marker="o", label=name)
            ax.fill_between(range(len(middle)), low, high, color=colour, alpha=0.15)
        ax.axhline(at_random, color="grey", linestyle=":", label="a ranking at random")
        ax.set(title=title, xlabel="epochs of training", yscale="log")
    axes[0, 0].set_ylabel("rank (median, quartiles)")
    axes[0, 0].invert_yaxis()  # of all panels
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig
