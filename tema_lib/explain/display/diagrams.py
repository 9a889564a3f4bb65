"""Block diagrams of systems: boxes and arrows (notebook 07)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from tema_lib.explain.display.style import COLOURS

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
    """A block diagram.

    Args:
        boxes: {text: (column, row, kind)}; rows count downwards. The kind colours a box: "A", "B",
            "merged" for what belongs to a sequence, "model" for the output of a pretrained model,
            "" for the rest.
        arrows: (from, to) or (from, to, text). An arrow whose text ends in "loss" is dashed: it
            acts in training only.
        idea: boxes with a thick edge, the parts that only this system has.
    """
    columns = [column for column, _, _ in boxes.values()]
    rows = [row for _, row, _ in boxes.values()]
    size = (2.15 * (max(columns) - min(columns) + 1), 0.78 * (max(rows) - min(rows) + 1))
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    idea = set(idea)
    centres = {text: (column, -row) for text, (column, row, _) in boxes.items()}
    patches = {
        text: _box(centres[text], kind, thick=text in idea) for text, (_, _, kind) in boxes.items()
    }
    for text, patch in patches.items():
        weight = "bold" if text in idea else "normal"
        ax.add_patch(patch)
        ax.text(*centres[text], text, ha="center", va="center", fontsize=8.5, weight=weight)
    for start, end, *texts in arrows:
        training = bool(texts) and texts[0].endswith("loss")
        ax.add_patch(
            FancyArrowPatch(
                centres[start],
                centres[end],
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
        for text in texts:
            ax.text(
                (centres[start][0] + centres[end][0]) / 2,
                (centres[start][1] + centres[end][1]) / 2,
                text,
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


def _box(centre: tuple[float, float], kind: str, thick: bool) -> FancyBboxPatch:
    x, y = centre
    return FancyBboxPatch(
        (x - 0.36, y - 0.28),
        0.72,
        0.56,
        boxstyle="round,pad=0.02,rounding_size=0.08",
        mutation_aspect=2,
        facecolor=FILL[kind] + ("33" if kind else ""),
        edgecolor=FILL[kind] if kind else "#555555",
        linewidth=2.6 if thick else 1.0,
    )
