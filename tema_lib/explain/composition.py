"""What an item vector is made of: how far it turns when a modality or a tag is left out, and which
items are nearest to it.

Measured by ablation and not by the length of the parts: two long parts may point the same way, or
cancel. Status: ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tema_lib.explain.attention import Event, event_of
from tema_lib.explain.counterfactual import CounterfactualModel, Interaction
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN

ORIGIN = {
    OWN: "the model's own word",
    MAPPED: "its word, mapped to the list",
    NEAREST: "nearest by meaning, not in the reply",
}


class Ingredient(NamedTuple):
    """One modality or tag of an item.

    turn: the angle in degrees by which the vector turns without it.
    length: the norm of a modality's part; 0 for a tag.
    weight, origin: of a tag only.
    """

    name: str
    turn: float
    length: float = 0.0
    weight: float = 0.0
    origin: str = ""


@dataclass(frozen=True)
class Composition:
    """One item taken apart.

    replies: what the language model wrote, unedited.
    neighbours["A" | "B"]: (item, cosine), nearest first.
    neighbours_without: the same in a space without tags.
    """

    item: Event
    description: str
    modalities: tuple[Ingredient, ...]
    tags: tuple[Ingredient, ...]
    replies: tuple[str, ...]
    neighbours: dict[str, tuple[tuple[Event, float], ...]]
    neighbours_without: dict[str, tuple[tuple[Event, float], ...]]


def turned(one: Tensor, other: Tensor) -> float:
    """The angle between two vectors [D], in degrees."""
    return float(torch.rad2deg(torch.arccos(F.cosine_similarity(one, other, dim=0).clamp(-1, 1))))


def neighbours(
    model: CounterfactualModel, item: int, count: int = 5
) -> dict[str, tuple[tuple[Event, float], ...]]:
    """The other items of each domain that are nearest to `item` by cosine."""
    near = {}
    for name, own in zip("AB", model.of_domain):
        others = own[own != item]
        best = (model.outputs[others] @ model.outputs[item]).topk(min(count, len(others)))
        near[name] = tuple(
            (event_of(model, int(others[index])), float(value))
            for value, index in zip(best.values, best.indices)
        )
    return near


def composition(model: CounterfactualModel, item: int, count: int = 5) -> Composition:
    """Take one item apart, with `count` neighbours in each domain.

    Raises ValueError for an unknown global id.
    """
    model.interactions([item])  # checks the id
    whole = model.inputs[item]
    without = {}
    if len(model.parts) > 1:
        without = {modality: model.without(modality) for modality in model.parts}
    modalities = tuple(
        Ingredient(
            modality, turned(whole, other.inputs[item]), float(model.parts[modality][item].norm())
        )
        for modality, other in without.items()
    )
    return Composition(
        event_of(model, item),
        model.items.description[item],
        modalities,
        _tags(model, item),
        model.tags.raw_replies[item] if model.tags and "tags" in model.parts else (),
        neighbours(model, item, count),
        neighbours(without["tags"], item, count) if "tags" in without else {},
    )


def _tags(model: CounterfactualModel, item: int) -> tuple[Ingredient, ...]:
    """How far the item's vector turns without each of its tags."""
    if model.tags is None or "tags" not in model.parts:
        return ()
    own = model.own_tags(item)
    vectors = model.fused(
        [Interaction(item, tags=tuple(other for other in own if other != tag)) for tag in own]
    )
    return tuple(
        Ingredient(name, turned(model.inputs[item], vector), weight=weight, origin=ORIGIN[source])
        for (name, weight, source), vector in zip(model.tags.tags_of(item), vectors)
    )
