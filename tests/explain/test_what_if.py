"""Edits of a history are pure functions."""

import itertools

import pytest

from tema_lib.explain import what_if
from tema_lib.explain.attention import (
    record_of,
)
from tema_lib.explain.counterfactual import CounterfactualModel, Interaction
from tests.helpers.explain import TAG, close


def test_edits_are_pure_functions(world):
    history = before = world.counterfactual.interactions([1, 9, 4, 10])

    def interactions(*items):
        return tuple(map(Interaction, items))

    assert what_if.removed(history, 1) == interactions(1, 4, 10)
    assert what_if.removed(history[:1], 0) == ()
    assert what_if.swapped(history, 0, 7) == interactions(7, 9, 4, 10)
    assert what_if.moved(history, 0, 3) == interactions(9, 4, 10, 1)
    assert what_if.moved(history, 3, 1) == interactions(1, 10, 9, 4)
    crossed = what_if.other_domain(world.counterfactual, history, 3)
    assert crossed == (*history[:3], Interaction(10, domain=0))
    assert (
        world.counterfactual.domain_of(what_if.other_domain(world.counterfactual, crossed, 3)[3])
        == 1
    )
    own, name = world.counterfactual.own_tags(4), lambda tag: world.tags.vocabulary[tag]
    new = min(set(range(1, 6)) - set(own))
    more = what_if.with_tag(world.counterfactual, history, 2, name(new))
    less = what_if.without_tag(world.counterfactual, history, 2, name(own[1]))
    assert more == (*history[:2], Interaction(4, tags=(*own, new)), history[3])
    assert less == (*history[:2], Interaction(4, tags=(own[0], own[2])), history[3])
    assert what_if.swapped(more, 2, 7)[2] == Interaction(7)  # another item brings its own tags
    for edited in (
        more,
        what_if.other_domain(world.counterfactual, less, 2),
    ):  # edits add up, and another event keeps them
        assert what_if.moved(what_if.removed(edited, 3), 2, 0)[0] == edited[2]
    back = what_if.without_tag(world.counterfactual, more, 2, name(new))
    assert close(
        record_of(world.counterfactual, back, 1).event_weights,
        record_of(world.counterfactual, history, 1).event_weights,
    )
    assert history == before == interactions(1, 9, 4, 10)


def test_impossible_edits_are_refused_with_a_sentence(world):
    history, counterfactual = world.counterfactual.interactions([4, 10]), world.counterfactual
    own = [world.tags.vocabulary[tag] for tag in counterfactual.own_tags(4)]
    new = next(tag for tag in world.tags.vocabulary[1:] if tag not in own)
    edits = (
        what_if.removed,
        lambda h, p: what_if.swapped(h, p, 1),
        lambda h, p: what_if.moved(h, p, 0),
        lambda h, p: what_if.moved(h, 0, p),
        lambda h, p: what_if.other_domain(counterfactual, h, p),
        lambda h, p: what_if.with_tag(counterfactual, h, p, new),
        lambda h, p: what_if.without_tag(counterfactual, h, p, own[0]),
    )
    for edit, position in itertools.product(edits, (-1, 2)):
        with pytest.raises(
            ValueError, match=f"^there is no event {position}: this history has 2, counted from 0.$"
        ):
            edit(history, position)
    with pytest.raises(ValueError, match="^this item has the tag .* already.$"):
        what_if.with_tag(counterfactual, history, 0, own[0])
    with pytest.raises(ValueError, match="^this item does not have the tag .*.$"):
        what_if.without_tag(counterfactual, history, 0, new)
    for word, asked in (
        ("no such", counterfactual),
        ("", counterfactual),
        (TAG, CounterfactualModel(world.model, world.items)),
    ):
        for edit in (what_if.with_tag, what_if.without_tag):
            with pytest.raises(ValueError, match="is not in the vocabulary.$"):
                edit(asked, history, 0, word)
