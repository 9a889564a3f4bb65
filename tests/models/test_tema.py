"""TEMA-LLM: what its branches see, and options that it refuses."""

from dataclasses import replace

import pytest
import torch

from tema_lib.data.sequences import domain_view
from tema_lib.models.inputs import MODALITIES
from tema_lib.models.sasrec import SASRec
from tema_lib.models.tema import BRANCHES, Tema, TemaConfig, fixed_weights
from tests.helpers.models import (
    DOMAIN,
    DOMAIN_A,
    DOMAIN_B,
    MODELS,
    USERS,
    awake,
    batch_of,
    inputs,
    ranking,
    sequences,
)


def test_a_domain_view_holds_its_own_domain_and_the_way_back():
    sequence = batch_of(*USERS).sequence
    for domain, members in ((0, DOMAIN_A), (1, DOMAIN_B)):
        view = domain_view(sequence, DOMAIN, domain)
        for row, events in enumerate(sequence.tolist()):
            own = [item for item in events if item in members]
            assert view.sequence[row].tolist() == own + [0] * (view.sequence.size(1) - len(own))
            for t in range(len(events)):
                seen = [item for item in events[: t + 1] if item in members]
                assert view.has_any[row, t] == bool(seen)
                if seen:
                    assert view.sequence[row, view.read_at[row, t]] == seen[-1]
                    assert view.read_at[row, t] == len(seen) - 1


def test_ids_of_one_domain_never_enter_the_branch_of_the_other():
    model = awake(MODELS["tema"]())
    seen = model.attention(batch_of(*USERS))
    ids = {branch: set(seen[branch]["sequence"].unique().tolist()) - {0} for branch in BRANCHES}
    assert ids["A"]
    assert ids["B"]
    assert ids["A"] <= set(DOMAIN_A)
    assert ids["B"] <= set(DOMAIN_B)
    assert ids["merged"] == ids["A"] | ids["B"]
    batch, table = batch_of(*USERS), model.items()
    exchange = torch.arange(23)
    exchange[13:] = exchange[13:].flip(0)  # other items of B, A untouched
    old, new = (
        model.branches(replace(batch, sequence=s), table)[0]
        for s in (batch.sequence, exchange[batch.sequence])
    )
    torch.testing.assert_close(new[:, :, 0], old[:, :, 0], rtol=0, atol=0)
    assert (new[:, :, 1] - old[:, :, 1]).abs().max() > 1e-3
    assert (new[:, :, 2] - old[:, :, 2]).abs().max() > 1e-3


def test_a_domain_without_events_gets_no_attention():
    model = awake(MODELS["tema"]())
    across = model.attention(ranking([1, 2, 3], [13, 14, 15], [2, 13, 3], []))["across"]["weights"]
    a, b, _merged = (list(BRANCHES).index(branch) for branch in BRANCHES)
    assert (across[0, :, b] == 0).all()
    assert (across[1, :, a] == 0).all()
    assert across[2, 0, b] == 0
    assert across[2, 1, b] > 0
    torch.testing.assert_close(across[:3].sum(-1), torch.ones(3, 3))
    assert (across[3] == 0).all()  # zeros, not NaN


def test_scores_are_the_mean_of_those_of_fused_items_and_of_ids():
    """Each half as a model of its own, with the same weights; a SASRec is an independent oracle."""
    model = awake(MODELS["tema"]())
    batch, items = ranking(*USERS), torch.arange(1, 23)
    fused = Tema(inputs(), replace(model.config, late_fusion=False)).eval()
    weights = model.state_dict()
    halves = {"": fused, "sasrec.": SASRec(DOMAIN, model.sasrec.config).eval()}
    for start, half in halves.items():
        half.load_state_dict(
            {name: weights[start + name] for name in half.state_dict()}, strict=True
        )
    of_fused, of_ids = (half.score(batch, items) for half in halves.values())
    torch.testing.assert_close(model.score(batch, items), (of_fused + of_ids) / 2)
    assert (of_fused - of_ids).abs().max() > 1
    model.seen[7] = False  # an item that training has not seen: its id has no say
    of_ids[:, 6] = 0
    torch.testing.assert_close(model.score(batch, items), (of_fused + of_ids) / 2)


def test_an_id_that_training_has_not_seen_scores_0_whatever_the_negatives_are():
    model = Tema(inputs(), TemaConfig(hidden=16, negatives="all"))
    model.fit_statistics(sequences([[1, 2, 13]]))
    assert model.possible[1:].all()
    _, of_ids = model.id_embeddings()
    assert of_ids.abs().sum(1).nonzero().flatten().tolist() == [1, 2, 13]
    fresh = Tema(inputs(), model.config)
    fresh.load_state_dict(model.state_dict())  # which ids are known travels with the weights
    assert torch.equal(fresh.seen, model.seen)


def test_a_fixed_mixture_weighs_the_targets_own_domain_most():
    expected = torch.tensor([[1.0, 0.3, 0.1], [0.3, 1.0, 0.1]])
    torch.testing.assert_close(fixed_weights(("A", "B", "merged")), expected)
    assert fixed_weights(("merged", "B"))[1].tolist() == pytest.approx([0.1, 1.0])


def test_without_ids_there_is_no_model_of_ids():
    content = Tema(inputs(), TemaConfig(hidden=16, modalities=("text", "tags")))
    assert content.sasrec is None
    assert content.item_embeddings()[1].size(1) == 16


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Tema(inputs(), TemaConfig(branches=("A", "C"))), "branches .* unknown"),
        (lambda: Tema(inputs(), TemaConfig(modalities=("id", "smell"))), "unknown modalities"),
        (lambda: Tema(replace(inputs(), image=None), TemaConfig()), "no 'image' modality"),
        (lambda: Tema(inputs(), TemaConfig(tag_table="stone")), "choose frozen, learned or both"),
        (lambda: Tema(inputs(), TemaConfig(tag_weighting="heavy")), "given, learned or uniform"),
        (lambda: Tema(inputs(), TemaConfig(across="guessed")), "choose attention or fixed"),
        (lambda: Tema(inputs(), TemaConfig(hidden=16, heads=3)), "not divisible by 3 heads"),
    ],
)
def test_impossible_options_are_refused_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
    assert set(MODALITIES) == {"id", "text", "image", "tags"}
