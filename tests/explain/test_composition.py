"""An item taken apart: angles, tags and neighbours."""

import math

import pytest
import torch
import torch.nn.functional as F

from tema_lib.explain.composition import ORIGIN, composition
from tema_lib.explain.counterfactual import CounterfactualModel
from tests.helpers.explain import COUNT, ITEMS_A, awake, vector_by_hand


def degrees(one, other):
    return math.degrees(
        math.acos(float(one @ other) / math.sqrt(float(one @ one) * float(other @ other)))
    )


@pytest.mark.parametrize("item", [4, 5, 6, 12])
def test_an_item_turns_by_the_angle_between_whole_and_rest(world, item):
    found = composition(world.counterfactual, item)
    own = world.counterfactual.own_tags(item)
    whole = world.counterfactual.inputs[item]
    assert [modality.name for modality in found.modalities] == ["id", "text", "tags"]
    parts = {modality: share.detach() for modality, share in world.model.items.parts().items()}
    for modality in found.modalities:
        other = (
            whole
            - parts[modality.name][item]
            + parts[modality.name][world.counterfactual.of_domain[int(item > ITEMS_A)]].mean(0)
        )
        assert modality.turn == pytest.approx(degrees(whole, other), abs=0.05)
        assert modality.turn > 0.3
        assert modality.length == pytest.approx(float(parts[modality.name][item].norm()), abs=1e-5)
    assert [(tag.name, tag.weight) for tag in found.tags] == [
        (name, weight) for name, weight, _ in world.tags.tags_of(item)
    ]
    assert [tag.origin for tag in found.tags] == list(ORIGIN.values())[: len(own)]
    for tag, number in zip(found.tags, own, strict=True):
        other = vector_by_hand(world, item, [other for other in own if other != number])
        assert tag.turn == pytest.approx(degrees(whole, other), abs=0.05)
    assert not own or max(tag.turn for tag in found.tags) > 2
    assert found.replies == world.tags.raw_replies[item] == (f"reply <i>{item}", "again")
    assert found.item.item == item


def test_neighbours_are_the_nearest_others_with_and_without_tags(world):
    for item in (4, 12):
        found = composition(world.counterfactual, item, count=7)
        blind = torch.stack(
            [
                vector_by_hand(world, other, world.counterfactual.own_tags(other), ("tags",))
                for other in range(1, COUNT + 1)
            ]
        )
        for vectors, near in (
            (world.counterfactual.inputs[1:], found.neighbours),
            (blind, found.neighbours_without),
        ):
            cosines = F.cosine_similarity(vectors[item - 1], vectors).tolist()
            alike = dict(enumerate(cosines, start=1))
            for domain, name in enumerate("AB"):
                others = sorted(
                    (
                        other
                        for other in world.counterfactual.of_domain[domain].tolist()
                        if other != item
                    ),
                    key=alike.get,
                    reverse=True,
                )[:7]
                assert [event.item for event, _ in near[name]] == others
                assert [cosine for _, cosine in near[name]] == pytest.approx(
                    [alike[other] for other in others], abs=1e-5
                )
    assert found.neighbours != found.neighbours_without


def test_an_item_of_a_model_with_one_modality_is_not_taken_apart(world):
    found = composition(
        CounterfactualModel(awake(world.inputs, modalities=("id",)), world.items), 4
    )
    assert found.modalities == found.tags == found.replies == ()
    assert found.neighbours_without == {}
    assert len(found.neighbours["A"]) == 5
    with pytest.raises(ValueError, match="item 16 does not exist"):
        composition(world.counterfactual, 16)
