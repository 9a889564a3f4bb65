"""An explanation joins attention, effects and a control."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from tema_lib.explain.explanation import FIRST, NEXT, explain, explanation_of
from tests.helpers.explain import close


def test_an_explanation_covers_the_true_next_item_and_the_first_recommendation(world):
    found = explain(world.counterfactual, world.control, world.sequences, 0)
    first = found.record.top["B"][0][0]
    assert list(found.effects) == [NEXT, FIRST]
    assert found.effects[NEXT].target.item == 12
    assert found.effects[FIRST].target == first
    assert found.effects[FIRST].rank == 1
    assert found.record.target_rank == found.effects[NEXT].rank
    assert found.control.history == found.record.history
    assert not close(found.control.event_weights, found.record.event_weights, 1e-2)
    made_up = explanation_of(world.counterfactual, world.control, [1, 9], 0, seen=[1, 9, 3, 4])
    assert list(made_up.effects) == [FIRST]
    assert made_up.effects[FIRST].target.item in {2, 5, 6, 7, 8}
    assert made_up.effects[FIRST].rank == 1
    assert made_up.effects[FIRST].target.domain == "A"


def test_the_explanation_of_an_empty_history_has_no_events(world):
    found = explanation_of(world.counterfactual, world.control, [], 0)
    assert found.effects[FIRST].events == ()
    assert len(found.effects[FIRST].shapley) == 0


def test_agreement_compares_the_newest_event_s_attention_with_the_effects_in_its_branch(world):
    found = explain(world.counterfactual, world.control, world.sequences, 0)
    events = found.effects[NEXT].events
    for control, record in ((False, found.record), (True, found.control)):
        for layer, head in ((-1, None), (0, 1)):
            weights = record.weights["B"][layer][:, -1]
            attention = (weights.mean(0) if head is None else weights[head]).numpy()
            lost = spearmanr(attention, [events[position].lost for position in (1, 3, 4)]).statistic
            share = spearmanr(attention, found.effects[NEXT].shapley[[1, 3, 4]]).statistic
            assert found.agreement(NEXT, "B", layer, head, control) == pytest.approx((lost, share))
    every = [
        found.agreement(NEXT, "merged", layer, head, control)
        for layer in (0, 1)
        for head in (0, 1)
        for control in (False, True)
    ]
    assert len(set(every)) > 4
    assert found.agreement(NEXT, "merged") != found.agreement(NEXT, "merged", control=True)
    assert found.agreement(NEXT, "merged") != found.agreement(FIRST, "merged")
    assert np.isnan(
        explain(world.counterfactual, world.control, world.sequences, 1).agreement(NEXT, "B")
    ).all()
