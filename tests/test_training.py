"""The training loop: equal seeds, resuming, losses, batches, devices and precision."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import tqdm.notebook

import tema_lib.training as training
from tema_lib.checkpoints import OtherCheckpoint
from tema_lib.data.batches import training_batches
from tema_lib.data.splits import Split
from tema_lib.encoders.device import best_device
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.baselines import Popularity
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.training import TrainConfig, train
from tests.helpers.models import (
    DOMAIN,
    LITTLE,
    MODELS,
    USERS,
    batch_of,
    same_weights,
    sequences,
    small_split,
    trained,
)


def test_equal_seeds_give_equal_numbers_and_another_seed_does_not():
    (one, first), (two, second) = trained(), trained()
    assert same_weights(one, two)
    assert first.loss == second.loss
    assert first.valid_mrr == second.valid_mrr
    assert trained(config=replace(LITTLE, seed=1))[1].loss != first.loss


def test_a_resumed_training_ends_like_one_that_was_never_interrupted(tmp_path, monkeypatch):
    whole, history = trained()
    calls = []

    def power_cut(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", power_cut)
        with pytest.raises(KeyboardInterrupt):
            trained(checkpoint=tmp_path / "tema.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["tema.pt"]  # nothing half-written
    calls.clear()
    monkeypatch.setattr(training, "evaluate", lambda *a, **o: calls.append(1) or evaluate(*a, **o))
    # Other initial weights: all must come from the file.
    resumed, joined = trained(seed=99, checkpoint=tmp_path / "tema.pt")
    assert len(calls) == 3  # two of five epochs were done before
    assert same_weights(whole, resumed)
    assert joined.loss == history.loss
    assert joined.valid_mrr == history.valid_mrr
    assert joined.best == history.best


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    trained(checkpoint=tmp_path / "tema.pt", config=replace(LITTLE, epochs=1))
    kept = (tmp_path / "tema.pt").read_bytes()
    for changed in (
        {"config": replace(LITTLE, epochs=1, learning_rate=1e-4)},
        {"config": replace(LITTLE, epochs=1), "split": small_split(1)},
    ):
        with pytest.raises(
            OtherCheckpoint, match="difference in (training learning_rate|data). Name another file"
        ):
            trained(checkpoint=tmp_path / "tema.pt", **changed)
    assert (tmp_path / "tema.pt").read_bytes() == kept


def test_the_loss_of_an_epoch_weighs_every_target_alike():
    """Batches have equally many targets, not users: weights by users would give another mean."""
    lengths = [3] * 40 + [14] * 10
    rng = np.random.default_rng(0)
    whole = sequences([rng.permutation(np.arange(1, 23))[:length].tolist() for length in lengths])
    split, seen = Split("own", whole, whole, whole), []

    class Told(Popularity):
        """Its loss is a number that the batch decides, so the mean over all targets is known."""

        def __init__(self):
            super().__init__(DOMAIN)
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def loss(self, batch):
            targets = int((batch.targets > 0).sum())
            seen.append((len(batch.sequence), targets, float(batch.length.float().mean())))
            return {"length": self.weight * 0 + batch.length.float().mean()}

    history = train(Told(), split, DOMAIN, TrainConfig(epochs=1, batch_size=10))
    by_targets = sum(targets * loss for _, targets, loss in seen) / sum(
        targets for _, targets, _ in seen
    )
    by_users = sum(users * loss for users, _, loss in seen) / sum(users for users, _, _ in seen)
    assert history.loss["length"] == [pytest.approx(by_targets)]
    assert abs(by_targets - by_users) > 0.5


def test_a_system_may_call_its_terms_as_it_likes(capsys):
    class OtherWord(SASRec):
        def loss(self, batch):
            return {"likelihood": super().loss(batch)["next item"]}

    history = train(
        OtherWord(DOMAIN, SASRecConfig(hidden=16, max_length=20)),
        small_split(),
        DOMAIN,
        replace(LITTLE, epochs=1),
        progress="other",
    )
    assert list(history.loss) == ["likelihood"]
    assert "likelihood=" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0: give at least 1."),
        ({"batch_size": 0}, "batch_size is 0: give at least 1."),
        ({"window": 0}, "window is 0: give at least 1."),
        ({"learning_rate": 0}, "learning_rate is 0: give a number above 0."),
        ({"patience": -1}, "patience is -1: give 0 or more."),
        ({"warm_up": 2}, "warm_up is 2: give a share of all steps, from 0 to 1."),
        ({"precision": "half"}, "precision is 'half': choose auto, float32 or bfloat16."),
    ],
)
def test_a_training_configuration_names_a_value_out_of_range(changed, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        TrainConfig(**changed)


def test_where_no_training_sequence_has_two_events_the_model_stays_as_it_was():
    """Of users with three events one is left for training, which has no next event."""
    rng = np.random.default_rng(0)
    whole = sequences([rng.permutation(np.arange(1, 23))[:3].tolist() for _ in range(12)])
    split = Split("own", whole.without_last(2), whole.without_last(1), whole)
    torch.manual_seed(0)
    model = MODELS["tema"]()
    before = {name: weights.detach().clone() for name, weights in model.named_parameters()}
    with pytest.warns(
        UserWarning, match="no training sequence has two events, so nothing is learned"
    ):
        history = train(model, split, DOMAIN, LITTLE)
    assert history.best == -1
    assert history.epochs == 0
    assert not model.training
    assert all(torch.equal(before[name], weights) for name, weights in model.named_parameters())
    assert evaluate(model, split.test, DOMAIN).metric("MRR") > 0


def test_a_domain_without_validation_cases_does_not_count_in_the_best_epoch():
    """All last events are in A: the mean is A's MRR, not half of it."""
    rng = np.random.default_rng(0)
    domain = DOMAIN.numpy()
    own = np.flatnonzero(domain == 0)
    rows = []
    for _ in range(30):
        row = rng.permutation(np.arange(1, 23))[:8].tolist()
        rows.append(
            row
            + [int(item) for item in rng.permutation([item for item in own if item not in row])[:2]]
        )
    whole = sequences(rows)
    split = Split("own", whole.without_last(2), whole.without_last(1), whole)
    _, history = trained(split=split, config=replace(LITTLE, epochs=2))
    for mrr in history.valid_mrr:
        assert np.isnan(mrr["B"])
        assert mrr["mean"] == mrr["A"] > 0


