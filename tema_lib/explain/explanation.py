"""The whole explanation of one case: attention, the effect of every removal, and a control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tema_lib.data.sequences import Sequences
from tema_lib.explain.attention import AttentionRecord, record_of
from tema_lib.explain.counterfactual import CounterfactualModel, Interaction
from tema_lib.explain.effects import Effects, effects
from tema_lib.explain.occlusion import agreement

NEXT, FIRST = "true next item", "first recommendation"


@dataclass(frozen=True)
class Explanation:
    """One case.

    record: what the model attended to.
    control: the same for a network with random weights.
    effects: what decided, for each explained item: NEXT (where it is known) and FIRST.
    """

    record: AttentionRecord
    control: AttentionRecord
    effects: dict[str, Effects]

    def about(self, of: str) -> Effects:
        """The effects on NEXT or FIRST, or on the other where this one is missing.

        NEXT is missing where no target is known, FIRST where nothing is left to recommend.
        """
        return self.effects[of] if of in self.effects else next(iter(self.effects.values()))

    def agreement(
        self, of: str, branch: str, layer: int = -1, head: int | None = None, control: bool = False
    ) -> tuple[float, float]:
        """Rank correlation of the newest event's attention with occlusion and with Shapley values.

        `control` takes the attention of the random weights instead. nan for fewer than three
        events.
        """
        record = self.control if control else self.record
        positions = record.positions(branch)
        attention = record.attention_row(branch, layer, head, -1)[positions]
        effects = self.about(of)
        lost = torch.tensor([effect.lost for effect in effects.events])
        return (
            agreement(attention, lost[positions]),
            agreement(attention, effects.shapley[positions]),
        )


def explanation_of(
    model: CounterfactualModel,
    control: CounterfactualModel,
    history: Sequence[Interaction | int],
    domain: int,
    *,
    target: int | None = None,
    user: str = "",
    times: Sequence[int] | None = None,
    seen: Sequence[int] | None = None,
    top: int = 5,
) -> Explanation:
    """Explain what the model predicts after a history.

    Args:
        control: the same network with random weights.
        domain: the domain of the next interaction, 0 or 1.
        target, user, times, seen, top: as in `record_of`.

    Raises:
        ValueError: there is no target, and no item is left to recommend.
    """

    def record(of: CounterfactualModel) -> AttentionRecord:
        return record_of(
            of, history, domain, target=target, user=user, times=times, seen=seen, top=top
        )

    found = record(model)
    explained = {} if found.target is None else {NEXT: found.target.item}
    if best := found.top[found.domain]:
        explained[FIRST] = best[0][0].item
    if not explained:
        raise ValueError(
            f"nothing can be explained: the history holds every item of domain {found.domain}, "
            "and no target is known."
        )
    all_effects = effects(model, history, list(explained.values()), seen)
    return Explanation(found, record(control), dict(zip(explained, all_effects)))


def explain(
    model: CounterfactualModel,
    control: CounterfactualModel,
    sequences: Sequences,
    row: int,
    *,
    times: Sequence[int] | None = None,
    top: int = 5,
) -> Explanation:
    """Explain test case `row`; `times` are the seconds of all its events, the target included."""
    *history, target = sequences[row].tolist()
    return explanation_of(
        model,
        control,
        history,
        int(model.items.domain_of_item[target]),
        target=target,
        user=sequences.user_id[row],
        times=None if times is None else list(times)[:-1],
        top=top,
    )
