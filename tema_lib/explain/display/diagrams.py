"""What flows where: a system as boxes and arrows (notebook 07)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from tema_lib.explain.display.figures import COLOURS

FILL = {
    "A": COLOURS["A"],
    "B": COLOURS["B"],
    "merged": COLOURS["merged"],
    "model": "#CC79A7",
    "": "#FFFFFF",
}


def flow(
    boxes: Mapping[str, tuple[float, float, str]],
    arrows: Iterable[tuple[str, str] | tuple[str, str, str]],
    idea: Iterable[str] = (),
) -> Figure:
    """Boxes {words: (column, row, kind)} and arrows [(from, to), (from, to, words)]; rows count downwards.

    kind colours a box: "A", "B", "merged" for what belongs to a sequence, "model" for what a pretrained model said, "" for the rest.
    Boxes in `idea` have a thick edge: what this system has and its neighbours have not.  Dashed arrows (words ending in "loss") act in training only.
    """
    columns, rows = ([position[axis] for position in boxes.values()] for axis in (0, 1))
    fig, ax = plt.subplots(
        figsize=(2.15 * (max(columns) - min(columns) + 1), 0.78 * (max(rows) - min(rows) + 1)),
        layout="constrained",
    )
    patches, idea = {}, set(idea)
    for words, (column, row, kind) in boxes.items():
        patches[words] = FancyBboxPatch(
            (column - 0.36, -row - 0.28),
            0.72,
            0.56,
            boxstyle="round,pad=0.02,rounding_size=0.08",
            mutation_aspect=2,
            facecolor=FILL[kind] + ("" if kind == "" else "33"),
            edgecolor=FILL[kind] if kind else "#555555",
            linewidth=2.6 if words in idea else 1.0,
        )
        ax.add_patch(patches[words])
        ax.text(
            column,
            -row,
            words,
            ha="center",
            va="center",
            fontsize=8.5,
            weight="bold" if words in idea else "normal",
        )
    for start, end, *words in arrows:
        training = bool(words) and words[0].endswith("loss")
        ax.add_patch(
            FancyArrowPatch(
                (boxes[start][0], -boxes[start][1]),
                (boxes[end][0], -boxes[end][1]),
                arrowstyle="-|>",
                mutation_scale=11,
                shrinkA=2,
                shrinkB=2,
                patchA=patches[start],
                patchB=patches[end],
                color="#555555",
                linewidth=1.1,
                linestyle="--" if training else "-",
                zorder=0.5,
            )
        )
        if words:
            ax.text(
                (boxes[start][0] + boxes[end][0]) / 2,
                -(boxes[start][1] + boxes[end][1]) / 2,
                words[0],
                ha="center",
                va="center",
                fontsize=8,
                style="italic",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )
    ax.set(
        xlim=(min(columns) - 0.45, max(columns) + 0.45), ylim=(-max(rows) - 0.4, -min(rows) + 0.4)
    )
    ax.axis("off")
    return fig
