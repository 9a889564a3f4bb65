"""The effect of every removal equals asking the model again."""

import pytest
import torch
import torch.nn.functional as F

from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.effects import effects
from tema_lib.explain.occlusion import occlusion
from tests.helpers.explain import LONG, answer, answers, awake, vector_by_hand


def test_effects_equal_brute_force(world):
    """Every removal, by tables and histories changed by hand, through the path that ranks."""
    target, candidates, plain = 12, [13, 14, 15], world.counterfactual.inputs
    compared = world.counterfactual.outputs

    def brute(history=LONG, table=plain, compared=compared, ids=True):
        chances = answers(world.model, history, 1, table, compared, ids).tolist()
        return whole - chances[target - 9], 1 + sum(
            chances[candidate - 9] > chances[target - 9] for candidate in candidates
        )

    whole = answer(world.model, LONG, target)
    found = effects(world.counterfactual, LONG, [target, 13], draws=2)[0]
    assert (found.target.item, found.log_probability, found.rank) == (
        target,
        pytest.approx(whole, abs=2e-5),
        brute()[1],
    )

    def same(effect, expected):
        assert effect.lost == pytest.approx(expected[0], abs=3e-5)
        assert effect.rank == expected[1]
        return expected

    checked = [
        same(effect, brute(LONG[:position] + LONG[position + 1 :]))
        for position, effect in enumerate(found.events)
    ]
    assert [effect.lost for effect in found.events] == pytest.approx(
        occlusion(world.model, LONG, target, world.items).tolist(), abs=2e-5
    )

    def less(item, name):
        return [
            tag for tag in world.counterfactual.own_tags(item) if world.tags.vocabulary[tag] != name
        ]

    for item, row in zip(LONG, found.tags, strict=True):
        assert [name for name, _ in row] == [
            world.tags.vocabulary[tag] for tag in world.counterfactual.own_tags(item)
        ]
        for name, effect in row:
            table = plain.clone()
            table[item] = vector_by_hand(world, item, less(item, name))
            checked.append(same(effect, brute(table=table)))
    assert [name for name, _ in found.own_tags] == [
        world.tags.vocabulary[tag] for tag in world.counterfactual.own_tags(target)
    ]
    for name, effect in found.own_tags:
        other = compared.clone()
        other[target] = F.normalize(vector_by_hand(world, target, less(target, name)), dim=0)
        checked.append(same(effect, brute(compared=other)))
    assert set(found.modalities) == {"id", "text", "tags"}
    assert len(found.events) == 6
    assert sum(map(len, found.tags)) == 15
    for modality, effect in found.modalities.items():
        with torch.no_grad():
            parts = world.model.items.parts()
            for own in world.counterfactual.of_domain:
                parts[modality] = parts[modality].clone()
                parts[modality][own] = parts[modality][own].mean(0)
            table = sum(parts.values())
        vectors = {"table": table, "compared": F.normalize(table, dim=1)}
        checked.append(same(effect, brute(**vectors, ids=modality != "id")))
    assert max(abs(lost) for lost, _ in checked) > 0.1
    assert len({rank for _, rank in checked}) > 1


def test_a_model_of_ids_has_effects_of_events_only(world):
    found = effects(
        CounterfactualModel(
            awake(world.inputs, modalities=("id",)), world.items, world.tags, world.text
        ),
        [1, 9],
        [12],
        draws=2,
    )[0]
    assert found.modalities == {}
    assert found.own_tags == ()
    assert found.tags == ((), ())
    assert len(found.events) == 2
