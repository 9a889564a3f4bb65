"""`tema export`: the folder answers as the trained system does."""

import pandas as pd

import tema_lib
from tema_lib.experiment import Experiment
from tests.helpers.commands import tema


def test_the_command_writes_a_folder_that_recommends(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    folder = tmp_path / "export"
    given = (
        "export",
        "sasrec",
        "--epochs",
        "1",
        "--seed",
        "3",
        "--out",
        folder,
        "--torch",
        "--onnx",
    )
    done = tema(*given)
    assert done.returncode == 0, done.stderr
    assert "Predictor(sasrec of synthetic: 300 items of food and 300 items of kitchen)" in (
        done.stdout
    )
    assert {"model.pt2", "model.onnx"} < {path.name for path in folder.iterdir()}
    predictor = tema_lib.load(folder)
    assert predictor.card["seed"] == 3
    run = Experiment("synthetic", seed=3, epochs=1)
    trained = run.recommend(run.train("sasrec"), ["A001", "B002"], "B", 5)
    found = predictor.recommend(["A001", "B002"], "B", 5)
    pd.testing.assert_frame_equal(found, trained, rtol=1e-4)


def test_what_cannot_be_exported_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    done = tema("export", "popularity", "--out", tmp_path / "export")
    assert done.returncode == 1
    assert done.stderr.startswith("popularity cannot be exported: choose a TEMA-LLM or a SASRec")
    assert not (tmp_path / "export").exists()
