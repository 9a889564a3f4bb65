"""From official files to a folder: the same as the pandas way, and through any interruption."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tema_lib.data.dataset import RawData
from tema_lib.data.files import DataError
from tema_lib.data.filters import first_interactions, k_core
from tema_lib.data.summary import order_of
from tema_lib.datasets.amazon import preparation as subject
from tema_lib.datasets.amazon.core import Limits
from tema_lib.datasets.amazon.preparation import prepare
from tema_lib.datasets.amazon.tables import Source
from tema_lib.datasets.load import read_data

DAY = 86_400


def write_domain(path, rows):
    path.write_text(
        "".join(
            json.dumps(
                {
                    "reviewerID": user,
                    "asin": item,
                    "unixReviewTime": 1_300_000_000 // DAY * DAY + day * DAY,
                }
            )
            + "\n"
            for user, item, day in rows
        )
    )
    return Source(path, "", 2014)


def random_domains(folder, seed, users=60, items=25, lines=900, shared=3):
    """Two review files with a long tail, repeated reviews, ties, and items that both list."""
    rng = np.random.default_rng(seed)
    domains = {}
    for domain in "AB":
        rows = [
            (
                f"A{int(users * rng.random() ** 2):013d}",
                f"{'0' if domain == 'A' or item < shared else 'B'}{item:09d}",
                int(rng.integers(0, 40)),
            )
            for item in (items * rng.random(lines) ** 2).astype(int)
        ]
        domains[domain] = write_domain(folder / f"{domain}.json", rows)
    return domains


def pandas_way(domains, limits):
    """The same by the library's own small functions, for data that fit into memory."""
    tables = {
        domain: pd.DataFrame(map(json.loads, source.events.read_text().splitlines()))
        for domain, source in domains.items()
    }
    table = pd.concat([part.assign(domain=domain) for domain, part in tables.items()])
    table = (
        table.rename(
            columns={"reviewerID": "user_id", "asin": "item_id", "unixReviewTime": "timestamp"}
        )
        .assign(split="")
        .astype({"timestamp": "int64"})
    )
    counts = table.groupby(["item_id", "domain"]).size().unstack(fill_value=0)
    table["domain"] = table["item_id"].map(
        {item: "A" if row["A"] >= row["B"] else "B" for item, row in counts.iterrows()}
    )
    items = (
        table[["item_id", "domain"]].drop_duplicates().assign(title="", description="", image="")
    )
    raw = first_interactions(RawData("x", Path("."), table.reset_index(drop=True), items, ""))
    return k_core(raw, items=limits.items, users_per_domain=limits.users_per_domain).interactions


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("limits", [Limits(5, 3), Limits(12, 5), Limits(1, 1), Limits(3, 0)])
def test_it_is_what_the_pandas_way_gives(tmp_path, seed, limits):
    domains = random_domains(tmp_path, seed)
    report = prepare(domains, tmp_path / "out", limits)
    back = read_data(tmp_path / "out").interactions
    expected = pandas_way(domains, limits)
    key = ["user_id", "timestamp", "item_id"]

    def ordered(table):
        return (
            table.sort_values(key)[[*key, "domain"]]
            .reset_index(drop=True)
            .astype(dict.fromkeys(("user_id", "item_id", "domain"), object))
        )

    pd.testing.assert_frame_equal(ordered(back), ordered(expected))
    assert report["items_in_both_domains"] == 3
    assert report["core_rounds"][-1] == len(back)
    assert (back.groupby("user_id")["timestamp"].diff().dropna() >= 0).all()


def test_the_core_runs_until_nothing_changes(tmp_path):
    """`x` has two users, but one leaves, so `x` leaves in the second round, and the other too."""
    seen = {
        "A": [("u1", "a"), ("u2", "a"), ("u3", "a"), ("u1", "x"), ("u4", "x")],
        "B": [("u1", "b"), ("u2", "b"), ("u3", "b"), ("u4", "c")],
    }
    domains = {
        domain: write_domain(
            tmp_path / domain, [(user, item, day) for day, (user, item) in enumerate(rows)]
        )
        for domain, rows in seen.items()
    }
    report = prepare(domains, tmp_path / "out", Limits(2, 1))
    assert set(read_data(tmp_path / "out").items["item_id"]) == {"a", "b"}
    assert len(report["core_rounds"]) == 4
    with pytest.raises(DataError, match="nothing is left of 9 interactions .* lower CORE"):
        prepare(domains, tmp_path / "other", Limits(9, 1))


def test_equal_times_prefer_neither_domain(tmp_path):
    rows = {
        domain: [
            (f"u{user:04d}", f"{domain}{(user + day) % 30}", day)
            for user in range(200)
            for day in range(3)
        ]
        for domain in "AB"
    }
    prepare(
        {domain: write_domain(tmp_path / domain, part) for domain, part in rows.items()},
        tmp_path / "out",
        Limits(1, 1),
    )
    order = order_of(read_data(tmp_path / "out"))
    assert order["a_before_b"] + order["b_before_a"] > 500
    assert 0.44 < order["a_before_b"] / (order["a_before_b"] + order["b_before_a"]) < 0.56


