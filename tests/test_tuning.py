"""The search for settings: equal for all, on validation targets alone, kept trial by trial."""

import json

import pytest
import torch

from tema_lib import tuning
from tema_lib.evaluation.ranking import evaluate
from tema_lib.experiment import Experiment
from tema_lib.records import check_record
from tests.helpers.commands import tema


@pytest.fixture(scope="module")
def run(tmp_path_factory, shipped_replies):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMA_REPLIES", str(shipped_replies))
        patch.setenv("TEMA_ARTIFACTS", str(tmp_path_factory.mktemp("artifacts")))
        made = Experiment("synthetic", replies="export")
        assert len(made.split.train) == 1200
        yield made


@pytest.fixture
def quick(monkeypatch):
    """Trials of one epoch and little width."""
    small = {"hidden": 8, "epochs": 1}
    drawn = tuning.setting
    monkeypatch.setattr(tuning, "setting", lambda number: drawn(number) | small)


def test_settings_are_drawn_once_and_the_first_leaves_width_and_epochs_to_the_data():
    assert set(tuning.SPACE) - set(tuning.setting(0)) == {"hidden", "epochs"}
    drawn = [tuning.setting(number) for number in range(1, 60)]
    assert drawn == [tuning.setting(number) for number in range(1, 60)]
    for name, values in tuning.SPACE.items():
        assert {options[name] for options in drawn} == set(values)


def test_options_reach_the_model_and_its_training_and_an_unknown_one_is_refused(run):
    own = run.with_options({"dropout": 0.4, "lag_bias": False, "learning_rate": 1e-4, "epochs": 3})
    for system in ("sasrec", "tema", "llm4cdsr-no-profiles", "autocdsr", "man"):
        assert own.build(system).config.dropout == 0.4
    assert own.build("sasrec").encoders[0].blocks[0].attention.lag is None
    assert run.build("sasrec").encoders[0].blocks[0].attention.lag.shape == (2, 50)
    assert (own.training.learning_rate, own.training.epochs) == (1e-4, 3)
    assert run.build("sasrec").config.dropout == run.dropout == 0.5  # of the synthetic data
    assert run.build("llm-rec").config.dropout == 0.1  # its own
    assert own.build("llm-rec").config.dropout == 0.4
    assert own.raw is run.raw  # data are shared
    assert own.build("sasrec-per-domain").config.per_domain
    with pytest.raises(ValueError, match="no configuration has an option 'droput'"):
        run.with_options({"droput": 0.4})


def test_a_search_that_was_stopped_goes_on_and_never_ranks_a_test_target(
    run, quick, tmp_path, monkeypatch
):
    path = tmp_path / "sasrec.json"

    def stop(own, system, number):
        if number == 1:
            raise KeyboardInterrupt
        return trial(own, system, number)

    trial = tuning.trial
    monkeypatch.setattr(tuning, "trial", stop)
    with pytest.raises(KeyboardInterrupt):
        tuning.tune(run, "sasrec", range(3), path)
    kept = json.loads(path.read_text())
    assert [done["number"] for done in kept["trials"]] == [0]

    ranked = []

    def watched(model, sequences, *rest, **named):
        ranked.append(sequences)
        return evaluate(model, sequences, *rest, **named)

    monkeypatch.setattr(tuning, "trial", trial)
    monkeypatch.setattr("tema_lib.training.evaluate", watched)
    whole = tuning.tune(run, "sasrec", range(3), path)
    assert whole["trials"][0] == kept["trials"][0]
    assert [done["number"] for done in whole["trials"]] == [0, 1, 2]
    assert ranked
    assert all(sequences is run.split.valid for sequences in ranked)
    check_record(whole)
    assert json.loads(path.read_text()) == whole
    with pytest.raises(ValueError, match="other data, tags or another seed"):
        tuning.tune(run, "tema", range(3), path)


def test_a_record_of_trials_holds_validation_metrics_only():
    done = dict.fromkeys(("options", "valid_mrr", "best_epoch", "cpu_seconds", "parameters"), 0)
    record = dict.fromkeys(("system", "data", "seed", "tags_sha256", "commit", "dirty"), "")
    record |= {"kind": "trials", "trials": [done | {"number": 0}]}
    check_record(record)
    record["trials"][0]["NDCG@10"] = 0.3
    with pytest.raises(ValueError, match=r"other keys than a trial: \['NDCG@10'\]"):
        check_record(record)