def test_training_stops_early_and_keeps_its_best_epoch():
    split = small_split()
    model, history = trained(config=replace(LITTLE, epochs=40, patience=2), split=split)
    means = [mrr["mean"] for mrr in history.valid_mrr]
    assert history.epochs < 40
    assert history.best == max(range(len(means)), key=means.__getitem__) == history.epochs - 3
    ranks = evaluate(model, split.valid, DOMAIN)
    assert [ranks.of_domain(d).metric("MRR") for d in (0, 1)] == pytest.approx(
        [history.valid_mrr[history.best][d] for d in "AB"]
    )


def test_an_early_stop_does_not_look_like_an_error_in_a_notebook(monkeypatch):
    """There a bar that ends before its total turns red, and stays."""
    bars = []

    class Kept(tqdm.notebook.tqdm):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options | {"disable": False})
            bars.append(self)

    monkeypatch.setattr(training, "tqdm", Kept)
    _, history = trained(config=replace(LITTLE, epochs=40, patience=2), progress="tema")
    assert history.epochs < 40
    (bar,) = bars
    assert bar.n == bar.total == history.epochs
    assert bar.container.layout.visibility == "hidden"


def test_random_batches_hold_the_same_users_and_are_not_sorted():
    whole = sequences(
        [
            list(range(1, length + 1))
            for length in np.random.default_rng(0).integers(2, 20, size=400)
        ]
    )
    spread = {}
    for window in (1, 16):
        batches = list(
            training_batches(
                whole,
                DOMAIN,
                max_length=20,
                batch_size=25,
                generator=torch.Generator().manual_seed(0),
                window=window,
            )
        )
        assert sorted(torch.cat([batch.rows for batch in batches]).tolist()) == list(range(400))
        spread[window] = np.mean([batch.length.float().std() for batch in batches])
        if window == 16:
            users, targets = (
                [float(count(batch)) for batch in batches]
                for count in (
                    lambda batch: len(batch.rows),
                    lambda batch: (batch.targets > 0).sum(),
                )
            )
            assert max(targets) < 1.2 * min(targets)
            assert max(users) > 3 * min(users)
            assert len(batches) == 400 // 25
    assert spread[1] > 4
    assert spread[16] < 2


