"""The attentions of MAN, each against its equation."""

import torch

from tema_lib.models.mixed_attention import Groups, ItemSimilarity, SequenceFusion
from tests.helpers.models import awake


def test_item_similarity_is_the_equation():
    """A loop over users, candidates and events in double precision."""
    torch.manual_seed(0)
    attention = awake(ItemSimilarity(6, 5)).double()
    keys, query = torch.randn(3, 4, 6, dtype=torch.double), torch.randn(3, 7, 6, dtype=torch.double)
    present = torch.tensor([[True, True, True, True], [True, False, True, False], [False] * 4])
    weights = attention(attention.affine(keys), query, present)
    for b in range(3):
        for c in range(7):
            q, scores = query[b, c], []
            for t in torch.nonzero(present[b]).flatten().tolist():
                k = attention.map.weight @ keys[b, t]
                hidden = (
                    attention.first.weight @ torch.cat([k, q, k - q, k * q]) + attention.first.bias
                )
                scores.append((attention.second.weight @ hidden.clamp(min=0))[0])
            expected = torch.zeros(4, dtype=torch.double)
            if scores:
                expected[present[b]] = torch.stack(scores).softmax(0)
            torch.testing.assert_close(weights[b, c], expected)
    shared = attention(attention.affine(keys), query[:1], present)  # one list for all users
    torch.testing.assert_close(shared[0], weights[0])
    torch.testing.assert_close(
        shared[1], attention(attention.affine(keys[1:2]), query[:1], present[1:2])[0]
    )


def test_no_gradient_reaches_the_states_through_fusion_and_group_construction():
    torch.manual_seed(0)
    local, merged = (torch.randn(2, 5, 8, requires_grad=True) for _ in range(2))
    own = torch.tensor([[True, True, False, True, False], [False, True, False, False, False]])
    fusion, groups = awake(SequenceFusion(8, 2)), awake(Groups(8, 3))
    prototypes = torch.randn(3, 8, requires_grad=True)
    fusion(local, merged, own).square().sum().backward()
    assert local.grad is None
    assert merged.grad is None
    assert all(parameter.grad.abs().max() > 1e-8 for parameter in fusion.parameters())
    groups(prototypes, local, own).square().sum().backward()
    assert local.grad.abs().max() > 1e-8
    assert prototypes.grad.abs().max() > 1e-8
    local.grad = None
    torch.nn.init.zeros_(groups.match.weight)
    groups(prototypes, local, own).square().sum().backward()
    assert local.grad.abs().max() == 0  # ... construction may not


def test_fusion_is_attention_of_own_events_to_what_came_before_them():
    torch.manual_seed(0)
    fusion = awake(SequenceFusion(6, 1)).double()
    local, merged = torch.randn(2, 1, 4, 6, dtype=torch.double)
    own, means = torch.tensor([[True, False, True, False]]), []
    for t in (0, 2):
        scores = torch.stack(
            [fusion.query(local[0, t]) @ fusion.key(merged[0, s]) / 6**0.5 for s in range(t + 1)]
        )
        means.append(
            fusion.network(fusion.output(scores.softmax(0) @ fusion.value(merged[0, : t + 1])))
        )
    torch.testing.assert_close(fusion(local, merged, own)[0], torch.stack(means).mean(0))
    assert (fusion(local, merged, own & False) == 0).all()


def test_groups_are_the_equation():
    torch.manual_seed(0)
    groups = awake(Groups(6, 3)).double()
    prototypes = torch.randn(3, 6, dtype=torch.double)
    local = torch.randn(1, 4, 6, dtype=torch.double)
    own, mine = torch.tensor([[True, False, True, False]]), local[0, [0, 2]]
    weights, parts = torch.stack([groups.match(state) for state in mine]).mean(0).softmax(0), []
    for g in range(3):
        scores = torch.stack(
            [groups.query(prototypes[g]) @ groups.key(state) / 6**0.5 for state in mine]
        )
        parts.append(groups.network(weights[g] * (scores.softmax(0) @ groups.value(mine))))
    torch.testing.assert_close(groups(prototypes, local, own)[0], torch.stack(parts).mean(0))
    assert (groups(prototypes, local, own & False) == 0).all()