def test_the_best_trial_is_that_of_the_best_epoch_and_the_hours_are_those_that_lack():
    trials = [
        {"number": 0, "valid_mrr": [0.1, 0.3, 0.2], "cpu_seconds": 10.0},
        {"number": 1, "valid_mrr": [0.1, 0.25, 0.26], "cpu_seconds": 30.0},
        {"number": 2, "valid_mrr": [], "cpu_seconds": 20.0},
    ]
    record = {"trials": trials}
    assert tuning.best(record)["number"] == 0
    assert tuning.missing_hours([record, None], range(4)) == pytest.approx(5 * 20 / 3600)
    assert tuning.missing_hours([record, None], [2, 9]) == pytest.approx(3 * 20 / 3600)
    assert tuning.missing_hours([None], range(4)) is None
    assert tuning.missing_hours([record], range(3)) == 0


def test_trials_have_the_same_seed_and_the_same_start(run, quick):
    one, same = (tuning.trial(run, "sasrec", 1) for _ in range(2))
    assert one["valid_mrr"] == same["valid_mrr"]
    torch.manual_seed(5)
    assert tuning.trial(run, "sasrec", 1)["valid_mrr"] == one["valid_mrr"]


def test_the_command_says_what_it_costs_and_what_is_best(tmp_path, monkeypatch, shipped_replies):
    monkeypatch.setenv("TEMA_REPLIES", str(shipped_replies))
    given = ("tune", "--systems", "popularity", "--trials", "2")
    done = tema(*given, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 systems, 2 trials each; CPU hours to go: not known" in done.stdout
    assert "popularity" in done.stdout.splitlines()[1]
    again = tema(*given, "--out", tmp_path)
    assert "CPU hours to go: about 0.0" in again.stdout


def kept_trials(folder, run, system, reached, **changed):
    """A record of trials in `folder`, one for each validation MRR of `reached`."""
    record = tuning.new_record(run, system) | changed
    record["trials"] = [
        {"number": number, "options": {"dropout": number / 10}, "valid_mrr": [mrr]}
        | {"cpu_seconds": 1}
        for number, mrr in enumerate(reached)
    ]
    path = folder / run.raw.name / f"{system}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def test_a_tuned_system_has_the_settings_of_its_own_best_trial(run, tmp_path):
    kept_trials(tmp_path, run, "sasrec", [0.1, 0.3, 0.2])
    kept_trials(tmp_path, run, "tema", [0.1, 0.2, 0.3])
    for system, number in (("sasrec", 1), ("tema", 2)):
        own, trial = tuning.tuned(run.with_seed(4), system, tmp_path)
        assert (trial, own.seed) == (number, 4)
        assert own.build(system).config.dropout == pytest.approx(0.1 * number)
    assert tuning.tuned(run, "markov", tmp_path) == (run, None)  # nothing to tune
    with pytest.raises(ValueError, match="llm4cdsr has no trials in .*: run `tema tune` first"):
        tuning.tuned(run, "llm4cdsr", tmp_path)
    kept_trials(tmp_path, run, "tema", [0.1], tags_sha256="0" * 64)
    with pytest.raises(ValueError, match="tema.json holds trials of other data, tags"):
        tuning.tuned(run, "tema", tmp_path)


def test_a_control_without_trials_has_the_best_of_the_two_that_it_lies_between(run, tmp_path):
    kept_trials(tmp_path, run, "tema", [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="tema-shuffled-tags has no trials in"):
        tuning.tuned(run, "tema-shuffled-tags", tmp_path)
    kept_trials(tmp_path, run, "tema-no-tags", [0.1, 0.1, 0.2])
    own, trial = tuning.tuned(run, "tema-shuffled-tags", tmp_path)
    assert trial == 2
    assert own.build("tema-shuffled-tags").config.dropout == pytest.approx(0.2)
    with pytest.raises(ValueError, match="llm-emf has no trials"):  # it is no control
        tuning.tuned(run, "llm-emf", tmp_path)
    kept_trials(tmp_path, run, "tema-no-tags", [0.1, 0.3, 0.2])
    with pytest.raises(ValueError, match="differ: run .*tema-shuffled-tags --numbers 2 1"):
        tuning.tuned(run, "tema-shuffled-tags", tmp_path)
    kept_trials(tmp_path, run, "tema-shuffled-tags", [0.4, 0.3])
    assert tuning.tuned(run, "tema-shuffled-tags", tmp_path)[1] == 0


def test_a_search_that_cannot_go_on_ends_with_one_sentence(run, tmp_path):
    kept_trials(tmp_path, run, "sasrec", [0.1], tags_sha256="0" * 64)
    done = tema("tune", "--systems", "sasrec", "--numbers", "3", "--out", tmp_path)
    assert done.returncode == 1
    assert "1 systems, 1 trials each" in done.stdout
    assert "sasrec failed: " in done.stderr
    assert "holds trials of other data, tags or another seed" in done.stderr
