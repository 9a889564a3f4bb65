"""From official files to a folder: the same as the pandas way, in bounded memory, and through any interruption; what statistics notice."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tema_lib.data.dataset import DataError, RawData, encode_ids
from tema_lib.data.filters import first_interactions, k_core
from tema_lib.data.summary import data_quality_warnings, order_of, population
from tema_lib.datasets.amazon import preparation as subject
from tema_lib.datasets.amazon.preparation import Limits, Source, prepare
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
    """Two review files with a long tail, repeated reviews, days that tie, and a few items that both domains list."""
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
    assert report["items_in_both_shops"] == 3
    assert report["core_rounds"][-1] == len(back)
    assert (back.groupby("user_id")["timestamp"].diff().dropna() >= 0).all()


def test_the_core_runs_until_nothing_changes(tmp_path):
    """`x` is bought by two, but one of them is too short and leaves, so `x` leaves in the second round, and with it the other."""
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


def test_equal_times_prefer_neither_shop(tmp_path):
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
    ["read_events", "join_domains", "filter_core", "_item_table", "_write_events", "_tsv"],
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
    domains = random_domains(tmp_path, seed=1)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(subject, "_item_table", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
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
        "{'asin': 'A0', 'title': 'Rice\\t&amp;amp; beans', 'description': 'Long. ' }\n{'asin': 'A1', 'imUrl': 'http://e.org/1.jpg'}\n{'asin': 'A2', 'title': 'NA'}\n{oops\n"
        "{'asin': 'B9', 'title': 'never bought'}\n"
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
        "brand": 0,
        "image": 0,
    }
    assert report["coverage"]["B"]["title"] == 0
    assert report["picture_addresses"] == {"A": 1, "B": 0}
    assert report["skipped"] == [
        "meta.json: 1 of 5 lines could not be read (lines 4)",
        "pictures: 1 left out, gone",
    ]


def test_an_item_of_both_shops_is_described_by_either_file(tmp_path):
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


# ------------------------------------------------------------------------------------------------------- a user's own tables


def own_tables(folder, kind="parquet", **changed):
    events = pd.DataFrame(
        {
            "user_id": ["u1", "u1", "u2"],
            "item_id": ["0001", "b1", "b1"],
            "domain": ["A", "B", "B"],
            "timestamp": [1_300_000_000, 1_300_086_400, 1_300_000_000],
        }
    )
    items = pd.DataFrame(
        {
            "item_id": ["0001", "b1"],
            "domain": ["A", "B"],
            "title": ["NA", 'Caf&amp;#233; "2"'],
            "description": [None, "x"],
        }
    )
    import duckdb

    tables = {"interactions": events.assign(**changed), "items": items}
    for name, table in tables.items():
        duckdb.from_df(table).write_parquet(str(folder / f"{name}.parquet"))
    return folder


def test_parquet_tables_are_read_like_tsv(tmp_path):
    raw = read_data(own_tables(tmp_path))
    assert raw.items[["item_id", "title", "description"]].values.tolist() == [
        ["0001", "NA", ""],
        ["b1", 'Café "2"', "x"],
    ]
    assert raw.interactions["timestamp"].dtype == "int64"
    assert encode_ids(raw).count == 2
    assert len(raw.sha256) == 64
    stamped = read_data(
        own_tables(
            tmp_path,
            timestamp=pd.to_datetime([1_300_000_000, 1_300_086_400, 1_300_000_000], unit="s"),
        )
    )
    assert stamped.interactions["timestamp"].tolist() == raw.interactions["timestamp"].tolist()
    with pytest.raises(DataError, match="interactions.parquet, row 2: 'C' is no domain"):
        read_data(own_tables(tmp_path, domain=["A", "C", "B"]))
    (tmp_path / "items.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="items.parquet is no readable parquet file"):
        read_data(tmp_path)


def test_all_missing_columns_of_both_tables_stand_in_one_message(tmp_path):
    (tmp_path / "items.tsv").write_text("item\tdomain\nx\tA\n")
    (tmp_path / "interactions.tsv").write_text("user\titem_id\tdomain\ttime\nu\tx\tA\t1\n")
    with pytest.raises(DataError) as caught:
        read_data(tmp_path)
    for words in (
        "items.tsv, line 1: column item_id, title is missing (found item, domain)",
        "interactions.tsv, line 1: column user_id, timestamp is missing (found user",
    ):
        assert words in str(caught.value)


# ------------------------------------------------------------------------------------------------------- statistics


def table(rows, titles=None):
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "domain", "timestamp"]).assign(
        split=""
    )
    items = events[["item_id", "domain"]].drop_duplicates().reset_index(drop=True)
    return RawData(
        "x",
        Path("."),
        events,
        items.assign(title=titles or "a " + items["item_id"], description="", image=""),
        "",
    )


def test_population_counts_users_of_both_shops_and_coverage():
    counted = population(
        table([("u1", "a1", "A", 5), ("u1", "b1", "B", 6), ("u2", "a1", "A", 5)], ["Rice", ""])
    )
    assert counted["both"][["users", "of them in both domains", "items", "events"]].tolist() == [
        2,
        1,
        2,
        3,
    ]
    assert counted["A"]["users"] == 2
    assert counted["B"]["users"] == 1
    assert counted["both"]["items with title"] == "50.0%"
    assert counted["both"]["events per user"] == "1/2/2/2"


def test_ties_and_changes_of_shop_are_counted_against_chance():
    order = order_of(
        table(
            [
                ("u1", "a1", "A", 0),
                ("u1", "b1", "B", 0),
                ("u1", "b2", "B", 10),
                ("u1", "a2", "A", DAY),
                ("u2", "b1", "B", 0),
                ("u2", "a1", "A", 0),
            ]
        )
    )
    assert (order["a_before_b"], order["b_before_a"], order["switches"]) == (1, 1, 3)
    assert order["same_day"] == 0.75
    assert order["same_time"] == 0.5
    assert order["switches_by_chance"] == pytest.approx(2 * 2 * 2 / 4 + 2 * 1 * 1 / 2)


def test_each_suspicion_is_raised_by_its_own_trap_only():
    rng = np.random.default_rng(0)
    people = [
        (
            f"u{user}",
            f"{(domain := 'AB'[int(rng.random() < 0.5)])}{position}",
            domain,
            1000 * position + user,
        )
        for user in range(100)
        for position in range(8)
    ]
    assert data_quality_warnings(table(people)) == []
    counting = [
        (user, item, domain, position % 8)
        for position, (user, item, domain, _) in enumerate(people)
    ]
    assert len(found := data_quality_warnings(table(counting))) == 1
    assert "0, 1, 2" in found[0]
    biased = [
        (f"u{user}", f"{domain}{day}", domain, day * DAY)
        for user in range(60)
        for day in range(1, 4)
        for domain in "AB"
    ]
    assert "A stands before B 180 times and B before A 0 times" in " ".join(
        data_quality_warnings(table(biased))
    )
    assert "interleaved artificially" in " ".join(data_quality_warnings(table(biased)))
    many = [(f"u{number % 40}", f"A{number}", "A", 100 * number) for number in range(60)]
    assert "60 items share 2 short titles" in " ".join(
        data_quality_warnings(table(many, ["Best value", "Nice"] * 30))
    )
    assert "1 events repeat" in " ".join(
        data_quality_warnings(table([*people, (*people[0][:3], 99_999)]))
    )
