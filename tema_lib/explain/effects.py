"""The effect of everything that can be removed in one case: events, tags and modalities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from tema_lib.explain.attention import Event, event_of
from tema_lib.explain.counterfactual import CounterfactualModel, CounterfactualOutput, Interaction
from tema_lib.explain.shapley import shapley_values
from tema_lib.explain.what_if import removed, without_tag


class Effect(NamedTuple):
    """What a removal changes for the target.

    lost: the loss of log-probability; positive where the removed part supported the target.
    rank: the target's rank after the removal.
    """

    lost: float
    rank: float


@dataclass(frozen=True)
class Effects:
    """What every removal in one case does to one target.

    events: leave-one-out occlusion, one effect per event of the history.
    tags: per event, (tag, effect) for each of its tags, removed from this event only.
    own_tags: the same for the target's own tags.
    modalities: id, text, image, tags, removed from all items alike (`CounterfactualModel.without`).
    shapley, shapley_error: float [T] each, `shapley_values`.
    """

    target: Event
    log_probability: float
    rank: float
    events: tuple[Effect, ...]
    tags: tuple[tuple[tuple[str, Effect], ...], ...]
    own_tags: tuple[tuple[str, Effect], ...]
    modalities: dict[str, Effect]
    shapley: Tensor
    shapley_error: Tensor


def effects(
    model: CounterfactualModel,
    history: Sequence[Interaction | int],
    targets: Sequence[int],
    seen: Sequence[int] | None = None,
    draws: int = 100,
) -> list[Effects]:
    """Remove each event, each tag and each modality, one at a time, and add the Shapley values.

    Args:
        targets: global ids; one `Effects` each.
        seen: the items that do not compete with a target; by default those of the history.
        draws: the number of random orders behind the Shapley values.
    """
    seen = model.seen(history) if seen is None else seen
    events = model.interactions(history)
    event_tags = [_tags_of(model, event) for event in events]
    variants = [events]
    variants += [removed(events, position) for position in range(len(events))]
    variants += [
        without_tag(model, events, position, model.tag_name(tag))
        for position, tags in enumerate(event_tags)
        for tag in tags
    ]
    output = model.predict(variants)
    modalities = model.parts if len(model.parts) > 1 else ()
    without = {name: model.without(name).predict([events]) for name in modalities}
    values, errors = shapley_values(model, events, targets, draws)

    found = []
    for row, target in enumerate(targets):
        candidates = model.candidates(target, seen)
        whole = float(output.log_probability[0, target])
        (_, rank), *single = _effects_of(output, target, candidates, whole)
        remaining = iter(single[len(events) :])
        own_tags = []
        for tag in (own := _tags_of(model, Interaction(target))):
            other = model.with_tags(target, [kept for kept in own if kept != tag])
            effect = _effects_of(other.predict([events]), target, candidates, whole)[0]
            own_tags.append((model.tag_name(tag), effect))
        found.append(
            Effects(
                event_of(model, target),
                whole,
                rank,
                tuple(single[: len(events)]),
                tuple(
                    tuple((model.tag_name(tag), next(remaining)) for tag in tags)
                    for tags in event_tags
                ),
                tuple(own_tags),
                {
                    name: _effects_of(changed, target, candidates, whole)[0]
                    for name, changed in without.items()
                },
                values[row],
                errors[row],
            )
        )
    return found


def _tags_of(model: CounterfactualModel, event: Interaction) -> tuple[int, ...]:
    """The tags that can be removed from an event."""
    return model.tags_read(event) if model.has_tags else ()


def _effects_of(
    output: CounterfactualOutput, target: int, candidates: Tensor, whole: float
) -> list[Effect]:
    """One effect per history of `output`; `whole` is log P(target) without any removal."""
    log_probability = output.log_probability[:, target].tolist()
    ranks = output.rank(target, candidates).tolist()
    return [Effect(whole - value, rank) for value, rank in zip(log_probability, ranks)]
