"""The benchmarks compare equal work: without a technique, losses, gradients and ranks are equal."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import changed_models
import growth
import numpy as np
import ours
import peers
import pytest
import speed
import time_to_quality
import torch
from random_sequences import write_sequences

from tema_lib.data.batches import training_batches
from tema_lib.evaluation.protocols import Protocol
from tema_lib.evaluation.ranking import evaluate
from tema_lib.experiment import Experiment
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.tema import Tema, TemaConfig
from tests.helpers.models import DOMAIN, USERS, batch_of, inputs, ranking, sequences

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """300 users, 90 items; a SASRec and a TEMA-LLM without dropout, and one batch."""
    data = peers.load(
        write_sequences(
            tmp_path_factory.mktemp("sequences") / "small.npz", users=300, items_a=40, items_b=50
        )
    )
    sequences, domain = ours.sequences_of(data)
    torch.manual_seed(0)
    sasrec = SASRec(
        domain,
        SASRecConfig(
            hidden=16,
            layers=2,
            dropout=0.0,
            lag_bias=False,  # as in the benchmark: a mask alone, no bias
            similarity="dot",
            loss="catalogue softmax",
        ),
    )
    tema = Tema(
        ours.item_inputs(domain, 0, tags=20, widths=(24, 30)),
        TemaConfig(hidden=16, dropout=0.0, branch_dropout=0.0),
    )
    batch = next(
        training_batches(
            sequences.without_last(2),
            domain,
            max_length=50,
            batch_size=64,
            generator=torch.Generator().manual_seed(0),
        )
    )
    return SimpleNamespace(
        data=data,
        sequences=sequences,
        domain=domain,
        sasrec=sasrec.double(),
        tema=tema.double(),
        batch=batch,
    )


def loss_and_gradients(model, batch):
    model.zero_grad()
    loss = model.loss(batch)["next item"]
    loss.backward()
    return {
        "loss": loss.detach(),
        **{
            name: parameter.grad
            for name, parameter in model.named_parameters()
            if parameter.grad is not None
        },
    }


# Without those that have options or concern dropout, which change the numbers too.
EQUAL = [
    name
    for name, (task, without, options) in ours.techniques().items()
    if not options and "dropout" not in name
]


@pytest.mark.parametrize("name", EQUAL)
def test_a_technique_changes_the_time_and_nothing_else(small, name):
    task, without, _options = ours.techniques()[name]
    model = small.tema if "tema" in task else small.sasrec

    def rank():
        return evaluate(
            model, small.sequences, small.domain, protocol=Protocol(within="catalogue", negatives=0)
        )

    fast = rank() if "ranking" in task else loss_and_gradients(model, small.batch)
    with without(model):
        plain = rank() if "ranking" in task else loss_and_gradients(model, small.batch)
    if "ranking" in task:
        assert np.array_equal(fast.rank, plain.rank)
        assert np.array_equal(fast.candidates, plain.candidates)
        assert np.array_equal(fast.tied, plain.tied)
    else:
        assert fast.keys() == plain.keys()
        assert len(fast) > 10
        torch.testing.assert_close(fast, plain, rtol=1e-6, atol=1e-9)


def test_our_worker_speaks_as_the_peers_do(tmp_path):
    path = write_sequences(tmp_path / "sequences.npz", users=200, items_a=30, items_b=30)
    worker = subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks" / "ours.py"), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    said, _ = worker.communicate("full_ce 0\nranking 0\nwithout fused optimiser 0\nnothing 1\n")
    ready, training, ranking, plain, wrong = map(json.loads, said.splitlines())
    assert ready["ready"]
    assert training["task"] == "full_ce"
    assert 20 < training["sequences"] < 200
    assert training["targets"] > 128
    assert training["cpu_seconds"] > 0
    assert ranking["users"] == 200
    assert 0 < ranking["ndcg10"] < 1
    assert plain["loss"] > 0
    assert "nothing" in wrong["error"]


def test_the_random_sequences_have_the_stated_shape(tmp_path):
    data = peers.load(write_sequences(tmp_path / "sequences.npz"))
    lengths = np.diff(data.offsets)
    assert lengths.min() >= 5
    assert np.median(lengths) == 11
    assert 14 < lengths.mean() < 16
    assert data.items.min() >= 1
    assert data.items.max() <= 25_000
    counts = np.sort(np.bincount(data.items, minlength=25_001)[1:])[::-1]
    slope = growth.exponent(np.arange(10, 300), counts[10:300])
    assert -1.1 < slope < -0.75


def test_the_least_seconds_are_sums_of_work_over_rates():
    """If all but one operation cost nothing, the seconds are the work of that operation."""
    data = {"n_items": 100, "hidden": 8, "layers": 2, "mean_length": 10, "targets_a_step": 50}
    free = {"gemm_gflops": 1e30, "exp_g": 1e30, "count_g": 1e30, "copy_gbytes": 1e30}

    def only(name):
        return speed.least_seconds(free | {name: 1e-9}, data)

    assert only("exp_g")["full_ce"] == pytest.approx(100)
    assert only("count_g")["ranking"] == pytest.approx(100)
    assert only("copy_gbytes")["full_ce"] == pytest.approx(28 * 100 * 8 / 50)
    token = 24 * 64
    assert only("gemm_gflops")["full_ce"] == pytest.approx(6 * 100 * 8 + 3 * 2 * token)
    assert only("gemm_gflops")["ranking"] == pytest.approx(2 * 100 * 8 + 10 * 2 * token)
    assert only("gemm_gflops")["ranking, least work"] == pytest.approx(
        2 * 100 * 8 + 10 * (token + 4 * 64) + token
    )


def test_an_exponent_is_a_slope_and_an_unknown_peer_is_named():
    assert growth.exponent([1, 4, 16], [3, 12, 48]) == 1
    assert growth.exponent([1, 4, 16], [5, 10, 20]) == 0.5
    with pytest.raises(
        ValueError, match="No peer is called 'nobody'; there are recbole, rectools, replay"
    ):
        peers.environment("nobody")


def test_a_target_is_reached_after_the_first_epoch_that_is_not_below_it():
    assert time_to_quality.reached([0.1, 0.3, 0.2, 0.4], [1, 2, 3, 4], 0.3) == 2
    assert time_to_quality.reached([0.1, 0.3], [1, 2], 0.31) is None


# --- one change at a time ---


def changed(make):
    """A model with a change beside TEMA-LLM itself with the same weights, both after counting."""
    config = TemaConfig(hidden=16, max_length=20, dropout=0.0, branch_dropout=0.0)
    whole, model = Tema(inputs(), config), make(inputs(), config)
    model.load_state_dict(whole.state_dict())
    for one in (whole, model):
        one.fit_statistics(sequences([*USERS, [1, 2, 13, 3], [2, 14, 1]]))
    return whole, model


@pytest.mark.parametrize("make", [changed_models.IdDropout, changed_models.LogitAdjustment])
def test_a_change_of_training_leaves_the_ranking_as_it_is(make):
    whole, model = changed(make)
    items, batch = torch.arange(1, 23), ranking(*USERS)
    torch.testing.assert_close(*(one.eval().score(batch, items).detach() for one in (whole, model)))
    loss = [one.train().loss(batch_of(*USERS))["next item"] for one in (whole, model)]
    assert abs(loss[0] - loss[1]) > 1e-3


def test_training_on_prefixes_is_the_usual_training_where_positions_count_from_the_start():
    for positions, same in (("from the start", True), ("from the end", False)):
        config = SASRecConfig(hidden=16, max_length=20, layers=2, dropout=0.0, positions=positions)
        torch.manual_seed(0)
        usual = SASRec(DOMAIN, config)
        on_prefixes = changed_models.SASRecOnPrefixes(DOMAIN, config)
        on_prefixes.load_state_dict(usual.state_dict())
        loss = [one.loss(batch_of(*USERS))["next item"].item() for one in (usual, on_prefixes)]
        assert (loss[0] == pytest.approx(loss[1], rel=1e-5)) == same


def test_every_prefix_becomes_a_sequence_with_one_target():
    batch = changed_models.prefixes(batch_of([1, 2, 13], [14, 3]))
    assert batch.sequence.tolist() == [[1, 0], [1, 2], [14, 0]]
    assert batch.targets.tolist() == [[2, 0], [0, 13], [3, 0]]
    assert batch.target_domain[[0, 1, 2], [0, 1, 0]].tolist() == [0, 1, 0]


def test_two_sasrecs_score_with_their_mean():
    model = changed_models.TwoSASRecs(DOMAIN, SASRecConfig(hidden=16, max_length=20)).eval()
    first = SASRec(DOMAIN, model.config).eval()
    first.load_state_dict({name: model.state_dict()[name] for name in first.state_dict()})
    batch, items = ranking(*USERS), torch.arange(1, 23)
    scores = [one.score(batch, items) for one in (first, model.second)]
    torch.testing.assert_close(model.score(batch, items), sum(scores) / 2)
    assert (scores[0] - scores[1]).abs().max() > 0.1


def test_logits_are_adjusted_by_the_logarithm_of_the_frequency():
    whole, model = changed(changed_models.LogitAdjustment)
    batch = batch_of(*USERS)
    (states, outputs), (more, longer) = (
        one.train().encode_with_items(batch) for one in (whole, model)
    )
    added = (more @ longer.T - states @ outputs.T)[0, 0].detach()
    assert added[2] == pytest.approx(math.log(4), abs=1e-4)
    assert added[3] == pytest.approx(math.log(3), abs=1e-4)
    assert added[21] == pytest.approx(0, abs=1e-4)


def test_the_id_of_a_new_item_is_not_read_where_ids_count_by_frequency():
    _, model = changed(changed_models.IdsByFrequency)
    with torch.no_grad():
        before = model.item_embeddings()[0]
        model.items.id += 1
        turned = (model.item_embeddings()[0] - before).abs().sum(1)
    assert turned[21] == 0
    assert turned[2] == pytest.approx(16 * 3 / 8, abs=1e-4)
    assert torch.equal(
        torch.tensor(changed_models.new_targets(sequences([[1, 2], [3, 14]]), np.array([2, 5]))),
        torch.tensor([False, True]),
    )


def test_every_option_is_a_change_of_the_system():
    for system, changes in changed_models.CHANGES.items():
        run = Experiment("synthetic", options={"epochs": 1})
        config = run.build(system).config
        for name, change in changes.items():
            own, model = changed_models.build(run, system, name)
            new = model.config
            assert own.options == run.options | change.options
            options = {key: value for key, value in change.options.items() if hasattr(config, key)}
            assert all(getattr(new, option) == value for option, value in options.items())
            assert not options or new != config


@pytest.mark.parametrize("name", changed_models.CHANGES["tema"])
def test_a_changed_model_learns_with_all_its_parameters_and_scores_every_item(name):
    change = changed_models.CHANGES["tema"][name]
    known = {key: value for key, value in change.options.items() if hasattr(TemaConfig, key)}
    config = TemaConfig(**{"hidden": 16, "branch_dropout": 0.0} | known)
    model = change.after((change.model or Tema)(inputs(), config))
    model.fit_statistics(sequences([*USERS, [1, 2, 13, 3]]))
    terms = model.loss(batch_of(*USERS))
    model.total_loss(terms).backward()
    for part, parameter in model.named_parameters():
        assert parameter.grad is not None, part
    scores = model.eval().score(ranking(*USERS), torch.arange(1, 23))
    assert scores.shape == (len(USERS), 22)
    assert scores.isfinite().all()
    assert scores.std() > 0.1


def test_a_gated_block_multiplies_each_branch_by_its_gate():
    block = changed_models.GatedBlock(16, 2, 0.0)
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    after = x + torch.sigmoid(block.gates[0](x)) * block.attention(block.attention_norm(x))[0]
    value, gate = (block.network_norm(after) @ block.wide.weight.T + block.wide.bias).chunk(2, -1)
    network = block.narrow(value * gate * torch.sigmoid(gate))
    expected = after + torch.sigmoid(block.gates[1](after)) * network
    torch.testing.assert_close(block(x)[0], expected)
    at = torch.tensor([4, 1])
    torch.testing.assert_close(block(x, at=at)[0][:, 0], expected[[0, 1], at])


@pytest.mark.parametrize("name", changed_models.CHANGES["sasrec"])
def test_a_changed_sasrec_learns_with_all_its_parameters_and_scores_every_item(name):
    change = changed_models.CHANGES["sasrec"][name]
    config = SASRecConfig(**{"hidden": 16} | change.options)
    model = change.after((change.model or SASRec)(DOMAIN, config))
    model.fit_statistics(sequences([*USERS, [1, 2, 13, 3]]))
    model.loss(batch_of(*USERS))["next item"].backward()
    for part, parameter in model.named_parameters():
        assert parameter.grad is not None, part
    scores = model.eval().score(ranking(*USERS), torch.arange(1, 23))
    assert scores.shape == (len(USERS), 22)
    assert scores.isfinite().all()


def test_title_words_are_further_tags_of_each_item():
    run = Experiment("synthetic", replies="export")
    tags, words = run.inputs(), run.inputs(tags="title words")
    both = changed_models.with_title_words(run)
    count = len(tags.tag_vectors)
    assert len(both.tag_vectors) == count + len(words.tag_vectors) - 1
    item = 5
    own, more = (set(one.tag_ids[item].tolist()) - {0} for one in (tags, words))
    assert set(both.tag_ids[item].tolist()) - {0} == own | {word + count - 1 for word in more}
    assert torch.equal(both.tag_vectors[count - 1 + min(more)], words.tag_vectors[min(more)])
    assert float(both.tag_weights[item].sum()) == pytest.approx(1)


def test_a_learned_temperature_starts_at_the_given_one_and_ids_start_ten_times_as_long():
    torch.manual_seed(0)
    model = SASRec(DOMAIN, SASRecConfig(hidden=16, max_length=20)).eval()
    scores = model.score(ranking(*USERS), torch.arange(1, 23))
    same = changed_models.with_learned_temperature(model)
    torch.testing.assert_close(same.score(ranking(*USERS), torch.arange(1, 23)), scores)
    assert same.head.logarithm.requires_grad
    length = model.id.detach().norm()
    longer = changed_models.with_long_ids(model).id.detach().norm()
    assert float(longer / length) == pytest.approx(10)
