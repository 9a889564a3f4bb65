"""`tema compare`: cases are paired, seeds are averaged."""

from types import SimpleNamespace

import pytest

from tema_lib.commands.compare import differences
from tema_lib.experiment import Experiment
from tests.helpers.commands import tema


def test_a_comparison_pairs_the_cases_and_averages_the_seeds():
    run = Experiment("synthetic")
    popular, counted = run.ranks("popularity"), run.ranks("co-occurrence")
    found = differences([run, run], "co-occurrence", "popularity", "NDCG@10")
    assert found["A"][0] + found["B"][0] == 1200
    assert found["cross-domain transition"][0] == 437
    mean, (low, high) = found["A"][1:]
    by_hand = counted.of_domain(0).metric("NDCG@10") - popular.of_domain(0).metric("NDCG@10")
    assert mean == pytest.approx(by_hand, abs=1e-9)
    assert 0 < low < mean < high

    def seed(ranks):
        return SimpleNamespace(
            ranks=lambda system: ranks if system == "one" else popular, slices=lambda ranks: {}
        )

    # Real ranks: with one seed the system is as good as the other, with the next it is better.
    lucky = differences([seed(popular), seed(counted)], "one", "other", "NDCG@10")
    assert lucky["A"][1] == pytest.approx(mean / 2)
    assert set(lucky) == {"A", "B"}
    assert differences([seed(popular)], "one", "other", "NDCG@10")["B"][1:] == (0, (0, 0))


def test_the_command_prints_a_line_a_part_and_refuses_an_unknown_metric(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path))
    given = ("compare", "--of", "co-occurrence", "--systems", "popularity", "--seeds", "0")
    done = tema(*given, "--metric", "HR@10")
    assert done.returncode == 0, done.stderr
    title, _, *lines = done.stdout.splitlines()
    assert title.startswith("synthetic: HR@10 of co-occurrence minus another system, 1 seeds")
    assert lines[0] == "co-occurrence minus popularity"
    assert [line.split(" cases")[1].split()[0][0] for line in lines[1:3]] == ["+", "+"]
    for wrong, sentence in (
        (("--metric", "Recall@7"), "--metric Recall@7 is unknown: choose from"),
        (("--of", "tame"), "system 'tame' is unknown"),
    ):
        done = tema(*given, *wrong)
        assert done.returncode == 1
        assert sentence in done.stderr
        assert done.stdout == ""
