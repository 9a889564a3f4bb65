"""Rules of a ranking, as data: ours, and those of published evaluation code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Which items compete with the target, and who wins a tie.

    Raises:
        ValueError: for an unknown choice or a negative number.
    """

    within: str = "domain"  # of both rankings: the target's "domain", or the whole "catalogue"
    negatives: int = 999  # of the sampled ranking; 0: no sampled ranking
    without: str = "history"  # never drawn: "history" and target, or the "target" alone
    repeated: bool = False  # negatives are drawn with replacement
    ties: str = "middle"  # of the sampled ranking: "middle" of the tied ranks, or "target" first
    margin: float = 0.0  # with ties="target": higher scores within this margin count as tied
    early: int = 0  # B's item ids begin this many ids too early
    # Items of the history in the full ranking: "left out", or "candidates" where repeats are kept.
    history: str = "left out"

    def __post_init__(self) -> None:
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


# Source: the released evaluation code of each.
PROTOCOLS = {
    "ours": Protocol(),
    "c2dsr": Protocol(without="target", repeated=True, ties="target", margin=1e-5),
    # The released code draws anew each time; here `seed` decides.
    "abxi": Protocol(ties="target", early=1),
    # The released code leaves ties to the sort; the middle favours no system.
    "llmcdsr": Protocol(without="target"),
}
