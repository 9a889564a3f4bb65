"""Block diagrams of systems: boxes and arrows (notebook 07).

A thick edge marks what only this system has; a dashed arrow acts in training only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from tema_lib.explain.display.style import COLOURS

WIDEST = 9.8  # inches: at 100 dots an inch, what fits on the page of a laptop
FILL = {
    "A": COLOURS["A"],
    "B": COLOURS["B"],
    "merged": COLOURS["merged"],
    "model": "#CC79A7",
    "": "#FFFFFF",
}


Arrow = tuple[str, str] | tuple[str, str, str]


def flow(
    boxes: Mapping[str, tuple[float, float, str]],
    arrows: Iterable[Arrow],
    idea: Iterable[str] = (),
    title: str = "",
) -> Figure:
    """A block diagram, at most WIDEST inches wide.

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
    width = 2.15 * (max(columns) - min(columns) + 1)
    height = 0.78 * (max(rows) - min(rows) + 1) + (0.3 if title else 0)
    fig, ax = plt.subplots(figsize=(min(width, WIDEST), height), layout="constrained")
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
    ax.set_title(title, loc="left", fontsize=10)
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


def sasrec() -> Figure:
    """SASRec, per domain or merged, and the first-order Markov chain."""
    boxes = {
        "A": (0, 0, "A"),
        "B": (0, 1, "B"),
        "merged": (0, 2, "merged"),
        "id vectors": (1, 0.5, ""),
        "self-\nattention": (2, 0.5, ""),
        "score": (3, 1.25, ""),
        "last event": (1, 2, ""),
        "transition\ncounts": (2, 2, ""),
    }
    arrows = [(name, "id vectors") for name in ("A", "B", "merged")]
    arrows += [("id vectors", "self-\nattention"), ("self-\nattention", "score")]
    arrows += [("merged", "last event"), ("last event", "transition\ncounts")]
    arrows += [("transition\ncounts", "score")]
    return flow(boxes, arrows, title="SASRec above, the Markov chain below")


def tema() -> Figure:
    """TEMA-LLM, and where LLM-EMF puts the language model's words instead."""
    boxes = {
        "language\nmodel": (-1.3, 2.5, "model"),
        "id": (0, 0, ""),
        "picture": (0, 1, ""),
        "text": (0, 2, ""),
        "tags": (0, 3, "model"),
        "item vector": (1, 1.5, ""),
        "A": (2, 0.5, "A"),
        "B": (2, 1.5, "B"),
        "merged": (2, 2.5, "merged"),
        "attention\nacross": (3, 1.5, ""),
        "score": (4, 1.5, ""),
    }
    arrows: list[Arrow] = [("language\nmodel", "tags"), ("language\nmodel", "text", "LLM-EMF")]
    arrows += [(modality, "item vector") for modality in ("id", "text", "picture", "tags")]
    for branch in ("A", "B", "merged"):
        arrows += [("item vector", branch), (branch, "attention\nacross")]
    arrows += [("attention\nacross", "score")]
    return flow(boxes, arrows, idea=["tags"], title="TEMA-LLM and its predecessors")


def llm4cdsr() -> Figure:
    """LLM4CDSR: an adapter for the texts, and profiles that act in training."""
    boxes = {
        "text\nvectors": (0, 1, "model"),
        "adapter": (1, 2, ""),
        "table of A": (1, 0, "A"),
        "table of B": (1, 1, "B"),
        "attention\non A": (2, 0, "A"),
        "attention\non B": (2, 1, "B"),
        "attention\non merged": (2, 2, "merged"),
        "sum of\nproducts": (3.2, 1, ""),
        "user\nadapter": (3.2, 2, ""),
        "written\nprofile": (4.2, 2, "model"),
    }
    arrows: list[Arrow] = [
        ("text\nvectors", "table of A", "PCA"),
        ("text\nvectors", "table of B", "PCA"),
        ("text\nvectors", "adapter"),
        ("adapter", "attention\non merged"),
        ("table of A", "attention\non A"),
        ("table of B", "attention\non B"),
        ("written\nprofile", "user\nadapter"),
        ("user\nadapter", "attention\non merged", "loss"),
    ]
    arrows += [(f"attention\non {branch}", "sum of\nproducts") for branch in ("A", "B", "merged")]
    return flow(boxes, arrows, idea=["adapter", "written\nprofile"], title="LLM4CDSR")


def autocdsr() -> Figure:
    """AutoCDSR above; below it AutoCDSR+, for a target in A."""
    boxes = {
        "A": (0, 0, "A"),
        "B": (0, 1, "B"),
        "merged": (1, 0.5, "merged"),
        "attention": (2, 0.5, ""),
        "score": (4, 0, ""),
        "penalty": (4, 1, ""),
        "A ": (0, 2.4, "A"),
        "B ": (0, 3.9, "B"),
        "attention\nin A": (1, 2.4, "A"),
        "attention\nin B": (1, 3.9, "B"),
        "shared\ntokens": (2.5, 3.15, "merged"),
        "score ": (4, 2.4, ""),
        "penalty ": (4, 3.9, ""),
    }
    arrows: list[Arrow] = [("A", "merged"), ("B", "merged"), ("merged", "attention")]
    arrows += [("attention", "score"), ("attention", "penalty", "loss")]
    arrows += [("A ", "attention\nin A"), ("B ", "attention\nin B")]
    arrows += [(f"attention\nin {domain}", "shared\ntokens") for domain in "AB"]
    arrows += [("attention\nin A", "score "), ("shared\ntokens", "score ")]
    arrows += [("shared\ntokens", "penalty ", "loss")]
    idea = ["penalty", "penalty ", "shared\ntokens"]
    return flow(boxes, arrows, idea, title="AutoCDSR above, AutoCDSR+ below (target in A)")


def llm_rec() -> Figure:
    """LLM-Rec: one tower reads histories and candidates."""
    boxes = {
        "titles of\nA and B": (0, 0, "merged"),
        "word pieces": (1, 0, "model"),
        "a title": (0, 1, ""),
        "word pieces ": (1, 1, "model"),
        "one tower": (2, 0.5, ""),
        "user": (3, 0, ""),
        "item": (3, 1, ""),
        "cosine": (4, 0.5, ""),
    }
    arrows = [("titles of\nA and B", "word pieces"), ("a title", "word pieces ")]
    arrows += [("word pieces", "one tower"), ("word pieces ", "one tower")]
    arrows += [("one tower", "user"), ("one tower", "item"), ("user", "cosine"), ("item", "cosine")]
    return flow(boxes, arrows, idea=["one tower"], title="LLM-Rec")


def man() -> Figure:
    """MAN: the candidate is the query to the history."""
    boxes = {
        "history": (0, 1, "merged"),
        "candidate": (0, 0, ""),
        "item\nsimilarity": (1.2, 0, ""),
        "sequence\nfusion": (1.2, 1, ""),
        "group\nprototypes": (1.2, 2, ""),
        "own and\nmerged network": (2.5, 1, ""),
        "score": (3.6, 1, ""),
    }
    arrows = [("candidate", "item\nsimilarity"), ("own and\nmerged network", "score")]
    for name in ("item\nsimilarity", "sequence\nfusion", "group\nprototypes"):
        arrows += [("history", name), (name, "own and\nmerged network")]
    return flow(boxes, arrows, idea=["item\nsimilarity"], title="MAN")
