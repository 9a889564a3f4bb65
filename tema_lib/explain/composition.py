"""What an item vector is made of: how far it turns when a modality or a tag is left out, and whom it stands beside.

By ablation and not by the length of the parts: two long parts may point the same way, or cancel.  Status: ours.
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
    """One modality or tag of an item.  turn: degrees by which the vector turns without it; length: norm of the part that it adds (0 for a tag)."""

    name: str
    turn: float
    length: float = 0.0
    weight: float = 0.0  # of a tag
    origin: str = ""  # of a tag


@dataclass(frozen=True)
class Composition:
    """One item taken apart.

    replies: what the language model said, unedited; neighbours["A" | "B"]: (item, cosine) nearest first; neighbours_without: the same in a space
    without tags.
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
    reader: CounterfactualModel, item: int, count: int = 5
) -> dict[str, tuple[tuple[Event, float], ...]]:
    """The items nearest to `item` in each domain, by cosine, itself left out."""
    near = {}
    for name, own in zip("AB", reader.of_domain):
        others = own[own != item]
        best = (reader.outputs[others] @ reader.outputs[item]).topk(min(count, len(others)))
        near[name] = tuple(
            (event_of(reader, int(others[position])), float(value))
            for value, position in zip(best.values, best.indices)
        )
    return near


def composition(reader: CounterfactualModel, item: int, count: int = 5) -> Composition:
    """Take one item apart.  Raises ValueError for an id that is no item."""
    reader.interactions([item])
    whole = reader.inputs[item]
    without = (
        {modality: reader.without(modality) for modality in reader.shares}
        if len(reader.shares) > 1
        else {}
    )
    modalities = tuple(
        Ingredient(
            modality, turned(whole, other.inputs[item]), float(reader.shares[modality][item].norm())
        )
        for modality, other in without.items()
    )
    tags, replies = (), ()
    if reader.tags is not None and "tags" in reader.shares:
        own = reader.own_tags(item)
        cut = reader.fused(
            [Interaction(item, tags=tuple(other for other in own if other != tag)) for tag in own]
        )
        tags = tuple(
            Ingredient(name, turned(whole, vector), weight=weight, origin=ORIGIN[source])
            for (name, weight, source), vector in zip(reader.tags.tags_of(item), cut)
        )
        replies = reader.tags.raw_replies[item]
    return Composition(
        event_of(reader, item),
        reader.items.description[item],
        modalities,
        tags,
        replies,
        neighbours(reader, item, count),
        neighbours(without["tags"], item, count) if "tags" in without else {},
    )