def test_training_takes_the_batches_and_the_clipping_that_it_is_told():
    def losses_of(**changes):
        return trained(config=replace(LITTLE, epochs=2, **changes))[1].loss["next item"]

    usual = losses_of()
    assert losses_of(window=1) != usual
    assert losses_of(clip=1e-3) != usual
    assert losses_of(clip=1e9) != losses_of(clip=1e-3)
    torch.manual_seed(0)
    model = MODELS["tema"]()
    before = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    training.training_step(
        model, batch_of(*USERS), torch.optim.SGD(model.parameters(), lr=1.0), clip=0.01
    )
    after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_bfloat16_learns_nearly_the_same_and_impossible_precisions_are_refused():
    config = replace(LITTLE, epochs=3)
    _, exact = trained(config=config)
    _, short = trained(config=replace(config, precision="bfloat16"))
    assert short.loss["next item"] == pytest.approx(exact.loss["next item"], rel=0.05)
    assert short.loss != exact.loss
    assert (exact.trained_on, short.trained_on) == ("cpu float32", "cpu bfloat16")
    with pytest.raises(ValueError, match="precision is 'half': choose auto, float32 or bfloat16"):
        trained(config=replace(config, precision="half"))


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="no GPU here: training and ranking on one stay untested in this run",
)
def test_a_gpu_learns_and_ranks_as_the_processor_does(tmp_path):
    split = small_split()
    assert best_device().type == "cuda"
    for name, make in {**MODELS, "popularity": lambda: Popularity(DOMAIN)}.items():
        torch.manual_seed(0)
        model = make().to("cuda")
        history = train(
            model, split, DOMAIN, replace(LITTLE, epochs=2), checkpoint=tmp_path / f"{name}.pt"
        )
        assert name == "popularity" or history.loss["next item"][1] < history.loss["next item"][0]
        there, here = (
            evaluate(model.to(position), split.test, DOMAIN) for position in ("cuda", "cpu")
        )
        assert np.abs(there.rank - here.rank).mean() < 0.1
        assert np.array_equal(there.candidates, here.candidates)


def test_an_infinite_loss_stops_the_training():
    model = MODELS["sasrec"]()
    torch.nn.init.constant_(model.id, float("inf"))
    with pytest.raises(
        FloatingPointError, match="no longer a number in epoch 0: look for damaged features"
    ):
        train(model, small_split(), DOMAIN, LITTLE)


def test_statistics_are_fitted_on_the_training_part_only():
    split, seen = small_split(), []

    class Spy(Popularity):
        def fit_statistics(self, given):
            seen.append(given)
            super().fit_statistics(given)

    train(Spy(DOMAIN), split, DOMAIN, LITTLE)
    assert len(seen) == 1
    assert seen[0] is split.train


def test_training_never_reads_the_test_part():
    """Neither to choose an epoch nor for anything else: there need not be one."""
    split = small_split()
    short = {"name": "sasrec", "config": replace(LITTLE, epochs=2)}
    model, history = trained(split=replace(split, test=None), **short)
    other, same = trained(split=split, **short)
    assert history.valid_mrr == same.valid_mrr
    assert same_weights(model, other)


def test_every_training_event_but_the_first_is_a_target_once():
    split, predicted = small_split(), []
    for batch in training_batches(
        split.train, DOMAIN, max_length=20, batch_size=8, generator=torch.Generator().manual_seed(0)
    ):
        assert torch.equal(batch.target_domain, DOMAIN[batch.targets])
        assert torch.equal(batch.sequence > 0, batch.targets > 0)
        for row, sequence, targets in zip(batch.rows.tolist(), batch.sequence, batch.targets):
            user = split.train[row]
            assert torch.equal(sequence[: len(user) - 1], user[:-1])
            assert torch.equal(targets[: len(user) - 1], user[1:])
            predicted.append(row)
    assert sorted(predicted) == list(range(len(split.train)))
