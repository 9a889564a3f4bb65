"""`tema evaluate`: a record for each system and seed, made once."""

import json
import shutil

from tema_lib.records import read_records
from tema_lib.workspace import ROOT
from tests.helpers.commands import tema


def test_records_that_are_there_are_not_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    given = ("evaluate", "--systems", "popularity markov", "--out", tmp_path / "out")
    done = tema(*given, "--seeds", "0")
    assert done.returncode == 0, done.stderr
    assert "2 systems, seeds [0]: 2 records to make" in done.stdout
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(first) == {"popularity-0.json", "markov-0.json"}
    done = tema(*given, "--seeds", "0", "1")
    assert "seeds [0, 1]: 2 records to make" in done.stdout
    assert "| markov |" in done.stdout
    assert all((tmp_path / "out" / name).read_bytes() == kept for name, kept in first.items())
    records = read_records(tmp_path / "out")
    assert {(record["system"], record["seed"]) for record in records} == {
        (system, seed) for system in ("popularity", "markov") for seed in (0, 1)
    }
    assert records[0]["command"] == "tema evaluate --systems markov --seeds 0"
    assert set(records[0]["slices"]) >= {"target never seen"}


def test_records_of_other_data_are_not_taken_for_those_of_these(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    given = ("evaluate", "--systems", "popularity", "--seeds", "0", "--out", tmp_path / "out")
    assert tema(*given).returncode == 0
    path = tmp_path / "out" / "popularity-0.json"
    record = json.loads(path.read_text())
    record["data"]["sha256"] = "0" * 64
    path.write_text(json.dumps(record))
    done = tema(*given)
    assert done.returncode == 1
    assert "holds records of other data: name another folder" in done.stderr


def test_tuned_systems_have_their_best_trials_and_say_which(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    folder = tmp_path / "tuning" / "synthetic"
    shutil.copytree(ROOT / "results" / "tuning" / "synthetic", folder)
    monkeypatch.setattr("tema_lib.commands.evaluate.trials_folder", lambda: folder.parent)
    path = folder / "sasrec.json"
    record = json.loads(path.read_text())
    record["trials"] = [
        {"number": 7, "options": {"hidden": 8, "epochs": 1, "dropout": 0.1}, "valid_mrr": [0.9]}
    ]
    path.write_text(json.dumps(record))
    given = ("evaluate", "--tuned", "--seeds", "0", "--out", tmp_path / "out", "--systems")
    done = tema(*given, "popularity sasrec")
    assert done.returncode == 0, done.stderr
    found = {made["system"]: made for made in read_records(tmp_path / "out")}
    assert found["popularity"]["config"]["trial"] is None
    config = found["sasrec"]["config"]
    assert (config["trial"], config["model"]["hidden"], config["epochs_run"]) == (7, 8, 1)
    assert found["sasrec"]["command"] == "tema evaluate --systems sasrec --seeds 0 --tuned"
    path.unlink()
    done = tema(*given, "sasrec markov")
    assert done.returncode == 1
    assert "sasrec has no trials in" in done.stderr


def test_a_published_protocol_changes_the_sampled_ranking_and_not_the_full_one(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    given = ("evaluate", "--systems", "markov", "--seeds", "0", "--out")
    made = {}
    for protocol in ("ours", "c2dsr"):
        done = tema(*given, tmp_path / protocol, "--protocol", protocol)
        assert done.returncode == 0, done.stderr
        (made[protocol],) = read_records(tmp_path / protocol)
        assert made[protocol]["config"]["protocol"] == protocol
    assert made["ours"]["ranks"] == made["c2dsr"]["ranks"]
    competing = {name: one["candidates"]["sampled_999"]["A"] for name, one in made.items()}
    assert competing["ours"]["most"] < 300  # all items of the domain
    assert competing["c2dsr"] == competing["ours"] | {"fewest": 1000, "most": 1000}  # repeated
    assert made["c2dsr"]["command"].endswith("--seeds 0 --protocol c2dsr")
    done = tema(*given, tmp_path / "ours", "--protocol", "c2dsr")
    assert done.returncode == 1
    assert "holds records of other settings: name another folder" in done.stderr
    done = tema(*given, tmp_path / "none", "--protocol", "abcd")
    assert done.returncode == 1
    assert "protocol 'abcd' is unknown: choose from ours, c2dsr, abxi, llmcdsr" in done.stderr


def test_an_unknown_system_is_refused_at_once(tmp_path):
    done = tema("evaluate", "--systems", "tame", "--out", tmp_path)
    assert done.returncode == 1
    assert "system 'tame' is unknown" in done.stderr
    assert not list(tmp_path.iterdir())
