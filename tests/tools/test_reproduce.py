"""Rows drawn at random are made again by the command in their record."""

import json
import sys

import pytest

from tema_lib.workspace import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import reproduce


def test_rows_are_drawn_from_records_that_a_command_makes():
    paths = reproduce.candidates({"synthetic"})
    assert len(paths) > 100
    assert {path.relative_to(ROOT / "results").parts[0] for path in paths} >= {"tuned", "synthetic"}
    assert not [path for path in paths if "fk_" in path.as_posix()]
    assert (
        reproduce.drawn(paths, 5, 0) == reproduce.drawn(paths, 5, 0) != reproduce.drawn(paths, 5, 1)
    )
    assert any("fk_mini" in path.as_posix() for path in reproduce.candidates({"fk_mini"}))


def test_a_row_is_made_again_and_another_number_is_noticed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    path = ROOT / "results" / "tuned" / "synthetic" / "markov-3.json"
    assert reproduce.difference(path, {}) == pytest.approx(0, abs=1e-6)
    record = json.loads(path.read_text(encoding="utf-8"))
    record["metrics"]["full"]["B"]["NDCG@10"] += 0.002
    other = tmp_path / "results" / "tuned" / "markov-3.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr(reproduce, "drawn", lambda *_: [other])
    monkeypatch.setattr(sys, "argv", ["reproduce.py"])
    monkeypatch.setattr(reproduce, "candidates", lambda *_: [])
    with pytest.raises(SystemExit) as ended:
        reproduce.main()
    assert ended.value.code == 1
    assert "the largest difference 0.002" in capsys.readouterr().out
