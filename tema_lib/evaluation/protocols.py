"""tema_lib.evaluation.protocols"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Which items compete with the target, and who wins a tie.  Sources: the released evaluation code of each."""

    within: str = "domain"  # both rankings among the items of the target's "domain", or of the whole "catalogue"
    negatives: int = 999  # of the sampled ranking; 0: none is made
    without: str = "history"  # never drawn: "history" and target, or the "target" alone
    repeated: bool = False  # drawn with replacement
    ties: str = (
        "middle"  # of the sampled ranking: "middle" of the places shared, or the "target" first
    )
    margin: float = (
        0.0  # scores above the target's by no more than this count as ties; with ties="target" only
    )
    early: int = 0  # B's pool begins this many ids too early
    history: str = "left out"  # of the full ranking: items of the history are "left out", or "candidates" where repeats are kept

    def __post_init__(self):
        for name, choices in (
            ("within", ("domain", "catalogue")),
            ("without", ("history", "target")),
            ("ties", ("middle", "target")),
            ("history", ("left out", "candidates")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: choose {' or '.join(choices)}."
                )
        for name in ("negatives", "margin", "early"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give 0 or more.")


PROTOCOLS = {
    "ours": Protocol(),
    "c2dsr": Protocol(without="target", repeated=True, ties="target", margin=1e-5),
    "abxi": Protocol(
        ties="target", early=1
    ),  # the released code draws anew each time; here `seed` decides
    "llmcdsr": Protocol(
        without="target"
    ),  # the released code leaves ties to the sort: no order is right, the middle is fair
}
