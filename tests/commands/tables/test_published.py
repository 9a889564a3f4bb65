"""The table of a published protocol has the reported figures first and marks what differs."""

import numpy as np
import pytest

from tema_lib.commands.tables import published


def record(system, seed, ranks, data="fk_abxi", protocol="abxi"):
    text = " ".join(map(str, ranks))
    metrics = {
        domain: {"HR@10": float(np.mean(ranks <= 10)), "MRR": float(np.mean(1 / ranks))}
        for domain in "AB"
    }
    full = {domain: {"NDCG@10": 0.1} for domain in "AB"}
    return system, {
        "kind": "evaluation",
        "system": system,
        "data": {"name": data},
        "split": "published",
        "seed": seed,
        "config": {"protocol": protocol},
        "metrics": {"full": full, "sampled_999": metrics},
        "ranks_sampled": {"A": text, "B": text},
        "candidates": {"sampled_999": {domain: {"fewest": 1000} for domain in "AB"}},
    }


@pytest.fixture(scope="module")
def records():
    rng = np.random.default_rng(0)
    best, worse = rng.integers(1, 8, 300), rng.integers(5, 60, 300)
    return [record("tema", seed, best) for seed in (0, 1)] + [record("sasrec", 0, worse)]


def test_the_reported_figures_come_first_and_what_differs_is_marked(records):
    rows = published.published(records).splitlines()
    assert rows[0] == "**fk_abxi**, 1000 candidates, drawn and ranked by the protocol `abxi`"
    assert rows[4].startswith("| *ABXI, as its README reports* | 0.3243 | 0.1655 | 0.2438 |")
    assert [row.split(" | ")[0] for row in rows[5:]] == ["| tema", "| sasrec"]
    by_system = {row.split(" | ")[0].removeprefix("| "): row for row in rows[5:]}
    assert by_system["tema"].startswith("| tema | 1.0000 |")
    assert by_system["tema"].endswith("| - | 2 |")
    assert "\\*\\* | 1 |" in by_system["sasrec"]


def test_some_systems_are_shown_and_all_are_in_the_tests(records):
    some = published.published(records, ("sasrec",)).splitlines()
    assert len(some) == 6
    assert some[5] in published.published(records)


def test_other_data_have_no_reported_figures_and_our_own_protocol_no_table(records):
    _, other = record("tema", 0, np.ones(3), data="toy")
    text = published.published([("a", other)])
    assert text.startswith("**toy**")
    assert "README" not in text
    _, ours = record("tema", 0, np.ones(3), protocol="ours")
    assert published.published([("a", ours)]) == ""
