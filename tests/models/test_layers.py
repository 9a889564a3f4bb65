"""Attention against torch's and against loops; dropout."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tema_lib.models.layers import (
    AttentionBlock,
    BranchAttention,
    DomainHeads,
    Dropout,
    MultiHeadAttention,
    SequenceEncoder,
    causal_mask,
    positions_of,
    scaled_dot_product_attention,
)
from tests.helpers.models import (
    awake,
)


def test_dropout_keeps_its_share_and_the_mean_and_nothing_in_evaluation():
    torch.manual_seed(0)
    x = torch.ones(999, 101, requires_grad=True)
    for share in (0.1, 0.2, 0.5, 0.9):
        dropout = Dropout(share)
        kept = 1 - round(256 * share) / 256
        out = dropout(x)
        assert out.unique().tolist() == pytest.approx([0, 1 / kept])
        assert (
            abs(float((out > 0).float().mean()) - kept) < 4 * (kept * (1 - kept) / x.numel()) ** 0.5
        )
        assert (
            abs(float((out[:, ::2] > 0).float().mean()) - float((out[:, 1::2] > 0).float().mean()))
            < 0.01
        )  # no byte of a draw is special
        assert not torch.equal(out, dropout(x))
        assert torch.equal(dropout.eval()(x), x)
        x.grad = None
        out.sum().backward()
        torch.testing.assert_close(x.grad, out.detach())
    assert torch.equal(Dropout(0)(x), x)
    with pytest.raises(ValueError, match="dropout is 1: choose a share"):
        Dropout(1)
    with pytest.raises(ValueError, match="dropout is 0.999"):
        Dropout(0.999)


def test_attention_weights_are_dropped_out_in_training_only():
    torch.manual_seed(0)
    attention, x = MultiHeadAttention(16, 2, dropout=0.5), torch.randn(3, 9, 16)
    assert not torch.equal(attention(x)[0], attention(x)[0])
    torch.testing.assert_close(attention.eval()(x)[0], attention(x)[0])


def test_a_block_is_torchs_pre_norm_encoder_layer():
    torch.manual_seed(0)
    ours = AttentionBlock(16, 4, 0.0)
    theirs = nn.TransformerEncoderLayer(
        16, 4, dim_feedforward=64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # norms not 1, biases not 0
        pairs = {
            "self_attn.in_proj": "attention.query_key_value",
            "self_attn.out_proj": "attention.output",
            "linear1": "network.0",
            "linear2": "network.2",
            "norm1": "attention_norm",
            "norm2": "network_norm",
        }
        state = {
            f"{name}{'_' if name.endswith('in_proj') else '.'}{kind}": ours.get_parameter(
                f"{own}.{kind}"
            )
            for name, own in pairs.items()
            for kind in ("weight", "bias")
        }
    theirs.load_state_dict(state)
    x = torch.randn(2, 7, 16)
    torch.testing.assert_close(
        ours(x)[0],
        theirs(x, src_mask=nn.Transformer.generate_square_subsequent_mask(7), is_causal=True),
        rtol=1e-4,
        atol=1e-5,
    )


def test_attention_is_torchs_attention():
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 5, 8).unbind(0)
    mixed, weights = scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(mixed, F.scaled_dot_product_attention(query, key, value))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 5))
    mixed, weights = scaled_dot_product_attention(query, key, value, causal_mask(5))
    torch.testing.assert_close(
        mixed, F.scaled_dot_product_attention(query, key, value, is_causal=True)
    )
    assert (weights.triu(1) == 0).all()
    mask = torch.rand(2, 1, 5, 5) > 0.4
    mask[0, 0, 2] = False  # a row that may attend to nothing
    mixed, weights = scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(
        mixed[mask.any(-1).expand(2, 4, 5)],
        F.scaled_dot_product_attention(query, key, value, mask)[mask.any(-1).expand(2, 4, 5)],
    )
    assert (weights[0, :, 2] == 0).all()
    assert (mixed[0, :, 2] == 0).all()


def test_showing_the_weights_does_not_change_the_states():
    torch.manual_seed(0)
    encoder = SequenceEncoder(16, 4, 2, 20, 0.3, "from the end", True).eval()
    x = torch.randn(3, 7, 16)
    length = torch.tensor([7, 3, 1])
    with torch.no_grad():
        for block in encoder.blocks:
            block.attention.lag.normal_()
    fused, nothing = encoder(x, length)
    readable, weights = encoder(x, length, need_weights=True)
    torch.testing.assert_close(readable, fused, rtol=0, atol=1e-5)
    assert nothing == []
    assert len(weights) == 2
    assert weights[0].shape == (3, 4, 7, 7)


def test_a_lag_bias_is_a_number_a_head_for_each_number_of_events_in_between():
    torch.manual_seed(0)
    attention, x = MultiHeadAttention(8, 2, 0.0, lags=9).eval(), torch.randn(2, 6, 8)
    plain = MultiHeadAttention(8, 2, 0.0).eval()
    plain.load_state_dict({k: v for k, v in attention.state_dict().items() if k != "lag"})
    torch.testing.assert_close(attention(x)[0], plain(x)[0])  # it starts at 0
    with torch.no_grad():
        attention.lag.normal_()
    expected = plain(x, need_weights=True)[1].log()
    for query in range(6):
        for key in range(query + 1):
            expected[:, :, query, key] += attention.lag[:, query - key]
    mixed, weights = attention(x, need_weights=True)
    torch.testing.assert_close(weights, expected.softmax(-1))
    torch.testing.assert_close(attention(x)[0], mixed)
    last, _ = attention(x, at=torch.tensor([5, 3]))
    torch.testing.assert_close(last[:, 0], mixed[[0, 1], [5, 3]])


def test_positions_count_from_either_end():
    x, length = torch.zeros(2, 4, 3), torch.tensor([4, 2])
    assert positions_of(x, length, from_the_end=False).tolist() == [0, 1, 2, 3]
    assert positions_of(x, length, from_the_end=True).tolist() == [[3, 2, 1, 0], [1, 0, 0, 0]]


def test_from_the_end_a_later_event_changes_nothing_and_one_that_is_appended_may():
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 1, 9, 0.0, "from the end", True).eval()
    with torch.no_grad():
        encoder.position.normal_()
    x = torch.randn(1, 5, 8)
    states, _ = encoder(x, torch.tensor([5]))
    other = torch.cat([x[:, :4], torch.randn(1, 1, 8)], 1)
    torch.testing.assert_close(encoder(other, torch.tensor([5]))[0][:, :4], states[:, :4])
    shorter, _ = encoder(x[:, :4], torch.tensor([4]))
    assert (shorter - states[:, :4]).abs().max() > 1e-3


def test_the_heads_of_two_domains_map_the_same_state_to_two():
    heads, states = DomainHeads(4), torch.randn(3, 4)
    domains = torch.tensor([0, 1, 1])
    assert torch.equal(heads(states, domains), states)  # the identity at first
    with torch.no_grad():
        heads.weight.normal_()
    expected = torch.stack([states[row] @ heads.weight[domains[row]] for row in range(3)])
    torch.testing.assert_close(heads(states, domains), expected)


def test_multi_head_attention_is_a_loop_over_heads():
    torch.manual_seed(0)
    attention, x = MultiHeadAttention(12, 3, 0.0), torch.randn(2, 5, 12)
    query, key, value = (
        x @ w.T + b
        for w, b in zip(
            attention.query_key_value.weight.chunk(3), attention.query_key_value.bias.chunk(3)
        )
    )
    heads = []
    for part in (slice(0, 4), slice(4, 8), slice(8, 12)):
        scores = (query[..., part] @ key[..., part].transpose(1, 2) / 2).masked_fill(
            ~causal_mask(5), -torch.inf
        )
        heads.append(scores.softmax(-1) @ value[..., part])
    torch.testing.assert_close(attention(x)[0], attention.output(torch.cat(heads, -1)))


def test_attention_across_branches_is_a_weighted_sum():
    torch.manual_seed(0)
    across = awake(BranchAttention(8))
    states, present = torch.randn(1, 1, 3, 8), torch.tensor([[[True, False, True]]])
    for domain in (0, 1):
        mixed, weights = across(states, present, domain)
        scores = torch.stack(
            [states[0, 0, k] @ across.query[domain, k] / 8**0.5 for k in (0, 2)]
        ).softmax(0)
        torch.testing.assert_close(
            weights[0, 0], torch.stack([scores[0], torch.tensor(0.0), scores[1]])
        )
        by_hand = sum(
            w * F.normalize(states[0, 0, k] @ across.value[domain, k], dim=0)
            for w, k in zip(scores, (0, 2))
        )
        torch.testing.assert_close(mixed[0, 0], by_hand)


def test_fixed_weights_replace_the_softmax_over_branches():
    fixed = torch.tensor([[1.0, 0.3, 0.1], [0.3, 1.0, 0.1]])
    across = awake(BranchAttention(8, fixed=fixed))
    states = torch.randn(2, 3, 8)
    present = torch.tensor([[True, True, True], [False, True, True]])
    for domain in (0, 1):
        mixed, weights = across(states, present, domain)
        torch.testing.assert_close(weights[0], fixed[domain] / 1.4)
        rest = fixed[domain] * torch.tensor([0.0, 1.0, 1.0])
        torch.testing.assert_close(weights[1], rest / rest.sum())
        by_hand = sum(
            weights[0, k] * F.normalize(states[0, k] @ across.value[domain, k], dim=0)
            for k in range(3)
        )
        torch.testing.assert_close(mixed[0], by_hand)
    assert "fixed" not in across.state_dict()


def test_in_training_a_branch_is_left_out_but_never_the_last_one():
    torch.manual_seed(0)
    across = awake(BranchAttention(8, dropout=0.6)).train()
    states = torch.randn(4000, 3, 8)
    present = torch.tensor([True, False, True]).expand(4000, 3)
    _, weights = across(states, present, 0)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4000))
    assert (weights[:, 1] == 0).all()
    alone = (weights[:, [0, 2]] == 0).float().mean(0)  # left out, and the other one kept: .6 x .4
    assert alone.tolist() == pytest.approx([0.24, 0.24], abs=0.03)
    assert (across.eval()(states, present, 0)[1][:, [0, 2]] > 0).all()
