"""AutoCDSR: the share across domains, the Pareto weights, the total loss, and the bottleneck."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize

from tema_lib.models import autocdsr
from tema_lib.models.autocdsr import AutoCDSR, AutoCDSRConfig, pareto_weights
from tema_lib.training import training_step
from tests.helpers import properties
from tests.helpers.models import DOMAIN, USERS, awake, batch_of, ranking, small_split

PENALTY = "cross-domain attention"


def model_of(**changes):
    return AutoCDSR(DOMAIN, AutoCDSRConfig(**{"hidden": 16, "max_length": 20} | changes))


MODELS = {
    "plain": lambda: model_of(),
    "plain, two layers": lambda: model_of(layers=2, heads=4),
    "plus": lambda: model_of(plus=True),
    "plus, two layers": lambda: model_of(plus=True, layers=2, tokens=2),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "holds",
    [
        "a_later_event_never_changes_an_earlier_state",
        "the_loss_of_the_past_does_not_know_the_future",
        "a_target_competes_in_its_own_domain_only",
        "users_of_one_domain_and_of_one_event_are_finite",
        "padding_changes_nothing",
        "the_order_of_users_and_of_candidates_changes_nothing",
        "the_chunked_loss_is_cross_entropy_with_its_gradients",
        "the_last_state_alone_is_the_last_of_all_states",
        "every_trained_parameter_is_reached_and_can_change_a_score",
    ],
)
def test_it_has_the_properties_of_every_model(name, holds):
    getattr(properties, holds)(MODELS[name], name)


# ---- the share


def test_the_share_is_a_loop_over_events_and_their_attention():
    model, batch = awake(model_of(layers=2)), batch_of(*USERS)
    _, weights = model.encoder(
        F.embedding(batch.sequence, model.id), batch.length, need_weights=True
    )
    rows = []
    for user, events in enumerate(batch.sequence.tolist()):
        for t, item in enumerate(events):
            if item:
                rows.append(
                    sum(
                        layer[user, head, t, s].item()
                        for layer in weights
                        for head in range(2)
                        for s in range(t + 1)
                        if DOMAIN[events[s]] != DOMAIN[item]
                    )
                    / 4
                )  # two layers, two heads
    assert model.loss(batch)[PENALTY].item() == pytest.approx(sum(rows) / len(rows), rel=1e-5)
    assert 0.1 < sum(rows) / len(rows) < 1
    assert model.loss(batch_of([1, 2, 3, 4], [13, 14, 15]))[PENALTY] == 0


# ---- the weights


def gram_of(angle, lengths=(1.0, 1.0)):
    a, b = lengths
    return torch.tensor(
        [[a * a, a * b * np.cos(angle)], [a * b * np.cos(angle), b * b]], dtype=torch.double
    )


def test_two_unit_gradients_mix_half_and_half_whatever_their_angle():
    """Along the followed ray only attention is left, so no ray is violated."""
    for angle in np.linspace(0, np.pi, 50):
        assert pareto_weights(
            gram_of(angle, (3.0, 0.02)), torch.tensor([0.0, 0.7])
        ) == pytest.approx((0.5, 0.5), abs=1e-6)


def oracle(gram, losses):
    """The definition, by a general solver over the simplex from several starts."""
    unit = gram.numpy() / np.sqrt(np.outer(gram.diagonal(), gram.diagonal()))
    cosine = unit[0, 1]
    gradients = np.array([[1.0, 0.0], [cosine, np.sqrt(max(0.0, 1 - cosine**2))]])
    turns = np.array([[1, 0], [0, 1], [np.sqrt(0.5), np.sqrt(0.5)]]) - np.array([0, 1])
    coefficients = np.concatenate([np.eye(2), turns[turns @ losses.numpy() > 0]])

    def squared(c):
        return float(np.sum((c @ coefficients @ gradients) ** 2))

    count = len(coefficients)
    tries = [
        minimize(
            squared,
            start,
            bounds=[(0, 1)] * count,
            constraints={"type": "eq", "fun": lambda c: c.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        for start in [np.full(count, 1 / count), *np.eye(count) * 0.9 + 0.1 / count]
    ]
    weights = min(tries, key=lambda found: found.fun).x @ coefficients
    return weights / np.abs(weights).sum()


def test_the_weights_are_those_of_a_general_solver():
    rng, seen = np.random.default_rng(0), set()
    for _ in range(60):
        gram = gram_of(rng.uniform(0.1, np.pi - 0.1), rng.uniform(0.1, 9, 2))
        losses = torch.from_numpy(rng.uniform(0, 1, 2) ** 2)
        found = pareto_weights(gram, losses)
        np.testing.assert_allclose(found, oracle(gram, losses), atol=2e-4)
        assert abs(found[0]) + abs(found[1]) == pytest.approx(1)
        assert found[0] > 0
        assert found[1] <= found[0] + 1e-9
        seen.add((bool(losses[0] > losses[1]), found[1] > 0))
    assert len(seen) >= 3  # one or two rays violated, weights of both signs


def test_with_a_large_recommendation_loss_the_ratio_is_a_formula():
    """With two rays violated, as nearly always in training, w_attn / w_rec has a closed form.

    It is (1 - 2 cos) / (2 - cos), negative where the gradients agree.
    """
    for angle in np.linspace(0.05, np.pi, 40):
        rec, attn = pareto_weights(gram_of(angle), torch.tensor([6.0, 0.4]))
        assert attn / rec == pytest.approx((1 - 2 * np.cos(angle)) / (2 - np.cos(angle)), abs=1e-9)


def test_the_lengths_of_the_gradients_and_of_the_losses_do_not_matter():
    for scale in (1e-4, 1.0, 1e4):
        assert pareto_weights(
            gram_of(2.0, (scale, 7.0)), torch.tensor([2.0, 0.3]) * scale
        ) == pytest.approx(pareto_weights(gram_of(2.0), torch.tensor([2.0, 0.3])))


# ---- the total loss


def gradients(model, scalar):
    model.zero_grad()
    scalar.backward()
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
    }


@pytest.mark.parametrize("plus", [False, True])
def test_the_total_loss_is_the_recommendation_and_a_share_of_the_attention(plus, monkeypatch):
    model, batch, told = awake(model_of(plus=plus)).double(), batch_of(*USERS), []
    monkeypatch.setattr(
        autocdsr, "pareto_weights", lambda gram, losses: told.append((gram, losses)) or (0.7, 0.3)
    )
    found = gradients(model, model.total_loss(model.loss(batch)))
    rec, attn = (gradients(model, model.loss(batch)[term]) for term in ("next item", PENALTY))
    for name in rec:
        torch.testing.assert_close(found[name], rec[name] + 0.3 / 0.7 * attn[name])
    (gram, losses), shared = told[0], [name for name in rec if name != "id"]
    for row, one in enumerate((rec, attn)):
        for column, other in enumerate((rec, attn)):
            torch.testing.assert_close(
                gram[row, column], sum((one[name] * other[name]).sum() for name in shared)
            )
    terms = model.loss(batch)
    torch.testing.assert_close(losses, torch.stack([terms["next item"], terms[PENALTY]]).detach())
    assert attn["id"].abs().max() > 0


def test_a_negative_weight_does_not_reward_attention_and_a_fixed_one_is_kept(monkeypatch):
    model, batch = awake(model_of()).double(), batch_of(*USERS)
    rec, attn = (gradients(model, model.loss(batch)[term]) for term in ("next item", PENALTY))
    monkeypatch.setattr(autocdsr, "pareto_weights", lambda gram, losses: (0.6, -0.4))
    torch.testing.assert_close(gradients(model, model.total_loss(model.loss(batch))), rec)
    model.config = replace(model.config, weighting="fixed", penalty=2.5)
    torch.testing.assert_close(
        gradients(model, model.total_loss(model.loss(batch))),
        {name: rec[name] + 2.5 * attn[name] for name in rec},
    )


def test_without_a_cross_domain_transition_only_the_recommendation_is_left():
    model, batch = awake(model_of()).double(), batch_of([1, 2, 3, 4], [13, 14, 15])
    rec = gradients(model, model.loss(batch)["next item"])
    torch.testing.assert_close(gradients(model, model.total_loss(model.loss(batch))), rec)
    terms = model.loss(batch)
    # No path to a shared parameter at all.
    terms[PENALTY] = terms[PENALTY].detach() * 0 + model.id.sum() * 0
    torch.testing.assert_close(gradients(model, model.total_loss(terms)), rec)


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize(
    "penalised", [{}, {"weighting": "fixed", "penalty": 5.0}], ids=["pareto", "fixed"]
)
def test_a_penalty_lowers_the_attention_across_domains_on_held_out_sequences(plus, penalised):
    split, cross_domain = small_split(), []
    learned = batch_of(*(split.train[user].tolist() for user in range(40)))
    held_out = ranking(*(split.test[user][:-1].tolist() for user in range(40)))
    for options in ({"weighting": "fixed", "penalty": 0.0}, penalised):
        torch.manual_seed(0)
        model = model_of(plus=plus, **options)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(45):
            training_step(model, learned, optimizer)
        with torch.no_grad():
            cross_domain.append(float(model.eval().read(held_out, model.id)[1]))
    assert cross_domain[1] < 0.9 * cross_domain[0]


@pytest.mark.parametrize("plus", [False, True])
def test_a_step_in_bfloat16_is_finite(plus):
    torch.manual_seed(0)
    model = model_of(plus=plus)
    terms = training_step(
        model, batch_of(*USERS), torch.optim.SGD(model.parameters(), lr=0.1), precision="bfloat16"
    )
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(term.dtype == torch.float32 for term in terms.values())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weighting": "heavy"}, "weighting is 'heavy': choose pareto or fixed"),
        ({"penalty": -1.0}, "penalty is -1.0: give 0 or more"),
        ({"plus": True, "tokens": 0}, "tokens is 0: give at least 1"),
        ({"heads": 3}, "not divisible by 3 heads"),
        ({"plus": True, "heads": 3}, "not divisible by 3 heads"),
        ({"loss": "guess"}, "the loss 'guess' is unknown"),
    ],
)
def test_impossible_options_are_refused_in_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        model_of(**options)