@pytest.mark.parametrize(
    "stop_at",
    ["read_events", "join_domains", "filter_core", "item_table", "write_events", "tsv_bytes"],
)
def test_an_interrupted_preparation_goes_on_and_ends_with_the_same_bytes(
    tmp_path, monkeypatch, stop_at
):
    domains = random_domains(tmp_path, seed=1)
    prepare(domains, tmp_path / "straight", Limits(5, 3))
    calls, real = [], getattr(subject, stop_at)

    def stop(*arguments, **named):
        calls.append(1)
        if len(calls) == (2 if stop_at == "read_events" else 1):  # B is read when A is already kept
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(subject, stop_at, stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(domains, tmp_path / "broken", Limits(5, 3))
    assert not (tmp_path / "broken" / "preparation.json").exists()
    said = []
    prepare(domains, tmp_path / "broken", Limits(5, 3), say=said.append)
    assert "events_a: kept from an earlier run" in said
    names = {path.name for path in (tmp_path / "straight").iterdir()}
    assert (
        names
        == {"interactions.tsv", "items.tsv", "preparation.json"}
        == {path.name for path in (tmp_path / "broken").iterdir()}
    )
    for name in names:
        assert (tmp_path / "straight" / name).read_bytes() == (
            tmp_path / "broken" / name
        ).read_bytes()


def test_another_limit_or_another_file_is_another_preparation(tmp_path):
    domains = random_domains(tmp_path, seed=1)
    first, said = prepare(domains, tmp_path / "out", Limits(5, 3)), []
    assert prepare(domains, tmp_path / "out", Limits(5, 3), say=said.append) == first
    assert "nothing to do" in said[0]
    assert prepare(domains, tmp_path / "out", Limits(2, 1))["core_rounds"] != first["core_rounds"]
    with open(domains["A"].events, "a") as file:
        file.write(
            json.dumps({"reviewerID": "A9", "asin": "B9", "unixReviewTime": 1_300_000_000}) + "\n"
        )
    assert prepare(domains, tmp_path / "out", Limits(2, 1))["read"]["A"]["lines"] == 901
    with pytest.raises(DataError, match="gone.json is missing"):
        prepare({**domains, "A": Source(tmp_path / "gone.json")}, tmp_path / "out")
    with pytest.raises(DataError, match="needs two domains, A and B; given: A"):
        prepare({"A": domains["A"]}, tmp_path / "out")


def test_nothing_of_an_interrupted_preparation_gets_into_another_one(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    domains = random_domains(tmp_path, seed=1)
    with monkeypatch.context() as patched:
        patched.setattr(subject, "item_table", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(domains, tmp_path / "out", Limits(5, 3))
    with open(domains["A"].events, "a") as file:
        file.write(
            json.dumps({"reviewerID": "A9", "asin": "B9", "unixReviewTime": 1_300_000_000}) + "\n"
        )
    assert prepare(domains, tmp_path / "out", Limits(2, 1))["read"]["A"]["lines"] == 901
    prepare(domains, tmp_path / "straight", Limits(2, 1))
    assert (tmp_path / "out" / "interactions.tsv").read_bytes() == (
        tmp_path / "straight" / "interactions.tsv"
    ).read_bytes()


def test_items_keep_their_place_without_texts_and_coverage_is_counted(tmp_path):
    domains = {
        domain: write_domain(
            tmp_path / domain,
            [(user, f"{domain}{number}", number) for user in ("u1", "u2") for number in range(4)],
        )
        for domain in "AB"
    }
    metadata = tmp_path / "meta.json"
    metadata.write_text(
        "{'asin': 'A0', 'title': 'Rice\\t&amp;amp; beans', 'description': 'Long. ' }\n"
        "{'asin': 'A1', 'imUrl': 'http://e.org/1.jpg'}\n"
        "{'asin': 'A2', 'title': 'NA'}\n"
        "{oops\n"
        "{'asin': 'B9', 'title': 'never seen'}\n"
    )
    domains["A"] = Source(domains["A"].events, metadata, 2014)
    report = prepare(
        domains,
        tmp_path / "out",
        Limits(2, 1),
        fetch_pictures=lambda addresses, folder: ({}, {"gone": len(addresses)}),
    )
    items = read_data(tmp_path / "out").items
    assert items["item_id"].tolist() == [
        f"{domain}{number}" for domain in "AB" for number in range(4)
    ]
    assert items["title"].tolist() == ["Rice & beans", "", "NA", "", "", "", "", ""]
    assert items["description"][0] == "Long."
    assert report["coverage"]["A"] == {
        "items": 4,
        "title": 2,
        "description": 1,
        "image": 0,
    }
    assert report["coverage"]["B"]["title"] == 0
    assert report["picture_addresses"] == {"A": 1, "B": 0}
    assert report["skipped"] == [
        "meta.json: 1 of 5 lines could not be read (lines 4)",
        "pictures: 1 left out, gone",
    ]


def test_an_item_of_both_domains_is_described_by_either_file(tmp_path):
    rows = {
        "A": [("u1", "X", 1), ("u2", "X", 2), ("u1", "A1", 3), ("u2", "A1", 4)],
        "B": [("u1", "X", 1), ("u1", "B1", 2), ("u2", "B1", 3)],
    }
    sources = {}
    for domain, part in rows.items():
        (tmp_path / f"meta_{domain}").write_text(
            "{'asin': 'B1', 'title': 'Pan'}\n{'asin': 'X', 'title': 'Both'}\n"
            if domain == "B"
            else "{'asin': 'A1', 'title': 'Rice'}\n"
        )
        sources[domain] = Source(
            write_domain(tmp_path / domain, part).events, tmp_path / f"meta_{domain}", 2014
        )
    prepare(sources, tmp_path / "out", Limits(1, 1))
    items = read_data(tmp_path / "out").items
    assert items[["item_id", "domain", "title"]].values.tolist() == [
        ["A1", "A", "Rice"],
        ["X", "A", "Both"],
        ["B1", "B", "Pan"],
    ]
