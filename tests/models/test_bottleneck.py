"""The encoder after AutoCDSR+: a loop over one layer, and what the tokens carry."""

from dataclasses import replace

import pytest
import torch

from tema_lib.models.autocdsr import AutoCDSR, AutoCDSRConfig
from tema_lib.models.bottleneck import BottleneckLayer
from tests.helpers.models import ALL_ITEMS, DOMAIN, USERS, awake, batch_of, ranking


def model_of(**changes):
    return AutoCDSR(DOMAIN, AutoCDSRConfig(hidden=16, max_length=20, plus=True, **changes))


def test_an_event_after_plus_is_a_loop_over_its_own_domain_and_the_tokens():
    """One layer in double precision: what tokens read, the attention to them, and new states."""
    layer = awake(BottleneckLayer(8, 2, 0.0)).double()
    rng = torch.Generator().manual_seed(0)
    domains = torch.tensor([[0, 1, 1, 0, 1, -1]])
    x, z = (
        torch.randn(*shape, 8, generator=rng, dtype=torch.double) for shape in ((1, 6), (1, 6, 3))
    )
    new_x, new_z, shares = layer(x, z, domains)

    def split(y):
        return y.unflatten(-1, (2, 4))  # heads

    for t in range(5):
        events = [s for s in range(t + 1) if domains[0, s] == domains[0, t]]
        answer = torch.zeros(3, 8, dtype=torch.double)
        for domain, block in enumerate(layer.blocks):
            seen = [s for s in range(t + 1) if domains[0, s] == domain]
            if seen:
                _, key, value = block.attention.query_key_value(
                    block.attention_norm(x[0, seen])
                ).chunk(3, -1)
                query = split(layer.token_query(layer.token_norm(z[0, t])))
                weights = (torch.einsum("khd,shd->khs", query, split(key)) / 2).softmax(-1)
                answer += torch.einsum("khs,shd->khd", weights, split(value)).flatten(1) / 2
        tokens = z[0, t] + layer.token_output(answer)
        torch.testing.assert_close(new_z[0, t], tokens)
        block = layer.blocks[int(domains[0, t])]
        query, _, _ = block.attention.query_key_value(block.attention_norm(x[0, t])).chunk(3, -1)
        _, key, value = block.attention.query_key_value(
            block.attention_norm(torch.cat([x[0, events], tokens]))
        ).chunk(3, -1)
        weights = (torch.einsum("hd,shd->hs", split(query), split(key)) / 2).softmax(-1)
        torch.testing.assert_close(shares[0, :, t], weights[:, len(events) :].sum(1))
        state = x[0, t] + block.attention.output(
            torch.einsum("hs,shd->hd", weights, split(value)).flatten()
        )
        torch.testing.assert_close(new_x[0, t], state + block.network(block.network_norm(state)))


@pytest.mark.parametrize("layers", [1, 2])
def test_the_domains_exchange_information_only_through_the_tokens(layers):
    """Other items of B change states for targets in A, unless the tokens read nothing."""
    model = awake(model_of(layers=layers))
    before = batch_of(USERS[0], target_domain=0)
    exchange = torch.cat([torch.arange(13), torch.arange(13, 23).flip(0)])
    after = replace(before, sequence=exchange[before.sequence])

    def difference():
        return (
            (model.encode_with_items(after)[0] - model.encode_with_items(before)[0])
            .abs()
            .amax((0, 2))
        )

    with torch.no_grad():
        changed = difference()
        assert changed[0] == 0
        assert (changed[1:] > 1e-2).all()
        for layer in model.encoder.layers:
            layer.token_output.weight.zero_()
        assert difference().max() == 0
        assert (
            model.encode_with_items(replace(after, target_domain=1 - after.target_domain))[0]
            - model.encode_with_items(before)[0]
        ).abs().max() > 1e-2


def test_an_event_attends_to_the_tokens_and_not_only_the_final_state_uses_them():
    """Even without the tokens' mean in the state, events in B reach a target in A by attention."""
    model = awake(model_of())
    seen = []
    model.encoder.layers[0].register_forward_hook(lambda layer, given, made: seen.append(made[0]))
    for batch in (ranking([1, 13, 2]), ranking([1, 22, 2])):
        model.score(batch, ALL_ITEMS)
    assert (seen[0][0, 2] - seen[1][0, 2]).abs().max() > 1e-2
    assert torch.equal(seen[0][0, 0], seen[1][0, 0])


def test_the_state_is_that_of_the_latest_event_of_the_targets_domain():
    model = awake(model_of())
    scores = [model.score(ranking(*USERS, [], domain=domain), ALL_ITEMS) for domain in (0, 1)]
    assert ((scores[0] - scores[1])[:4].abs().amax(1) > 1e-2).all()
    assert torch.equal(scores[0][4], scores[1][4])
