"""Two processes do what one does: losses, weights, ranks, and a pause after which one goes on."""

import json
import os
import subprocess
import sys

import pytest
import torch

from tema_lib import training
from tema_lib.evaluation.ranking import evaluate
from tema_lib.workspace import ROOT
from tests.helpers.one_of_several import outcome

SMALL = ("-c", "from tests.helpers.one_of_several import main; main()")


def two_processes(*arguments):
    """Run Python in two processes that torchrun starts; returns what they print."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "--no-python", sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """What one process finds."""
    monkeypatch.setattr(training, "evaluate", evaluate)  # put back what the helper replaces
    folder = tmp_path / "alone"
    folder.mkdir()
    return outcome(folder)


def assert_same(found, alone):
    """Not the weights: a bias of keys changes no score, so that rounding alone moves it."""
    torch.testing.assert_close(found["loss"], alone["loss"], rtol=1e-5, atol=0)
    assert found["valid_mrr"] == alone["valid_mrr"]
    assert found["ranks"] == alone["ranks"]


def test_two_processes_learn_and_rank_as_one_does(alone, tmp_path):
    two_processes(*SMALL, tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["processes"], alone["processes"]) == (2, 1)
    assert_same(found, alone)
    # A finished training is read by any number of processes; the ranks of its weights are the same.
    again = outcome(tmp_path)
    assert again["epochs_here"] == 0
    assert again["weights"] == found["weights"]
    assert again["ranks"] == found["ranks"]


@pytest.mark.parametrize("first", [2, 1])
def test_another_number_of_processes_goes_on_where_one_stopped(first, alone, tmp_path):
    if first == 2:
        two_processes(*SMALL, tmp_path, 2)
        assert json.loads((tmp_path / "found.json").read_text()) is None
        found = outcome(tmp_path)
    else:
        assert outcome(tmp_path, 2) is None
        two_processes(*SMALL, tmp_path)
        found = json.loads((tmp_path / "found.json").read_text())
    assert found["processes"] == 3 - first
    assert found["epochs_here"] == alone["epochs_here"] - 2
    assert_same(found, alone)


def test_the_command_trains_in_two_processes_and_speaks_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path))
    given = ("train", "sasrec", "--epochs", "1", "--replies", "export")
    said = two_processes("-m", "tema_lib", *given)
    assert said.count("sasrec on synthetic, seed 0") == 1
    assert len(list(tmp_path.glob("synthetic-sasrec-0-*.pt"))) == 1
